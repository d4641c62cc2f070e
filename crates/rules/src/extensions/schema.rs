//! Structural schemas: what the schema of a custom resource must satisfy. Docs: "Specifying a structural schema".

use super::defaults;
use crate::customs::expressions;
use crate::read::{has, items, on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kinds::{FieldErrors, Path};
use serde_json::{Map, Value, json};

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
    let before = e.0.len();
    part(root, path, 0, e);
    let (rules, defaults) = (any(root, 0, &|x| !items(&x.x_kubernetes_validations).is_empty()), any(root, 0, &|x| x.default.is_some()));
    if e.0.len() > before || !(rules || defaults) {
        return;
    }
    let tree = tree(root, 0);
    if rules {
        expressions::judge(&tree, path, e);
    }
    if defaults && e.0.len() == before {
        defaults::judge(&tree, path, e);
    }
}

/// Whether something holds for a part of a schema.
fn any(x: &JSONSchemaProps, depth: usize, holds: &dyn Fn(&JSONSchemaProps) -> bool) -> bool {
    depth <= DEPTH_MAX && (holds(x) || below(x).any(|s| any(s, depth + 1, holds)))
}

fn below(x: &JSONSchemaProps) -> impl Iterator<Item = &JSONSchemaProps> {
    let list = if let Some(JSONSchemaPropsOrArray::Schema(i)) = &x.items { Some(&**i) } else { None };
    let more = if let Some(JSONSchemaPropsOrBool::Schema(a)) = &x.additional_properties { Some(&**a) } else { None };
    x.properties.iter().flatten().map(|(_, p)| p).chain(list).chain(more)
}

/// The keywords of a schema that values and expressions are judged by, as JSON.
fn tree(x: &JSONSchemaProps, depth: usize) -> Value {
    let mut t = Map::new();
    if depth > DEPTH_MAX {
        return t.into();
    }
    let mut put = |key: &str, v: Value| {
        if !v.is_null() {
            t.insert(key.to_owned(), v);
        }
    };
    put("type", x.type_.clone().into());
    put("format", x.format.clone().into());
    put("minLength", x.min_length.into());
    put("maxLength", x.max_length.into());
    put("minItems", x.min_items.into());
    put("maxItems", x.max_items.into());
    put("minProperties", x.min_properties.into());
    put("maxProperties", x.max_properties.into());
    put("minimum", x.minimum.into());
    put("exclusiveMinimum", x.exclusive_minimum.into());
    put("maximum", x.maximum.into());
    put("exclusiveMaximum", x.exclusive_maximum.into());
    put("multipleOf", x.multiple_of.into());
    put("pattern", x.pattern.clone().into());
    put("nullable", x.nullable.into());
    let several = |l: &Option<Vec<JSONSchemaProps>>| l.as_ref().map(|l| l.iter().map(|s| tree(s, depth + 1)).collect::<Vec<_>>());
    put("allOf", several(&x.all_of).into());
    put("anyOf", several(&x.any_of).into());
    put("oneOf", several(&x.one_of).into());
    put("not", x.not.as_ref().map(|n| tree(n, depth + 1)).into());
    put("required", x.required.clone().into());
    put("default", x.default.as_ref().map(|d| d.0.clone()).into());
    put("enum", x.enum_.as_ref().map(|l| l.iter().map(|v| v.0.clone()).collect::<Vec<_>>()).into());
    put("x-kubernetes-int-or-string", x.x_kubernetes_int_or_string.into());
    put("x-kubernetes-embedded-resource", x.x_kubernetes_embedded_resource.into());
    put("x-kubernetes-preserve-unknown-fields", x.x_kubernetes_preserve_unknown_fields.into());
    put("x-kubernetes-list-type", x.x_kubernetes_list_type.clone().into());
    put("x-kubernetes-list-map-keys", x.x_kubernetes_list_map_keys.clone().into());
    let properties = x.properties.as_ref().map(|p| p.iter().map(|(k, s)| (k.clone(), tree(s, depth + 1))).collect::<Map<_, _>>());
    put("properties", properties.into());
    if let Some(JSONSchemaPropsOrArray::Schema(i)) = &x.items {
        put("items", tree(i, depth + 1));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(a)) = &x.additional_properties {
        put("additionalProperties", tree(a, depth + 1));
    }
    let rule = |r: &ValidationRule| {
        json!({
            "rule": r.rule, "message": r.message, "messageExpression": r.message_expression, "reason": r.reason,
            "fieldPath": r.field_path, "optionalOldSelf": r.optional_old_self,
        })
    };
    put("x-kubernetes-validations", x.x_kubernetes_validations.as_ref().map(|l| l.iter().map(rule).collect::<Vec<_>>()).into());
    t.into()
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
    for k in keys {
        let kept = item.properties.as_ref().and_then(|p| p.get(k)).filter(|_| !items(&item.required).contains(k));
        if kept.is_some_and(|p| p.default.is_none()) {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            e.required(&path.child("items").child("properties").key(k).child("default"), why);
        }
    }
    for (i, k) in keys.iter().enumerate() {
        if !item.properties.as_ref().is_some_and(|p| p.contains_key(k)) {
            let why = "entries must all be names of item properties";
            e.invalid(&path.child("x-kubernetes-list-map-keys").index(i), k, why);
        }
    }
}
