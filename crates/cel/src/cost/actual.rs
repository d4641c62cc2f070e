//! What a call costs when it runs, from its arguments.

use super::size::scale;
use super::{REGEX_FACTOR, TEXT_FACTOR};
use crate::env::Call;
use crate::library::Cost;
use crate::value::Value;

/// The cost of a call; of several overloads that it may come to, what their function says.
pub(crate) fn call(calls: &[Call], args: &[Value]) -> u64 {
    let Some(first) = calls.first() else { return 1 };
    let size = |n: usize| args.get(n).map_or(1, Value::size);
    match first.function.cost {
        Cost::Fixed(n) => n,
        Cost::Text(n, factor, _) => scale(size(n), TEXT_FACTOR * factor as f64),
        Cost::Replace | Cost::Split => scale(size(0), 2.0 * TEXT_FACTOR),
        Cost::Join => match args.first() {
            Some(Value::List(l)) => {
                let total: u64 = l.iter().map(|v| v.size()).sum::<u64>() + size(1).saturating_mul(l.len().saturating_sub(1) as u64);
                scale(total, TEXT_FACTOR)
            }
            _ => 1,
        },
        Cost::Regex => regex(size(0), size(1)),
        Cost::Pairs => size(0).saturating_mul(size(args.len().saturating_sub(1))).saturating_add(1),
        Cost::List => size(0).max(1),
        Cost::Standard => standard(calls, &size),
    }
}

fn regex(text: u64, pattern: u64) -> u64 {
    scale(text.saturating_add(1), TEXT_FACTOR).saturating_mul(scale(pattern, REGEX_FACTOR))
}

fn standard(calls: &[Call], size: &dyn Fn(usize) -> u64) -> u64 {
    // A call whose overload is only known when it runs costs one, as in cel-go.
    let [only] = calls else { return 1 };
    match only.overload.id {
        "starts_with_string" | "ends_with_string" => scale(size(1), TEXT_FACTOR),
        "string_to_bytes" | "bytes_to_string" | "strings_quote" | "string_format" => scale(size(0), TEXT_FACTOR),
        "in_list" => size(1),
        "less_string" | "less_equals_string" | "greater_string" | "greater_equals_string" | "less_bytes" | "less_equals_bytes"
        | "greater_bytes" | "greater_equals_bytes" | "equals" | "not_equals" => scale(size(0).min(size(1)), TEXT_FACTOR),
        "add_string" | "add_bytes" => scale(size(0).saturating_add(size(1)), TEXT_FACTOR),
        "matches" | "matches_string" => regex(size(0), size(1)),
        "contains_string" => scale(size(0), TEXT_FACTOR).saturating_mul(scale(size(1), TEXT_FACTOR)),
        _ => 1,
    }
}
