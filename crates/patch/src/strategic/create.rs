//! Making strategic merge patches: the difference of two objects, and `kubectl apply`'s three-way patch.

use serde_json::{Map, Value, json};

use super::{DELETE_PRIMITIVE, PATCH, RETAIN_KEYS, SET_ORDER};
use crate::{Shape, merge};

/// What a diff reports.
#[derive(Clone, Copy)]
struct Wanted {
    additions: bool,
    deletions: bool,
    /// Whether `$setElementOrder` is stated for lists that merge.
    order: bool,
}

/// The strategic merge patch that turns `from` into `to`; an empty object if they are equal.
pub fn diff(from: &Value, to: &Value, shape: Shape<'_>) -> Value {
    object(from, to, shape, Wanted { additions: true, deletions: true, order: true })
}

/// The patch of `kubectl apply`: what `modified` (the manifest) changes in `current` (the live object), and the removal of
/// what `original` (the last applied manifest) had and `modified` has not.
pub fn three_way(original: &Value, modified: &Value, current: &Value, shape: Shape<'_>) -> Value {
    let mut patch = object(current, modified, shape, Wanted { additions: true, deletions: false, order: true });
    let deletions = object(original, modified, shape, Wanted { additions: false, deletions: true, order: false });
    unite(&mut patch, deletions, shape);
    patch
}

/// Adds a patch of deletions to a patch of additions.
fn unite(patch: &mut Value, deletions: Value, shape: Shape<'_>) {
    let (Value::Object(patch), Value::Object(deletions)) = (patch, deletions) else { return };
    for (key, value) in deletions {
        let child = shape.child(&key).unwrap_or(Shape::Any);
        match (patch.get_mut(&key), value) {
            (Some(inner @ Value::Object(_)), value @ Value::Object(_)) => unite(inner, value, child),
            (Some(Value::Array(list)), Value::Array(more)) => unite_lists(list, more, child),
            (Some(_), _) => {}
            (None, value) => drop(patch.insert(key, value)),
        }
    }
}

fn unite_lists(list: &mut Vec<Value>, more: Vec<Value>, shape: Shape<'_>) {
    let Some(key) = merge_key(shape) else { return };
    for element in more {
        match list.iter_mut().find(|other| !key.is_empty() && other.get(key) == element.get(key)) {
            Some(found) => unite(found, element, shape.element()),
            None => list.push(element),
        }
    }
}

fn merge_key(shape: Shape<'_>) -> Option<&'static str> {
    match shape {
        Shape::Field(field) if field.patch_merge() => Some(field.patch_merge_key().unwrap_or_default()),
        _ => None,
    }
}

fn object(from: &Value, to: &Value, shape: Shape<'_>, wanted: Wanted) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for (key, value) in new {
        let child = shape.child(key).unwrap_or(Shape::Any);
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => {
                let inner = nested(before, value, child, wanted);
                if inner.as_object().is_some_and(|map| !map.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            Some(Value::Array(before)) if value.is_array() && merge_key(child).is_some() => {
                list(&mut patch, key, before, value.as_array().map(Vec::as_slice).unwrap_or_default(), child, wanted);
            }
            _ if wanted.additions && (!value.is_null() || old.contains_key(key)) => drop(patch.insert(key.clone(), value.clone())),
            _ => {}
        }
    }
    if wanted.deletions {
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    Value::Object(patch)
}

fn nested(before: &Value, value: &Value, shape: Shape<'_>, wanted: Wanted) -> Value {
    if matches!(shape, Shape::Field(field) if field.patch_replace()) {
        return if wanted.additions { with(value.clone(), PATCH, json!("replace")) } else { json!({}) };
    }
    let inner = match shape {
        Shape::Any => plain(before, value, wanted),
        _ => object(before, value, shape, wanted),
    };
    let retains = matches!(shape, Shape::Field(field) if field.patch_retain_keys());
    if retains && wanted.additions && inner.as_object().is_some_and(|map| !map.is_empty()) {
        return with(inner, RETAIN_KEYS, retained(value));
    }
    inner
}

fn plain(before: &Value, value: &Value, wanted: Wanted) -> Value {
    let mut patch = merge::diff(before, value);
    if let Value::Object(map) = &mut patch {
        map.retain(|_, inner| if inner.is_null() { wanted.deletions } else { wanted.additions });
    }
    patch
}

fn retained(value: &Value) -> Value {
    let mut keys: Vec<&String> = value.as_object().map(|map| map.keys().collect()).unwrap_or_default();
    keys.sort();
    json!(keys)
}

fn with(mut value: Value, key: &str, directive: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.insert(key.to_owned(), directive);
    }
    value
}

fn list(patch: &mut Map<String, Value>, name: &str, old: &[Value], new: &[Value], shape: Shape<'_>, wanted: Wanted) {
    let key = merge_key(shape).unwrap_or_default();
    let (changed, order) = if key.is_empty() {
        let added: Vec<Value> = new.iter().filter(|value| wanted.additions && !old.contains(value)).cloned().collect();
        let gone: Vec<Value> = old.iter().filter(|value| wanted.deletions && !new.contains(value)).cloned().collect();
        let changed = !added.is_empty() || !gone.is_empty();
        if !gone.is_empty() {
            patch.insert(format!("{DELETE_PRIMITIVE}{name}"), Value::Array(gone));
        }
        if !added.is_empty() {
            patch.insert(name.to_owned(), Value::Array(added));
        }
        (changed, new.to_vec())
    } else {
        let elements = elements(old, new, key, shape, wanted);
        let changed = !elements.is_empty();
        if changed {
            patch.insert(name.to_owned(), Value::Array(elements));
        }
        (changed, new.iter().map(|value| json!({ key: value.get(key) })).collect())
    };
    if wanted.order && (changed || moved(old, new, key)) {
        patch.insert(format!("{SET_ORDER}{name}"), Value::Array(order));
    }
}

fn moved(old: &[Value], new: &[Value], key: &str) -> bool {
    let identity = |value: &Value| if key.is_empty() { value.clone() } else { value.get(key).cloned().unwrap_or_default() };
    let (old, new): (Vec<_>, Vec<_>) = (old.iter().map(identity).collect(), new.iter().map(identity).collect());
    let left: Vec<_> = old.iter().filter(|value| new.contains(value)).collect();
    let right: Vec<_> = new.iter().filter(|value| old.contains(value)).collect();
    left != right
}

fn elements(old: &[Value], new: &[Value], key: &str, shape: Shape<'_>, wanted: Wanted) -> Vec<Value> {
    let mut out = Vec::new();
    for value in new {
        match old.iter().find(|before| before.get(key) == value.get(key)) {
            Some(before) if before == value => {}
            Some(before) => {
                let mut inner = object(before, value, shape.element(), wanted);
                let retains = matches!(shape, Shape::Field(field) if field.patch_retain_keys());
                if inner.as_object().is_some_and(|map| !map.is_empty()) {
                    if retains && wanted.additions {
                        inner = with(inner, RETAIN_KEYS, retained(value));
                    }
                    out.push(with(inner, key, value.get(key).cloned().unwrap_or_default()));
                }
            }
            None if wanted.additions => out.push(value.clone()),
            None => {}
        }
    }
    if wanted.deletions {
        let gone = old.iter().filter(|before| !new.iter().any(|value| value.get(key) == before.get(key)));
        out.extend(gone.map(|before| json!({ PATCH: "delete", key: before.get(key) })));
    }
    out
}
