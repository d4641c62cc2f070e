//! Objects and lists on their way out: stored bytes as they are, or turned into what the client asked for.

use crate::call::Call;
use crate::respond::{self, Accept, Body, Encoding, Form, Reply};
use crate::server::Served;
use bytes::Bytes;
use cache::Entry;
use codec::table::{self, CustomColumns, Include};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Object};
use registry::Listing;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// What can be shown. The object is asked for only where its JSON is not enough: of an entry it may have to be decoded first.
pub(crate) trait Shown {
    fn object(&self) -> &Object;
    fn json(&self) -> &Bytes;
}

impl Shown for Entry {
    fn object(&self) -> &Object {
        Self::object(self)
    }
    fn json(&self) -> &Bytes {
        &self.json
    }
}

impl Shown for (&Object, &Bytes) {
    fn object(&self) -> &Object {
        self.0
    }
    fn json(&self) -> &Bytes {
        self.1
    }
}

/// One entry as the request's version and form want it.
pub(crate) fn entry(call: &Call, served: &Served, code: u16, entry: &Entry) -> Result<Reply, ApiError> {
    match call.accept.form {
        Form::Object => Ok(respond::encoded(code, spoken(served, entry)?, call.accept)),
        Form::Table => include(call).map(|_| respond::tree(code, &table(call, served, &[entry], json!({ "resourceVersion": entry.revision.to_string() })), call.accept)),
        Form::PartialMetadata => Ok(respond::tree(code, &partial(&entry.json), call.accept)),
        Form::PartialMetadataList => {
            Err(unlike("PartialObjectMetadataList, but the requested object is not a list", &go_type(served, false)))
        }
    }
}

/// One was asked for where there is a list, or the other way round.
fn unlike(what: &str, go_type: &str) -> ApiError {
    ApiError::new(406, "NotAcceptable", format!("you requested {what} ({go_type})"))
}

/// What kube-apiserver calls the type of what it answers.
fn go_type(served: &Served, list: bool) -> String {
    let list = if list { "List" } else { "" };
    match served.kind {
        Some(kind) => {
            let package = match kind.stored_as().info().group {
                "" => "core",
                group => group.split('.').next().unwrap_or(group),
            };
            format!("*{package}.{}{list}", kind.info().kind)
        }
        None => format!("*unstructured.Unstructured{list}"),
    }
}

/// What rows carry besides their cells.
fn include(call: &Call) -> Result<Include, ApiError> {
    let text = call.info.param("includeObject").unwrap_or_default();
    Include::parse(text).ok_or_else(|| {
        let why = "must be 'Metadata', 'Object', 'None', or empty";
        ApiError::bad_request(format!("Unable to convert to Table as requested: includeObject: Invalid value: {text:?}: {why}"))
    })
}

/// The JSON of an object in the version that is served: the stored bytes, or a conversion of them.
pub(crate) fn spoken(served: &Served, shown: &dyn Shown) -> Result<Bytes, ApiError> {
    let json = shown.json();
    match served.kind {
        Some(kind) if kind != kind.stored_as() => {
            let turned = rules::convert::to_served(kind, registry::whole(shown.object(), json)).map_err(ApiError::internal)?;
            Ok(codec::encode(&turned).into())
        }
        Some(_) => Ok(json.clone()),
        None => match shown.object() {
            Object::Dynamic(d) => {
                let version = served.api_version();
                let shape = served.shape.as_deref().map(|s| s.version(&version));
                let filled = shape.and_then(|v| rules::customs::defaulted(&v.schema, &d.body));
                if filled.is_none() && d.api_version == version {
                    return Ok(json.clone());
                }
                let mut turned = registry::whole(shown.object(), json);
                if let Object::Dynamic(turned) = &mut turned {
                    let turned = Arc::make_mut(turned);
                    turned.api_version = version;
                    turned.body = filled.unwrap_or_else(|| std::mem::take(&mut turned.body));
                }
                Ok(codec::encode(&turned).into())
            }
            _ => Ok(json.clone()),
        },
    }
}

/// An object that is not stored.
pub(crate) fn object(call: &Call, code: u16, object: &Object) -> Result<Reply, ApiError> {
    let accept = Accept { form: Form::Object, ..call.accept };
    Ok(respond::encoded(code, codec::encode(object).into(), accept))
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn partial(json: &[u8]) -> Value {
    let meta = codec::metadata(json);
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta })
}

