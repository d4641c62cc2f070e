//! Whether an applied configuration fits its schema: declared fields, lists and maps where they belong, list items with
//! their keys and without duplicates. And the completion of objects by what the Go structs always print.

use std::collections::BTreeSet;

use schema::{Emit, Kind, Special, Type};
use serde_json::{Map, Value};

use super::path::{Element, show};
use super::walk::{element, form};
use crate::{Form, Shape};

/// What is wrong, as one message; `None` if nothing is.
pub(super) fn check(config: &Value, shape: Shape<'_>) -> Option<String> {
    let mut errors = Vec::new();
    visit(config, shape, &mut Vec::new(), &mut errors);
    match errors.len() {
        0 => None,
        1 => errors.pop(),
        _ => Some(format!("errors:\n  {}", errors.join("\n  "))),
    }
}

/// Errors that are told; more are dropped.
const MAX_ERRORS: usize = 100;

fn visit(value: &Value, shape: Shape<'_>, path: &mut Vec<Element>, errors: &mut Vec<String>) {
    if value.is_null() || errors.len() >= MAX_ERRORS {
        return;
    }
    let form = form(shape, value);
    match (form, value) {
        (Form::Granular, Value::Object(map)) => fields(map, shape, path, errors),
        (Form::Granular, other) => errors.push(format!("{}: expected map, got {}", show(path), go(other))),
        (Form::Map | Form::Set, Value::Array(list)) => {
            let mut seen = BTreeSet::new();
            for (index, item) in list.iter().enumerate() {
                let element = element(item, shape, form);
                if form == Form::Map && let Some(problem) = nameless(item, &element, shape) {
                    errors.push(format!("{}: element {index}: associative list with keys {problem}", show(path)));
                    continue;
                }
                if !seen.insert(element.clone()) {
                    errors.push(format!("{}: duplicate entries for key {element}", show(path)));
                }
                path.push(element);
                visit(item, shape.element(), path, errors);
                path.pop();
            }
        }
        (Form::Map | Form::Set, other) => errors.push(format!("{}: expected list, got {}", show(path), go(other))),
        (Form::Scalar, value) => {
            if let Some(problem) = scalar(value, shape) {
                errors.push(format!("{}: {problem}", show(path)));
            }
        }
        // Atomic objects and lists still declare their fields.
        (Form::Atomic, Value::Object(map)) => fields(map, shape, path, errors),
        (Form::Atomic, Value::Array(list)) => {
            for (index, item) in list.iter().enumerate() {
                path.push(Element::Index(index));
                visit(item, shape.element(), path, errors);
                path.pop();
            }
        }
        (Form::Atomic, other) => match container(shape) {
            Some(word) => errors.push(format!("{}: expected {word}, got {}", show(path), go(other))),
            None => errors.extend(scalar(other, shape).map(|problem| format!("{}: {problem}", show(path)))),
        },
        _ => {}
    }
}

/// Why an item cannot be told from others. Keys that are left out have defaults, or make another item of it.
fn nameless(item: &Value, element: &Element, shape: Shape<'_>) -> Option<String> {
    if item.is_null() {
        return Some("may not have a null element".to_owned());
    }
    if !item.is_object() {
        return Some("may not have non-map elements".to_owned());
    }
    let Element::Key(keys) = element else { return None };
    let wanted: Vec<String> = shape.keys().into_iter().map(|k| format!("{k:?}")).collect();
    (keys.is_empty() && !wanted.is_empty()).then(|| {
        let list = wanted.join(" ");
        format!("has an element that omits all key fields [{list}] (and doesn't have default values for any key fields)")
    })
}

