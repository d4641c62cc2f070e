//! Times as people read them in `kubectl get`: `5s`, `3m2s`, `4h`, `2d3h`, `1y20d`.

use jiff::Timestamp;

/// A duration in Kubernetes' two-unit form.
pub fn duration(seconds: i64) -> String {
    let pair = |whole: i64, unit: &str, rest: i64, small: &str| if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => pair(days, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

/// How long ago an RFC 3339 time was; `<unknown>` when there is none.
pub fn since(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(then) => duration(seconds_between(then, now)),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Whole seconds from one time to another, rounded down.
pub fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.duration_since(from).as_millis().div_euclid(1000)).unwrap_or(i64::MAX)
}
