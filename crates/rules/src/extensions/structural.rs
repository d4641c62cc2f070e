//! The structure of a schema: every field has one type, stated outside of `allOf`, `anyOf`, `oneOf` and `not`, which only narrow
//! down what was stated. Docs: "Specifying a structural schema".
//!
//! ```text
//!  structure: type items properties additionalProperties x-kubernetes-*   <- invariants()
//!      └─ value rules: allOf anyOf oneOf not                              <- junctors(), nested(): no structure in there
//!             └─ fields they speak of must be in the structure            <- complete()
//! ```

use super::at::At;
use super::said::{default_of, item, said};
use super::schema::DEPTH_MAX;
use crate::read::{has, items, on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool};
use kinds::{FieldErrors, Path};

/// What a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Judges the structure; what is wrong is told in the order of its text.
pub(super) fn validate(root: &JSONSchemaProps, path: &Path, e: &mut FieldErrors) {
    let mut found = FieldErrors::default();
    let at = At::root(path);
    invariants(root, Level::Root, at, 0, &mut found);
    for (v, at) in junctors(root, path.clone()) {
        complete(v, Some(root), (path.clone(), at), 0, &mut found);
    }
    found.0.sort_by_cached_key(ToString::to_string);
    e.extend(found);
}

/// The schemas that narrow down a schema, and where they stand.
fn junctors(x: &JSONSchemaProps, path: Path) -> Vec<(&JSONSchemaProps, Path)> {
    let mut out: Vec<(&JSONSchemaProps, Path)> = x.not.iter().map(|n| (&**n, path.child("not"))).collect();
    for (name, list) in [("allOf", &x.all_of), ("anyOf", &x.any_of), ("oneOf", &x.one_of)] {
        out.extend(items(list).iter().enumerate().map(|(i, v)| (v, path.child(name).index(i))));
    }
    out
}

/// A keyword that no structure can have, in words; they are told where nothing else is.
pub(super) fn unreadable(x: &JSONSchemaProps) -> Option<&'static str> {
    for (set, why) in [
        (has(&x.id), "OpenAPIV3Schema 'id' is not supported"),
        (has(&x.schema), "OpenAPIV3Schema 'schema' is not supported"),
        (has(&x.ref_path), "OpenAPIV3Schema '$ref' is not supported"),
        (x.pattern_properties.as_ref().is_some_and(|m| !m.is_empty()), "OpenAPIV3Schema 'patternProperties' is not supported"),
        (x.dependencies.as_ref().is_some_and(|m| !m.is_empty()), "OpenAPIV3Schema 'dependencies' is not supported"),
        (x.additional_items.is_some(), "OpenAPIV3Schema 'additionalItems' is not supported"),
        (x.definitions.as_ref().is_some_and(|m| !m.is_empty()), "OpenAPIV3Schema 'definitions' is not supported"),
        (
            matches!(&x.items, Some(JSONSchemaPropsOrArray::Schemas(l)) if !l.is_empty()),
            "OpenAPIV3Schema 'items' must be a schema, but is an array",
        ),
        (
            x.x_kubernetes_preserve_unknown_fields == Some(false),
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined",
        ),
    ] {
        if set {
            return Some(why);
        }
    }
    below(x).find_map(unreadable)
}

/// Every schema inside a schema that its structure and its rules have.
fn below(x: &JSONSchemaProps) -> impl Iterator<Item = &JSONSchemaProps> {
    let more = if let Some(JSONSchemaPropsOrBool::Schema(a)) = &x.additional_properties { Some(&**a) } else { None };
    let junctors = x.not.iter().map(|n| &**n).chain([&x.all_of, &x.any_of, &x.one_of].into_iter().flat_map(|l| items(l)));
    junctors.chain(item(x)).chain(x.properties.iter().flatten().map(|(_, p)| p)).chain(more)
}

