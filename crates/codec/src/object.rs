//! Typed objects to and from their JSON: the one place where serde is instantiated over the kinds.
//!
//! Encoding has a hole: stored bytes carry no `metadata.resourceVersion`, because it is only known once the write is
//! committed. [`with_revision`] fills it in.

use crate::unset;
use bytes::{BufMut, Bytes, BytesMut};
use kinds::{Dynamic, Kind, LabelSelector, ManagedFieldsEntry, Object, ObjectMeta, Resource, Revision, for_each_kind};
use memchr::{memchr2, memchr2_iter};
use schema::{Special, Type};
use serde::{Deserialize, Serialize, ser::SerializeMap};
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// JSON that is no object of the kind it should be.
#[derive(Debug)]
pub struct DecodeError(serde_json::Error);

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
impl std::error::Error for DecodeError {}

macro_rules! codecs {
    ($($v:ident: $ty:ty;)*) => {
        fn decode_kind(kind: Kind, json: &[u8]) -> Result<Object, serde_json::Error> {
            match kind { $(Kind::$v => serde_json::from_slice::<$ty>(json).map(Object::from),)* }
        }
        fn encode_object(object: &Object, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
            match object {
                $(Object::$v(o) => serde_json::to_writer(out, &**o),)*
                Object::Dynamic(d) => serde_json::to_writer(out, &Tree(d)),
            }
        }
    };
}
for_each_kind!(codecs);

struct Tree<'a>(&'a Dynamic);

impl Serialize for Tree<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("apiVersion", &self.0.api_version)?;
        map.serialize_entry("kind", &self.0.kind)?;
        map.serialize_entry("metadata", &self.0.metadata)?;
        for (k, v) in &self.0.body {
            map.serialize_entry(k, v)?;
        }
        map.end()
    }
}

/// Reads an object of a built-in kind. Unknown fields are skipped (the strict pass reports them).
///
/// # Errors
/// Wrong shapes and wrong `apiVersion` or `kind`.
pub fn decode(kind: Kind, json: &[u8]) -> Result<Object, DecodeError> {
    let object = decode_kind(kind, json).or_else(|e| match date_undated(kind, json) {
        Some(dated) => decode_kind(kind, &dated).map_err(DecodeError),
        None => Err(DecodeError(e)),
    });
    object.map(|mut object| {
        mark_empty_selector(&mut object, json);
        object
    })
}

/// The types cannot tell a workload's empty selector from none, Kubernetes can: the empty one gets an empty set of labels.
fn mark_empty_selector(object: &mut Object, json: &[u8]) {
    let none = LabelSelector::default();
    let selector = match object {
        Object::Deployment(o) if o.spec.as_ref().is_some_and(|s| s.selector == none) => Arc::make_mut(o).spec.as_mut().map(|s| &mut s.selector),
        Object::ReplicaSet(o) if o.spec.as_ref().is_some_and(|s| s.selector == none) => Arc::make_mut(o).spec.as_mut().map(|s| &mut s.selector),
        Object::DaemonSet(o) if o.spec.as_ref().is_some_and(|s| s.selector == none) => Arc::make_mut(o).spec.as_mut().map(|s| &mut s.selector),
        Object::StatefulSet(o) if o.spec.as_ref().is_some_and(|s| s.selector == none) => Arc::make_mut(o).spec.as_mut().map(|s| &mut s.selector),
        _ => None,
    };
    let Some(selector) = selector else { return };
    let tree: Option<Value> = serde_json::from_slice(json).ok();
    if tree.is_some_and(|t| t["spec"]["selector"].is_object()) {
        selector.match_labels = Some(std::collections::BTreeMap::new());
    }
}

/// What stands for no time in the types: the zero time of Kubernetes' own.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The same JSON with the zero time wherever the types want a time and there is none: Kubernetes reads that, and validation
/// judges it. None when no time is missing.
fn date_undated(kind: Kind, json: &[u8]) -> Option<Vec<u8>> {
    let mut tree: Value = serde_json::from_slice(json).ok()?;
    date(&mut tree, type_of(kind)?).then(|| serde_json::to_vec(&tree).ok()).flatten()
}

fn date(tree: &mut Value, ty: &'static Type) -> bool {
    let Value::Object(map) = tree else { return false };
    let mut dated = false;
    for field in ty.json_fields() {
        let Some(inside) = field.ty() else { continue };
        if matches!(inside.special(), Some(Special::Time | Special::MicroTime)) {
            if field.required() && map.get(field.json()).is_none_or(Value::is_null) {
                map.insert(field.json().to_owned(), NO_TIME.into());
                dated = true;
            }
            continue;
        }
        let Some(value) = map.get_mut(field.json()).filter(|_| inside.special().is_none()) else { continue };
        dated |= match value {
            Value::Array(list) => list.iter_mut().fold(false, |dated, v| date(v, inside) || dated),
            Value::Object(members) if field.kind() == schema::Kind::Map => members.values_mut().fold(false, |dated, v| date(v, inside) || dated),
            value => date(value, inside),
        };
    }
    dated
}

