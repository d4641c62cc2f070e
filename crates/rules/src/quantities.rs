//! One spelling for quantities: `0.1` becomes `100m` as soon as an object is decoded.

use kinds::api::core::v1::ResourceRequirements;
use kinds::{Quantity, QuantityText};
use std::collections::BTreeMap;

/// Respells one quantity; a text that is none stays for validation to find.
pub(crate) fn spell(q: &mut QuantityText) {
    if let Some(t) = Quantity::canonical(&q.0)
        && t != q.0
    {
        q.0 = t;
    }
}

/// Respells an optional quantity.
pub(crate) fn spell_opt(q: &mut Option<QuantityText>) {
    if let Some(q) = q {
        spell(q);
    }
}

/// Resources are whole milli-units: amounts finer than that are rounded up to the next one, as defaulting does.
pub(crate) fn round_up_milli(m: &mut Option<BTreeMap<String, QuantityText>>) {
    for q in m.iter_mut().flat_map(BTreeMap::values_mut) {
        if let Ok(v) = Quantity::parse(&q.0) {
            let milli = Quantity::milli(v.milli_value());
            if milli != v && v.milli_value() != i64::MAX {
                *q = milli.text();
            }
        }
        spell(q);
    }
}

/// Respells requests and limits.
pub(crate) fn resources(r: &mut Option<ResourceRequirements>) {
    if let Some(r) = r {
        round_up_milli(&mut r.limits);
        round_up_milli(&mut r.requests);
    }
}
