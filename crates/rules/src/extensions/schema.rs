//! Structural schemas: what the schema of a custom resource must satisfy. Docs: "Specifying a structural schema".

use crate::read::{has, items, on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kinds::{FieldErrors, Path};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
/// Schemas nested deeper than this are not followed.
const DEPTH_MAX: usize = 128;

/// A whole schema: its root is an object.
pub(super) fn validate(root: &JSONSchemaProps, path: &Path, e: &mut FieldErrors) {
    if s(&root.type_) != "object" {
        if has(&root.type_) {
            e.invalid(&path.child("type"), s(&root.type_), "must be object at the root");
        } else {
            e.required(&path.child("type"), "must not be empty at the root");
        }
    }
    part(root, path, 0, e);
}

fn part(x: &JSONSchemaProps, path: &Path, depth: usize, e: &mut FieldErrors) {
    if depth > DEPTH_MAX {
        e.invalid(path, "", "nested too deeply");
        return;
    }
    let free = on(x.x_kubernetes_int_or_string) || on(x.x_kubernetes_preserve_unknown_fields);
    if !has(&x.type_) {
        if !free && depth > 0 {
            e.required(&path.child("type"), "must not be empty for specified object fields");
        }
    } else if !TYPES.contains(&s(&x.type_)) {
        e.not_supported(&path.child("type"), s(&x.type_), TYPES);
    }
    forbidden(x, path, e);
    if x.properties.is_some() && matches!(&x.additional_properties, Some(JSONSchemaPropsOrBool::Schema(_) | JSONSchemaPropsOrBool::Bool(true))) {
        e.forbidden(&path.child("additionalProperties"), "additionalProperties and properties are mutual exclusive");
    }
    if s(&x.type_) == "array" && x.items.is_none() {
        e.required(&path.child("items"), "must be specified");
    }
    list_type(x, path, e);
    if let Some(p) = &x.pattern
        && crate::customs::pattern::compile(p).is_err()
    {
        e.invalid(&path.child("pattern"), p, format!("must be a valid regular expression, but isn't: error parsing regexp: {p}"));
    }
    for (name, p) in x.properties.iter().flatten() {
        part(p, &path.child("properties").key(name), depth + 1, e);
    }
    match &x.items {
        Some(JSONSchemaPropsOrArray::Schema(i)) => part(i, &path.child("items"), depth + 1, e),
        Some(JSONSchemaPropsOrArray::Schemas(_)) => {
            e.forbidden(&path.child("items"), "items must be a schema object and not an array");
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(a)) = &x.additional_properties {
        part(a, &path.child("additionalProperties"), depth + 1, e);
    }
    for (i, r) in items(&x.x_kubernetes_validations).iter().enumerate() {
        if r.rule.trim().is_empty() {
            e.required(&path.child("x-kubernetes-validations").index(i).child("rule"), "rule is not specified");
        }
    }
}

fn forbidden(x: &JSONSchemaProps, path: &Path, e: &mut FieldErrors) {
    for (set, name) in [
        (x.definitions.is_some(), "definitions"),
        (x.dependencies.is_some(), "dependencies"),
        (x.pattern_properties.is_some(), "patternProperties"),
        (x.additional_items.is_some(), "additionalItems"),
        (has(&x.id), "id"),
        (has(&x.ref_path), "$ref"),
        (on(x.unique_items), "uniqueItems"),
    ] {
        if set {
            let why = match name {
                "uniqueItems" => "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
                "$ref" => "$ref is not supported",
                "definitions" => "definitions is not supported",
                "dependencies" => "dependencies is not supported",
                "patternProperties" => "patternProperties is not supported",
                "additionalItems" => "additionalItems is not supported",
                _ => "id is not supported",
            };
            e.forbidden(&path.child(name), why);
        }
    }
}

fn list_type(x: &JSONSchemaProps, path: &Path, e: &mut FieldErrors) {
    let Some(t) = &x.x_kubernetes_list_type else {
        if !items(&x.x_kubernetes_list_map_keys).is_empty() {
            e.required(&path.child("x-kubernetes-list-type"), "must be map if x-kubernetes-list-map-keys is non-empty");
        }
        return;
    };
    if !["atomic", "map", "set"].contains(&t.as_str()) {
        e.not_supported(&path.child("x-kubernetes-list-type"), t, &["atomic", "map", "set"]);
    }
    if s(&x.type_) != "array" {
        e.invalid(&path.child("type"), s(&x.type_), "must be array if x-kubernetes-list-type is specified");
    }
    let keys = items(&x.x_kubernetes_list_map_keys);
    if t == "map" && keys.is_empty() {
        e.required(&path.child("x-kubernetes-list-map-keys"), "must not be empty if x-kubernetes-list-type is map");
    }
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &x.items else { return };
    for (i, k) in keys.iter().enumerate() {
        if !item.properties.as_ref().is_some_and(|p| p.contains_key(k)) {
            let why = "entries must all be names of item properties";
            e.invalid(&path.child("x-kubernetes-list-map-keys").index(i), k, why);
        }
    }
}
