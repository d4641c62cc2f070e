//! A structural schema, parsed: every keyword that decides about an object, with patterns compiled.

use super::pattern;
use serde_json::Value;
use std::collections::BTreeMap;

/// Schemas nested deeper than this are taken as free.
const DEPTH_MAX: usize = 128;

/// What an object may have besides its properties.
#[derive(Debug, Default)]
pub(super) enum Additional {
    #[default]
    No,
    Any,
    Of(Box<Schema>),
}

/// How elements of a list are told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// A bound of a number.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) at: f64,
    pub(super) exclusive: bool,
}

/// One node of a schema.
#[derive(Debug, Default)]
pub struct Schema {
    /// Empty: any.
    pub(super) types: Vec<&'static str>,
    pub(super) format: String,
    pub(super) properties: BTreeMap<String, Schema>,
    pub(super) additional: Additional,
    pub(super) items: Option<Box<Schema>>,
    pub(super) nullable: bool,
    pub(super) preserve: bool,
    pub(super) embedded: bool,
    pub(super) list_type: ListType,
    pub(super) default: Option<Value>,
    pub(super) required: Vec<String>,
    pub(super) allowed: Option<Vec<Value>>,
    pub(super) pattern: Option<(String, regex::Regex)>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) length: (Option<u64>, Option<u64>),
    pub(super) count: (Option<u64>, Option<u64>),
    pub(super) size: (Option<u64>, Option<u64>),
    pub(super) all_of: Vec<Schema>,
    pub(super) any_of: Vec<Schema>,
    pub(super) one_of: Vec<Schema>,
    pub(super) not: Option<Box<Schema>>,
}

impl Schema {
    /// Parses the JSON of an `openAPIV3Schema`. No schema at all keeps everything.
    #[must_use]
    pub fn parse(tree: &Value) -> Self {
        if tree.is_object() { parse(tree, 0) } else { Self { preserve: true, ..Self::default() } }
    }
}

fn on(tree: &Value, key: &str) -> bool {
    tree[key].as_bool().unwrap_or_default()
}

fn known_type(name: &str) -> Option<&'static str> {
    ["array", "boolean", "integer", "number", "object", "string"].into_iter().find(|t| *t == name)
}

fn parse(t: &Value, depth: usize) -> Schema {
    if depth > DEPTH_MAX {
        return Schema { preserve: true, ..Schema::default() };
    }
    let below = |v: &Value| parse(v, depth + 1);
    let boxed = |v: &Value| v.is_object().then(|| Box::new(below(v)));
    let several = |key: &str| t[key].as_array().map(|a| a.iter().map(below).collect()).unwrap_or_default();
    let texts = |key: &str| -> Vec<String> {
        t[key].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let pair = |low: &str, high: &str| (t[low].as_u64(), t[high].as_u64());
    let bound = |key: &str, exclusive: &str| t[key].as_f64().map(|at| Bound { at, exclusive: on(t, exclusive) });
    let either = on(t, "x-kubernetes-int-or-string");
    let types = if either { vec!["integer", "string"] } else { t["type"].as_str().and_then(known_type).into_iter().collect() };
    let source = t["pattern"].as_str().filter(|p| !p.is_empty());
    Schema {
        types,
        format: t["format"].as_str().unwrap_or_default().to_owned(),
        properties: t["properties"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), below(v))).collect(),
        additional: match &t["additionalProperties"] {
            v @ Value::Object(_) => Additional::Of(Box::new(below(v))),
            Value::Bool(true) => Additional::Any,
            _ => Additional::No,
        },
        items: boxed(&t["items"]),
        nullable: on(t, "nullable"),
        preserve: on(t, "x-kubernetes-preserve-unknown-fields"),
        embedded: on(t, "x-kubernetes-embedded-resource"),
        list_type: match t["x-kubernetes-list-type"].as_str() {
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(texts("x-kubernetes-list-map-keys")),
            _ => ListType::Atomic,
        },
        default: t.get("default").filter(|d| !d.is_null()).cloned(),
        required: texts("required"),
        allowed: t["enum"].as_array().filter(|a| !a.is_empty()).cloned(),
        // A pattern that does not compile was refused when the definition was written.
        pattern: source.and_then(|p| pattern::compile(p).ok().map(|r| (p.to_owned(), r))),
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: t["multipleOf"].as_f64().filter(|m| *m > 0.0),
        length: pair("minLength", "maxLength"),
        count: pair("minItems", "maxItems"),
        size: pair("minProperties", "maxProperties"),
        all_of: several("allOf"),
        any_of: several("anyOf"),
        one_of: several("oneOf"),
        not: boxed(&t["not"]),
    }
}
