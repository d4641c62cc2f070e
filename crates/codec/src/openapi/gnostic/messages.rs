//! The field numbers of gnostic's messages, under the JSON names of their fields. Only what Kubernetes publishes is listed.

use serde_json::Value;

/// How a JSON value becomes a field.
pub(super) enum Shape {
    Text,
    Flag,
    /// A boolean inside a one-of: written even when false.
    Bool,
    Whole,
    Double,
    /// `Any`, as YAML text.
    Any,
    List(&'static Shape),
    Nested(fn() -> &'static Message),
    /// A one-of: the field inside depends on the value.
    Choice(fn(&Value) -> (u32, Shape)),
    /// `DefaultType` of v3.
    Default,
}

use Shape::{Any, Bool, Choice, Double, Flag, List, Nested, Text, Whole};

/// A message: fields by JSON name, the field of vendor extensions (0: none), and the field that takes every other name.
pub(super) struct Message {
    pub(super) fields: &'static [(&'static str, u32, Shape)],
    pub(super) extensions: u32,
    pub(super) rest: Option<(u32, Shape)>,
}

const TEXTS: Shape = List(&Text);

/// A message that is a map by name.
const fn map(shape: Shape) -> Message {
    Message { fields: &[], extensions: 0, rest: Some((1, shape)) }
}

const fn plain(fields: &'static [(&'static str, u32, Shape)], extensions: u32) -> Message {
    Message { fields, extensions, rest: None }
}

fn is_reference(value: &Value) -> bool {
    value.get("$ref").is_some_and(Value::is_string)
}

static INFO_V2: Message = plain(&[("title", 1, Text), ("version", 2, Text), ("description", 3, Text)], 7);
static INFO_V3: Message = plain(&[("title", 1, Text), ("description", 2, Text), ("version", 6, Text)], 7);

/// `openapi.v2.Document`.
pub(super) static V2_DOCUMENT: Message = plain(
    &[
        ("swagger", 1, Text),
        ("info", 2, Nested(|| &INFO_V2)),
        ("paths", 8, Nested(|| &V2_PATHS)),
        ("definitions", 9, Nested(|| &V2_SCHEMAS)),
        ("parameters", 10, Nested(|| &V2_PARAMETERS)),
        ("security", 12, List(&Nested(|| &V2_REQUIREMENT))),
        ("securityDefinitions", 13, Nested(|| &V2_SECURITY)),
    ],
    16,
);
static V2_PATHS: Message = Message { fields: &[], extensions: 1, rest: Some((2, Nested(|| &V2_PATH_ITEM))) };
static V2_SCHEMAS: Message = map(Nested(|| &V2_SCHEMA));
static V2_PARAMETERS: Message = map(Choice(parameter));
static V2_REQUIREMENT: Message = map(Choice(|_| (1, TEXTS)));
static V2_SECURITY: Message = map(Choice(|_| (2, Nested(|| &V2_API_KEY))));
static V2_API_KEY: Message = plain(&[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)], 5);
static V2_PATH_ITEM: Message = plain(
    &[
        ("get", 2, Nested(|| &V2_OPERATION)),
        ("put", 3, Nested(|| &V2_OPERATION)),
        ("post", 4, Nested(|| &V2_OPERATION)),
        ("delete", 5, Nested(|| &V2_OPERATION)),
        ("options", 6, Nested(|| &V2_OPERATION)),
        ("head", 7, Nested(|| &V2_OPERATION)),
        ("patch", 8, Nested(|| &V2_OPERATION)),
        ("parameters", 9, List(&Choice(parameter_item))),
    ],
    10,
);
static V2_OPERATION: Message = plain(
    &[
        ("tags", 1, TEXTS),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, TEXTS),
        ("consumes", 7, TEXTS),
        ("parameters", 8, List(&Choice(parameter_item))),
        ("responses", 9, Nested(|| &V2_RESPONSES)),
        ("schemes", 10, TEXTS),
        ("deprecated", 11, Flag),
    ],
    13,
);
static V2_RESPONSES: Message =
    Message { fields: &[], extensions: 2, rest: Some((1, Choice(|_| (1, Nested(|| &V2_RESPONSE))))) };
