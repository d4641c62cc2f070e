//! The schema of a custom resource: what may stand in it, its structure, its defaults, its rules. Docs: "Specifying a structural
//! schema", "Validation".
//!
//! ```text
//!  root beside a status -> structure (structural.rs) -> defaults (defaults.rs) -> keywords (keywords.rs) -> rules in CEL
//! ```

use super::at::At;
use super::said::{AT_ROOT, default_of, said};
use super::{defaults, keywords, structural};
use crate::customs::expressions;
use crate::read::{items, on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use serde_json::{Map, Value, json};

/// Schemas nested deeper than this are not followed.
pub(super) const DEPTH_MAX: usize = 128;

/// A whole schema. `status`: objects have a status subresource. What the stored definition broke already is not asked.
pub(super) fn validate(root: &JSONSchemaProps, status: bool, asked: keywords::Asked, path: &Path, e: &mut FieldErrors) {
    let before = e.0.len();
    if status {
        beside_status(root, path, e);
    }
    if on(root.nullable) {
        e.forbidden(&path.child("nullable"), "nullable cannot be true at the root");
    }
    let unreadable = structural::unreadable(root);
    let mut sound = unreadable.is_none();
    if sound {
        let before = e.0.len();
        structural::validate(root, path, e);
        sound = e.0.len() == before;
    }
    let rules = any(root, 0, &|x| !items(&x.x_kubernetes_validations).is_empty());
    let has_defaults = sound && has_default(root);
    let whole = (has_defaults || (sound && rules)).then(|| tree(root, 0));
    if let Some(tree) = whole.as_ref().filter(|_| has_defaults) {
        let before = e.0.len();
        defaults::judge(tree, path, e);
        sound = e.0.len() == before;
    }
    let clean = e.0.len();
    keywords::validate(root, asked, At::root(path), e);
    if let Some(tree) = whole.filter(|_| sound && rules && e.0.len() == clean) {
        expressions::judge(&tree, path, e);
    }
    if let Some(why) = unreadable.filter(|_| e.0.len() == before) {
        e.invalid(path, "", why);
    }
}

/// Whether a schema has a default anywhere.
pub(super) fn has_default(root: &JSONSchemaProps) -> bool {
    any(root, 0, &default_of)
}

/// The schema of a status is taken out of the whole one: at the root nothing may stand that would be lost then.
fn beside_status(root: &JSONSchemaProps, path: &Path, e: &mut FieldErrors) {
    for name in said(root) {
        if name == "Type" && s(&root.type_) != "object" {
            let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            return e.invalid(&path.child("type"), s(&root.type_), why);
        }
        if !AT_ROOT.contains(&name) {
            let why = format!("only [{}] fields are allowed at the root of the schema if the status subresource is enabled", AT_ROOT.join(" "));
            return e.invalid(path, Bare(super::shown::schema(root)), why);
        }
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