/// Reads an object of a custom resource.
///
/// # Errors
/// JSON that is no object, or whose metadata has the wrong shape.
pub fn decode_dynamic(resource: &Resource, json: &[u8]) -> Result<Object, DecodeError> {
    let tree: Map<String, Value> = serde_json::from_slice(json).map_err(DecodeError)?;
    dynamic_from_tree(resource, tree)
}

/// An object of a custom resource from its tree.
///
/// # Errors
/// Metadata of the wrong shape.
pub fn dynamic_from_tree(resource: &Resource, mut tree: Map<String, Value>) -> Result<Object, DecodeError> {
    let mut text = |k: &str| tree.remove(k).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let metadata = match tree.remove("metadata") {
        None | Some(Value::Null) => ObjectMeta::default(),
        Some(m) => ObjectMeta::deserialize(m).map_err(DecodeError)?,
    };
    Ok(Object::Dynamic(Arc::new(Dynamic { resource: resource.clone(), api_version, kind, metadata, body: tree })))
}

/// Reads an object of whatever the resource is.
///
/// # Errors
/// As [`decode`] and [`decode_dynamic`].
pub fn decode_resource(resource: &Resource, json: &[u8]) -> Result<Object, DecodeError> {
    match resource {
        Resource::Builtin(kind) => decode(*kind, json),
        Resource::Custom(_) => decode_dynamic(resource, json),
    }
}

/// The type of a built-in kind in the schema.
#[must_use]
pub fn type_of(kind: Kind) -> Option<&'static Type> {
    static TABLE: OnceLock<Vec<Option<&'static Type>>> = OnceLock::new();
    let find = |kind: &Kind| {
        let info = kind.info();
        schema::types().by_gvk(info.group, info.version, info.kind)
    };
    TABLE.get_or_init(|| Kind::ALL.iter().map(find).collect())[kind as usize]
}

/// Writes an object as JSON: `apiVersion`, `kind`, `metadata`, then the rest; and what Go prints of fields without a value.
#[must_use]
pub fn encode(object: &Object) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    encode_object(object, &mut out).expect("writing JSON into memory cannot fail");
    if matches!(object, Object::CustomResourceDefinition(_)) {
        out = whole_numbers(&out);
    }
    object.kind().and_then(|kind| unset::print_unset(kind, &out)).unwrap_or(out)
}

/// The same JSON with `10` for `10.0`, as Go writes the bounds of a schema.
fn whole_numbers(json: &[u8]) -> Vec<u8> {
    /// Beyond this a float is not exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    fn walk(tree: &mut Value) {
        match tree {
            Value::Object(members) => members.values_mut().for_each(walk),
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Number(n) => {
                if let Some(f) = n.as_f64().filter(|f| n.is_f64() && f.fract() == 0.0 && f.abs() < EXACT) {
                    // Whole and small, so nothing is lost.
                    #[allow(clippy::cast_possible_truncation)]
                    let whole = f as i64;
                    *n = whole.into();
                }
            }
            _ => {}
        }
    }
    match serde_json::from_slice(json) {
        Ok(mut tree) => {
            walk(&mut tree);
            tree.to_string().into_bytes()
        }
        Err(_) => json.to_vec(),
    }
}

/// An object as a JSON tree. A built-in kind's that is too deep with its managed fields is shown without them; what is too deep is
/// never stored ([`is_readable`]).
#[must_use]
pub fn to_value(object: &Object) -> Value {
    if let Object::Dynamic(d) = object {
        return serde_json::to_value(Tree(d)).expect("members have names");
    }
    serde_json::from_slice(&encode(object)).unwrap_or_else(|_| {
        let mut bare = object.clone();
        bare.meta_mut().managed_fields = None;
        serde_json::from_slice(&encode(&bare)).expect("what was read from JSON is written as JSON of as many levels")
    })
}

/// An object of a resource from a JSON tree.
///
/// # Errors
/// As [`decode_resource`].
pub fn from_value(resource: &Resource, value: Value) -> Result<Object, DecodeError> {
    match (resource, value) {
        (Resource::Custom(_), Value::Object(tree)) => dynamic_from_tree(resource, tree),
        (_, value) => decode_resource(resource, &serde_json::to_vec(&value).map_err(DecodeError)?),
    }
}

