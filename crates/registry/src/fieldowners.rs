//! Who owns which field: `metadata.managedFields` of every write. Docs: "Server-Side Apply: Field management".

use crate::registry::whole_seconds;
use cache::Entry;
use jiff::Timestamp;
use kinds::apimachinery::pkg::apis::meta::v1::FieldsV1;
use kinds::{Kind, ManagedFieldsEntry, Object, Time};
use std::sync::Arc;
use patch::Shape;
use patch::apply::{Managed, Writer, tracked};
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

/// Drops what stands for nothing, and works out the managed fields of a create (`old` is `None`) or of a change.
pub(crate) fn settle(
    manager: &str,
    subresource: &str,
    now: Timestamp,
    object: &mut Object,
    (old, version): (Option<&Entry>, Option<&Version>),
) {
    let mut tree = codec::to_value(object);
    if let Some(kind) = object.kind() {
        let i = kind.info();
        let ty = schema::types().by_gvk(i.group, i.version, i.kind);
        if ty.is_some_and(|ty| codec::emit::drop_empty(&mut tree, ty))
            && let Ok(tidy) = codec::from_value(&object.resource(), tree.clone())
        {
            *object = tidy;
        }
    }
    let live = old.and_then(|e| serde_json::from_slice::<Value>(&e.json).ok());
    let (api_version, time) = (object.api_version(), stamp(now));
    let ignore = reset_by(subresource, object.kind(), version);
    let writer = Writer { manager, api_version: &api_version, subresource, now: &time, ignore };
    let managed = tracked(live, tree, shape(object.kind(), version), writer);
    object.meta_mut().managed_fields = entries(&managed);
}

/// The managed fields of an object's metadata.
pub(crate) fn entries(managed: &Managed) -> Option<Vec<ManagedFieldsEntry>> {
    let list: Vec<ManagedFieldsEntry> = managed.entries().into_iter().map(entry).collect();
    (!list.is_empty()).then_some(list)
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
