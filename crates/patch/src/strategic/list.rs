//! Lists in a strategic merge patch: atomic ones are replaced, primitive ones united, lists of objects merged by their
//! merge key; then the elements are put in the order that the patch (or its `$setElementOrder`) and the server state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{PATCH, bad_directive, child, go_map, go_value, merge_map};
use crate::{PatchError, Shape};

/// Merges a patch's list into the original one.
pub(crate) fn merge(original: Vec<Value>, patch: Vec<Value>, shape: Shape<'_>, depth: u32) -> Result<Vec<Value>, PatchError> {
    let Some(key) = merge_rule(shape) else {
        return replaced(patch);
    };
    let order = without_directives(&patch);
    let before = original.clone();
    let merged = merge_by(original, patch, key, shape, depth)?;
    Ok(arrange(merged, &order, &before, key))
}

/// Merges the list under `name` and arranges it by an explicit `$setElementOrder`.
pub(crate) fn merge_ordered(
    original: &mut Map<String, Value>,
    name: &str,
    patch: Option<Value>,
    order: &[Value],
    deleted: Option<&Value>,
    shape: Shape<'_>,
    depth: u32,
) -> Result<(), PatchError> {
    let shape = child(shape, name)?;
    let Some(key) = merge_rule(shape) else {
        return Err(PatchError::malformed("invalid patch format of setElementOrder list"));
    };
    let patch = match patch {
        None => Vec::new(),
        Some(Value::Null) => {
            original.remove(name);
            return Ok(());
        }
        Some(Value::Array(list)) => list,
        Some(_) => return Err(PatchError::malformed("invalid patch format of setElementOrder list")),
    };
    check_order(&patch, order, name, key)?;
    let before = match original.remove(name) {
        Some(Value::Array(list)) => list,
        _ if patch.is_empty() => return Ok(()),
        _ => Vec::new(),
    };
    let mut merged = merge_by(before.clone(), patch, key, shape, depth)?;
    if let Some(Value::Array(values)) = deleted {
        without(&mut merged, values);
    }
    original.insert(name.to_owned(), Value::Array(arrange(merged, order, &before, key)));
    Ok(())
}

