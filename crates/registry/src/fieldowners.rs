//! Who owns which field: `metadata.managedFields` of every write. Docs: "Server-Side Apply: Field management".

use crate::registry::whole_seconds;
use crate::tongues::Tongues;
use cache::Entry;
use jiff::Timestamp;
use kinds::apimachinery::pkg::apis::meta::v1::FieldsV1;
use kinds::{Kind, ManagedFieldsEntry, Object, Time};
use std::sync::Arc;
use patch::Shape;
use patch::apply::{Managed, Versions, Writer, tracked};
use rules::customs::Version;
use serde_json::Value;

/// Whether a write's managed fields are to be worked out, or were already (server-side apply).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    Track,
    Settled,
}

/// The shape of a kind's fields, or of a definition's version.
pub(crate) fn shape(kind: Option<Kind>, version: Option<&Version>) -> Shape<'_> {
    if let Some(v) = version.filter(|v| v.raw.is_object()) {
        return Shape::Custom(&v.raw);
    }
    match kind {
        Some(k) => {
            let i = k.info();
            Shape::of_kind(i.group, i.version, i.kind)
        }
        None => Shape::Any,
    }
}

/// Fields that an endpoint resets, so that nobody comes to own them by it.
pub(crate) fn reset_by(subresource: &str, kind: Option<Kind>, version: Option<&Version>) -> &'static [&'static str] {
    let has_status = version.is_some_and(|v| v.status) || kind.is_some_and(|k| rules::rules(k.stored_as()).prepare_status_update.is_some());
    match subresource {
        // The server fills in who asks; nobody owns a request.
        "" if kind == Some(Kind::CertificateSigningRequest) => &["spec", "status"],
        "status" => &["spec"],
        "" if has_status => &["status"],
        _ => &[],
    }
}

/// The object of an entry with its managed fields, and a definition with its schemas, which the image leaves out.
#[must_use]
pub fn whole(object: &Object, json: &[u8]) -> Object {
    if let Object::CustomResourceDefinition(_) = object
        && let Ok(full) = codec::decode_resource(&Kind::CustomResourceDefinition.into(), json)
    {
        return full;
    }
    let mut object = object.clone();
    let owners = codec::managed_fields(json);
    if owners.is_some() {
        object.meta_mut().managed_fields = owners;
    }
    object
}

/// An entry as updates are made from it: a definition has its schemas.
pub(crate) fn unfolded(entry: Arc<Entry>) -> Arc<Entry> {
    if !matches!(entry.object(), Object::CustomResourceDefinition(_)) {
        return entry;
    }
    let mut object = whole(entry.object(), &entry.json);
    object.meta_mut().managed_fields = None;
    Arc::new(Entry::new(entry.key.clone(), object, entry.json.clone(), entry.revision))
}

/// RFC 3339 in whole seconds.
pub(crate) fn stamp(now: Timestamp) -> String {
    whole_seconds(now).to_string()
}

/// Whose fields a write settles.
pub(crate) struct Writing<'a> {
    pub(crate) manager: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) now: Timestamp,
    /// Another served kind of the object, when the request speaks that.
    pub(crate) view: Option<Kind>,
    pub(crate) version: Option<&'a Version>,
    pub(crate) tongues: Option<&'a Tongues<'a>>,
}

/// Drops what stands for nothing, and works out the managed fields of a create (`old` is `None`) or of a change. What the object
/// was before comes back, if anything was dropped.
pub(crate) fn settle(object: &mut Object, old: Option<&Entry>, writing: &Writing<'_>) -> Option<Object> {
    let mut tree = codec::to_value(object);
    let mut given = None;
    if let Some(kind) = object.kind() {
        let ty = codec::type_of(kind);
        if ty.is_some_and(|ty| codec::emit::drop_empty(&mut tree, ty))
            && let Ok(tidy) = codec::from_value(&object.resource(), tree.clone())
        {
            given = Some(std::mem::replace(object, tidy));
        }
    }
    let live = old.and_then(|e| serde_json::from_slice::<Value>(&e.json).ok());
    if live.is_none() {
        own_empty(object, &mut tree);
    }
    let kind = writing.view.or(object.kind());
    let (live, tree) = match writing.view {
        Some(view) => (live.and_then(|live| viewed(view, live)), viewed(view, tree.clone()).unwrap_or(tree)),
        None => (live, tree),
    };
    let api_version = writing.view.map_or_else(|| object.api_version(), Kind::api_version);
    let time = stamp(writing.now);
    let writer = Writer {
        manager: writing.manager,
        api_version: &api_version,
        subresource: writing.subresource,
        now: &time,
        ignore: reset_by(writing.subresource, kind, writing.version),
        versions: writing.tongues.map(|t| t as &dyn Versions),
    };
    let managed = tracked(live, tree, shape(kind, writing.version), writer);
    object.meta_mut().managed_fields = entries(&managed);
    given
}

/// Lists that are printed even when there is none are owned by who gave them empty.
fn own_empty(object: &Object, tree: &mut Value) {
    let mut own = |name: &str, given: bool| {
        if given && tree[name].is_null() {
            tree[name] = Value::Array(Vec::new());
        }
    };
    match object {
        Object::EndpointSlice(x) => {
            own("endpoints", x.endpoints.as_ref().is_some_and(Vec::is_empty));
            own("ports", x.ports.as_ref().is_some_and(Vec::is_empty));
        }
        Object::Role(x) => own("rules", x.rules.as_ref().is_some_and(Vec::is_empty)),
        Object::ClusterRole(x) => own("rules", x.rules.as_ref().is_some_and(Vec::is_empty)),
        _ => {}
    }
}

/// The managed fields of an object's metadata.
pub(crate) fn entries(managed: &Managed) -> Option<Vec<ManagedFieldsEntry>> {
    let list: Vec<ManagedFieldsEntry> = managed.entries().into_iter().map(entry).collect();
    (!list.is_empty()).then_some(list)
}

/// A stored object's tree as another served kind has it.
fn viewed(view: Kind, stored: Value) -> Option<Value> {
    let object = codec::from_value(&view.stored_as().into(), stored).ok()?;
    rules::convert::to_served(view, object).ok().map(|object| codec::to_value(&object))
}

fn entry(mut tree: Value) -> ManagedFieldsEntry {
    let fields = tree.get_mut("fieldsV1").map(Value::take);
    let text = |k: &str| tree[k].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    ManagedFieldsEntry {
        api_version: text("apiVersion"),
        fields_type: text("fieldsType"),
        fields_v1: fields.map(FieldsV1),
        manager: text("manager"),
        operation: text("operation"),
        subresource: text("subresource"),
        time: text("time").and_then(|t| t.parse().ok()).map(Time),
    }
}