const METADATA: &[u8] = b"\"metadata\":{";

/// Where the inside of the object's own metadata begins. Other fields may come before it, and (in a ControllerRevision)
/// hold objects with metadata of theirs, so only a key of the outermost object counts.
fn own_metadata(json: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(b) = json.get(at) {
        match b {
            b'"' if depth == 1 && json[at..].starts_with(METADATA) => return Some(at + METADATA.len()),
            b'"' => {
                at = behind_string(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Fills the hole: the same JSON with `metadata.resourceVersion`. The bytes must come from [`encode`] of an object
/// whose resourceVersion was empty; anything without metadata comes back unchanged.
#[must_use]
pub fn with_revision(json: &[u8], revision: Revision) -> Bytes {
    let Some(at) = own_metadata(json) else { return Bytes::copy_from_slice(json) };
    let comma = if json.get(at) == Some(&b'}') { "" } else { "," };
    splice(json, at, 0, &format!("\"resourceVersion\":\"{revision}\"{comma}"))
}

/// The same JSON at another revision. The bytes must come from [`with_revision`].
#[must_use]
pub fn replace_revision(json: &[u8], old: Revision, new: Revision) -> Bytes {
    let was = format!("\"resourceVersion\":\"{old}\"");
    match own_metadata(json).filter(|at| json[*at..].starts_with(was.as_bytes())) {
        Some(at) => splice(json, at, was.len(), &format!("\"resourceVersion\":\"{new}\"")),
        None => Bytes::copy_from_slice(json),
    }
}

/// `json` with `len` bytes from `at` on replaced.
fn splice(json: &[u8], at: usize, len: usize, with: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(json.len() + with.len());
    out.put_slice(&json[..at]);
    out.put_slice(with.as_bytes());
    out.put_slice(&json[at + len..]);
    out.freeze()
}

/// Reads any of the `metav1` option and meta structs that travel outside of objects.
///
/// # Errors
/// Wrong shapes.
pub fn decode_delete_options(json: &[u8]) -> Result<kinds::DeleteOptions, DecodeError> {
    serde_json::from_slice(json).map_err(DecodeError)
}

/// The part of an object that holds its metadata, read as whatever is wanted of it.
#[derive(Deserialize)]
struct Metadata<T> {
    metadata: T,
}

/// The metadata of an encoded object as a tree, for `PartialObjectMetadata`.
#[must_use]
pub fn metadata(json: &[u8]) -> Value {
    serde_json::from_slice::<Metadata<Value>>(json).map(|o| o.metadata).unwrap_or_default()
}

/// Levels of objects and lists that JSON is read with.
pub const LEVELS_MAX: usize = 127;

/// Whether JSON that we wrote can be read again. What was put together out of parts may be deeper than any parser would have let
/// in: managed fields repeat an object's fields some levels further down.
#[must_use]
pub fn is_readable(json: &[u8]) -> bool {
    // Nearly every object has fewer brackets than that altogether.
    if memchr2_iter(b'{', b'[', json).take(LEVELS_MAX + 1).count() <= LEVELS_MAX {
        return true;
    }
    let (mut level, mut at) = (0_usize, 0);
    while let Some(b) = json.get(at) {
        match b {
            b'"' => {
                at = behind_string(json, at);
                continue;
            }
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
        if level > LEVELS_MAX {
            return false;
        }
        at += 1;
    }
    true
}

/// Where the string ends whose first quote is at a place: behind its last quote, or at the end of the text.
pub(crate) fn behind_string(json: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if json[at - 1] == b'"' {
            return at;
        }
        // What is escaped ends nothing.
        at += 1;
    }
    json.len()
}

/// The managed fields of an encoded object.
#[must_use]
pub fn managed_fields(json: &[u8]) -> Option<Vec<ManagedFieldsEntry>> {
    #[derive(Deserialize)]
    struct Owners {
        #[serde(default, rename = "managedFields")]
        managed_fields: Option<Vec<ManagedFieldsEntry>>,
    }
    serde_json::from_slice::<Metadata<Owners>>(json).ok()?.metadata.managed_fields
}

/// Whether `json` is `value` at `revision`, that is what [`with_revision`] would make of it.
#[must_use]
pub fn is_at_revision(json: &[u8], value: &[u8], revision: Revision) -> bool {
    let Some(at) = own_metadata(value) else { return json == value };
    let comma = if value.get(at) == Some(&b'}') { "" } else { "," };
    let hole = format!("\"resourceVersion\":\"{revision}\"{comma}");
    json.len() == value.len() + hole.len()
        && json[..at] == value[..at]
        && json[at..at + hole.len()] == *hole.as_bytes()
        && json[at + hole.len()..] == value[at..]
}
