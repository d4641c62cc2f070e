//! Reading optional fields: Kubernetes' Go structs know no difference between absent and empty, so neither do rules.

use kinds::{Quantity, QuantityText, Time};
use std::collections::BTreeMap;

/// The text, empty when absent.
#[must_use]
pub(crate) fn s(o: &Option<String>) -> &str {
    o.as_deref().unwrap_or_default()
}

/// Whether a text is there and not empty.
#[must_use]
pub(crate) fn has(o: &Option<String>) -> bool {
    !s(o).is_empty()
}

/// The items, none when absent.
#[must_use]
pub(crate) fn items<T>(o: &Option<Vec<T>>) -> &[T] {
    o.as_deref().unwrap_or_default()
}

/// The entries, none when absent.
pub(crate) fn entries<V>(o: &Option<BTreeMap<String, V>>) -> impl Iterator<Item = (&String, &V)> {
    o.iter().flatten()
}

/// Whether a flag is set.
#[must_use]
pub(crate) fn on(o: Option<bool>) -> bool {
    o == Some(true)
}

/// Fills a text that is absent or empty.
pub(crate) fn fill(o: &mut Option<String>, value: &str) {
    if !has(o) {
        *o = Some(value.to_owned());
    }
}

/// Makes an empty text absent, as it is when it is encoded.
pub(crate) fn unset_empty(o: &mut Option<String>) {
    if o.as_deref() == Some("") {
        *o = None;
    }
}

/// The amount a quantity text says; zero for what is none.
#[must_use]
pub(crate) fn amount(q: &QuantityText) -> Quantity {
    Quantity::parse(&q.0).unwrap_or_default()
}

/// Two optional times are the same instant.
#[must_use]
pub(crate) fn same_time(a: Option<&Time>, b: Option<&Time>) -> bool {
    a.map(|t| t.0.as_second()) == b.map(|t| t.0.as_second())
}