/// What holds for each part of the structure.
fn invariants(x: &JSONSchemaProps, level: Level, at: At<'_>, depth: usize, e: &mut FieldErrors) {
    if depth > DEPTH_MAX {
        return e.invalid(&at.path(), "", "nested too deeply");
    }
    match item(x) {
        Some(i) => invariants(i, Level::Item, at.child("items"), depth + 1, e),
        None if s(&x.type_) == "array" => e.required(&at.child("items").path(), "must be specified"),
        None => {}
    }
    let properties = at.child("properties");
    for (name, p) in x.properties.iter().flatten() {
        invariants(p, Level::Field, properties.key(name), depth + 1, e);
    }
    let embedded = on(x.x_kubernetes_embedded_resource);
    if let Some(additional) = &x.additional_properties {
        let at = at.child("additionalProperties");
        if level == Level::Root {
            e.forbidden(&at.path(), "must not be used at the root");
        }
        if let JSONSchemaPropsOrBool::Schema(a) = additional {
            invariants(a, Level::Field, at, depth + 1, e);
        }
        if embedded {
            e.forbidden(&at.path(), "must not be used if x-kubernetes-embedded-resource is set");
        }
    }
    extensions(x, at, e);
    values(x, at, depth, e);
    typed(x, level, at, e);
    identity(x, level, at, e);
}

fn extensions(x: &JSONSchemaProps, at: At<'_>, e: &mut FieldErrors) {
    if !on(x.x_kubernetes_int_or_string) {
        return;
    }
    for (name, set) in [
        ("x-kubernetes-preserve-unknown-fields", on(x.x_kubernetes_preserve_unknown_fields)),
        ("x-kubernetes-embedded-resource", on(x.x_kubernetes_embedded_resource)),
    ] {
        if set {
            e.invalid(&at.child(name).path(), true, "must be false if x-kubernetes-int-or-string is true");
        }
    }
}

/// A part says its type, unless it keeps what it does not know or is a number or a text.
fn typed(x: &JSONSchemaProps, level: Level, at: At<'_>, e: &mut FieldErrors) {
    const EMBEDDED: &str = "must be object if x-kubernetes-embedded-resource is true";
    let (ty, typed) = (s(&x.type_), at.child("type"));
    let free = on(x.x_kubernetes_int_or_string) || on(x.x_kubernetes_preserve_unknown_fields);
    if on(x.x_kubernetes_embedded_resource) && ty != "object" {
        match ty {
            "" => e.required(&typed.path(), EMBEDDED),
            _ => e.invalid(&typed.path(), ty, EMBEDDED),
        }
    } else if ty.is_empty() && !free {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        e.required(&typed.path(), why);
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        e.invalid(&typed.path(), ty, "must be object at the root");
    }
}

/// What identifies an object has the types that all objects have.
fn identity(x: &JSONSchemaProps, level: Level, at: At<'_>, e: &mut FieldErrors) {
    let embedded = on(x.x_kubernetes_embedded_resource);
    let whole = level == Level::Root || embedded;
    let properties = at.child("properties");
    for (name, ty) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        let Some(p) = x.properties.as_ref().and_then(|p| p.get(name)).filter(|_| whole) else { continue };
        if s(&p.type_) != ty {
            e.invalid(&properties.key(name).child("type").path(), s(&p.type_), format!("must be {ty}"));
        }
    }
    if level == Level::Root && x.properties.as_ref().and_then(|p| p.get("metadata")).is_some_and(|m| !only_names(m)) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        e.forbidden(&properties.key("metadata").path(), why);
    }
    if embedded && !on(x.x_kubernetes_preserve_unknown_fields) && x.properties.as_ref().is_none_or(std::collections::BTreeMap::is_empty) {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        e.required(&properties.path(), why);
    }
}

/// Whether a schema of metadata speaks of names alone.
fn only_names(x: &JSONSchemaProps) -> bool {
    let empty = |name: &&str| match *name {
        "Type" | "Default" => true,
        "Properties" => x.properties.iter().flatten().all(|(k, _)| k == "name" || k == "generateName"),
        "XValidations" => items(&x.x_kubernetes_validations).is_empty(),
        _ => false,
    };
    said(x).iter().all(empty)
}

/// `anyOf` a number or a text: the one place where types may stand inside.
fn either(list: Option<&Vec<JSONSchemaProps>>) -> bool {
    let bare = |x: &JSONSchemaProps, ty: &str| s(&x.type_) == ty && said(x) == ["Type"];
    matches!(list.map(Vec::as_slice), Some([a, b]) if bare(a, "integer") && bare(b, "string"))
}

/// The rules for values that a schema has. The first of `allOf` may say that there is a number or a text.
fn values(x: &JSONSchemaProps, at: At<'_>, depth: usize, e: &mut FieldErrors) {
    let first = items(&x.all_of).first().is_some_and(|f| either(f.any_of.as_ref()));
    rules(x, (either(x.any_of.as_ref()), first), at, depth, e);
}

