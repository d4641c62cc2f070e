//! What is wrong with a strategically patched tree, in the words of the converter that fills Go structs from trees
//! (`cannot restore slice from string`): another one than reads JSON, with words of its own.

use schema::{Field, Kind, Special, Type};
use serde_json::Value;

use crate::reader::Peek;
use crate::validate_shape::{Problem, base64_problem, scalar_type, special_problem};

/// Numbers that do not fit their 32 bits lose the others, as that converter has it.
pub fn narrow(tree: &mut Value, ty: &'static Type) {
    let Value::Object(map) = tree else { return };
    for f in ty.json_fields() {
        let Some(value) = map.get_mut(f.json()) else { continue };
        let inner = f.ty().filter(|ty| ty.special().is_none());
        match (f.kind(), value, inner) {
            (Kind::List, Value::Array(list), Some(ty)) => list.iter_mut().for_each(|v| narrow(v, ty)),
            (Kind::Map, Value::Object(map), Some(ty)) => map.values_mut().for_each(|v| narrow(v, ty)),
            (Kind::Object, value, Some(ty)) => narrow(value, ty),
            (Kind::Int32, Value::Number(n), _) => {
                // The lower half is what is wanted.
                #[allow(clippy::cast_possible_truncation)]
                if let Some(kept) = n.as_i64().map(|n| n as i32) {
                    *n = kept.into();
                }
            }
            _ => {}
        }
    }
}

/// Go's kind of a tree's value.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// The first value of a tree that does not fit its field.
#[must_use]
pub fn problem(value: &Value, ty: &'static Type) -> Option<String> {
    if value.is_null() {
        return None;
    }
    if let Some(special) = ty.special() {
        return special_value(value, special);
    }
    let Value::Object(map) = value else { return Some(format!("cannot restore struct from: {}", kind_of(value))) };
    ty.json_fields().find_map(|f| map.get(f.json()).and_then(|v| field(v, ty, f)))
}

fn field(value: &Value, holder: &'static Type, f: &'static Field) -> Option<String> {
    match (f.kind(), value) {
        (_, Value::Null) => None,
        (Kind::List, Value::Array(list)) => list.iter().find_map(|v| item(v, holder, f)),
        (Kind::List, other) => Some(format!("cannot restore slice from {}", kind_of(other))),
        (Kind::Map, Value::Object(map)) => map.values().find_map(|v| item(v, holder, f)),
        (Kind::Map, other) => Some(format!("cannot restore map from {}", kind_of(other))),
        (_, value) => item(value, holder, f),
    }
}

fn item(value: &Value, holder: &'static Type, f: &'static Field) -> Option<String> {
    match (f.item(), f.ty(), value) {
        (_, _, Value::Null) | (Kind::Any | Kind::Object, None, _) => None,
        (Kind::Object, Some(ty), value) => problem(value, ty),
        (Kind::Bytes, _, Value::String(text)) => base64_problem(text).map(|why| format!("error decoding from json: {why}")),
        (Kind::String | Kind::Enum, _, Value::String(_)) | (Kind::Bool, _, Value::Bool(_)) | (Kind::Double, _, Value::Number(_)) => None,
        (Kind::Int32, _, Value::Number(n)) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => None,
        (Kind::Int64, _, Value::Number(n)) if n.is_i64() => None,
        (Kind::String | Kind::Enum, _, other) => Some(format!("cannot convert {} to {}", kind_of(other), scalar_type(Some(holder), f))),
        _ => Some(format!("unrecognized type: {}", scalar_type(Some(holder), f))),
    }
}

fn special_value(value: &Value, special: Special) -> Option<String> {
    if !matches!(special, Special::Time | Special::MicroTime | Special::Duration | Special::Quantity | Special::IntOrString) {
        return None;
    }
    let peek = match value {
        Value::Null => Peek::Null,
        Value::Bool(_) => Peek::Bool,
        Value::Number(_) => Peek::Number,
        Value::String(_) => Peek::String,
        Value::Array(_) => Peek::Array,
        Value::Object(_) => Peek::Object,
    };
    match special_problem(special, peek, value.to_string().as_bytes())? {
        Problem::Text(text) => Some(text),
        Problem::Mismatch(word, name) => Some(format!("json: cannot unmarshal {word} into Go value of type {name}")),
    }
}
