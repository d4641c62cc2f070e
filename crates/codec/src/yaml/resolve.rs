//! What a plain scalar means in YAML 1.1 as Go's YAML library reads it.

use serde_json::{Number, Value};

/// The meaning of a plain scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    /// Infinity or not-a-number: JSON has no such value.
    NotFinite,
    /// Looks like a time; read as a string, but quoted when written.
    Timestamp,
    /// `<<`
    Merge,
    String,
}

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Plain::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => return Plain::NotFinite,
        "<<" => return Plain::Merge,
        _ => {}
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text),
        _ => Plain::String,
    }
}

fn number(text: &str) -> Plain {
    if is_timestamp(text) {
        return Plain::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(n) = integer(&plain) {
        return Plain::Number(n);
    }
    if is_float(&plain) {
        return match plain.parse::<f64>() {
            Ok(n) if n.is_finite() => float(n).map_or(Plain::String, Plain::Number),
            _ => Plain::NotFinite,
        };
    }
    Plain::String
}

/// A float as a JSON number; whole ones without a fraction, as Go writes them.
pub(super) fn float(n: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if n.fract() == 0.0 && n.abs() <= EXACT {
        return Some(Number::from(n as i64));
    }
    Number::from_f64(n)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return i64::try_from(-i128::from(magnitude)).ok().map(Number::from);
    }
    Some(Number::from(magnitude))
}

fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

/// `2006-1-2`, alone or followed by a time of day.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let small = |part: &str, max: u32| part.len() <= 2 && part.parse::<u32>().is_ok_and(|n| n <= max) && part.bytes().all(|c| c.is_ascii_digit());
    let mut parts = date.split('-').skip(1);
    let date_fits = matches!((parts.next(), parts.next(), parts.next()), (Some(m), Some(d), None) if small(m, 12) && small(d, 31) && m != "0" && d != "0");
    date_fits && time.is_none_or(|time| is_time_of_day(time.trim_start(), text.contains(' ')))
}

fn is_time_of_day(time: &str, spaced: bool) -> bool {
    let zone = time.find(['Z', '+', '-']);
    let (clock, zone) = zone.map_or((time, ""), |at| (&time[..at], &time[at..]));
    let mut parts = clock.split(':');
    let (Some(hour), Some(minute), Some(second), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let clock_fits = [hour, minute, second].iter().all(|part| part.len() <= 2 && digits(part)) && digits(fraction);
    let zone_fits = match zone {
        "" => spaced,
        "Z" => !spaced,
        zone => !spaced && zone.len() == 6 && zone.as_bytes()[3] == b':',
    };
    clock_fits && zone_fits
}

/// Whether a plain string would be read as something else, YAML 1.1's base-60 numbers included.
pub(super) fn needs_quotes(text: &str) -> bool {
    resolve(text) != Plain::String || is_base60(text)
}

fn is_base60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some((first, rest)) = text.split_once(':') else { return false };
    let lead = first.bytes().next().is_some_and(|c| c.is_ascii_digit()) && first.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    let (rest, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let sixty = |part: &str| match part.as_bytes() {
        [c] => c.is_ascii_digit(),
        [tens, c] => (b'0'..=b'5').contains(tens) && c.is_ascii_digit(),
        _ => false,
    };
    lead && rest.split(':').all(sixty) && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
}

/// A scalar with an explicit tag of the core schema.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Value> {
    match (tag, resolve(text)) {
        ("str", _) => Some(Value::String(text.to_owned())),
        ("null", _) => Some(Value::Null),
        ("bool", Plain::Bool(flag)) => Some(Value::Bool(flag)),
        ("int" | "float", Plain::Number(n)) => Some(Value::Number(n)),
        ("timestamp", _) => Some(Value::String(text.to_owned())),
        _ => None,
    }
}
