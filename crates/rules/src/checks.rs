//! Small checks that many kinds share, each with the words that Kubernetes uses for it.

use crate::names::{self, Complaints};
use crate::read::{amount, s};
use kinds::{FieldErrors, IntOrString, Path, QuantityText};
use std::collections::BTreeSet;

/// The text for negative numbers.
pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Adds each complaint about a text as an invalid value.
pub(crate) fn complain(path: &Path, value: &str, why: Complaints, e: &mut FieldErrors) {
    for m in why {
        e.invalid(path, value, m);
    }
}

/// Which of them came before already. In one pass: lists from outside may have as many items as a body holds.
pub(crate) fn repeated<K: Ord>(keys: impl IntoIterator<Item = K>) -> Vec<bool> {
    let mut seen = BTreeSet::new();
    keys.into_iter().map(|k| !seen.insert(k)).collect()
}

/// A number that may not be negative.
pub(crate) fn not_negative(n: i64, path: &Path, e: &mut FieldErrors) {
    if n < 0 {
        e.invalid(path, n, NOT_NEGATIVE);
    }
}

/// An optional number that may not be negative.
pub(crate) fn not_negative_opt(n: Option<i32>, path: &Path, e: &mut FieldErrors) {
    not_negative(i64::from(n.unwrap_or_default()), path, e);
}

/// Counters of a status that may not be more than there are replicas.
pub(crate) fn not_more_than_replicas(counts: &[(&str, Option<i32>)], replicas: i32, path: &Path, e: &mut FieldErrors) {
    for (name, n) in counts {
        let n = n.unwrap_or_default();
        if n > replicas {
            e.invalid(&path.child(name), n, "cannot be greater than status.replicas");
        }
    }
}

/// How often names of new objects clashed: a number that never goes down, nor away.
pub(crate) fn not_decremented(new: Option<i32>, old: Option<i32>, path: &Path, e: &mut FieldErrors) {
    if old.is_some_and(|old| new.is_none_or(|new| new < old)) {
        e.invalid(path, new.unwrap_or_default(), "cannot be decremented");
    }
}

/// A port number.
pub(crate) fn port(n: i32, path: &Path, e: &mut FieldErrors) {
    for m in names::port_number(n) {
        e.invalid(path, n, m);
    }
}

/// A port by number or by name.
pub(crate) fn port_or_name(p: &IntOrString, path: &Path, e: &mut FieldErrors) {
    match p {
        IntOrString::Int(n) => port(*n, path, e),
        IntOrString::String(t) => complain(path, t, names::port_name(t), e),
    }
}

/// A text that must be one of a few and must be there.
pub(crate) fn one_of(value: &str, allowed: &[&str], path: &Path, e: &mut FieldErrors) {
    if value.is_empty() {
        e.required(path, "");
    } else if !allowed.contains(&value) {
        e.not_supported(path, value, allowed);
    }
}

/// A text that must be one of a few if it is there; an empty one is there.
pub(crate) fn one_of_opt(value: &Option<String>, allowed: &[&str], path: &Path, e: &mut FieldErrors) {
    if value.is_some() && !allowed.contains(&s(value)) {
        e.not_supported(path, s(value), allowed);
    }
}

/// A text that must be there.
pub(crate) fn present(value: &str, path: &Path, e: &mut FieldErrors) {
    if value.is_empty() {
        e.required(path, "");
    }
}

/// A percentage or a whole number, not negative.
pub(crate) fn int_or_percent(v: &IntOrString, path: &Path, e: &mut FieldErrors) {
    match v {
        IntOrString::Int(n) => not_negative(i64::from(*n), path, e),
        IntOrString::String(t) if percent(t).is_none() => {
            e.invalid(path, t, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
        }
        IntOrString::String(_) => {}
    }
}

/// The number of a percentage text.
#[must_use]
pub(crate) fn percent(t: &str) -> Option<i64> {
    let digits = t.strip_suffix('%')?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// A percentage may not say more than all.
pub(crate) fn not_more_than_all(v: &IntOrString, path: &Path, e: &mut FieldErrors) {
    if let IntOrString::String(t) = v
        && percent(t).is_some_and(|n| n > 100)
    {
        e.invalid(path, t, "must not be greater than 100%");
    }
}

/// The value of a percentage of `total` or of a whole number, as the controllers compute it (rounding up).
#[must_use]
pub(crate) fn scaled_value(v: &IntOrString, total: i64) -> i64 {
    match v {
        IntOrString::Int(n) => i64::from(*n),
        IntOrString::String(t) => percent(t).map_or(0, |p| (p * total + 99) / 100),
    }
}

/// An amount that must be a quantity and not negative.
pub(crate) fn quantity_not_negative(q: &QuantityText, path: &Path, e: &mut FieldErrors) {
    if kinds::Quantity::parse(&q.0).is_err() {
        e.invalid(path, &q.0, kinds::quantity::QuantityError.to_string());
    } else if amount(q).is_negative() {
        e.invalid(path, &q.0, NOT_NEGATIVE);
    }
}

/// A path that stays below where it starts: relative, without `..`.
pub(crate) fn descending_path(p: &str, path: &Path, e: &mut FieldErrors) {
    if p.starts_with('/') {
        e.invalid(path, p, "must be a relative path");
    }
    no_backsteps(p, path, e);
}

/// A path without `..`.
pub(crate) fn no_backsteps(p: &str, path: &Path, e: &mut FieldErrors) {
    if p.split('/').any(|x| x == "..") {
        e.invalid(path, p, "must not contain '..'");
    }
}

/// A descending path that also does not begin with `..`, which atomic writers keep for themselves.
pub(crate) fn local_path(p: &str, path: &Path, e: &mut FieldErrors) {
    descending_path(p, path, e);
    if p.starts_with("..") && !p.starts_with("../") {
        e.invalid(path, p, "must not start with '..'");
    }
}

/// A file mode.
pub(crate) fn file_mode(m: Option<i32>, path: &Path, e: &mut FieldErrors) {
    if let Some(m) = m.filter(|m| !(0..=0o777).contains(m)) {
        e.invalid(path, m, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}
