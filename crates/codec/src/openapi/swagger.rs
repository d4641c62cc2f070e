//! From v3 pieces to v2 ones (OpenAPI 2.0): no defaults, no `oneOf`, references without siblings' wrapping, body parameters
//! and media types on operations, shared parameters by reference. Docs: "Publish Validation Schema in OpenAPI v2".

use super::definition::SCHEMAS;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Query parameters that differ between operations only by chance are few; these stand inline as upstream has them.
const INLINE: &[&str] = &["dryRun", "fieldValidation", "name"];
/// Stands at the root of a kind's definition.
const IDENTITY: &str = "x-kubernetes-group-version-kind";
/// What v2 has no word for.
const UNKNOWN_TO_V2: &[&str] = &["default", "oneOf", "anyOf", "not", "nullable", "example", "deprecated", "writeOnly"];

/// A definition.
pub(super) fn definition(tree: &Value) -> Value {
    let Value::Object(map) = tree else { return tree.clone() };
    let mut out = Map::new();
    let nullable = map.get("nullable") == Some(&Value::Bool(true));
    let free = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    // A whole kind that keeps unknown fields is just an object.
    let whole = free && map.contains_key(IDENTITY);
    for (key, value) in map {
        match key.as_str() {
            k if UNKNOWN_TO_V2.contains(&k) => {}
            "$ref" => drop(out.insert(key.clone(), refer(value))),
            "allOf" => unwrap(value, &mut out),
            // Old clients refuse null and unknown fields where they know better: so they are told less.
            "properties" | "items" | "type" | "required" if nullable && !map.contains_key("$ref") => {}
            "x-kubernetes-preserve-unknown-fields" | "description" | "required" if whole => {}
            "properties" | "items" if free => {}
            "properties" => {
                let each = value.as_object().into_iter().flatten().map(|(n, p)| (n.clone(), definition(p)));
                out.insert(key.clone(), each.collect::<Map<_, _>>().into());
            }
            "items" | "additionalProperties" => drop(out.insert(key.clone(), definition(value))),
            _ => drop(out.insert(key.clone(), value.clone())),
        }
    }
    if map.contains_key("oneOf") && !map.contains_key("type") && !map.keys().any(|k| k.starts_with("x-")) {
        out.insert("type".into(), "string".into());
    }
    out.into()
}

/// A reference that had to be wrapped for the sake of its siblings stands bare in v2.
fn unwrap(list: &Value, out: &mut Map<String, Value>) {
    if let Some([only]) = list.as_array().map(Vec::as_slice) {
        if let Some(target) = only.get("$ref") {
            out.insert("$ref".into(), refer(target));
        }
    }
}

fn refer(target: &Value) -> Value {
    let name = target.as_str().and_then(|t| t.strip_prefix(SCHEMAS));
    name.map_or_else(|| target.clone(), |n| format!("#/definitions/{n}").into())
}

/// A path item; parameters that are put aside are added to `shared`.
pub(super) fn path(item: &Value, shared: &mut BTreeMap<String, Value>) -> Value {
    let mut out = Map::new();
    for (method, tree) in item.as_object().into_iter().flatten() {
        let turned = if method == "parameters" { parameters(tree, shared) } else { operation(tree, shared) };
        out.insert(method.clone(), turned);
    }
    out.into()
}

fn operation(tree: &Value, shared: &mut BTreeMap<String, Value>) -> Value {
    let mut out = Map::new();
    let mut produced: Vec<Value> = Vec::new();
    for (key, value) in tree.as_object().into_iter().flatten() {
        match key.as_str() {
            "responses" => drop(out.insert(key.clone(), responses(value, &mut produced))),
            "parameters" | "requestBody" => {}
            _ => drop(out.insert(key.clone(), value.clone())),
        }
    }
    let mut list = match parameters(&tree["parameters"], shared) {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let objects = tree.get("x-kubernetes-action").is_some();
    let typed = out["responses"]["200"]["schema"].get("$ref").is_some();
    let mut consumes: Vec<Value> = match () {
        () if objects => vec!["*/*".into()],
        () if typed => produced.clone(),
        () => Vec::new(),
    };
    if let Some(body) = tree.get("requestBody") {
        consumes = media(&body["content"]);
        let schema = body["content"].as_object().and_then(|c| c.values().next()).map(|c| definition(&c["schema"]));
        let mut parameter = json!({ "in": "body", "name": "body", "schema": schema });
        if body.get("required") == Some(&Value::Bool(true)) {
            parameter["required"] = true.into();
        }
        list.insert(0, parameter);
    }
    if !list.is_empty() {
        out.insert("parameters".into(), list.into());
    }
    if !consumes.is_empty() {
        out.insert("consumes".into(), consumes.into());
    }
    out.insert("produces".into(), produced.into());
    out.insert("schemes".into(), json!(["https"]));
    out.into()
}

fn media(content: &Value) -> Vec<Value> {
    content.as_object().into_iter().flatten().map(|(m, _)| m.as_str().into()).collect()
}

fn responses(tree: &Value, produced: &mut Vec<Value>) -> Value {
    let mut out = Map::new();
    for (code, answer) in tree.as_object().into_iter().flatten() {
        let mut turned = json!({ "description": answer["description"] });
        if let Some(first) = answer["content"].as_object().and_then(|c| c.values().next()) {
            turned["schema"] = definition(&first["schema"]);
            if produced.is_empty() {
                *produced = media(&answer["content"]);
            }
        }
        out.insert(code.clone(), turned);
    }
    out.into()
}

fn parameters(tree: &Value, shared: &mut BTreeMap<String, Value>) -> Value {
    let each = tree.as_array().into_iter().flatten().map(|p| {
        let mut out = Map::new();
        for (key, value) in p.as_object().into_iter().flatten() {
            match (key.as_str(), value.as_object()) {
                ("schema", Some(schema)) => out.extend(schema.iter().map(|(k, v)| (k.clone(), v.clone()))),
                _ => drop(out.insert(key.clone(), value.clone())),
            }
        }
        let name = p["name"].as_str().unwrap_or_default();
        if INLINE.contains(&name) {
            return Value::from(out);
        }
        let turned = Value::from(out);
        let word = format!("{name}-{}", fingerprint(&turned));
        let reference = json!({ "$ref": format!("#/parameters/{word}") });
        shared.entry(word).or_insert(turned);
        reference
    });
    each.collect()
}

/// Eight letters that tell parameters of one name apart.
fn fingerprint(tree: &Value) -> String {
    use base64::Engine;
    let text = tree.to_string();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.to_be_bytes()[..6])
}
