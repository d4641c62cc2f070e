//! What a Go program would not have written: empty values of fields that are left out when they are empty.
//!
//! A client may send `"data": {}` or `"stdin": false`; Kubernetes reads them into structs that cannot tell them from
//! nothing and stores nothing. The schema says which fields are like that (`emit: nonzero`).

use schema::{Emit, Field, Kind, Type};
use serde_json::Value;

/// Takes such values out of an object's tree; whether there were any.
pub fn drop_empty(tree: &mut Value, ty: &'static Type) -> bool {
    let Value::Object(map) = tree else { return false };
    let mut changed = false;
    for field in ty.json_fields() {
        let Some(value) = map.get_mut(field.json()) else { continue };
        changed |= inside(value, field);
        if field.emit() == Emit::Nonzero && is_empty(value, field.kind()) {
            map.remove(field.json());
            changed = true;
        }
    }
    changed
}

fn inside(value: &mut Value, field: &'static Field) -> bool {
    let Some(ty) = field.ty().filter(|t| t.special().is_none()) else { return false };
    match (field.kind(), value) {
        (Kind::Object, value) => drop_empty(value, ty),
        (Kind::List, Value::Array(list)) if field.item() == Kind::Object => {
            list.iter_mut().fold(false, |changed, v| drop_empty(v, ty) || changed)
        }
        (Kind::Map, Value::Object(map)) if field.item() == Kind::Object => {
            map.values_mut().fold(false, |changed, v| drop_empty(v, ty) || changed)
        }
        _ => false,
    }
}

fn is_empty(value: &Value, kind: Kind) -> bool {
    match (kind, value) {
        // A struct is there once it is named, whatever it holds.
        (Kind::Object | Kind::Any, _) => false,
        (_, Value::String(s)) => s.is_empty(),
        (_, Value::Bool(b)) => !b,
        (_, Value::Number(n)) => n.as_f64() == Some(0.0),
        (_, Value::Array(list)) => list.is_empty(),
        (_, Value::Object(map)) => map.is_empty(),
        (_, Value::Null) => false,
    }
}
