//! Whether a cron schedule can be read: five fields, or one of the `@` words. Answers to "CronJob schedule syntax".

/// A field's bounds and the names that stand for numbers.
struct Field {
    low: u32,
    high: u32,
    names: &'static [(&'static str, u32)],
}

const MONTHS: &[(&str, u32)] = &[
    ("jan", 1), ("feb", 2), ("mar", 3), ("apr", 4), ("may", 5), ("jun", 6), ("jul", 7), ("aug", 8), ("sep", 9),
    ("oct", 10), ("nov", 11), ("dec", 12),
];
const DAYS: &[(&str, u32)] = &[("sun", 0), ("mon", 1), ("tue", 2), ("wed", 3), ("thu", 4), ("fri", 5), ("sat", 6)];
const FIELDS: &[Field] = &[
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field { low: 1, high: 12, names: MONTHS },
    Field { low: 0, high: 6, names: DAYS },
];
const WORDS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// What is wrong with a schedule, if anything is.
pub(super) fn complaint(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("empty spec string".into());
    }
    if text.starts_with('@') {
        return match text {
            t if WORDS.contains(&t) => None,
            t if t.starts_with("@every ") => None,
            t => Some(format!("unrecognized descriptor: {t}")),
        };
    }
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Some(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    parts.iter().zip(FIELDS).find_map(|(p, f)| p.split(',').find_map(|r| range(r, f).err()))
}

fn number(text: &str, f: &Field) -> Result<u32, String> {
    if let Some((_, n)) = f.names.iter().find(|(w, _)| w.eq_ignore_ascii_case(text)) {
        return Ok(*n);
    }
    let n: i64 = text
        .parse()
        .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))?;
    u32::try_from(n).map_err(|_| format!("negative number ({n}) not allowed: {text}"))
}

fn range(text: &str, f: &Field) -> Result<(), String> {
    let mut steps = text.split('/');
    let span = steps.next().unwrap_or_default();
    let step = steps.next();
    if steps.next().is_some() {
        return Err(format!("too many slashes: {text}"));
    }
    let (low, high) = if span == "*" || span == "?" {
        (f.low, f.high)
    } else {
        let mut ends = span.split('-');
        let low = number(ends.next().unwrap_or_default(), f)?;
        let high = match ends.next() {
            Some(h) => number(h, f)?,
            None if step.is_some() => f.high,
            None => low,
        };
        if ends.next().is_some() {
            return Err(format!("too many hyphens: {text}"));
        }
        (low, high)
    };
    let step = step.map_or(Ok(1), |s| number(s, f))?;
    if low < f.low {
        return Err(format!("beginning of range ({low}) below minimum ({}): {text}", f.low));
    }
    if high > f.high {
        return Err(format!("end of range ({high}) above maximum ({}): {text}", f.high));
    }
    if low > high {
        return Err(format!("beginning of range ({low}) beyond end of range ({high}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}
