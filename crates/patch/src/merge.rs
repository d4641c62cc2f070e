//! JSON merge patch (RFC 7386), and making one.

use serde_json::{Map, Value};

/// Applies a merge patch: objects merge, `null` removes, anything else replaces.
pub fn apply(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            apply(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// The merge patch that turns `from` into `to`; an empty object if they are equal.
pub fn diff(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return to.clone();
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) if before.is_object() && value.is_object() => drop(patch.insert(key.clone(), diff(before, value))),
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// The merge patch of `kubectl apply`: what `modified` changes in `current`, and what was in `original` (the last applied
/// configuration) but is not in `modified` any more.
pub fn three_way(original: &Value, modified: &Value, current: &Value) -> Value {
    let mut patch = additions(current, modified);
    removals(original, modified, &mut patch);
    patch
}

fn additions(from: &Value, to: &Value) -> Value {
    let mut patch = diff(from, to);
    drop_nulls(&mut patch, to);
    patch
}

/// Removes the deletions from a diff, but keeps the nulls that `to` itself states.
fn drop_nulls(patch: &mut Value, to: &Value) {
    if let (Value::Object(patch), Some(to)) = (patch, to.as_object()) {
        patch.retain(|key, value| !value.is_null() || to.contains_key(key));
        for (key, value) in patch.iter_mut() {
            if let Some(to) = to.get(key) {
                drop_nulls(value, to);
            }
        }
    }
}

fn removals(original: &Value, modified: &Value, patch: &mut Value) {
    let (Value::Object(original), Value::Object(modified), Value::Object(patch)) = (original, modified, patch) else { return };
    for (key, value) in original {
        match modified.get(key) {
            None => drop(patch.insert(key.clone(), Value::Null)),
            Some(now) if now.is_object() && value.is_object() => {
                let mut inner = patch.remove(key).unwrap_or_else(|| Value::Object(Map::new()));
                removals(value, now, &mut inner);
                if inner.as_object().is_none_or(|map| !map.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            Some(_) => {}
        }
    }
}
