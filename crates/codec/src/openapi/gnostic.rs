//! gnostic's protobuf form of OpenAPI documents (messages `openapi.v2.Document` and `openapi.v3.Document`), written from
//! the JSON form by two tables of field numbers. Vendor extensions travel as YAML text, of which JSON is a part.

mod messages;

use messages::{Message, Shape};
use serde_json::Value;

/// A v2 document, or a fragment of one.
pub(super) fn v2(tree: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    body(&messages::V2_DOCUMENT, tree, &mut out);
    out
}

/// A v3 document, or a fragment of one.
pub(super) fn v3(tree: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    body(&messages::V3_DOCUMENT, tree, &mut out);
    out
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bytes(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    varint(out, u64::from(tag << 3 | 2));
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn nested(tag: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    bytes(tag, &inner, out);
}

fn body(message: &Message, tree: &Value, out: &mut Vec<u8>) {
    for (key, value) in tree.as_object().into_iter().flatten() {
        if let Some((_, tag, shape)) = message.fields.iter().find(|f| f.0 == key) {
            field(*tag, shape, value, out);
        } else if key.starts_with("x-") && message.extensions > 0 {
            named(message.extensions, key, out, |inner| nested(2, inner, |any| yaml(value, any)));
        } else if let Some((tag, shape)) = &message.rest {
            named(*tag, key, out, |inner| field(2, shape, value, inner));
        }
    }
}

fn named(tag: u32, name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    nested(tag, out, |inner| {
        bytes(1, name.as_bytes(), inner);
        value(inner);
    });
}

/// `Any { yaml }`.
fn yaml(value: &Value, out: &mut Vec<u8>) {
    bytes(2, format!("{value}\n").as_bytes(), out);
}

fn field(tag: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match shape {
        Shape::Text => {
            if let Some(text) = value.as_str().filter(|t| !t.is_empty()) {
                bytes(tag, text.as_bytes(), out);
            }
        }
        Shape::Flag => {
            if value.as_bool() == Some(true) {
                varint(out, u64::from(tag << 3));
                out.push(1);
            }
        }
        Shape::Bool => {
            varint(out, u64::from(tag << 3));
            out.push(u8::from(value.as_bool() == Some(true)));
        }
        Shape::Whole => {
            if let Some(n) = value.as_i64().filter(|n| *n != 0) {
                varint(out, u64::from(tag << 3));
                varint(out, n.cast_unsigned());
            }
        }
        Shape::Double => {
            if let Some(n) = value.as_f64().filter(|n| *n != 0.0) {
                varint(out, u64::from(tag << 3 | 1));
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
        Shape::Any => nested(tag, out, |inner| yaml(value, inner)),
        Shape::List(inner) => value.as_array().into_iter().flatten().for_each(|v| element(tag, inner, v, out)),
        Shape::Nested(message) => nested(tag, out, |inner| body(message(), value, inner)),
        Shape::Choice(choose) => {
            let (inner_tag, inner_shape) = choose(value);
            nested(tag, out, |inner| field(inner_tag, &inner_shape, value, inner));
        }
        Shape::Default => nested(tag, out, |inner| default(value, inner)),
    }
}

/// Elements of lists are written even when empty.
fn element(tag: u32, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match (shape, value.as_str()) {
        (Shape::Text, Some(text)) => bytes(tag, text.as_bytes(), out),
        _ => field(tag, shape, value, out),
    }
}

/// `DefaultType`: a number, a boolean or a string; other defaults have no form there.
fn default(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(n) => {
            varint(out, 1 << 3 | 1);
            out.extend_from_slice(&n.as_f64().unwrap_or_default().to_le_bytes());
        }
        Value::Bool(b) => {
            varint(out, 2 << 3);
            out.push(u8::from(*b));
        }
        Value::String(text) => bytes(3, text.as_bytes(), out),
        _ => {}
    }
}
