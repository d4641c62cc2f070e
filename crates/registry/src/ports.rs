//! The record of the node ports that are taken, where kube-apiserver keeps it and as it writes it: a `RangeAllocation` in
//! Kubernetes' protobuf form whose data are the bytes of a big number, the lowest bit for the range's first port.

/// Where it lies.
pub(crate) const KEY: &str = "/registry/ranges/servicenodeports";

const MAGIC: &[u8] = b"k8s\0";
/// Fields of `runtime.Unknown`, of its type, and of `RangeAllocation`, as protobuf tags of what has a length.
const UNKNOWN_TYPE: u8 = 0x0a;
const UNKNOWN_RAW: u8 = 0x12;
const UNKNOWN_ENCODING: u8 = 0x1a;
const UNKNOWN_CONTENT: u8 = 0x22;
const TYPE_VERSION: u8 = 0x0a;
const TYPE_KIND: u8 = 0x12;
const RANGE_META: u8 = 0x0a;
const RANGE_TEXT: u8 = 0x12;
const RANGE_DATA: u8 = 0x1a;

/// The record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    first: u16,
    last: u16,
    /// Little end first.
    bits: Vec<u8>,
}

impl Record {
    /// Nothing is taken.
    pub(crate) fn new((first, last): (u16, u16)) -> Self {
        Self { first, last, bits: vec![0; (usize::from(last - first) + 8) / 8] }
    }

    fn at(&self, port: u16) -> Option<(usize, u8)> {
        let offset = usize::from(port.checked_sub(self.first).filter(|_| port <= self.last)?);
        Some((offset / 8, 1 << (offset % 8)))
    }

    /// Whether the port is taken; one outside of the range never is.
    pub(crate) fn has(&self, port: u16) -> bool {
        self.at(port).is_some_and(|(byte, bit)| self.bits[byte] & bit != 0)
    }

    /// Takes a port.
    pub(crate) fn take(&mut self, port: u16) {
        if let Some((byte, bit)) = self.at(port) {
            self.bits[byte] |= bit;
        }
    }

    /// Gives a port back.
    pub(crate) fn release(&mut self, port: u16) {
        if let Some((byte, bit)) = self.at(port) {
            self.bits[byte] &= !bit;
        }
    }

    /// All that are taken.
    pub(crate) fn taken(&self) -> impl Iterator<Item = u16> + '_ {
        (self.first..=self.last).filter(|p| self.has(*p))
    }

    /// As it is stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut data: Vec<u8> = self.bits.iter().rev().copied().collect();
        let zeros = data.iter().take_while(|b| **b == 0).count();
        data.drain(..zeros);
        let mut raw = Vec::new();
        field(&mut raw, RANGE_META, b"");
        field(&mut raw, RANGE_TEXT, format!("{}-{}", self.first, self.last).as_bytes());
        field(&mut raw, RANGE_DATA, &data);
        let mut kind = Vec::new();
        field(&mut kind, TYPE_VERSION, b"v1");
        field(&mut kind, TYPE_KIND, b"RangeAllocation");
        let mut out = MAGIC.to_vec();
        field(&mut out, UNKNOWN_TYPE, &kind);
        field(&mut out, UNKNOWN_RAW, &raw);
        field(&mut out, UNKNOWN_ENCODING, b"");
        field(&mut out, UNKNOWN_CONTENT, b"");
        out
    }

    /// From what is stored; `None` for the record of another range.
    ///
    /// # Errors
    /// Other bytes.
    pub(crate) fn decode(stored: &[u8], range: (u16, u16)) -> Result<Option<Self>, String> {
        let body = stored.strip_prefix(MAGIC).ok_or("it is not in Kubernetes' protobuf form")?;
        let raw = one(body, UNKNOWN_RAW)?.ok_or("it holds no object")?;
        let said = String::from_utf8_lossy(one(raw, RANGE_TEXT)?.unwrap_or_default()).into_owned();
        let mut record = Self::new(range);
        let ours = format!("{}-{}", range.0, range.1);
        // One that was never used has no range yet.
        if !said.is_empty() && said != ours {
            return Ok(None);
        }
        let data = one(raw, RANGE_DATA)?.unwrap_or_default();
        if data.len() > record.bits.len() {
            return Err("it has more ports than its range".to_owned());
        }
        for (to, from) in record.bits.iter_mut().zip(data.iter().rev()) {
            *to = *from;
        }
        Ok(Some(record))
    }
}

fn field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let mut left = content.len();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap_or(0) | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap_or(0));
    out.extend_from_slice(content);
}

/// The last field of that tag in a message whose fields all have a length.
fn one(mut message: &[u8], tag: u8) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    while let Some((&head, rest)) = message.split_first() {
        let (length, rest) = number(rest).ok_or("it is cut off")?;
        if head & 7 != 2 || length > rest.len() {
            return Err("it is no message of this form".to_owned());
        }
        let (content, rest) = rest.split_at(length);
        if head == tag {
            found = Some(content);
        }
        message = rest;
    }
    Ok(found)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (i, b) in bytes.iter().enumerate().take(5) {
        value |= usize::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Record;

    const RANGE: (u16, u16) = (30_000, 32_767);

    #[test]
    fn a_record_comes_back() {
        let mut r = Record::new(RANGE);
        for port in [30_000, 30_009, 32_767, 80] {
            r.take(port);
        }
        let taken = |r: &Record| Record::decode(&r.encode(), RANGE).expect("our own").expect("our range").taken().collect::<Vec<_>>();
        assert_eq!(taken(&r), [30_000, 30_009, 32_767]);
        r.release(32_767);
        r.release(30_009);
        assert_eq!(taken(&r), [30_000]);
        assert_eq!(Record::decode(&Record::new(RANGE).encode(), RANGE), Ok(Some(Record::new(RANGE))));
    }

    /// In the form in which kube-apiserver v1.36.2 leaves it: its metadata are not empty bytes.
    #[test]
    fn kube_apiserver_s_is_read() {
        let theirs = b"k8s\0\n\x15\n\x02v1\x12\x0fRangeAllocation\x12\x23\n\x10\n\0\x12\0\x1a\0\"\0*\02\08\0B\0\x12\x0b30000-32767\x1a\x02\x02\x02\x1a\0\"\0";
        let read = Record::decode(theirs, RANGE).expect("readable").expect("our range");
        assert_eq!(read.taken().collect::<Vec<_>>(), [30_001, 30_009]);
    }

    #[test]
    fn others_are_told_apart() {
        let r = Record::new((30_000, 30_100)).encode();
        assert_eq!(Record::decode(&r, RANGE), Ok(None));
        assert!(Record::decode(b"{}", RANGE).is_err());
        assert!(Record::decode(&r[..r.len() - 3], (30_000, 30_100)).is_err());
    }
}