fn rules(x: &JSONSchemaProps, (skip_any, skip_first): (bool, bool), at: At<'_>, depth: usize, e: &mut FieldErrors) {
    let all = at.child("allOf");
    for (i, v) in items(&x.all_of).iter().enumerate() {
        nested(v, skip_first && i == 0, all.index(i), depth + 1, e);
    }
    for (name, list) in [("anyOf", items(&x.any_of)), ("oneOf", items(&x.one_of))] {
        let at = at.child(name);
        for (i, v) in list.iter().enumerate().filter(|_| !(skip_any && name == "anyOf")) {
            nested(v, false, at.index(i), depth + 1, e);
        }
    }
    if let Some(not) = &x.not {
        nested(not, false, at.child("not"), depth + 1, e);
    }
    if let Some(p) = x.pattern.as_deref().filter(|p| !p.is_empty())
        && crate::customs::pattern::compile(p).is_err()
    {
        e.invalid(&at.child("pattern").path(), p, format!("must be a valid regular expression, but isn't: error parsing regexp: {p}"));
    }
}

/// A schema that narrows down another one says nothing of structure.
fn nested(x: &JSONSchemaProps, skip_any: bool, at: At<'_>, depth: usize, e: &mut FieldErrors) {
    if depth > DEPTH_MAX {
        return e.invalid(&at.path(), "", "nested too deeply");
    }
    rules(x, (skip_any, false), at, depth, e);
    if let Some(i) = item(x) {
        nested(i, false, at.child("items"), depth + 1, e);
    }
    let properties = at.child("properties");
    for (name, p) in x.properties.iter().flatten() {
        nested(p, false, properties.key(name), depth + 1, e);
        if name == "metadata" {
            e.forbidden(&properties.key(name).path(), "must not be specified in a nested context");
        }
    }
    let additional = matches!(&x.additional_properties, Some(JSONSchemaPropsOrBool::Schema(_) | JSONSchemaPropsOrBool::Bool(true)));
    for (name, set, must) in [
        ("type", has(&x.type_), "empty"),
        ("additionalProperties", additional, "undefined"),
        ("default", default_of(x), "undefined"),
        ("title", has(&x.title), "empty"),
        ("description", has(&x.description), "empty"),
        ("nullable", on(x.nullable), "false"),
        ("x-kubernetes-preserve-unknown-fields", on(x.x_kubernetes_preserve_unknown_fields), "false"),
        ("x-kubernetes-embedded-resource", on(x.x_kubernetes_embedded_resource), "false"),
        ("x-kubernetes-int-or-string", on(x.x_kubernetes_int_or_string), "false"),
        ("x-kubernetes-list-map-keys", !items(&x.x_kubernetes_list_map_keys).is_empty(), "empty"),
        ("x-kubernetes-list-type", x.x_kubernetes_list_type.is_some(), "undefined"),
        ("x-kubernetes-map-type", x.x_kubernetes_map_type.is_some(), "undefined"),
        ("x-kubernetes-validations", !items(&x.x_kubernetes_validations).is_empty(), "empty"),
    ] {
        if set {
            e.forbidden(&at.child(name).path(), format!("must be {must} to be structural"));
        }
    }
}

/// What a narrowing schema speaks of is in the structure: `whole` and where it should stand, `at` where it is spoken of.
fn complete(x: &JSONSchemaProps, whole: Option<&JSONSchemaProps>, (place, at): (Path, Path), depth: usize, e: &mut FieldErrors) {
    let Some(whole) = whole else {
        return e.required(&place, format!("because it is defined in {at}"));
    };
    if depth > DEPTH_MAX {
        return;
    }
    for (v, at) in junctors(x, at.clone()) {
        complete(v, Some(whole), (place.clone(), at), depth + 1, e);
    }
    if let Some(i) = item(x) {
        complete(i, item(whole), (place.child("items"), at.child("items")), depth + 1, e);
    }
    for (name, p) in x.properties.iter().flatten() {
        let below = whole.properties.as_ref().and_then(|w| w.get(name));
        complete(p, below, (place.child("properties").key(name), at.child("properties").key(name)), depth + 1, e);
    }
}
