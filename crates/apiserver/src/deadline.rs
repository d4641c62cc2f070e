//! How long a request may take: `--request-timeout`, or the shorter `timeout` that the request itself names.

use crate::request::RequestInfo;
use kinds::ApiError;
use std::time::Duration;

/// The time that a request has.
///
/// # Errors
/// 400 for a `timeout` that is no duration.
pub(crate) fn of(info: &RequestInfo, most: Duration) -> Result<Duration, ApiError> {
    let Some(text) = info.param("timeout").filter(|t| !t.is_empty()) else { return Ok(most) };
    let bad = |why: &str| ApiError::bad_request(format!("invalid timeout specified in the request URL - time: {why}"));
    let asked = parse(text).map_err(|e| bad(&e))?;
    Ok(if asked.is_zero() || asked > most { most } else { asked })
}

/// Runs the request within its time.
///
/// # Errors
/// Its own, or 504.
pub(crate) async fn within<T>(time: Duration, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(ApiError::new(504, "Timeout", "Timeout: request did not complete within the allotted timeout").retry_after(0)),
    }
}

/// A duration as Go writes it (`1m30s`, `250ms`); negative ones are zero.
///
/// # Errors
/// Go's words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        rest = &rest[end..];
        total += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err(format!("missing unit in duration {text:?}")),
                other => return Err(format!("unknown unit {other:?} in duration {text:?}")),
            };
    }
    if negative { Ok(Duration::ZERO) } else { Duration::try_from_secs_f64(total).map_err(|_| invalid()) }
}
