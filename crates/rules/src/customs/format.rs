//! String formats that custom resources are checked for. Docs: "CustomResourceDefinition: format".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a text is of a format; unknown formats are not checked.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok() || leap(text),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(format, text),
        "byte" => is_base64(text),
        _ => true,
    }
}

/// The last second of a day that had one more.
fn leap(text: &str) -> bool {
    text.contains(":60") && text.replace(":60", ":59").parse::<jiff::Timestamp>().is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let max = if address.is_ipv4() { 32 } else { 128 };
    bits.parse::<u8>().is_ok_and(|b| b <= max) && bits.bytes().all(|b| b.is_ascii_digit())
}

fn is_mac(text: &str) -> bool {
    let separator = if text.contains('-') { '-' } else { ':' };
    let parts: Vec<&str> = text.split(separator).collect();
    matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_uuid(format: &str, text: &str) -> bool {
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    if bare.len() != 32 || !bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    let variant = matches!(bare.as_bytes()[16], b'8' | b'9' | b'a' | b'b' | b'A' | b'B');
    match format {
        "uuid3" => bare.as_bytes()[12] == b'3',
        "uuid4" => bare.as_bytes()[12] == b'4' && variant,
        "uuid5" => bare.as_bytes()[12] == b'5' && variant,
        _ => true,
    }
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    text.len() % 4 == 0 && padding <= 2 && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}
