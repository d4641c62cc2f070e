//! Pruning and defaulting. Docs: "Field pruning", "Defaulting", "Defaulting and Nullable".

use super::schema::{Additional, Schema};
use serde_json::{Map, Value};

/// Drops what the schema does not know; answers the paths of what went, sorted.
pub fn prune(schema: &Schema, body: &mut Map<String, Value>) -> Vec<String> {
    let mut gone = Vec::new();
    fields(schema, body, false, "", &mut gone);
    gone.sort();
    gone
}

fn fields(s: &Schema, map: &mut Map<String, Value>, embedded: bool, path: &str, gone: &mut Vec<String>) {
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    map.retain(|key, value| {
        if embedded && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
            return true;
        }
        let inner = s.properties.get(key).or(match &s.additional {
            Additional::Of(inner) => Some(inner),
            _ => None,
        });
        if let Some(inner) = inner {
            part(inner, value, &at(key), gone);
            return true;
        }
        let kept = s.preserve || matches!(s.additional, Additional::Any);
        if !kept {
            gone.push(at(key));
        }
        kept
    });
}

fn part(s: &Schema, value: &mut Value, path: &str, gone: &mut Vec<String>) {
    match value {
        Value::Object(map) => fields(s, map, s.embedded, path, gone),
        Value::Array(list) => {
            let Some(items) = &s.items else { return };
            for (i, v) in list.iter_mut().enumerate() {
                part(items, v, &format!("{path}[{i}]"), gone);
            }
        }
        _ => {}
    }
}

/// A body with the defaults that it lacks: those that came into the schema after it was stored. None when it lacks none.
#[must_use]
pub fn defaulted(schema: &Schema, body: &Map<String, Value>) -> Option<Map<String, Value>> {
    if !has_default(schema) {
        return None;
    }
    let mut filled = body.clone();
    fill(schema, &mut filled);
    (filled != *body).then_some(filled)
}

fn has_default(s: &Schema) -> bool {
    let of_additional = matches!(&s.additional, Additional::Of(inner) if has_default(inner));
    s.default.is_some() || of_additional || s.properties.values().any(has_default) || s.items.as_deref().is_some_and(has_default)
}

/// Fills in defaults, and drops nulls that may not be there.
pub fn default(schema: &Schema, body: &mut Map<String, Value>) {
    fill(schema, body);
}

fn fill(s: &Schema, map: &mut Map<String, Value>) {
    for (key, inner) in &s.properties {
        let absent = map.get(key).is_none_or(|v| v.is_null() && !inner.nullable);
        match &inner.default {
            Some(default) if absent => {
                map.insert(key.clone(), default.clone());
            }
            None if absent => {
                map.remove(key);
            }
            _ => {}
        }
        if let Some(value) = map.get_mut(key) {
            descend(inner, value);
        }
    }
    let Additional::Of(inner) = &s.additional else { return };
    map.retain(|key, value| {
        if s.properties.contains_key(key) {
            return true;
        }
        if value.is_null() && !inner.nullable {
            let Some(default) = &inner.default else { return false };
            *value = default.clone();
        }
        descend(inner, value);
        true
    });
}

fn descend(s: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => fill(s, map),
        Value::Array(list) => {
            if let Some(items) = &s.items {
                list.iter_mut().for_each(|v| descend(items, v));
            }
        }
        _ => {}
    }
}
