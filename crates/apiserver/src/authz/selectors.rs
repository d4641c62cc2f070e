//! What a list, a watch or a deletion of many is narrowed to, as authorizers see it: requirements that were understood; the
//! others are left out, so that more is asked for than is used. KEP-4601; docs: "Authorization: field and label selectors".

use crate::request::RequestInfo;
use kinds::api::authorization::v1::{FieldSelectorAttributes, LabelSelectorAttributes, ResourceAttributes};
use kinds::selector::{self, Operator, Requirement, Selector};
use kinds::{FieldErrors, Path};
use serde_json::{Map, Value, json};

/// Of fields, and of labels.
pub(crate) type Narrowed = (Vec<Requirement>, Vec<Requirement>);

/// What a request is narrowed to.
pub(crate) fn of_request(info: &RequestInfo) -> Narrowed {
    if !matches!(info.verb, "list" | "watch" | "deletecollection") {
        return Narrowed::default();
    }
    let text = |name: &str| info.param(name).unwrap_or_default();
    (fields(text("fieldSelector")), labels(text("labelSelector")))
}

/// What is asked about in a review.
pub(crate) fn of_review(a: &ResourceAttributes) -> Narrowed {
    let of_fields = |s: &FieldSelectorAttributes| match s.raw_selector.as_deref() {
        Some(raw) if !raw.is_empty() => fields(raw),
        _ => s.requirements.iter().flatten().filter_map(|r| requirement(&r.key, &r.operator, r.values.as_deref(), true)).collect(),
    };
    let of_labels = |s: &LabelSelectorAttributes| match s.raw_selector.as_deref() {
        Some(raw) if !raw.is_empty() => labels(raw),
        _ => s.requirements.iter().flatten().filter_map(|r| requirement(&r.key, &r.operator, r.values.as_deref(), false)).collect(),
    };
    (a.field_selector.as_ref().map(of_fields).unwrap_or_default(), a.label_selector.as_ref().map(of_labels).unwrap_or_default())
}

fn fields(text: &str) -> Vec<Requirement> {
    let one = |t: selector::FieldTerm| Requirement {
        key: t.field,
        operator: if t.equal { Operator::In } else { Operator::NotIn },
        values: vec![t.value],
    };
    selector::parse_fields(text).map(|all| all.into_iter().map(one).collect()).unwrap_or_default()
}

fn labels(text: &str) -> Vec<Requirement> {
    let Ok(Selector::All(all)) = Selector::parse(text) else { return Vec::new() };
    all.into_iter().filter(|r| word(r.operator).is_some()).collect()
}

/// Fields are compared with one value.
fn requirement(key: &str, operator: &str, values: Option<&[String]>, field: bool) -> Option<Requirement> {
    let operator = [Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist].into_iter().find(|o| word(*o) == Some(operator))?;
    let mut values = values.unwrap_or_default().to_vec();
    values.sort();
    values.dedup();
    let single = matches!(operator, Operator::In | Operator::NotIn) && values.len() == 1;
    (!field || single).then(|| Requirement { key: key.to_owned(), operator, values })
}

fn word(operator: Operator) -> Option<&'static str> {
    match operator {
        Operator::In => Some("In"),
        Operator::NotIn => Some("NotIn"),
        Operator::Exists => Some("Exists"),
        Operator::DoesNotExist => Some("DoesNotExist"),
        Operator::GreaterThan | Operator::LessThan => None,
    }
}

/// As a webhook is told.
pub(super) fn worded(all: &[Requirement]) -> Value {
    let one = |r: &Requirement| {
        let mut told = Map::from_iter([("key".to_owned(), json!(r.key)), ("operator".to_owned(), json!(word(r.operator)))]);
        if !r.values.is_empty() {
            told.insert("values".to_owned(), json!(r.values));
        }
        Value::Object(told)
    };
    json!({ "requirements": all.iter().map(one).collect::<Vec<_>>() })
}

/// What is wrong with the selectors of a review. Operators that are not known are no mistake: later versions may have more.
pub(crate) fn check(a: &ResourceAttributes, path: &Path, e: &mut FieldErrors) {
    if let Some(s) = &a.field_selector {
        let path = path.child("fieldSelector");
        either(s.raw_selector.as_deref(), s.requirements.as_ref().map_or(0, Vec::len), &path, e);
        for (i, r) in s.requirements.iter().flatten().enumerate() {
            let path = path.child("requirements").index(i);
            if r.key.is_empty() {
                e.required(&path.child("key"), "must be specified");
            }
            values(&r.operator, r.values.as_deref(), &path, e);
        }
    }
    if let Some(s) = &a.label_selector {
        let path = path.child("labelSelector");
        either(s.raw_selector.as_deref(), s.requirements.as_ref().map_or(0, Vec::len), &path, e);
        for (i, r) in s.requirements.iter().flatten().enumerate() {
            let path = path.child("requirements").index(i);
            values(&r.operator, r.values.as_deref(), &path, e);
            for why in rules::names::qualified_name(&r.key) {
                e.invalid(&path.child("key"), r.key.as_str(), why);
            }
        }
    }
}

fn either(raw: Option<&str>, requirements: usize, path: &Path, e: &mut FieldErrors) {
    match (raw.filter(|r| !r.is_empty()), requirements) {
        (Some(raw), 1..) => e.invalid(&path.child("rawSelector"), raw, "may not specified at the same time as requirements"),
        (None, 0) => e.required(&path.child("requirements"), format!("when {path} is specified, requirements or rawSelector is required")),
        _ => {}
    }
}

fn values(operator: &str, given: Option<&[String]>, path: &Path, e: &mut FieldErrors) {
    let some = given.is_some_and(|v| !v.is_empty());
    match operator {
        "In" | "NotIn" if !some => e.required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"),
        "Exists" | "DoesNotExist" if some => e.forbidden(&path.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        _ => {}
    }
}