/// What a value of that shape holds others in.
fn container(shape: Shape<'_>) -> Option<&'static str> {
    let word = |kind: Kind, special: bool| match kind {
        Kind::List => Some("list"),
        Kind::Map => Some("map"),
        Kind::Object if !special => Some("map"),
        _ => None,
    };
    let special = |ty: Option<&'static Type>| ty.is_some_and(|ty| ty.special().is_some());
    match shape {
        Shape::Field(f) => word(f.kind(), special(f.ty())),
        Shape::Element(f) => word(f.item(), special(f.ty())),
        Shape::Part(schema) => match schema["type"].as_str() {
            Some("array") => Some("list"),
            Some("object") => Some("map"),
            _ => None,
        },
        _ => None,
    }
}

/// What is wrong with a scalar: each sort has words of its own.
fn scalar(value: &Value, shape: Shape<'_>) -> Option<String> {
    let kind = match shape {
        Shape::Field(f) if f.kind() == Kind::Object => f.ty().and_then(Type::special).map_or(Kind::Any, special),
        Shape::Field(f) => f.kind(),
        Shape::Element(f) if f.item() == Kind::Object => f.ty().and_then(Type::special).map_or(Kind::Any, special),
        Shape::Element(f) => f.item(),
        Shape::Part(schema) => match schema["type"].as_str() {
            Some("string") => Kind::String,
            Some("integer" | "number") => Kind::Double,
            Some("boolean") => Kind::Bool,
            _ => Kind::Any,
        },
        _ => Kind::Any,
    };
    match (kind, value) {
        (Kind::String | Kind::Enum | Kind::Bytes, Value::String(_)) | (Kind::Bool, Value::Bool(_)) => None,
        (Kind::Int32 | Kind::Int64 | Kind::Double, Value::Number(_)) => None,
        (Kind::String | Kind::Enum | Kind::Bytes, other) => Some(format!("expected string, got &value.valueUnstructured{{Value:{other}}}")),
        (Kind::Bool, other) => Some(format!("expected boolean, got {}", go(other))),
        (Kind::Int32 | Kind::Int64 | Kind::Double, other) => Some(format!("expected numeric (int or float), got {}", go_type(other))),
        (_, Value::Object(_) | Value::Array(_)) => Some(format!("expected scalar, got {}", go(value))),
        _ => None,
    }
}

/// The scalar that a special form is declared as; `Any` for those of two forms.
fn special(form: Special) -> Kind {
    match form {
        Special::Time | Special::MicroTime | Special::Duration => Kind::String,
        _ => Kind::Any,
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn fields(map: &Map<String, Value>, shape: Shape<'_>, path: &mut Vec<Element>, errors: &mut Vec<String>) {
    for (key, value) in map {
        path.push(Element::Field(key.clone()));
        match shape.child(key) {
            Some(inner) => visit(value, inner, path, errors),
            None if errors.len() < MAX_ERRORS => errors.push(format!("{}: field not declared in schema", show(path))),
            None => {}
        }
        path.pop();
    }
}

fn go(value: &Value) -> String {
    match value {
        Value::String(text) => format!("&{{{text}}}"),
        other => format!("&{{{other}}}"),
    }
}

/// Adds what the Go struct always prints and the value lacks: structs, recursively. Zero scalars are not added, since
/// whoever creates an object states them or leaves them to defaulting.
pub fn complete(value: &mut Value, shape: Shape<'_>) {
    if message(shape).is_some_and(|ty| !ty.prints_unset()) {
        return;
    }
    match (shape.form(), value) {
        (Form::Granular, Value::Object(map)) => {
            if let Some(ty) = message(shape) {
                for field in ty.json_fields().filter(|f| f.emit() == Emit::Always && f.kind() == Kind::Object) {
                    if field.ty().is_some_and(|inner| inner.special().is_none()) {
                        map.entry(field.json()).or_insert_with(|| Value::Object(Map::new()));
                    }
                }
            }
            for (key, value) in map.iter_mut() {
                if let Some(inner) = shape.child(key) {
                    complete(value, inner);
                }
            }
        }
        (Form::Map | Form::Atomic, Value::Array(list)) => list.iter_mut().for_each(|item| complete(item, shape.element())),
        _ => {}
    }
}

/// An object in which nothing was set, as its Go struct prints it: what ownership on creation is measured against.
pub(super) fn empty(shape: Shape<'_>) -> Value {
    match shape {
        Shape::Type(ty) => empty_message(ty, EMPTY_DEPTH),
        _ => Value::Object(Map::from_iter([("metadata".to_owned(), Value::Object(Map::new()))])),
    }
}

/// Nesting of always-printed structs; the deepest in the API is far less.
const EMPTY_DEPTH: u32 = 16;

fn empty_message(ty: &'static Type, depth: u32) -> Value {
    let mut map = Map::new();
    for field in ty.json_fields().filter(|field| field.always_printed() && depth > 0) {
        let value = match (field.kind(), field.ty()) {
            _ if field.emit() == Emit::Null => Value::Null,
            (Kind::Object, Some(inner)) if inner.special().is_none() => empty_message(inner, depth - 1),
            (Kind::String | Kind::Enum, _) => Value::from(""),
            (Kind::Int32 | Kind::Int64, _) => Value::from(0),
            (Kind::Bool, _) => Value::from(false),
            _ => Value::Null,
        };
        map.insert(field.json().to_owned(), value);
    }
    Value::Object(map)
}

fn message(shape: Shape<'_>) -> Option<&'static Type> {
    match shape {
        Shape::Type(ty) => Some(ty),
        Shape::Field(field) if field.kind() == Kind::Object => field.ty(),
        Shape::Element(field) if field.item() == Kind::Object => field.ty(),
        _ => None,
    }
}
