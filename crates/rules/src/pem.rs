//! As much of a PEM-encoded PKCS#10 request as rules look at: its subject's organizations. RFC 7468, RFC 2986, X.690.

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END CERTIFICATE REQUEST-----";
/// The object identifier of `organizationName`, 2.5.4.10, encoded.
const ORGANIZATION: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x0a];

/// The DER bytes of a certificate request; `None` when it is no PEM block of that name.
pub(crate) fn request(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text.split_once(BEGIN)?.1.split_once(END)?.0;
    decode(body)
}

/// Base64 with line breaks.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for b in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let v = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(v);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
}

/// One DER element: its content and what follows.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (len, head) = if first < 0x80 {
        (first, 2)
    } else {
        let n = first & 0x7f;
        if n == 0 || n > 4 {
            return None;
        }
        let len = der.get(2..2 + n)?.iter().fold(0usize, |l, b| (l << 8) | usize::from(*b));
        (len, 2 + n)
    };
    let end = head.checked_add(len)?;
    Some((der.get(head..end)?, der.get(end..)?))
}

/// The organizations of the subject of a PEM-encoded request; none when it cannot be read.
pub(crate) fn organizations(pem: &[u8]) -> Vec<String> {
    let subject = || -> Option<Vec<String>> {
        let der = request(pem)?;
        let (whole, _) = element(&der)?;
        let (info, _) = element(whole)?;
        let (_, after_version) = element(info)?;
        let (mut names, _) = element(after_version)?;
        let mut all = Vec::new();
        while !names.is_empty() {
            let (set, rest) = element(names)?;
            names = rest;
            let mut set = set;
            while !set.is_empty() {
                let (pair, rest) = element(set)?;
                set = rest;
                if let Some(value) = pair.strip_prefix(ORGANIZATION) {
                    all.push(String::from_utf8_lossy(element(value)?.0).into_owned());
                }
            }
        }
        Some(all)
    };
    subject().unwrap_or_default()
}
