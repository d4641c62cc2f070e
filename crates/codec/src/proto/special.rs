//! Types whose JSON form is not field by field: times, durations, quantities, int-or-strings, raw JSON and the three
//! either-or schemas of custom resource definitions.

use jiff::Timestamp;
use schema::{Field, Special, Type};
use serde_json::{Map, Value, json};

use super::encode::{self, compact, elements, is_null, text};
use super::wire::{self, Fields, Wire};
use super::ProtoError;
use super::decode::message;
use crate::reader::{Peek, Reader};

/// The body of a special message.
pub(super) fn encode(out: &mut Vec<u8>, json: &[u8], ty: &'static Type, special: Special, depth: u32) -> Result<(), ProtoError> {
    let name = ty.short_name();
    match special {
        Special::Time | Special::MicroTime if is_null(json) => {}
        Special::Time | Special::MicroTime => {
            let text = text(json, name)?;
            let time: Timestamp = text.parse().map_err(|_| ProtoError::field(name, "an RFC 3339 time was expected"))?;
            let (seconds, nanos) = parts(time);
            wire::int(out, 1, seconds);
            wire::int(out, 2, if special == Special::MicroTime { nanos / 1000 * 1000 } else { 0 });
        }
        Special::Duration => {
            let text = if json.is_empty() { "0s".into() } else { text(json, name)? };
            wire::int(out, 1, crate::duration::parse(&text).ok_or_else(|| ProtoError::field(name, "a duration was expected"))?);
        }
        Special::Quantity => {
            let mut reader = Reader::new(json);
            let text = match json {
                [] => "0".into(),
                _ if reader.peek()? == Peek::Number => reader.number()?.into(),
                _ => text(json, name)?,
            };
            wire::string(out, 1, &text);
        }
        Special::IntOrString => int_or_string(out, json, name)?,
        Special::RawExtension | Special::RawJson | Special::FieldsV1 => {
            if !json.is_empty() {
                wire::bytes(out, 1, &compact(json));
            }
        }
        Special::ListWrapper => {
            if !is_null(json) {
                for element in elements(json, name)? {
                    wire::string(out, 1, &text(element, name)?);
                }
            }
        }
        Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray => either(out, json, ty, special, depth)?,
        Special::UnknownEnvelope | Special::ProtoOnly => return Err(ProtoError::field(name, "has no JSON form")),
    }
    Ok(())
}

/// Whole seconds since the epoch, rounded down, and the nanoseconds on top.
fn parts(time: Timestamp) -> (i64, i64) {
    let nanos = time.as_nanosecond();
    let second = 1_000_000_000;
    let seconds = i64::try_from(nanos.div_euclid(second)).unwrap_or_default();
    (seconds, i64::try_from(nanos.rem_euclid(second)).unwrap_or_default())
}

fn int_or_string(out: &mut Vec<u8>, json: &[u8], name: &str) -> Result<(), ProtoError> {
    if json.first() == Some(&b'"') {
        wire::int(out, 1, 1);
        wire::int(out, 2, 0);
        wire::string(out, 3, &text(json, name)?);
    } else {
        wire::int(out, 1, 0);
        wire::int(out, 2, encode::integer(json, name)?);
        wire::string(out, 3, "");
    }
    Ok(())
}