static V2_RESPONSE: Message =
    plain(&[("description", 1, Text), ("schema", 2, Choice(|_| (1, Nested(|| &V2_SCHEMA))))], 5);
static V2_REFERENCE: Message = plain(&[("$ref", 1, Text), ("description", 2, Text)], 0);

fn parameter_item(value: &Value) -> (u32, Shape) {
    if is_reference(value) { (2, Nested(|| &V2_REFERENCE)) } else { (1, Choice(parameter)) }
}

fn parameter(value: &Value) -> (u32, Shape) {
    if value["in"] == "body" { (1, Nested(|| &V2_BODY)) } else { (2, Choice(non_body)) }
}

fn non_body(value: &Value) -> (u32, Shape) {
    match value["in"].as_str() {
        Some("path") => (4, Nested(|| &V2_IN_PATH)),
        _ => (3, Nested(|| &V2_IN_QUERY)),
    }
}

static V2_BODY: Message = plain(
    &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, Nested(|| &V2_SCHEMA)),
    ],
    6,
);
static V2_IN_QUERY: Message = plain(
    &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Flag),
    ],
    23,
);
static V2_IN_PATH: Message = plain(
    &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Flag),
    ],
    22,
);
static V2_SCHEMA: Message = plain(
    &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Double),
        ("maximum", 7, Double),
        ("exclusiveMaximum", 8, Flag),
        ("minimum", 9, Double),
        ("exclusiveMinimum", 10, Flag),
        ("maxLength", 11, Whole),
        ("minLength", 12, Whole),
        ("pattern", 13, Text),
        ("maxItems", 14, Whole),
        ("minItems", 15, Whole),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Whole),
        ("minProperties", 18, Whole),
        ("required", 19, TEXTS),
        ("enum", 20, List(&Any)),
        ("additionalProperties", 21, Choice(v2_additional)),
        ("type", 22, Choice(|_| (1, Text))),
        ("items", 23, Choice(|_| (1, Nested(|| &V2_SCHEMA)))),
        ("allOf", 24, List(&Nested(|| &V2_SCHEMA))),
        ("properties", 25, Nested(|| &V2_SCHEMAS)),
        ("readOnly", 27, Flag),
        ("example", 30, Any),
    ],
    31,
);

fn v2_additional(value: &Value) -> (u32, Shape) {
    if value.is_boolean() { (2, Bool) } else { (1, Nested(|| &V2_SCHEMA)) }
}

/// `openapi.v3.Document`.
pub(super) static V3_DOCUMENT: Message = plain(
    &[
        ("openapi", 1, Text),
        ("info", 2, Nested(|| &INFO_V3)),
        ("paths", 4, Nested(|| &V3_PATHS)),
        ("components", 5, Nested(|| &V3_COMPONENTS)),
    ],
    9,
);
static V3_PATHS: Message = Message { fields: &[], extensions: 2, rest: Some((1, Nested(|| &V3_PATH_ITEM))) };
static V3_COMPONENTS: Message =
    plain(&[("schemas", 1, Nested(|| &V3_SCHEMAS)), ("securitySchemes", 7, Nested(|| &V3_SECURITY))], 10);
