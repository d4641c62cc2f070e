//! JSON text to protobuf, without a tree: each object's values are noted as slices of the text and then written in tag
//! order. What is absent is written too where the Go structs always write it (schema: `emit`).

use std::borrow::Cow;

use base64::Engine;
use schema::{Emit, Field, Kind, Type};

use super::{MAX_DEPTH, ProtoError, special, wire};
use crate::reader::{Peek, Reader};

type Done = Result<(), ProtoError>;

/// The members of an object: names, and values as slices of the text.
type Entries<'a> = Vec<(Cow<'a, str>, &'a [u8])>;

/// Encodes the JSON text of a value of that type as a bare message.
///
/// # Errors
/// Text that is not JSON, values that do not fit their fields.
pub fn encode_message(json: &[u8], ty: &'static Type) -> Result<Vec<u8>, ProtoError> {
    let mut out = Vec::with_capacity(json.len());
    message(&mut out, json, ty, MAX_DEPTH)?;
    Ok(out)
}

/// The `apiVersion` and `kind` of an object.
pub(super) fn type_meta(json: &[u8]) -> Result<(String, String), ProtoError> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    for (key, value) in entries(json)? {
        match key.as_ref() {
            "apiVersion" => api_version = text(value, "apiVersion")?.into_owned(),
            "kind" => kind = text(value, "kind")?.into_owned(),
            _ => {}
        }
    }
    Ok((api_version, kind))
}

/// The members of an object as slices of the text; none for `null` and absent values.
pub(super) fn entries(json: &[u8]) -> Result<Entries<'_>, ProtoError> {
    let mut all = Vec::new();
    if json.is_empty() {
        return Ok(all);
    }
    let mut reader = Reader::new(json);
    match reader.peek()? {
        Peek::Null => return Ok(all),
        Peek::Object => reader.open()?,
        _ => return Err(ProtoError::Malformed("an object was expected")),
    }
    let mut first = true;
    while let Some(key) = reader.key(&mut first)? {
        all.push((key, reader.skip()?));
    }
    reader.finish()?;
    Ok(all)
}

/// The elements of an array as slices of the text.
pub(super) fn elements<'a>(json: &'a [u8], field: &str) -> Result<Vec<&'a [u8]>, ProtoError> {
    let mut reader = Reader::new(json);
    if reader.peek()? != Peek::Array {
        return Err(ProtoError::field(field, "an array was expected"));
    }
    reader.open()?;
    let (mut first, mut all) = (true, Vec::new());
    while reader.element(&mut first)? {
        all.push(reader.skip()?);
    }
    Ok(all)
}

pub(super) fn text<'a>(json: &'a [u8], field: &str) -> Result<Cow<'a, str>, ProtoError> {
    let mut reader = Reader::new(json);
    match reader.peek()? {
        Peek::String => Ok(reader.string()?),
        Peek::Null => Ok(Cow::Borrowed("")),
        _ => Err(ProtoError::field(field, "a string was expected")),
    }
}

pub(super) fn is_null(json: &[u8]) -> bool {
    json.is_empty() || json.first() == Some(&b'n')
}

/// The body of a message; an empty text stands for an absent value.
pub(super) fn message(out: &mut Vec<u8>, json: &[u8], ty: &'static Type, depth: u32) -> Done {
    if depth == 0 {
        return Err(ProtoError::Malformed("exceeded max depth"));
    }
    match ty.special() {
        Some(kind) => special::encode(out, json, ty, kind, depth),
        None => fields(out, &entries(json)?, ty, depth),
    }
}

