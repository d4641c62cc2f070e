//! What each keyword of a schema asks of the others, wherever it stands. Docs: "Specifying a structural schema", "Merge strategy"
//! (`x-kubernetes-list-type`, `x-kubernetes-map-type`).

use super::at::At;
use super::said::{default_of, item};
use super::schema::DEPTH_MAX;
use crate::read::{has, items, on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, JSONSchemaPropsOrStringArray,
};
use kinds::FieldErrors;
use kinds::field::Bare;
use serde_json::json;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// What is asked: not what a stored definition broke before it was asked.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) types: bool,
    /// Elements of sets are compared as a whole.
    pub(super) sets: bool,
    /// Elements of sets and maps, and keys of maps, are always there.
    pub(super) keys: bool,
}

impl Asked {
    pub(super) const ALL: Self = Self { types: true, sets: true, keys: true };

    /// What is asked of a schema that follows on this one.
    pub(super) fn after(self, stored: &JSONSchemaProps) -> Self {
        let path = kinds::Path::new("");
        let holds = |judge: fn(&JSONSchemaProps, At<'_>, &mut FieldErrors)| {
            let mut found = FieldErrors::default();
            each(stored, 0, &mut |x| judge(x, At::root(&path), &mut found));
            found.is_empty()
        };
        Self { types: self.types && holds(typed), sets: self.sets && holds(set), keys: self.keys && holds(map_keys) }
    }
}

fn each(x: &JSONSchemaProps, depth: usize, see: &mut dyn FnMut(&JSONSchemaProps)) {
    if depth <= DEPTH_MAX {
        see(x);
        below(x, &mut |_, s| each(s, depth + 1, see));
    }
}

/// The way from a schema to one inside.
#[derive(Clone, Copy)]
enum Way<'a> {
    Additional,
    Property(&'a str),
    Not,
    All(usize),
    One(usize),
    Any(usize),
    Definition(&'a str),
    Items,
    Item(usize),
    Dependency(&'a str),
}

/// Every schema inside a schema.
fn below<'a>(x: &'a JSONSchemaProps, see: &mut dyn FnMut(Way<'a>, &'a JSONSchemaProps)) {
    if let Some(JSONSchemaPropsOrBool::Schema(a)) = &x.additional_properties {
        see(Way::Additional, a);
    }
    x.properties.iter().flatten().for_each(|(k, p)| see(Way::Property(k), p));
    x.not.iter().for_each(|n| see(Way::Not, n));
    items(&x.all_of).iter().enumerate().for_each(|(i, v)| see(Way::All(i), v));
    items(&x.one_of).iter().enumerate().for_each(|(i, v)| see(Way::One(i), v));
    items(&x.any_of).iter().enumerate().for_each(|(i, v)| see(Way::Any(i), v));
    x.definitions.iter().flatten().for_each(|(k, d)| see(Way::Definition(k), d));
    match &x.items {
        Some(JSONSchemaPropsOrArray::Schema(i)) => see(Way::Items, i),
        Some(JSONSchemaPropsOrArray::Schemas(l)) => l.iter().enumerate().for_each(|(i, v)| see(Way::Item(i), v)),
        None => {}
    }
    for (k, d) in x.dependencies.iter().flatten() {
        if let JSONSchemaPropsOrStringArray::Schema(d) = d {
            see(Way::Dependency(k), d);
        }
    }
}

/// Where the walk is: what is different inside of metadata.
#[derive(Clone, Copy, Default)]
struct Standing<'a> {
    root: bool,
    /// Inside of the metadata, kind or version of an object.
    meta: bool,
    /// Why no default may stand here.
    no_default: Option<&'a str>,
}

/// Judges every keyword.
pub(super) fn validate(root: &JSONSchemaProps, asked: Asked, at: At<'_>, e: &mut FieldErrors) {
    one(root, Standing { root: true, ..Standing::default() }, asked, (at, 0), e);
}

