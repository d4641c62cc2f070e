//! Strategic merge patch: a merge patch that knows which lists merge and by which key, with the directives `$patch`,
//! `$retainKeys`, `$setElementOrder/<list>` and `$deleteFromPrimitiveList/<list>` (Kubernetes docs: "Update API objects in
//! place using kubectl patch"; sig-api-machinery strategic-merge-patch.md).

mod create;
mod list;
#[cfg(test)]
mod tests;

pub use create::{diff, three_way};

use serde_json::{Map, Value};

use crate::{PatchError, Shape};

pub(crate) const PATCH: &str = "$patch";
pub(crate) const RETAIN_KEYS: &str = "$retainKeys";
pub(crate) const SET_ORDER: &str = "$setElementOrder/";
pub(crate) const DELETE_PRIMITIVE: &str = "$deleteFromPrimitiveList/";

/// Nesting of patches that is followed.
pub const MAX_DEPTH: u32 = 128;

/// Applies a strategic merge patch to an object of that shape.
///
/// # Errors
/// A patch that is not an object, malformed directives, elements without their merge key.
pub fn apply(target: &mut Value, patch: Value, shape: Shape<'_>) -> Result<(), PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::malformed("invalid JSON document"));
    };
    let original = match std::mem::take(target) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    *target = Value::Object(merge_map(original, patch, shape, MAX_DEPTH)?);
    Ok(())
}

pub(crate) fn merge_map(mut original: Map<String, Value>, mut patch: Map<String, Value>, shape: Shape<'_>, depth: u32) -> Result<Map<String, Value>, PatchError> {
    if depth == 0 {
        return Err(PatchError::malformed("exceeded max depth"));
    }
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Map::new()),
            _ => Err(bad_directive(&directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    let orders = take_prefixed(&mut patch, SET_ORDER);
    let deletions = take_prefixed(&mut patch, DELETE_PRIMITIVE);
    for (name, order) in orders {
        let Value::Array(order) = order else {
            return Err(PatchError::malformed("invalid patch format of setElementOrder list"));
        };
        let deleted = deletions.iter().find(|(list, _)| *list == name).map(|(_, values)| values);
        let patched = patch.remove(&name);
        list::merge_ordered(&mut original, &name, patched, &order, deleted, shape, depth)?;
    }
    for (name, values) in &deletions {
        list::delete_primitives(&mut original, name, values)?;
    }
    for (key, value) in patch {
        merge_key(&mut original, key, value, shape, depth)?;
    }
    Ok(original)
}

fn merge_key(original: &mut Map<String, Value>, key: String, value: Value, shape: Shape<'_>, depth: u32) -> Result<(), PatchError> {
    let merged = match (original.remove(&key), value) {
        (_, Value::Null) => return Ok(()),
        (Some(Value::Object(before)), Value::Object(patch)) => {
            let child = child(shape, &key)?;
            let before = if replaces(child) { Map::new() } else { before };
            Value::Object(merge_map(before, patch, child, depth - 1)?)
        }
        (Some(Value::Array(before)), Value::Array(patch)) => {
            let child = child(shape, &key)?;
            Value::Array(list::merge(before, patch, child, depth - 1)?)
        }
        // What is not there, or is of another type, is not merged with: the patch is taken as it comes.
        (_, value) => match plain(value) {
            Some(value) => value,
            None => return Ok(()),
        },
    };
    original.insert(key, merged);
    Ok(())
}

/// A value of a patch without its directives and nulls; nothing of a map that is itself a directive.
fn plain(value: Value) -> Option<Value> {
    let directive = |key: &str| key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_PRIMITIVE);
    Some(match value {
        Value::Object(map) if map.contains_key(PATCH) => return None,
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(k, v)| !directive(k) && !v.is_null()).filter_map(|(k, v)| Some((k, plain(v)?))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().filter_map(plain).collect()),
        other => other,
    })
}

/// The shape under a key; the API refuses maps and lists in fields that the type does not have.
pub(crate) fn child<'a>(shape: Shape<'a>, key: &str) -> Result<Shape<'a>, PatchError> {
    shape.child(key).ok_or_else(|| {
        let name = shape.ty().map_or("Unstructured", |ty| ty.short_name());
        PatchError::Malformed(format!("unable to find api field in struct {name} for the json field {key:?}"))
    })
}

fn replaces(shape: Shape<'_>) -> bool {
    matches!(shape, Shape::Field(field) if field.patch_replace())
}

fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keep) = directive else {
        return Err(PatchError::malformed("invalid patch format of retain keys"));
    };
    let keep: Option<Vec<&str>> = keep.iter().map(Value::as_str).collect();
    let keep = keep.ok_or_else(|| PatchError::malformed("invalid patch format of retain keys"))?;
    let stated = |key: &&String| !key.starts_with(SET_ORDER) && !key.starts_with(DELETE_PRIMITIVE);
    if patch.iter().filter(|(key, value)| stated(key) && !value.is_null()).any(|(key, _)| !keep.contains(&key.as_str())) {
        return Err(PatchError::malformed("patch content doesn't match retainKeys list"));
    }
    original.retain(|key, _| keep.contains(&key.as_str()));
    Ok(())
}

fn take_prefixed(patch: &mut Map<String, Value>, prefix: &str) -> Vec<(String, Value)> {
    let names: Vec<String> = patch.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
    names.into_iter().filter_map(|key| Some((key[prefix.len()..].to_owned(), patch.remove(&key)?))).collect()
}

pub(crate) fn bad_directive(directive: &Value, map: &Map<String, Value>) -> PatchError {
    let name = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
    let mut shown = map.clone();
    shown.insert("$patch".to_owned(), directive.clone());
    PatchError::Malformed(format!("unknown patch type: {name} in map: {}", go_map(&shown)))
}

/// A map as Go prints it.
pub(crate) fn go_map(map: &Map<String, Value>) -> String {
    let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
    format!("map[{}]", entries.join(" "))
}

/// A value as Go prints it.
#[must_use]
pub fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => go_map(map),
        other => other.to_string(),
    }
}
