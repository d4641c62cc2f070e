//! Defaults in a schema must satisfy it, rules in CEL included: what the server fills in would be refused otherwise. Docs:
//! "Defaulting".

use crate::customs::{self, Schema, expressions};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use serde_json::Value;

/// Schemas nested deeper than this are not followed.
const DEPTH_MAX: usize = 128;

/// Judges every default of a schema.
pub(super) fn judge(schema: &Value, path: &Path, e: &mut FieldErrors) {
    node(schema, path, 0, e);
}

fn node(schema: &Value, path: &Path, depth: usize, e: &mut FieldErrors) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(value) = schema.get("default").filter(|d| !d.is_null()) {
        one(schema, value, &path.child("default"), e);
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        node(below, &path.child("properties").key(name), depth + 1, e);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            node(&schema[key], &path.child(key), depth + 1, e);
        }
    }
}

fn one(schema: &Value, value: &Value, path: &Path, e: &mut FieldErrors) {
    let parsed = Schema::parse(schema);
    if let Value::Object(map) = value {
        let mut map = map.clone();
        if !customs::prune(&parsed, &mut map).is_empty() {
            e.invalid(path, Bare(value.to_string()), "must not have unknown fields");
        }
    }
    let found = customs::validate_part(&parsed, value, &path.to_string());
    if !found.is_empty() {
        return e.extend(found);
    }
    if let Some(rules) = expressions::compile_part(schema) {
        expressions::run_at(&rules, (value, None), path, e);
    }
}
