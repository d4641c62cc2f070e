//! What may be a name, a label, an address: predicates that answer with the texts clients know.
//!
//! Docs: "Object Names and IDs", "Labels and Selectors"; RFC 1123, RFC 1035, RFC 4291.

use std::net::IpAddr;

/// Longest DNS label.
pub const LABEL_MAX: usize = 63;
/// Longest DNS subdomain.
pub const SUBDOMAIN_MAX: usize = 253;

const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS1035_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD_RULE: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY_RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_RULE: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const HEADER_RULE: &str =
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const C_IDENTIFIER_RULE: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";

/// The complaints about a text; empty when it is fine.
pub type Complaints = Vec<String>;

/// Names of the DNS and of IANA are counted in characters, keys and values in bytes: so Kubernetes words it.
fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn too_many_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_label(s: &str) -> bool {
    let b = s.as_bytes();
    !b.is_empty() && lower(b[0]) && lower(b[b.len() - 1]) && b.iter().all(|b| lower(*b) || *b == b'-')
}

fn is_subdomain(s: &str) -> bool {
    s.split('.').all(is_label)
}

fn name_like(s: &str) -> bool {
    let b = s.as_bytes();
    !b.is_empty()
        && b[0].is_ascii_alphanumeric()
        && b[b.len() - 1].is_ascii_alphanumeric()
        && b.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn collect(s: &str, max: usize, ok: bool, rule: &str) -> Complaints {
    let mut all = Vec::new();
    if s.len() > max {
        all.push(too_long(max));
    }
    if !ok {
        all.push(rule.to_owned());
    }
    all
}

/// RFC 1123 label: `web-1`.
#[must_use]
pub fn dns_label(s: &str) -> Complaints {
    collect(s, LABEL_MAX, is_label(s), LABEL_RULE)
}

/// RFC 1123 subdomain: `web.example.com`.
#[must_use]
pub fn dns_subdomain(s: &str) -> Complaints {
    collect(s, SUBDOMAIN_MAX, is_subdomain(s), SUBDOMAIN_RULE)
}

/// RFC 1123 subdomain whose labels may also have underscores, one of them in front, as resolver search paths do.
#[must_use]
pub fn dns_search(s: &str) -> Complaints {
    let label = |l: &str| {
        let b = l.strip_prefix('_').unwrap_or(l).as_bytes();
        !b.is_empty() && lower(b[0]) && lower(b[b.len() - 1]) && b.iter().all(|b| lower(*b) || matches!(b, b'-' | b'_'))
    };
    collect(s, SUBDOMAIN_MAX, s.split('.').all(label), SUBDOMAIN_UNDERSCORE_RULE)
}

const SUBDOMAIN_UNDERSCORE_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";

/// RFC 1035 label: starts with a letter.
#[must_use]
pub fn dns1035_label(s: &str) -> Complaints {
    let ok = is_label(s) && s.as_bytes()[0].is_ascii_lowercase();
    collect(s, LABEL_MAX, ok, DNS1035_RULE)
}

/// `*.example.com`.
#[must_use]
pub fn wildcard_subdomain(s: &str) -> Complaints {
    let ok = s.strip_prefix("*.").is_some_and(is_subdomain);
    collect(s, SUBDOMAIN_MAX, ok, WILDCARD_RULE)
}

/// A fully qualified domain name of at least two labels (a trailing dot is fine).
#[must_use]
pub fn fully_qualified(s: &str) -> Complaints {
    if s.is_empty() {
        return vec!["Required value".into()];
    }
    let bare = s.strip_suffix('.').unwrap_or(s);
    let all = dns_subdomain(bare);
    if !all.is_empty() {
        return all;
    }
    if bare.split('.').count() < 2 { vec!["should be a domain with at least two segments separated by dots".into()] } else { all }
}

/// `[prefix/]name`, as label keys, annotation keys, resource names and finalizers are written.
#[must_use]
pub fn qualified_name(s: &str) -> Complaints {
    let mut all = Vec::new();
    let parts: Vec<&str> = s.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                all.push("prefix part must be non-empty".to_owned());
            } else {
                all.extend(dns_subdomain(prefix).into_iter().map(|m| format!("prefix part {m}")));
            }
            *name
        }
        _ => {
            return vec![format!("a valid label key {QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        all.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        all.push(format!("name part {}", too_many_bytes(LABEL_MAX)));
    }
    if !name_like(name) {
        all.push(format!("name part {QUALIFIED_RULE}"));
    }
    all
}

/// `example.com/name`: the prefix must be there.
#[must_use]
pub fn domain_prefixed(s: &str) -> Complaints {
    if s.is_empty() {
        return vec!["Required value".into()];
    }
    let Some((domain, path)) = s.split_once('/') else {
        return vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".into()];
    };
    let mut all: Vec<String> = dns_subdomain(domain).into_iter().map(|m| format!("prefix part {m}")).collect();
    if path.is_empty() {
        all.push("must be a domain-prefixed path (such as \"acme.io/foo\")".into());
    }
    all
}

/// A label's value.
#[must_use]
pub fn label_value(s: &str) -> Complaints {
    let mut all = Vec::new();
    if s.len() > LABEL_MAX {
        all.push(too_many_bytes(LABEL_MAX));
    }
    if !s.is_empty() && !name_like(s) {
        all.push(LABEL_VALUE_RULE.to_owned());
    }
    all
}

/// A key of a ConfigMap or Secret.
#[must_use]
pub fn config_key(s: &str) -> Complaints {
    let ok = !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let mut all = collect(s, SUBDOMAIN_MAX, ok, CONFIG_KEY_RULE);
    if let Some(m) = dot_name(s, true) {
        all.push(m);
    }
    all
}

fn dot_name(s: &str, prefix_too: bool) -> Option<String> {
    match s {
        "." => Some("must not be '.'".into()),
        ".." => Some("must not be '..'".into()),
        _ if prefix_too && s.starts_with("..") => Some("must not start with '..'".into()),
        _ => None,
    }
}

/// The name of an environment variable.
#[must_use]
pub fn env_name(s: &str) -> Complaints {
    if s.is_empty() {
        return vec!["environment variable name must not be empty".into()];
    }
    let ok = s.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=');
    if ok { Vec::new() } else { vec![ENV_RULE.to_owned()] }
}

/// A C identifier.
#[must_use]
pub fn c_identifier(s: &str) -> Complaints {
    let b = s.as_bytes();
    let ok = !b.is_empty() && !b[0].is_ascii_digit() && b.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if ok { Vec::new() } else { vec![C_IDENTIFIER_RULE.to_owned()] }
}

/// The name of an HTTP header.
#[must_use]
pub fn http_header(s: &str) -> Complaints {
    let ok = !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if ok { Vec::new() } else { vec![HEADER_RULE.to_owned()] }
}

/// An IANA service name, as named ports must be.
#[must_use]
pub fn port_name(s: &str) -> Complaints {
    let mut all = Vec::new();
    if s.len() > 15 {
        all.push(too_long(15));
    }
    if !s.is_empty() && !s.bytes().all(|b| lower(b) || b == b'-') || s.is_empty() {
        all.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !s.bytes().any(|b| b.is_ascii_lowercase()) {
        all.push("must contain at least one letter (a-z)".into());
    }
    if s.contains("--") {
        all.push("must not contain consecutive hyphens".into());
    }
    if s.starts_with('-') || s.ends_with('-') {
        all.push("must not begin or end with a hyphen".into());
    }
    all
}

/// A port number.
#[must_use]
pub fn port_number(n: i32) -> Complaints {
    if (1..=65_535).contains(&n) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".into()] }
}

/// One segment of a URL path.
#[must_use]
pub fn path_segment(s: &str) -> Complaints {
    if let Some(m) = match s {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        _ => None,
    } {
        return vec![m.to_owned()];
    }
    ["/", "%"].iter().filter(|c| s.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// The beginning of a path segment.
#[must_use]
pub fn path_segment_prefix(s: &str) -> Complaints {
    ["/", "%"].iter().filter(|c| s.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// An IP address in its one canonical spelling (no leading zeros, no IPv4-mapped IPv6).
#[must_use]
pub fn ip(s: &str) -> Complaints {
    match s.parse::<IpAddr>() {
        Ok(IpAddr::V6(six)) if six.to_ipv4_mapped().is_some() => vec![MAPPED_ADDRESS.into()],
        Ok(_) => Vec::new(),
        Err(_) if without_zeros(s).parse::<IpAddr>().is_ok() => vec![LEADING_ZEROS.into()],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}

/// A CIDR block.
#[must_use]
pub fn cidr(s: &str) -> Complaints {
    match s.parse::<ipnet::IpNet>() {
        Ok(ipnet::IpNet::V6(n)) if n.addr().to_ipv4_mapped().is_some() => vec![MAPPED_RANGE.into()],
        Ok(n) if n.addr() == n.network() => Vec::new(),
        Ok(n) => vec![format!("{BITS_BEYOND} (did you mean {:?}?)", n.trunc().to_string())],
        Err(_) if without_zeros(s).parse::<ipnet::IpNet>().is_ok() => vec![RANGE_LEADING_ZEROS.into()],
        Err(_) => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()],
    }
}

const LEADING_ZEROS: &str = "must not have leading 0s";
const MAPPED_ADDRESS: &str = "must not be an IPv4-mapped IPv6 address";
const RANGE_LEADING_ZEROS: &str = "must not have leading 0s in IP or prefix length";
const MAPPED_RANGE: &str = "must not have an IPv4-mapped IPv6 address";
const BITS_BEYOND: &str = "must not have bits set beyond the prefix length";

/// Whether a complaint about an address or a range was none before these were judged strictly (KEP-4858).
#[must_use]
pub fn only_strictly_wrong(complaint: &str) -> bool {
    [LEADING_ZEROS, MAPPED_ADDRESS, RANGE_LEADING_ZEROS, MAPPED_RANGE].contains(&complaint) || complaint.starts_with(BITS_BEYOND)
}

/// The same address without the zeros that its numbers begin with.
fn without_zeros(s: &str) -> String {
    let short = |mut part: &str| {
        while part.starts_with('0') && part.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            part = &part[1..];
        }
        part.to_owned()
    };
    s.split_inclusive(['.', '/']).map(short).collect()
}

/// How the names of a kind are formed.
#[derive(Clone, Copy, Debug)]
pub enum NameRule {
    DnsSubdomain,
    DnsLabel,
    Dns1035Label,
    PathSegment,
    /// Anything that has a rule of its own; the flag says that only a prefix (`generateName`) is given.
    Own(fn(&str, bool) -> Complaints),
}

impl NameRule {
    /// The complaints about a name, or about the prefix that `generateName` gives.
    #[must_use]
    pub fn check(self, name: &str, prefix: bool) -> Complaints {
        let whole = if prefix { mask_trailing_dash(name) } else { name.to_owned() };
        match self {
            Self::DnsSubdomain => dns_subdomain(&whole),
            Self::DnsLabel => dns_label(&whole),
            Self::Dns1035Label => dns1035_label(&whole),
            Self::PathSegment if prefix => path_segment_prefix(name),
            Self::PathSegment => path_segment(name),
            Self::Own(f) => f(name, prefix),
        }
    }
}

/// A prefix may end with a dash: what follows is appended.
#[must_use]
pub fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(rest) if name.len() > 1 => format!("{rest}a"),
        _ => name.to_owned(),
    }
}
