//! A type of the table as an OpenAPI v3 schema, in the shape that Kubernetes publishes: references with siblings stand in
//! an `allOf`, plain values carry their zero default, and what server-side apply and strategic merge patch need stands in
//! `x-kubernetes-*` extensions.

use super::text::Descriptions;
use schema::{Field, Kind, ListType, MapType, Special, Type};
use serde_json::{Map, Value, json};

/// Where v3 documents keep their schemas.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// A reference to a definition.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{name}") })
}

/// The definition of a type; `spoken` limits the group-versions of kinds that are registered in all of them.
pub(super) fn definition(ty: &Type, texts: &Descriptions, spoken: Option<(&str, &str)>) -> Value {
    let mut tree = match ty.schema() {
        Some(shape) => serde_json::from_str(shape).unwrap_or_default(),
        None => structure(ty, texts),
    };
    if !texts.enums {
        drop_enums(&mut tree);
    }
    let Value::Object(map) = &mut tree else { return tree };
    if let Some(text) = texts.of_type(ty.name()) {
        map.insert("description".into(), text.into());
    }
    if let Some(kind) = ty.map_type() {
        map.insert("x-kubernetes-map-type".into(), map_type(kind));
    }
    if let Some(unions) = ty.unions() {
        map.insert("x-kubernetes-unions".into(), serde_json::from_str(unions).unwrap_or_default());
    }
    let everywhere = ty.any_group_version();
    let wanted = |g: &str, v: &str| !everywhere || spoken.is_none_or(|s| s == (g, v) || (g, v) == ("", "v1"));
    let mut gvks: Vec<Value> = Vec::new();
    for (group, version, kind) in ty.gvks().filter(|(g, v, _)| wanted(g, v)) {
        gvks.push(json!({ "group": group, "kind": kind, "version": version }));
    }
    if let Some((group, version)) = spoken.filter(|(g, v)| everywhere && !ty.gvks().any(|x| (x.0, x.1) == (*g, *v))) {
        gvks.push(json!({ "group": group, "kind": ty.short_name(), "version": version }));
    }
    if !gvks.is_empty() {
        map.insert("x-kubernetes-group-version-kind".into(), gvks.into());
    }
    tree
}

/// Takes the values of enumerations out of the properties.
fn drop_enums(tree: &mut Value) {
    for property in tree.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let Value::Object(members) = property else { continue };
        members.remove("enum");
        for inner in ["items", "additionalProperties"] {
            if let Some(Value::Object(members)) = members.get_mut(inner) {
                members.remove("enum");
            }
        }
    }
}

fn structure(ty: &Type, texts: &Descriptions) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    if ty.type_meta() {
        for name in ["apiVersion", "kind"] {
            properties.insert(name.into(), about(json!({ "type": "string" }), texts.of_field(ty.name(), name)));
        }
    }
    collect(ty, texts, &mut properties, &mut required);
    let mut map = Map::new();
    map.insert("type".into(), "object".into());
    if !properties.is_empty() {
        map.insert("properties".into(), properties.into());
    }
    if !required.is_empty() {
        map.insert("required".into(), required.into());
    }
    map.into()
}

fn collect(ty: &Type, texts: &Descriptions, properties: &mut Map<String, Value>, required: &mut Vec<&'static str>) {
    let mut visit = |owner: &Type, f: &Field, required: &mut Vec<&'static str>| {
        let text = texts.of_field(ty.name(), f.json()).or_else(|| texts.of_field(owner.name(), f.json()));
        properties.insert(f.json().to_owned(), property(f, text));
        if f.required() {
            required.push(f.json());
        }
    };
    walk(ty, &mut |owner, f| visit(owner, f, required));
}

/// Visits every field with a JSON name, in declaration order, through inline messages.
pub(super) fn walk(ty: &Type, visit: &mut dyn FnMut(&Type, &Field)) {
    for f in ty.fields() {
        match f.ty() {
            Some(inner) if f.inline() => walk(inner, visit),
            _ if !f.json().is_empty() => visit(ty, f),
            _ => {}
        }
    }
}

fn about(mut tree: Value, text: Option<String>) -> Value {
    if let (Value::Object(map), Some(text)) = (&mut tree, text) {
        map.insert("description".into(), text.into());
    }
    tree
}

fn property(f: &Field, text: Option<String>) -> Value {
    let mut map = Map::new();
    if let Some(text) = text {
        map.insert("description".into(), text.into());
    }
    if let Some(default) = f.default() {
        map.insert("default".into(), serde_json::from_str(default).unwrap_or_default());
    }
    markers(f, &mut map);
    match f.kind() {
        Kind::List => {
            map.insert("type".into(), "array".into());
            map.insert("items".into(), element(f));
        }
        Kind::Map => {
            map.insert("type".into(), "object".into());
            let strings = json!({ "type": "array", "items": { "type": "string" } });
            let inner = if f.value_items() || is_wrapper(f) { strings } else { element(f) };
            map.insert("additionalProperties".into(), inner);
        }
        Kind::Object if is_wrapper(f) => {
            map.insert("type".into(), "array".into());
            map.insert("items".into(), json!({ "type": "string" }));
        }
        Kind::Object => {
            let target = f.ty().map(|t| reference(t.name())).unwrap_or_default();
            if map.is_empty() {
                return target;
            }
            map.insert("allOf".into(), vec![target].into());
        }
        kind => scalar(kind, f.format(), f.enumeration(), &mut map),
    }
    map.into()
}

/// Whether the type is only a name for a list of strings; such types have no definition of their own.
pub(super) fn is_wrapper(f: &Field) -> bool {
    f.ty().and_then(Type::special) == Some(Special::ListWrapper)
}

fn element(f: &Field) -> Value {
    if f.item() == Kind::Object {
        return f.ty().map(|t| reference(t.name())).unwrap_or_default();
    }
    let mut map = Map::new();
    scalar(f.item(), f.item_format(), f.item_enumeration(), &mut map);
    map.into()
}

fn scalar(kind: Kind, format: Option<&str>, values: Option<impl Iterator<Item = &'static str>>, map: &mut Map<String, Value>) {
    let word = match kind {
        Kind::String | Kind::Enum | Kind::Bytes => "string",
        Kind::Int32 | Kind::Int64 => "integer",
        Kind::Bool => "boolean",
        Kind::Double => "number",
        _ => "object",
    };
    map.insert("type".into(), word.into());
    if let Some(format) = format {
        map.insert("format".into(), format.into());
    }
    if let Some(values) = values {
        map.insert("enum".into(), values.map(Value::from).collect());
    }
}

fn markers(f: &Field, map: &mut Map<String, Value>) {
    if let Some(kind) = f.list_type() {
        let word = match kind {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        };
        map.insert("x-kubernetes-list-type".into(), word.into());
    }
    let keys: Vec<&str> = f.list_map_keys().collect();
    if !keys.is_empty() {
        map.insert("x-kubernetes-list-map-keys".into(), keys.into());
    }
    if let Some(kind) = f.map_type() {
        map.insert("x-kubernetes-map-type".into(), map_type(kind));
    }
    if !f.patch_strategy().is_empty() {
        map.insert("x-kubernetes-patch-strategy".into(), f.patch_strategy().into());
    }
    if let Some(key) = f.patch_merge_key() {
        map.insert("x-kubernetes-patch-merge-key".into(), key.into());
    }
}

fn map_type(kind: MapType) -> Value {
    match kind {
        MapType::Atomic => "atomic".into(),
        MapType::Granular => "granular".into(),
    }
}