static V3_SCHEMAS: Message = map(Choice(schema));
static V3_SECURITY: Message = map(Choice(|_| (1, Nested(|| &V3_API_KEY))));
static V3_API_KEY: Message = plain(&[("type", 1, Text), ("description", 2, Text), ("name", 3, Text), ("in", 4, Text)], 9);
static V3_PATH_ITEM: Message = plain(
    &[
        ("get", 4, Nested(|| &V3_OPERATION)),
        ("put", 5, Nested(|| &V3_OPERATION)),
        ("post", 6, Nested(|| &V3_OPERATION)),
        ("delete", 7, Nested(|| &V3_OPERATION)),
        ("options", 8, Nested(|| &V3_OPERATION)),
        ("head", 9, Nested(|| &V3_OPERATION)),
        ("patch", 10, Nested(|| &V3_OPERATION)),
        ("parameters", 13, List(&Choice(|_| (1, Nested(|| &V3_PARAMETER))))),
    ],
    14,
);
static V3_OPERATION: Message = plain(
    &[
        ("tags", 1, TEXTS),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("parameters", 6, List(&Choice(|_| (1, Nested(|| &V3_PARAMETER))))),
        ("requestBody", 7, Choice(|_| (1, Nested(|| &V3_BODY)))),
        ("responses", 8, Nested(|| &V3_RESPONSES)),
        ("deprecated", 10, Flag),
    ],
    13,
);
static V3_PARAMETER: Message = plain(
    &[
        ("name", 1, Text),
        ("in", 2, Text),
        ("description", 3, Text),
        ("required", 4, Flag),
        ("schema", 10, Choice(schema)),
    ],
    14,
);
static V3_BODY: Message = plain(&[("description", 1, Text), ("content", 2, Nested(|| &V3_MEDIA_TYPES)), ("required", 3, Flag)], 4);
static V3_MEDIA_TYPES: Message = map(Nested(|| &V3_MEDIA_TYPE));
static V3_MEDIA_TYPE: Message = plain(&[("schema", 1, Choice(schema))], 5);
static V3_RESPONSES: Message =
    Message { fields: &[], extensions: 3, rest: Some((2, Choice(|_| (1, Nested(|| &V3_RESPONSE))))) };
static V3_RESPONSE: Message = plain(&[("description", 1, Text), ("content", 3, Nested(|| &V3_MEDIA_TYPES))], 5);
static V3_REFERENCE: Message = plain(&[("$ref", 1, Text), ("summary", 2, Text), ("description", 3, Text)], 0);

fn schema(value: &Value) -> (u32, Shape) {
    if is_reference(value) { (2, Nested(|| &V3_REFERENCE)) } else { (1, Nested(|| &V3_SCHEMA)) }
}

fn v3_additional(value: &Value) -> (u32, Shape) {
    if value.is_boolean() { (2, Bool) } else { (1, Choice(schema)) }
}

static V3_SCHEMA: Message = plain(
    &[
        ("nullable", 1, Flag),
        ("readOnly", 3, Flag),
        ("writeOnly", 4, Flag),
        ("example", 7, Any),
        ("deprecated", 8, Flag),
        ("title", 9, Text),
        ("multipleOf", 10, Double),
        ("maximum", 11, Double),
        ("exclusiveMaximum", 12, Flag),
        ("minimum", 13, Double),
        ("exclusiveMinimum", 14, Flag),
        ("maxLength", 15, Whole),
        ("minLength", 16, Whole),
        ("pattern", 17, Text),
        ("maxItems", 18, Whole),
        ("minItems", 19, Whole),
        ("uniqueItems", 20, Flag),
        ("maxProperties", 21, Whole),
        ("minProperties", 22, Whole),
        ("required", 23, TEXTS),
        ("enum", 24, List(&Any)),
        ("type", 25, Text),
        ("allOf", 26, List(&Choice(schema))),
        ("oneOf", 27, List(&Choice(schema))),
        ("anyOf", 28, List(&Choice(schema))),
        ("not", 29, Nested(|| &V3_SCHEMA)),
        ("items", 30, Choice(|_| (1, Choice(schema)))),
        ("properties", 31, Nested(|| &V3_SCHEMAS)),
        ("additionalProperties", 32, Choice(v3_additional)),
        ("default", 33, Shape::Default),
        ("description", 34, Text),
        ("format", 35, Text),
    ],
    36,
);
