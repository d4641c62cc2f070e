//! Values as field errors print them: the JSON of the few structures that appear there.

use kinds::field::Bare;
use kinds::LabelSelector;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A label selector as JSON.
#[must_use]
pub(crate) fn selector(s: &LabelSelector) -> Bare {
    let mut members = Vec::new();
    if let Some(l) = s.match_labels.as_ref().filter(|l| !l.is_empty()) {
        members.push(format!("\"matchLabels\":{}", json!(l)));
    }
    if let Some(e) = s.match_expressions.as_ref().filter(|e| !e.is_empty()) {
        let one = |r: &kinds::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement| {
            let mut o = Map::new();
            o.insert("key".into(), json!(r.key));
            o.insert("operator".into(), json!(r.operator));
            if let Some(v) = r.values.as_ref().filter(|v| !v.is_empty()) {
                o.insert("values".into(), json!(v));
            }
            Value::Object(o)
        };
        members.push(format!("\"matchExpressions\":{}", Value::Array(e.iter().map(one).collect())));
    }
    Bare(format!("{{{}}}", members.join(",")))
}

/// The selector of a workload, which cannot be left out: one that says nothing was not given.
#[must_use]
pub(crate) fn workload_selector(s: &LabelSelector) -> Bare {
    if *s == LabelSelector::default() { null() } else { selector(s) }
}

/// A map of texts as JSON.
#[must_use]
pub(crate) fn map(m: &BTreeMap<String, String>) -> Bare {
    Bare(json!(m).to_string())
}

/// A list of texts as JSON.
#[must_use]
pub(crate) fn list(l: &[String]) -> Bare {
    Bare(json!(l).to_string())
}

/// `null`.
#[must_use]
pub(crate) fn null() -> Bare {
    Bare("null".into())
}