fn one(x: &JSONSchemaProps, here: Standing<'_>, asked: Asked, (at, depth): (At<'_>, usize), e: &mut FieldErrors) {
    if depth > DEPTH_MAX {
        return;
    }
    if asked.types {
        typed(x, at, e);
    }
    if let Some(why) = here.no_default.filter(|_| default_of(x)) {
        e.forbidden(&at.child("default").path(), format!("must not be set {why}"));
    }
    forbidden(x, here, at, e);
    let own = x.properties.as_ref().is_some_and(|p| !p.is_empty());
    if own && matches!(&x.additional_properties, Some(JSONSchemaPropsOrBool::Schema(_) | JSONSchemaPropsOrBool::Bool(false))) {
        e.forbidden(&at.child("additionalProperties").path(), "additionalProperties and properties are mutual exclusive");
    }
    below(x, &mut |way, inner| inside(inner, way, (x, here), asked, (at, depth + 1), e));
    if x.x_kubernetes_preserve_unknown_fields == Some(false) {
        e.invalid(&at.child("x-kubernetes-preserve-unknown-fields").path(), false, "must be true or undefined");
    }
    map_type(x, at, e);
    list_type(x, asked, at, e);
    if asked.keys {
        map_keys(x, at, e);
    }
}

fn inside(inner: &JSONSchemaProps, way: Way<'_>, (x, here): (&JSONSchemaProps, Standing<'_>), asked: Asked, (at, depth): (At<'_>, usize), e: &mut FieldErrors) {
    let mut there = Standing { root: false, ..here };
    let mut go = |at: At<'_>, there: Standing<'_>| one(inner, there, asked, (at, depth), e);
    match way {
        Way::Additional => {
            if here.meta {
                there.no_default = Some("inside additionalProperties applying to object metadata");
            }
            go(at.child("additionalProperties"), there);
        }
        Way::Property(name) => {
            let identity = ["metadata", "kind", "apiVersion"].contains(&name) && (here.root || on(x.x_kubernetes_embedded_resource));
            there.meta |= identity;
            let why = format!("in top-level {name}");
            if identity && here.root {
                there.no_default = Some(&why);
            }
            go(at.child("properties").key(name), there);
        }
        Way::Not => go(at.child("not"), there),
        Way::All(i) => go(at.child("allOf").index(i), there),
        Way::One(i) => go(at.child("oneOf").index(i), there),
        Way::Any(i) => go(at.child("anyOf").index(i), there),
        Way::Definition(name) => go(at.child("definitions").key(name), there),
        Way::Items => go(at.child("items"), there),
        Way::Item(i) => go(at.child("items").index(i), there),
        Way::Dependency(name) => go(at.child("dependencies").key(name), there),
    }
}

fn typed(x: &JSONSchemaProps, at: At<'_>, e: &mut FieldErrors) {
    if has(&x.type_) && !TYPES.contains(&s(&x.type_)) {
        e.not_supported(&at.child("type").path(), s(&x.type_), TYPES);
    }
}

/// Keywords that no schema of a custom resource has.
fn forbidden(x: &JSONSchemaProps, here: Standing<'_>, at: At<'_>, e: &mut FieldErrors) {
    for (set, name, why) in [
        (has(&x.id), "id", "id is not supported"),
        (x.additional_items.is_some(), "additionalItems", "additionalItems is not supported"),
        (x.pattern_properties.as_ref().is_some_and(|m| !m.is_empty()), "patternProperties", "patternProperties is not supported"),
        (x.definitions.as_ref().is_some_and(|m| !m.is_empty()), "definitions", "definitions is not supported"),
        (x.dependencies.is_some(), "dependencies", "dependencies is not supported"),
        (x.ref_path.is_some(), "$ref", "$ref is not supported"),
        (s(&x.type_) == "null", "type", "type cannot be set to null, use nullable as an alternative"),
        (
            matches!(&x.items, Some(JSONSchemaPropsOrArray::Schemas(l)) if !l.is_empty()),
            "items",
            "items must be a schema object and not an array",
        ),
        (here.meta && on(x.x_kubernetes_embedded_resource), "x-kubernetes-embedded-resource", "must not be used inside of resource meta"),
        (on(x.unique_items), "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"),
    ] {
        if set {
            e.forbidden(&at.child(name).path(), why);
        }
    }
}

fn map_type(x: &JSONSchemaProps, at: At<'_>, e: &mut FieldErrors) {
    let Some(t) = &x.x_kubernetes_map_type else { return };
    of_type(x, "object", "must be object if x-kubernetes-map-type is specified", at, e);
    if !["atomic", "granular"].contains(&t.as_str()) {
        e.not_supported(&at.child("x-kubernetes-map-type").path(), t, &["atomic", "granular"]);
    }
}

fn of_type(x: &JSONSchemaProps, ty: &str, why: &str, at: At<'_>, e: &mut FieldErrors) -> bool {
    match s(&x.type_) {
        t if t == ty => return true,
        "" => e.required(&at.child("type").path(), why),
        t => e.invalid(&at.child("type").path(), t, why),
    }
    false
}

