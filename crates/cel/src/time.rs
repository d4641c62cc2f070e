//! Times and durations as texts: RFC 3339 and Go's durations; the getters of the standard library.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// `2006-01-02T15:04:05.999Z`; the year must be one of CEL's.
pub(crate) fn parse_timestamp(s: &str) -> Option<Timestamp> {
    let strict = s.len() >= 20 && s.as_bytes()[10].eq_ignore_ascii_case(&b'T');
    let zoned = s.ends_with(['Z', 'z']) || s.get(19..).is_some_and(|t| t.contains(['+', '-']));
    if strict && zoned { s.parse().ok() } else { None }
}

/// The same, or a day.
pub(crate) fn parse_timestamp_or_day(s: &str) -> Option<Timestamp> {
    parse_timestamp(s).or_else(|| {
        let day: jiff::civil::Date = s.parse().ok()?;
        day.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
    })
}

/// Go's `1h15m30.5s`.
pub(crate) fn parse_duration(s: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match s.strip_prefix('-') {
        Some(r) => (true, r),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end = rest[number..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |n| n + number);
        let scale: i128 = match &rest[number..unit_end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = rest[..number].split_once('.').unwrap_or((&rest[..number], ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        total += if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? } * scale;
        let mut unit = scale;
        for d in fraction.bytes() {
            unit /= 10;
            total += i128::from(d.checked_sub(b'0').filter(|d| *d < 10)?) * unit;
        }
        rest = &rest[unit_end..];
    }
    let total = i64::try_from(if negative { -total } else { total }).ok()?;
    Some(SignedDuration::from_nanos(total))
}

/// Seconds, as CEL writes durations: `90s`, `1.5s`.
pub(crate) fn show_duration(d: SignedDuration) -> String {
    let nanos = d.as_nanos();
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let fraction = format!("{:09}", nanos % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction}s", nanos / 1_000_000_000)
}

/// A part of a time in a zone (`UTC` when none is named).
pub(crate) fn part(at: Timestamp, zone: &str, getter: &str) -> Option<i64> {
    let t = at.to_zoned(self::zone(zone)?);
    Some(match getter {
        "getFullYear" => i64::from(t.year()),
        "getMonth" => i64::from(t.month()) - 1,
        "getDayOfYear" => i64::from(t.day_of_year()) - 1,
        "getDate" => i64::from(t.day()),
        "getDayOfMonth" => i64::from(t.day()) - 1,
        "getDayOfWeek" => i64::from(t.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(t.hour()),
        "getMinutes" => i64::from(t.minute()),
        "getSeconds" => i64::from(t.second()),
        "getMilliseconds" => i64::from(t.millisecond()),
        _ => return None,
    })
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() {
        return Some(TimeZone::UTC);
    }
    if let Some((hours, minutes)) = name.split_once(':') {
        let sign = if hours.starts_with('-') { -1 } else { 1 };
        let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok()?;
        let minutes: i32 = minutes.parse().ok()?;
        return Some(TimeZone::fixed(Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?));
    }
    TimeZone::get(name).ok()
}
