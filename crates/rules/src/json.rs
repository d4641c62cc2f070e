//! Values as field errors print them: the JSON of the few structures that appear there.

use kinds::field::Bare;
use kinds::LabelSelector;
use kinds::api::core::v1::Toleration;
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

/// What Go calls a JSON value.
fn word(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Tolerations out of their JSON.
pub(crate) fn tolerations(json: &Value) -> Result<Vec<Toleration>, String> {
    let wrong = |what: &Value, to: &str| format!("json: cannot unmarshal {} into Go value of type {to}", word(what));
    let all = json.as_array().ok_or_else(|| wrong(json, "[]v1.Toleration"))?;
    let one = |t: &Value| {
        let t = t.as_object().ok_or_else(|| wrong(t, "v1.Toleration"))?;
        let text = |key: &str| match t.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("json: cannot unmarshal {} into Go struct field Toleration.{key} of type string", word(other))),
        };
        let seconds = t.get("tolerationSeconds").and_then(Value::as_i64);
        Ok(Toleration { key: text("key")?, operator: text("operator")?, value: text("value")?, effect: text("effect")?, toleration_seconds: seconds })
    };
    all.iter().map(one).collect()
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