fn list_type(x: &JSONSchemaProps, asked: Asked, at: At<'_>, e: &mut FieldErrors) {
    const FOR_KEYS: &str = "must be map if x-kubernetes-list-map-keys is non-empty";
    let keys = items(&x.x_kubernetes_list_map_keys);
    let named = at.child("x-kubernetes-list-type");
    let Some(t) = &x.x_kubernetes_list_type else {
        if !keys.is_empty() {
            e.required(&named.path(), FOR_KEYS);
        }
        return;
    };
    if of_type(x, "array", "must be array if x-kubernetes-list-type is specified", at, e) && asked.sets {
        set(x, at, e);
    }
    if !["atomic", "set", "map"].contains(&t.as_str()) {
        e.not_supported(&named.path(), t, &["atomic", "set", "map"]);
    }
    if t == "map" {
        map(x, at, e);
    } else if !keys.is_empty() {
        e.invalid(&named.path(), t, FOR_KEYS);
    }
}

/// Elements of a set are one value each.
fn set(x: &JSONSchemaProps, at: At<'_>, e: &mut FieldErrors) {
    let Some(i) = item(x).filter(|_| s(&x.x_kubernetes_list_type) == "set" && s(&x.type_) == "array") else { return };
    let whole = |t: &Option<String>, unset: bool| t.as_deref().map_or(unset, |t| t == "atomic");
    let (name, holds) = match s(&i.type_) {
        "array" => ("x-kubernetes-list-type", whole(&i.x_kubernetes_list_type, true)),
        "object" => ("x-kubernetes-map-type", whole(&i.x_kubernetes_map_type, false)),
        _ => return,
    };
    if !holds {
        // The list type is shown for maps too.
        let shown = i.x_kubernetes_list_type.as_ref().map_or_else(|| "null".to_owned(), |t| json!(t).to_string());
        e.invalid(&at.child("items").child(name).path(), Bare(shown), "must be atomic as item of a list with x-kubernetes-list-type=set");
    }
}

fn map(x: &JSONSchemaProps, at: At<'_>, e: &mut FieldErrors) {
    let keys = items(&x.x_kubernetes_list_map_keys);
    let (named, of_items) = (at.child("x-kubernetes-list-map-keys"), at.child("items"));
    if keys.is_empty() {
        e.required(&named.path(), "must not be empty if x-kubernetes-list-type is map");
    }
    let Some(i) = item(x) else {
        match &x.items {
            None => e.required(&of_items.path(), "must have a schema if x-kubernetes-list-type is map"),
            Some(_) => e.invalid(&of_items.path(), Bare("null".into()), "must only have a single schema if x-kubernetes-list-type is map"),
        }
        return;
    };
    if s(&i.type_) != "object" {
        e.invalid(&of_items.child("type").path(), s(&i.type_), "must be object if parent array's x-kubernetes-list-type is map");
        return;
    }
    let all = || Bare(json!(keys).to_string());
    for (n, k) in keys.iter().enumerate() {
        match i.properties.as_ref().and_then(|p| p.get(k)) {
            Some(p) if ["array", "object"].contains(&s(&p.type_)) => {
                let at = of_items.child("properties").key(k).child("type").path();
                e.invalid(&at, s(&i.type_), "must be a scalar type if parent array's x-kubernetes-list-type is map");
            }
            Some(_) => {}
            None => e.invalid(&named.path(), all(), "entries must all be names of item properties"),
        }
        if keys[..n].contains(k) {
            e.invalid(&named.path(), all(), "must not contain duplicate entries");
        }
    }
}

/// What tells elements apart is always there.
fn map_keys(x: &JSONSchemaProps, at: At<'_>, e: &mut FieldErrors) {
    let t = s(&x.x_kubernetes_list_type);
    let Some(i) = item(x).filter(|_| ["set", "map"].contains(&t)) else { return };
    let of_items = at.child("items");
    if on(i.nullable) {
        e.forbidden(&of_items.child("nullable").path(), format!("cannot be nullable when x-kubernetes-list-type is {t}"));
    }
    for k in items(&x.x_kubernetes_list_map_keys).iter().filter(|_| t == "map") {
        let Some(p) = i.properties.as_ref().and_then(|p| p.get(k)) else { continue };
        let at = of_items.child("properties").key(k).path();
        if !items(&i.required).contains(k) && !default_of(p) {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            e.required(&at.child("default"), why);
        }
        if on(p.nullable) {
            e.forbidden(&at.child("nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
        }
    }
}