/// A `Table` of objects.
pub(crate) fn table(call: &Call, served: &Served, objects: &[&dyn Shown], meta: Value) -> Value {
    let include = Include::parse(call.info.param("includeObject").unwrap_or_default()).unwrap_or_default();
    let now = call.shared.registry.now();
    let trees: Vec<Value> = objects.iter().filter_map(|o| tree_of(served, *o)).collect();
    let Some(crd) = served.definition.as_deref() else {
        let kind = served.kind.map_or(served.resource.kind_name(), |k| k.info().kind);
        return table::table((&served.group, &served.version, kind), meta, trees.iter(), include, now);
    };
    let columns = CustomColumns::new(&additional(crd, &served.version));
    let Ok(columns) = columns.or_else(|_| CustomColumns::new(&[])) else { return Value::Null };
    let rows = trees.iter().map(|t| table::row(t, columns.cells(t, now), include)).collect();
    table::wrap(meta, columns.definitions(), rows)
}

fn tree_of(served: &Served, shown: &dyn Shown) -> Option<Value> {
    serde_json::from_slice(&spoken(served, shown).ok()?).ok()
}

fn additional(crd: &CustomResourceDefinition, version: &str) -> Vec<Value> {
    let tree = codec::to_value(&Object::from(crd.clone()));
    let versions = tree["spec"]["versions"].as_array();
    let own = versions.into_iter().flatten().find(|v| v["name"] == version);
    own.and_then(|v| v["additionalPrinterColumns"].as_array().cloned()).unwrap_or_default()
}

fn list_meta(listing: &Listing) -> Value {
    let mut meta = json!({ "resourceVersion": listing.revision.to_string() });
    if let Some(next) = &listing.next {
        meta["continue"] = next.encode().into();
    }
    if let Some(n) = listing.remaining {
        meta["remainingItemCount"] = n.into();
    }
    meta
}

/// A list in the form that was asked for.
pub(crate) fn list(call: &Call, served: &Served, listing: &Listing) -> Result<Reply, ApiError> {
    let meta = list_meta(listing);
    let objects = || listing.entries.iter().map(|e| &**e as &dyn Shown).collect::<Vec<_>>();
    match call.accept.form {
        Form::Table => include(call).map(|_| respond::tree(200, &table(call, served, &objects(), meta), call.accept)),
        Form::PartialMetadata => Err(unlike("PartialObjectMetadata, but the requested object is a list", &go_type(served, true))),
        Form::PartialMetadataList => {
            let items: Vec<Value> = listing.entries.iter().map(|e| partial(&e.json)).collect();
            let items = if items.is_empty() { Value::Null } else { items.into() };
            let tree = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items,
            });
            Ok(respond::tree(200, &tree, call.accept))
        }
        Form::Object => plain_list(call, served, listing, meta),
    }
}

fn plain_list(call: &Call, served: &Served, listing: &Listing, mut meta: Value) -> Result<Reply, ApiError> {
    if served.definition.is_some() && listing.next.is_none() {
        // Lists of custom resources say that they do not go on.
        meta["continue"] = "".into();
    }
    let list_kind = list_kind(served);
    let head = format!("{{\"kind\":\"{list_kind}\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[", served.api_version());
    let mut pieces = VecDeque::with_capacity(listing.entries.len() * 2 + 2);
    pieces.push_back(Bytes::from(head));
    // Items of built-in lists carry no apiVersion and kind; those of custom resources do.
    let prefix = served.kind.map(|k| format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", k.api_version(), k.info().kind));
    for (i, e) in listing.entries.iter().enumerate() {
        let json = spoken(served, &**e)?;
        match prefix.as_deref().filter(|p| json.starts_with(p.as_bytes())) {
            Some(p) => {
                pieces.push_back(Bytes::from_static(if i == 0 { b"{" } else { b",{" }));
                pieces.push_back(json.slice(p.len()..));
            }
            None => {
                if i > 0 {
                    pieces.push_back(Bytes::from_static(b","));
                }
                pieces.push_back(json);
            }
        }
    }
    pieces.push_back(Bytes::from_static(b"]}"));
    if call.accept.encoding == Encoding::Json && !call.accept.pretty {
        return Ok(respond::with_media(200, Body::Pieces(pieces), "application/json"));
    }
    let mut whole = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    Ok(respond::encoded(200, whole.into(), call.accept))
}

/// The kind of a list of the resource.
pub(crate) fn list_kind(served: &Served) -> Cow<'static, str> {
    match (served.kind, &served.definition) {
        (_, Some(crd)) => {
            let given = crd.spec.names.list_kind.clone().filter(|l| !l.is_empty());
            Cow::Owned(given.unwrap_or_else(|| format!("{}List", crd.spec.names.kind)))
        }
        (Some(k), None) => Cow::Owned(format!("{}List", k.info().kind)),
        (None, None) => Cow::Borrowed("List"),
    }
}
