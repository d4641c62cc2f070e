//! Declarations from structural schemas: the types that rules of a CustomResourceDefinition see. Docs: "Type checking" and
//! the table of types under "Common Expression Language in Kubernetes"; bounds by `maxLength`, `maxItems`, `maxProperties` or,
//! without them, by what fits into a request.

use crate::cost::REQUEST_MAX_BYTES;
use crate::types::{Decl, ListKind, Object, Shape, escape};
use serde_json::Value as Json;
use std::sync::Arc;

/// Schemas nested deeper than this have no declaration.
const DEPTH_MAX: usize = 128;
/// Bytes of the shortest and longest durations, days and times in JSON.
const DURATION_MIN: u64 = 4;
const DURATION_MAX: u64 = 32;
const DATE_SIZE: u64 = 12;
const TIME_MIN: u64 = 22;
const TIME_MAX: u64 = 32;
/// Bytes of an empty text, list, map or object.
const EMPTY_SIZE: u64 = 2;

/// The declaration of a schema; `resource` for the root of an object and for embedded resources, which have metadata.
#[must_use]
pub fn decl(schema: &Json, resource: bool) -> Option<Decl> {
    of(schema, resource, 0)
}

fn on(schema: &Json, key: &str) -> bool {
    schema[key].as_bool().unwrap_or_default()
}

fn bound(schema: &Json, key: &str) -> Option<u64> {
    schema[key].as_i64().map(|n| n.max(0).unsigned_abs())
}

fn of(schema: &Json, resource: bool, depth: usize) -> Option<Decl> {
    if depth > DEPTH_MAX || !schema.is_object() {
        return None;
    }
    if on(schema, "x-kubernetes-int-or-string") {
        return Some(Decl::new(Shape::Any, REQUEST_MAX_BYTES - 2, 1));
    }
    match schema["type"].as_str().unwrap_or_default() {
        "array" => list(schema, depth),
        "object" => object(schema, resource || on(schema, "x-kubernetes-embedded-resource"), depth),
        "string" => Some(text(schema)),
        "boolean" => Some(Decl::new(Shape::Bool, 0, 4)),
        "number" => Some(Decl::new(Shape::Double, 0, 1)),
        "integer" => Some(Decl::new(Shape::Int, 0, 1)),
        _ => None,
    }
}

fn list(schema: &Json, depth: usize) -> Option<Decl> {
    let items = of(&schema["items"], false, depth + 1)?;
    let max = bound(schema, "maxItems").unwrap_or((REQUEST_MAX_BYTES - 2) / (items.min + 1));
    let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
    let kind = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(keys.filter_map(|k| k.as_str().map(str::to_owned)).collect()),
        _ => ListKind::Atomic,
    };
    Some(Decl::new(Shape::List(Arc::new(items), kind), max, EMPTY_SIZE))
}

fn object(schema: &Json, resource: bool, depth: usize) -> Option<Decl> {
    if schema["additionalProperties"].is_object() {
        let of = of(&schema["additionalProperties"], false, depth + 1)?;
        let max = bound(schema, "maxProperties").unwrap_or((REQUEST_MAX_BYTES - 2) / (of.min + 6));
        return Some(Decl::new(Shape::Map(Arc::new(of)), max, EMPTY_SIZE));
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let mut min = EMPTY_SIZE;
    let mut fields = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let Some(d) = of(property, false, depth + 1) else { continue };
        if required.contains(&name.as_str()) && property.get("default").is_none_or(Json::is_null) {
            min += name.len() as u64 + d.min + 4;
        }
        fields.extend(escape(name).map(|n| (n, d)));
    }
    if resource {
        fields.retain(|(n, _)| !matches!(n.as_str(), "apiVersion" | "kind" | "metadata"));
        let plain = || Decl::new(Shape::Text, REQUEST_MAX_BYTES - 2, EMPTY_SIZE);
        fields.extend([("apiVersion".to_owned(), plain()), ("kind".to_owned(), plain())]);
        let meta = [("name".to_owned(), plain()), ("generateName".to_owned(), plain())];
        let meta = Object::new("object.metadata", meta);
        fields.push(("metadata".to_owned(), Decl::new(Shape::Object(Arc::new(meta)), 0, EMPTY_SIZE)));
    }
    Some(Decl::new(Shape::Object(Arc::new(Object::new("object", fields))), 0, min))
}

fn text(schema: &Json) -> Decl {
    match schema["format"].as_str().unwrap_or_default() {
        "byte" => Decl::new(Shape::Bytes, bound(schema, "maxLength").unwrap_or(REQUEST_MAX_BYTES - 2), EMPTY_SIZE),
        "duration" => Decl::new(Shape::Duration, DURATION_MAX, DURATION_MIN),
        "date" => Decl::new(Shape::Timestamp, DATE_SIZE, DATE_SIZE),
        "date-time" => Decl::new(Shape::Timestamp, TIME_MAX, TIME_MIN),
        _ => {
            let allowed = schema["enum"].as_array().filter(|a| !a.is_empty());
            let longest = || allowed.map(|a| a.iter().filter_map(Json::as_str).map(str::len).max().unwrap_or_default() as u64);
            // A bound counts characters, each of up to four bytes.
            let max = bound(schema, "maxLength").map(|n| n.saturating_mul(4)).or_else(longest);
            Decl::new(Shape::Text, max.unwrap_or(REQUEST_MAX_BYTES - 2), EMPTY_SIZE)
        }
    }
}
