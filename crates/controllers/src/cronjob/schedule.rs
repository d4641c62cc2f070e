//! Cron schedules: five fields, the `@` shorthands and `@every`, and the next moment that one names in a time zone.
//!
//! Docs: "CronJob: schedule syntax", "time zones".
//!
//! Laws: 1. the next moment is later than the given one. 2. Moments that a clock change skips do not happen. 3. When
//! both day fields are restricted, either one suffices.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

/// How far ahead a moment is looked for.
const YEARS_MAX: i16 = 5;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    Fields(Fields),
    Every(Duration),
}

/// Bit sets of the allowed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// Whether the day fields were `*` or `?`.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Reads a schedule.
///
/// # Errors
/// What cannot be read.
pub fn parse(text: &str) -> Result<Schedule, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("empty spec string".to_owned());
    }
    if let Some(short) = text.strip_prefix('@') {
        return shorthand(short, text);
    }
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else {
        return Err(format!("expected exactly 5 fields, found {}: {parts:?}", parts.len()));
    };
    let (minute, _) = field(minute, 0, 59, &[], 0)?;
    let (hour, _) = field(hour, 0, 23, &[], 0)?;
    let (day, any_day) = field(day, 1, 31, &[], 0)?;
    let (month, _) = field(month, 1, 12, &MONTHS, 1)?;
    let (weekday, any_weekday) = field(weekday, 0, 6, &WEEKDAYS, 0)?;
    Ok(Schedule::Fields(Fields { minute, hour, day, month, weekday, any_day, any_weekday }))
}

fn shorthand(short: &str, whole: &str) -> Result<Schedule, String> {
    let fields = match short {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            let every = short.strip_prefix("every ").and_then(duration);
            let every = every.ok_or_else(|| format!("unrecognized descriptor: {whole}"))?;
            return Ok(Schedule::Every(every.max(Duration::from_secs(1))));
        }
    };
    parse(fields)
}

/// Go's duration syntax, in whole seconds.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text.trim(), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let n: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |i| digits + i);
        total += n * match &rest[digits..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        rest = &rest[unit_end..];
    }
    Some(Duration::from_secs(total as u64))
}

/// One field: a list of ranges with steps. The flag says that it is unrestricted.
fn field(text: &str, min: u32, max: u32, names: &[&str], first: u32) -> Result<(u64, bool), String> {
    let (mut bits, mut any) = (0, false);
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((r, s)) => (r, Some(number(s, &[], 0)?)),
            None => (part, None),
        };
        let (from, mut to) = match range {
            "*" | "?" => {
                any |= step.is_none_or(|s| s == 1);
                (min, max)
            }
            _ => match range.split_once('-') {
                Some((a, b)) => (number(a, names, first)?, number(b, names, first)?),
                None => {
                    let n = number(range, names, first)?;
                    (n, n)
                }
            },
        };
        if step.is_some() && !range.contains('-') && range != "*" && range != "?" {
            to = max;
        }
        if from < min {
            return Err(format!("beginning of range ({from}) below minimum ({min}): {text}"));
        }
        if to > max {
            return Err(format!("end of range ({to}) above maximum ({max}): {text}"));
        }
        if from > to {
            return Err(format!("beginning of range ({from}) beyond end of range ({to}): {text}"));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
        (from..=to).step_by(step as usize).for_each(|n| bits |= 1 << n);
    }
    Ok((bits, any))
}

fn number(text: &str, names: &[&str], first: u32) -> Result<u32, String> {
    if let Some(i) = names.iter().position(|n| n.eq_ignore_ascii_case(text)) {
        return Ok(first + u32::try_from(i).unwrap_or(0));
    }
    text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"))
}

fn has(bits: u64, n: i8) -> bool {
    u8::try_from(n).is_ok_and(|n| bits & (1 << n) != 0)
}

impl Schedule {
    /// The first moment after `t`.
    #[must_use]
    pub fn next(&self, t: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(d) => Timestamp::from_second(t.as_second().checked_add(i64::try_from(d.as_secs()).ok()?)?).ok(),
            Self::Fields(f) => f.next(t, tz),
        }
    }
}

impl Fields {
    fn allows(&self, date: Date) -> bool {
        let (day, weekday) = (has(self.day, date.day()), has(self.weekday, date.weekday().to_sunday_zero_offset()));
        let fits = if self.any_day || self.any_weekday { day && weekday } else { day || weekday };
        has(self.month, date.month()) && fits
    }

    fn next(&self, t: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        let start: DateTime = tz.to_datetime(t);
        let last = start.date().year().checked_add(YEARS_MAX)?;
        // A day earlier, since clock changes can put a later local time at an earlier moment.
        let mut date = start.date();
        while date.year() <= last {
            if self.allows(date)
                && let Some(found) = self.first_on(date, t, tz) {
                    return Some(found);
                }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    /// The first moment of that day after `t`.
    fn first_on(&self, date: Date, t: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        for hour in (0..24).filter(|h| has(self.hour, *h)) {
            for minute in (0..60).filter(|m| has(self.minute, *m)) {
                let local = tz.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
                if matches!(local.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
                    continue;
                }
                match local.earlier() {
                    Ok(at) if at > t => return Some(at),
                    _ => {}
                }
            }
        }
        None
    }
}

/// What a schedule says about the time since `earliest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The latest moment that has come.
    pub latest: Timestamp,
    /// More than a hundred have come: something is wrong with the clock or the deadline.
    pub too_many: bool,
}

/// So many missed moments are a sign of trouble.
const MISSED_MAX: usize = 100;

/// The latest moment in (`earliest`, `now`], if any has come.
#[must_use]
pub fn due(schedule: &Schedule, earliest: Timestamp, now: Timestamp, tz: &TimeZone) -> Option<Due> {
    let mut latest = schedule.next(earliest, tz).filter(|t| *t <= now)?;
    let mut missed = 1;
    while missed <= MISSED_MAX {
        match schedule.next(latest, tz).filter(|t| *t <= now) {
            Some(t) => latest = t,
            None => return Some(Due { latest, too_many: false }),
        }
        missed += 1;
    }
    // The last one is near the end: look back in growing windows.
    let mut window_s = 120;
    loop {
        let from = now.as_second() - window_s;
        if from <= latest.as_second() {
            break;
        }
        let start = Timestamp::from_second(from).unwrap_or(latest);
        if let Some(first) = schedule.next(start, tz).filter(|t| *t <= now) {
            latest = first;
            break;
        }
        window_s *= 2;
    }
    while let Some(t) = schedule.next(latest, tz).filter(|t| *t <= now) {
        latest = t;
    }
    Some(Due { latest, too_many: true })
}
