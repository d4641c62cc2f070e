//! Protobuf to JSON. Unknown fields are skipped, the last of repeated scalars wins, repeated messages merge; then what is
//! unset appears as the Go structs print it (schema: `emit`).

use base64::Engine;
use schema::{Emit, Field, Kind, Type};
use serde_json::{Map, Value, json};

use super::wire::{Fields, Wire};
use super::{Envelope, MAX_DEPTH, MAX_MESSAGE_BYTES, ProtoError, special};

/// Decodes a bare message of that type to its JSON members.
///
/// # Errors
/// Malformed bytes.
pub fn decode_message(bytes: &[u8], ty: &'static Type) -> Result<Map<String, Value>, ProtoError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(ProtoError::Malformed("message too large"));
    }
    message(bytes, ty, MAX_DEPTH)
}

/// Reads a `runtime.Unknown`.
pub(super) fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, ProtoError> {
    let mut envelope = Envelope { api_version: "", kind: "", raw: &[], content_encoding: "", content_type: "" };
    let mut fields = Fields::of(bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => {
                let mut inner = Fields::of(value.bytes("typeMeta")?);
                while let Some((tag, value)) = inner.next()? {
                    match tag {
                        1 => envelope.api_version = value.text("apiVersion")?,
                        2 => envelope.kind = value.text("kind")?,
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = value.bytes("raw")?,
            3 => envelope.content_encoding = value.text("contentEncoding")?,
            4 => envelope.content_type = value.text("contentType")?,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads a WatchEvent: its type and its object's raw bytes.
pub(super) fn watch_event(bytes: &[u8]) -> Result<(&str, &[u8]), ProtoError> {
    let (mut kind, mut object): (&str, &[u8]) = ("", &[]);
    let mut fields = Fields::of(bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => kind = value.text("type")?,
            2 => {
                let mut inner = Fields::of(value.bytes("object")?);
                while let Some((tag, value)) = inner.next()? {
                    if tag == 1 {
                        object = value.bytes("raw")?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((kind, object))
}

/// The members of a message.
pub(super) fn message(bytes: &[u8], ty: &'static Type, depth: u32) -> Result<Map<String, Value>, ProtoError> {
    if depth == 0 {
        return Err(ProtoError::Malformed("exceeded max depth"));
    }
    let mut map = Map::new();
    let mut fields = Fields::of(bytes);
    while let Some((tag, wire)) = fields.next()? {
        let Some(field) = ty.fields().iter().find(|field| field.tag() == tag) else { continue };
        if field.inline() {
            if let Some(inner) = field.ty() {
                map.extend(message(wire.bytes("inline")?, inner, depth - 1)?);
            }
            continue;
        }
        put(&mut map, field, wire, depth)?;
    }
    settle(&mut map, ty, depth)?;
    Ok(map)
}

fn put(map: &mut Map<String, Value>, field: &'static Field, wire: Wire<'_>, depth: u32) -> Result<(), ProtoError> {
    let name = field.json();
    match field.kind() {
        Kind::List => {
            let value = item(field, wire, depth)?;
            match map.get_mut(name) {
                Some(Value::Array(list)) => list.push(value),
                _ => drop(map.insert(name.to_owned(), Value::Array(vec![value]))),
            }
        }
        Kind::Map => {
            let (key, value) = entry(field, wire.bytes(name)?, depth)?;
            match map.get_mut(name) {
                Some(Value::Object(inner)) => drop(inner.insert(key, value)),
                _ => drop(map.insert(name.to_owned(), json!({ key: value }))),
            }
        }
        _ => {
            let value = item(field, wire, depth)?;
            match (map.get_mut(name), value) {
                (Some(Value::Object(before)), Value::Object(more)) => before.extend(more),
                (_, value) => drop(map.insert(name.to_owned(), value)),
            }
        }
    }
    Ok(())
}

fn entry(field: &'static Field, bytes: &[u8], depth: u32) -> Result<(String, Value), ProtoError> {
    let (mut key, mut value) = (String::new(), None);
    let mut fields = Fields::of(bytes);
    while let Some((tag, wire)) = fields.next()? {
        match tag {
            1 => wire.text(field.json())?.clone_into(&mut key),
            2 => value = Some(item(field, wire, depth)?),
            _ => {}
        }
    }
    let value = match value {
        Some(value) => value,
        None => zero(field, depth)?,
    };
    Ok((key, value))
}

fn item(field: &'static Field, wire: Wire<'_>, depth: u32) -> Result<Value, ProtoError> {
    let name = field.json();
    Ok(match (field.item(), field.ty()) {
        (Kind::Object, Some(ty)) => match ty.special() {
            Some(special) => special::decode(wire.bytes(name)?, ty, special, depth - 1)?,
            None => Value::Object(message(wire.bytes(name)?, ty, depth - 1)?),
        },
        (Kind::String | Kind::Enum, _) => json!(wire.text(name)?),
        (Kind::Int32, _) => json!(wire.int(name)? as i32),
        (Kind::Int64, _) => json!(wire.int(name)?),
        (Kind::Bool, _) => json!(wire.int(name)? != 0),
        (Kind::Double, _) => json!(wire.double(name)?),
        (Kind::Bytes, _) => json!(base64::engine::general_purpose::STANDARD.encode(wire.bytes(name)?)),
        _ => return Err(ProtoError::field(name, "has no protobuf form")),
    })
}

fn zero(field: &'static Field, depth: u32) -> Result<Value, ProtoError> {
    Ok(match (field.item(), field.ty()) {
        (Kind::Object, Some(ty)) => special::empty(ty, depth.saturating_sub(1))?,
        (Kind::String | Kind::Enum | Kind::Bytes, _) => json!(""),
        (Kind::Bool, _) => json!(false),
        (Kind::Int32 | Kind::Int64 | Kind::Double, _) => json!(0),
        _ => Value::Null,
    })
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        other => special::is_zero(other),
    }
}

/// Adds what is in JSON even when unset and drops what is not there when zero.
fn settle(map: &mut Map<String, Value>, ty: &'static Type, depth: u32) -> Result<(), ProtoError> {
    for field in ty.fields().iter().filter(|field| !field.inline()) {
        let name = field.json();
        match (field.emit(), map.get(name)) {
            (Emit::Always, None) => {
                let value = match field.kind() {
                    Kind::List | Kind::Map | Kind::Bytes => Value::Null,
                    _ => zero(field, depth)?,
                };
                map.insert(name.to_owned(), value);
            }
            (Emit::Null, None) => drop(map.insert(name.to_owned(), Value::Null)),
            (Emit::Nonzero, Some(value)) if is_zero(value) => drop(map.remove(name)),
            (Emit::Unknown, Some(Value::Null)) => drop(map.remove(name)),
            _ => {}
        }
    }
    for field in ty.fields().iter().filter(|field| field.inline()) {
        let Some(inner) = field.ty() else { continue };
        settle(map, inner, depth)?;
    }
    Ok(())
}