/// Fields in tag order. Later members of the same name win, as they do in JSON.
fn fields(out: &mut Vec<u8>, entries: &[(Cow<'_, str>, &[u8])], ty: &'static Type, depth: u32) -> Done {
    let mut ordered: Vec<&'static Field> = ty.fields().iter().collect();
    ordered.sort_unstable_by_key(|field| field.tag());
    for field in ordered {
        if field.inline() {
            if let Some(inner) = field.ty() {
                wire::message(out, field.tag(), |out| fields(out, entries, inner, depth - 1))?;
            }
            continue;
        }
        let value = entries.iter().rev().find(|(key, _)| key == field.json()).map(|(_, value)| *value);
        match field.kind() {
            Kind::List => list(out, field, value.unwrap_or_default(), depth)?,
            Kind::Map => map(out, field, value.unwrap_or_default(), depth)?,
            _ => single(out, field, value.unwrap_or_default(), depth)?,
        }
    }
    Ok(())
}

fn single(out: &mut Vec<u8>, field: &'static Field, value: &[u8], depth: u32) -> Done {
    let absent = is_null(value);
    let skipped = match (field.emit(), field.kind()) {
        (Emit::Presence | Emit::Null | Emit::Unknown, _) | (_, Kind::Bytes) => absent,
        _ => false,
    };
    if skipped {
        return Ok(());
    }
    item(out, field.tag(), field, if absent { &[] } else { value }, depth)
}

fn list(out: &mut Vec<u8>, field: &'static Field, value: &[u8], depth: u32) -> Done {
    if is_null(value) {
        return Ok(());
    }
    for element in elements(value, field.json())? {
        let element = if is_null(element) { &[] } else { element };
        item(out, field.tag(), field, element, depth)?;
    }
    Ok(())
}

fn map(out: &mut Vec<u8>, field: &'static Field, value: &[u8], depth: u32) -> Done {
    let mut entries = entries(value)?;
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (at, (key, value)) in entries.iter().enumerate() {
        if entries.get(at + 1).is_some_and(|(next, _)| next == key) {
            continue;
        }
        let value = if is_null(value) { &[] } else { *value };
        wire::message(out, field.tag(), |out| {
            wire::string(out, 1, key);
            item(out, 2, field, value, depth)
        })?;
    }
    Ok(())
}

/// One value of the field's (item) kind under a tag; an empty text is a zero.
fn item(out: &mut Vec<u8>, tag: u32, field: &'static Field, value: &[u8], depth: u32) -> Done {
    let name = field.json();
    match (field.item(), field.ty()) {
        (Kind::Object, Some(ty)) => wire::message(out, tag, |out| message(out, value, ty, depth - 1))?,
        (Kind::Int32 | Kind::Int64, _) => wire::int(out, tag, integer(value, name)?),
        (Kind::Bool, _) => {
            let mut reader = Reader::new(value);
            let flag = match value {
                [] => false,
                _ if reader.peek()? == Peek::Bool => reader.bool()?,
                _ => return Err(ProtoError::field(name, "a boolean was expected")),
            };
            wire::int(out, tag, i64::from(flag));
        }
        (Kind::Double, _) => {
            let number = std::str::from_utf8(value).ok().and_then(|text| if text.is_empty() { Some(0.0) } else { text.trim().parse().ok() });
            wire::double(out, tag, number.ok_or_else(|| ProtoError::field(name, "a number was expected"))?);
        }
        (Kind::Bytes, _) => {
            let text = if value.is_empty() { Cow::Borrowed("") } else { text(value, name)? };
            let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
            wire::bytes(out, tag, &bytes.map_err(|_| ProtoError::field(name, "illegal base64 data"))?);
        }
        (Kind::String | Kind::Enum, _) => {
            let text = if value.is_empty() { Cow::Borrowed("") } else { text(value, name)? };
            wire::string(out, tag, &text);
        }
        _ => return Err(ProtoError::field(name, "has no protobuf form")),
    }
    Ok(())
}

pub(super) fn integer(value: &[u8], name: &str) -> Result<i64, ProtoError> {
    if value.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    text.parse().map_err(|_| ProtoError::field(name, "an integer was expected"))
}

/// The text without white space between tokens.
pub(super) fn compact(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for &c in json {
        if quoted {
            quoted = escaped || c != b'"';
            escaped = c == b'\\' && !escaped;
        } else if matches!(c, b' ' | b'\n' | b'\t' | b'\r') {
            continue;
        } else {
            quoted = c == b'"';
        }
        out.push(c);
    }
    out
}
