//! The cost model: what a program may cost at most, from the bounds of the declared data, and what a call costs when it runs.
//! Limits and wordings are kube-apiserver's. Docs: "Resource constraints" of CEL in Kubernetes.

pub(crate) mod actual;
pub(crate) mod estimate;
pub(crate) mod size;

/// What one evaluation may cost.
pub const CALL_BUDGET: u64 = 1_000_000;
/// What all rules of a custom resource, or all expressions of one policy, may cost for one request.
pub const REQUEST_BUDGET: u64 = 10_000_000;
/// What the match conditions of one webhook or policy may cost for one request.
pub const CONDITIONS_BUDGET: u64 = 2_500_000;
/// What one rule may be estimated to cost.
pub const RULE_LIMIT: u64 = 10_000_000;
/// What all rules of one definition's schema may be estimated to cost.
pub const SCHEMA_LIMIT: u64 = 100_000_000;
/// Bytes that a request can have, from which unbounded data gets its bounds.
pub const REQUEST_MAX_BYTES: u64 = 3 * 1024 * 1024;

/// What a text costs a character.
pub(crate) const TEXT_FACTOR: f64 = 0.1;
/// What a regular expression costs a character.
pub(crate) const REGEX_FACTOR: f64 = 0.25;

/// `estimated rule cost exceeds budget by factor of …`.
#[must_use]
pub fn over_limit(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let shown = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength \
         where arrays, maps, and strings are declared)"
    )
}