/// Removes values from a primitive list.
pub(crate) fn delete_primitives(original: &mut Map<String, Value>, name: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else {
        return Err(PatchError::malformed("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(list)) = original.get_mut(name) {
        without(list, values);
    }
    Ok(())
}

/// Takes out every value that is among the others.
fn without(list: &mut Vec<Value>, others: &[Value]) {
    let gone: BTreeSet<String> = others.iter().map(Value::to_string).collect();
    list.retain(|value| !gone.contains(&value.to_string()));
}

/// `Some(merge key)` for a list that merges, with an empty key for primitives.
fn merge_rule(shape: Shape<'_>) -> Option<&'static str> {
    match shape {
        Shape::Field(field) if field.patch_merge() => Some(field.patch_merge_key().unwrap_or_default()),
        _ => None,
    }
}

fn replaced(patch: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    Ok(patch.into_iter().filter(|value| directive(value).is_none_or(|d| d.as_str() != Some("replace") || value.as_object().is_some_and(|m| m.len() > 1))).collect())
}

fn directive(value: &Value) -> Option<&Value> {
    value.as_object()?.get(PATCH)
}

fn without_directives(patch: &[Value]) -> Vec<Value> {
    patch.iter().filter(|value| directive(value).is_none()).cloned().collect()
}

fn merge_by(original: Vec<Value>, patch: Vec<Value>, key: &str, shape: Shape<'_>, depth: u32) -> Result<Vec<Value>, PatchError> {
    one_kind(&original, &patch)?;
    let objects = original.iter().chain(&patch).any(Value::is_object);
    if !objects {
        let mut seen = BTreeSet::new();
        return Ok(original.into_iter().chain(patch).filter(|value| seen.insert(value.to_string())).collect());
    }
    if key.is_empty() {
        let name = shape.ty().map_or("", |ty| ty.short_name());
        return Err(PatchError::Malformed(format!("cannot merge lists without merge key for {name}")));
    }
    let (mut merged, patch) = special_elements(original, patch, key)?;
    let mut places = BTreeMap::new();
    for (at, value) in merged.iter().enumerate() {
        if let Some(value) = value.get(key) {
            places.entry(value.to_string()).or_insert(at);
        }
    }
    for element in patch {
        let Value::Object(element) = element else { continue };
        let wanted = element.get(key).cloned().ok_or_else(|| no_merge_key(&element, key))?;
        match places.get(&wanted.to_string()).and_then(|at| merged.get_mut(*at)) {
            Some(found) => {
                let before = match std::mem::take(found) {
                    Value::Object(map) => map,
                    _ => Map::new(),
                };
                *found = Value::Object(merge_map(before, element, shape.element(), depth.saturating_sub(1))?);
            }
            None => {
                places.insert(wanted.to_string(), merged.len());
                merged.push(Value::Object(merge_map(Map::new(), element, shape.element(), depth.saturating_sub(1))?));
            }
        }
    }
    Ok(merged)
}

/// Carries out the elements with `$patch` and returns the ordinary ones.
fn special_elements(mut original: Vec<Value>, patch: Vec<Value>, key: &str) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let (mut replace, mut deleted) = (false, BTreeSet::new());
    for element in patch {
        let Value::Object(map) = &element else { continue };
        match map.get(PATCH).map(|d| (d, d.as_str())) {
            None => plain.push(element),
            Some((_, Some("replace"))) => replace = true,
            Some((_, Some("delete"))) => {
                let wanted = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
                deleted.insert(wanted.to_string());
            }
            Some((_, Some("merge"))) => return Err(PatchError::malformed("merging lists cannot yet be specified in the patch")),
            Some((directive, _)) => return Err(bad_directive(directive, map)),
        }
    }
    if replace {
        return Ok((plain, Vec::new()));
    }
    if !deleted.is_empty() {
        original.retain(|value| value.get(key).is_none_or(|v| !deleted.contains(&v.to_string())));
    }
    Ok((original, plain))
}

fn one_kind(original: &[Value], patch: &[Value]) -> Result<(), PatchError> {
    let mut words = original.iter().chain(patch).map(|value| match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Null => "invalid",
    });
    let Some(first) = words.next() else { return Ok(()) };
    if first == "slice" {
        return Err(PatchError::malformed("lists of lists are not supported"));
    }
    match words.find(|word| *word != first) {
        Some(other) => Err(PatchError::Malformed(format!("list element types are not identical: {first} {other}"))),
        None => Ok(()),
    }
}

fn no_merge_key(map: &Map<String, Value>, key: &str) -> PatchError {
    PatchError::Malformed(format!("map: {} does not contain declared merge key: {key}", go_map(map)))
}

/// What identifies an element: its merge key's value, or a primitive itself.
fn identity<'v>(value: &'v Value, key: &str) -> &'v Value {
    if key.is_empty() { value } else { value.get(key).unwrap_or(&Value::Null) }
}

/// Where each identity is first. Looked up by its text: lists of patches may have as many elements as a body holds.
struct Places(BTreeMap<String, usize>);

impl Places {
    fn of(list: &[Value], key: &str) -> Self {
        Self(list.iter().enumerate().rev().map(|(at, value)| (identity(value, key).to_string(), at)).collect())
    }

    fn get(&self, value: &Value, key: &str) -> Option<usize> {
        self.0.get(&identity(value, key).to_string()).copied()
    }
}

/// Elements of the patch come in its order, the server's own in theirs; where both are known to the server, the server's
/// order decides between the two, and otherwise the patch's element comes first.
fn arrange(merged: Vec<Value>, order: &[Value], server: &[Value], key: &str) -> Vec<Value> {
    let (order, server) = (Places::of(order, key), Places::of(server, key));
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = merged.into_iter().partition(|value| order.get(value, key).is_some());
    ours.sort_by_cached_key(|value| order.get(value, key));
    theirs.sort_by_cached_key(|value| server.get(value, key));
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    while let (Some(mine), Some(other)) = (ours.peek(), theirs.peek()) {
        let theirs_first = server.get(mine, key).zip(server.get(other, key)).is_some_and(|(a, b)| b < a);
        out.extend(if theirs_first { theirs.next() } else { ours.next() });
    }
    out.extend(ours);
    out.extend(theirs);
    out
}

fn check_order(patch: &[Value], order: &[Value], name: &str, key: &str) -> Result<(), PatchError> {
    let (places, mut last) = (Places::of(order, key), 0);
    for value in patch.iter().filter(|value| directive(value).is_none()) {
        match places.get(value, key) {
            Some(at) if at >= last => last = at,
            _ => {
                let show = |list: &[Value]| list.iter().map(go_value).collect::<Vec<_>>().join(" ");
                return Err(PatchError::Malformed(format!(
                    "The order in patch list:\n[{}]\n doesn't match $setElementOrder/{name} list:\n[{}]\n",
                    show(patch),
                    show(order)
                )));
            }
        }
    }
    Ok(())
}