fn inner(ty: &'static Type) -> Result<&'static Type, ProtoError> {
    ty.fields().iter().find_map(Field::ty).ok_or(ProtoError::Malformed("a schema has no type"))
}

fn either(out: &mut Vec<u8>, json: &[u8], ty: &'static Type, special: Special, depth: u32) -> Result<(), ProtoError> {
    let schema = inner(ty)?;
    match json.first() {
        Some(b'{') => {
            let tag = if special == Special::SchemaOrBool { 2 } else { 1 };
            if special == Special::SchemaOrBool {
                wire::int(out, 1, 1);
            }
            wire::message(out, tag, |out| encode::message(out, json, schema, depth - 1))
        }
        Some(b'[') if special == Special::SchemaOrArray => {
            for element in elements(json, ty.short_name())? {
                wire::message(out, 2, |out| encode::message(out, element, schema, depth - 1))?;
            }
            Ok(())
        }
        Some(b'[') if special == Special::SchemaOrStringArray => {
            for element in elements(json, ty.short_name())? {
                wire::string(out, 2, &text(element, ty.short_name())?);
            }
            Ok(())
        }
        first if special == Special::SchemaOrBool => {
            wire::int(out, 1, i64::from(first == Some(&b't')));
            Ok(())
        }
        None => Ok(()),
        Some(_) => Err(ProtoError::field(ty.short_name(), "an object or an array was expected")),
    }
}

/// The JSON of a special message; `null` where nothing was set.
pub(super) fn decode(bytes: &[u8], ty: &'static Type, special: Special, depth: u32) -> Result<Value, ProtoError> {
    let mut slots = [None::<Wire<'_>>; 3];
    let mut repeated = Vec::new();
    let mut fields = Fields::of(bytes);
    while let Some((tag, value)) = fields.next()? {
        if let Some(slot) = slots.get_mut(tag as usize - 1) {
            *slot = Some(value);
        }
        repeated.push((tag, value));
    }
    let name = ty.short_name();
    let int = |at: usize| slots[at].map_or(Ok(0), |wire| wire.int(name));
    Ok(match special {
        Special::Time | Special::MicroTime if bytes.is_empty() => Value::Null,
        Special::Time => json!(time(int(0)?, int(1)?, name)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        Special::MicroTime => json!(time(int(0)?, int(1)?, name)?.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
        Special::Duration => json!(crate::duration::format(int(0)?)),
        Special::Quantity => json!(slots[0].map_or(Ok("0"), |wire| wire.text(name))?),
        Special::IntOrString if int(0)? == 1 => json!(slots[2].map_or(Ok(""), |wire| wire.text(name))?),
        Special::IntOrString => json!(int(1)? as i32),
        Special::RawExtension | Special::RawJson | Special::FieldsV1 => match slots[0] {
            None => Value::Null,
            Some(wire) => serde_json::from_slice(wire.bytes(name)?).map_err(|_| ProtoError::field(name, "does not hold JSON"))?,
        },
        Special::ListWrapper => repeated.iter().filter(|(tag, _)| *tag == 1).map(|(_, wire)| wire.text(name).map(Value::from)).collect::<Result<Value, _>>()?,
        Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray => read_either(&repeated, ty, special, depth)?,
        Special::UnknownEnvelope | Special::ProtoOnly => return Err(ProtoError::field(name, "has no JSON form")),
    })
}

fn time(seconds: i64, nanos: i64, name: &str) -> Result<Timestamp, ProtoError> {
    let nanos = i32::try_from(nanos).unwrap_or(0);
    Timestamp::new(seconds, nanos).map_err(|_| ProtoError::field(name, "time out of range"))
}

fn read_either(fields: &[(u32, Wire<'_>)], ty: &'static Type, special: Special, depth: u32) -> Result<Value, ProtoError> {
    let schema = inner(ty)?;
    let name = ty.short_name();
    let object = |wire: Wire<'_>| -> Result<Value, ProtoError> { Ok(Value::Object(message(wire.bytes(name)?, schema, depth)?)) };
    if special == Special::SchemaOrBool {
        if let Some((_, wire)) = fields.iter().rev().find(|(tag, _)| *tag == 2) {
            return object(*wire);
        }
        let allowed = fields.iter().rev().find(|(tag, _)| *tag == 1).map_or(Ok(0), |(_, wire)| wire.int(name))?;
        return Ok(json!(allowed != 0));
    }
    let many: Vec<Wire<'_>> = fields.iter().filter(|(tag, _)| *tag == 2).map(|(_, wire)| *wire).collect();
    if !many.is_empty() {
        let read = |wire: Wire<'_>| if special == Special::SchemaOrArray { object(wire) } else { wire.text(name).map(Value::from) };
        return many.into_iter().map(read).collect();
    }
    match fields.iter().rev().find(|(tag, _)| *tag == 1) {
        Some((_, wire)) => object(*wire),
        None => Ok(Value::Null),
    }
}

/// Whether a decoded special value is what the type's zero looks like.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// An empty object of a type: what is in JSON even when nothing was set.
pub(super) fn empty(ty: &'static Type, depth: u32) -> Result<Value, ProtoError> {
    match ty.special() {
        Some(Special::Quantity) => Ok(json!("0")),
        Some(Special::Duration) => Ok(json!("0s")),
        Some(Special::IntOrString) => Ok(json!(0)),
        Some(_) => Ok(Value::Null),
        None if depth == 0 => Ok(Value::Object(Map::new())),
        None => message(&[], ty, depth).map(Value::Object),
    }
}
