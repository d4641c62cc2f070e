//! The documents that describe the API: `/openapi/v2`, the index `/openapi/v3`, and a document a group-version below it.
//! They are generated on request by `codec::openapi` straight into gzip and kept compressed, the least recently used going
//! first: an idle server holds at most [`KEPT_BYTES`] of v3 documents. Docs: "Kubernetes API Concepts: OpenAPI", KEP-2896.

#[cfg(test)]
mod tests;
mod v2;

pub(crate) use v2::v2;

use crate::call::Call;
use crate::respond::{self, Reply};
use bytes::Bytes;
use cache::Snapshot;
use codec::openapi::{Format, REVISION, Served};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, header};
use kinds::{ApiError, Kind, ObjectKey};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use std::collections::VecDeque;
use std::io::{BufWriter, Read};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How much compressed text is kept: twice what all documents of the built-in kinds need in JSON.
const KEPT_BYTES: usize = 2 * 1024 * 1024;
/// So much is written before it is compressed.
const CHUNK_BYTES: usize = 64 * 1024;
/// How well documents are compressed: they are written once and read often.
const COMPRESSION: u32 = 6;
/// A document under its hash may be kept for ever (client-go does so on disk).
const FOR_EVER: &str = "public, immutable";

/// How clients ask for protobuf. An `@` is no letter of a media type (RFC 6838, 4.2), and Go's parser refuses it in
/// answers: these carry the second name of each pair.
const V2_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];
const V3_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
];
const JSON: &str = "application/json";

/// Compressed documents by their hash and format, the most recently used last.
struct Kept {
    bytes: usize,
    documents: VecDeque<((String, Format), Bytes)>,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| Mutex::new(Kept { bytes: 0, documents: VecDeque::new() }));

impl Kept {
    fn get(&mut self, key: &(String, Format)) -> Option<Bytes> {
        let at = self.documents.iter().position(|(k, _)| k == key)?;
        let found = self.documents.remove(at)?;
        self.documents.push_back(found.clone());
        Some(found.1)
    }

    fn put(&mut self, key: (String, Format), packed: &Bytes) {
        if self.get(&key).is_some() {
            return;
        }
        self.bytes += packed.len();
        self.documents.push_back((key, packed.clone()));
        while self.bytes > KEPT_BYTES {
            let Some((_, gone)) = self.documents.pop_front() else { break };
            self.bytes -= gone.len();
        }
    }
}

fn builtin(r: &schema::Resource) -> bool {
    r.served_by_default
}

fn enums(call: &Call) -> bool {
    call.shared.registry.settings().gates.on("OpenAPIEnums")
}

/// Established definitions by name.
fn customs(call: &Call) -> (Snapshot, Vec<Arc<CustomResourceDefinition>>) {
    let snapshot = call.shared.registry.snapshot();
    let established = |c: &&Arc<CustomResourceDefinition>| {
        let conditions = c.status.as_ref().and_then(|s| s.conditions.as_ref());
        conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Established" && c.status == "True"))
    };
    let mut all: Vec<_> = snapshot.list::<CustomResourceDefinition>("").filter(established).cloned().collect();
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    (snapshot, all)
}

/// A definition as it is stored: the image leaves its schemas out.
fn tree(snapshot: &Snapshot, crd: &CustomResourceDefinition) -> Value {
    let key = ObjectKey::cluster(crd.metadata.name.as_deref().unwrap_or_default());
    let entry = snapshot.entry(&Kind::CustomResourceDefinition.into(), &key);
    entry.and_then(|e| serde_json::from_slice(&e.json).ok()).unwrap_or_default()
}

/// The hash under which a document is known: of what it is made from, so that telling it costs nothing.
fn hash<'a>(path: &str, enums: bool, customs: impl Iterator<Item = &'a Arc<CustomResourceDefinition>>) -> String {
    let mut digest = Sha512::new();
    digest.update(REVISION);
    if !enums {
        digest.update(" without enumerations");
    }
    digest.update([0]);
    digest.update(path);
    for crd in customs {
        digest.update([0]);
        digest.update(crd.metadata.uid.as_deref().unwrap_or_default());
        digest.update(crd.metadata.generation.unwrap_or_default().to_be_bytes());
        digest.update(crd.metadata.resource_version.as_deref().unwrap_or_default());
    }
    digest.finalize().iter().map(|b| format!("{b:02X}")).collect()
}

/// Chooses from the `Accept` header; entries in the order of their weights, JSON unless asked otherwise.
fn negotiate(headers: &HeaderMap, protobuf: [&'static str; 2]) -> Result<(Format, &'static str), ApiError> {
    let text = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if text.trim().is_empty() {
        return Ok((Format::Json, JSON));
    }
    let mut entries: Vec<(f32, &str)> = text.split(',').map(weighed).collect();
    entries.sort_by(|a, b| b.0.total_cmp(&a.0));
    let chosen = entries.iter().filter(|(q, _)| *q > 0.0).find_map(|(_, media)| match *media {
        JSON | "*/*" | "application/*" => Some((Format::Json, JSON)),
        m => protobuf.contains(&m).then_some((Format::Protobuf, protobuf[1])),
    });
    chosen.ok_or_else(|| ApiError::new(406, "NotAcceptable", "Not Acceptable"))
}

fn weighed(entry: &str) -> (f32, &str) {
    let mut parts = entry.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let weight = parts.find_map(|p| p.strip_prefix("q=")).and_then(|q| q.parse().ok());
    (weight.unwrap_or(1.0), media)
}

fn fault(e: std::io::Error) -> ApiError {
    ApiError::internal(format!("writing the OpenAPI document: {e}"))
}

type Writer<'w> = dyn FnOnce(&mut dyn std::io::Write) -> std::io::Result<bool> + 'w;

/// Runs something that takes a while without holding up other requests of this thread.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|h| h.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The compressed document; `None` when `write` says that there is none.
fn packed(hash: &str, format: Format, write: Box<Writer<'_>>) -> Result<Option<Bytes>, ApiError> {
    let key = (hash.to_owned(), format);
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = kept().get(&key) {
        return Ok(Some(found));
    }
    let generate = || {
        // The encoder readies its whole output for every write, and JSON is written a word at a time.
        let encoder = GzEncoder::new(Vec::new(), Compression::new(COMPRESSION));
        let mut buffered = BufWriter::with_capacity(CHUNK_BYTES, encoder);
        let some = write(&mut buffered)?;
        let packed = buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
        Ok::<_, std::io::Error>(some.then_some(packed))
    };
    let Some(bytes) = aside(generate).map_err(fault)?.map(Bytes::from) else { return Ok(None) };
    kept().put(key, &bytes);
    Ok(Some(bytes))
}

/// A document as the client takes it: compressed as it is kept, or unpacked.
fn document(headers: &HeaderMap, hash: &str, media: &str, packed: Bytes) -> Result<Reply, ApiError> {
    let etag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let known = known.is_some_and(|k| k.split(',').any(|k| k.trim().trim_start_matches("W/") == etag));
    let gzip = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let gzip = gzip.split(',').map(weighed).any(|(q, e)| q > 0.0 && (e == "gzip" || e == "*"));
    let body = match (known, gzip) {
        (true, _) => Bytes::new(),
        (_, true) => packed,
        _ => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain).map_err(fault)?;
            plain.into()
        }
    };
    let mut reply = respond::with_media(if known { 304 } else { 200 }, body.into(), media);
    let map = reply.headers_mut();
    if gzip && !known {
        map.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    map.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    map.append(header::VARY, HeaderValue::from_static("Accept"));
    if let Ok(v) = HeaderValue::from_str(&etag) {
        map.insert(header::ETAG, v);
    }
    Ok(reply)
}

/// The same moment next year, as HTTP writes it (RFC 9110, 5.6.7).
fn in_a_year(call: &Call) -> Option<HeaderValue> {
    let then = call.shared.registry.now().checked_add(jiff::SignedDuration::from_hours(365 * 24)).ok()?;
    HeaderValue::from_str(&then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

/// `/openapi/v3`.
pub(crate) fn v3_index(call: &Call) -> Result<Reply, ApiError> {
    let (snapshot, customs) = customs(call);
    let tree = |c: &CustomResourceDefinition| tree(&snapshot, c);
    let served = Served { builtin, customs: &customs, tree: &tree, enums: enums(call) };
    let entry = |path: String| {
        let url = format!("/openapi/v3/{path}?hash={}", hash(&path, served.enums, served.customs_of(&path)));
        (path, json!({ "serverRelativeURL": url }))
    };
    let mut paths: serde_json::Map<_, _> = served.index().into_iter().map(entry).collect();
    for r in call.shared.aggregate.remotes() {
        let Some(query) = &r.openapi else { continue };
        let path = format!("apis/{}/{}", r.group, r.version);
        let url = format!("/openapi/v3/{path}{}{query}", if query.is_empty() { "" } else { "?" });
        paths.insert(path, json!({ "serverRelativeURL": url }));
    }
    let tree = serde_json::to_vec(&json!({ "paths": paths })).unwrap_or_default();
    let mut reply = respond::with_media(200, tree.into(), JSON);
    // Clients must ask again: it is the index that tells them of changes.
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(reply)
}

/// `/openapi/v3/PATH`, of whichever server serves that path.
pub(crate) async fn v3_anywhere(call: &Call, path: &str) -> Result<Reply, ApiError> {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    if let ["apis", group, version] = parts[..] {
        if let Some(service) = crate::aggregate::remote(&call.shared.registry.snapshot(), group, version) {
            let query = call.request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
            return crate::aggregate::document(call, &service, &format!("/openapi/v3/{path}{query}")).await;
        }
    }
    v3(call, path)
}

/// `/openapi/v3/PATH`.
fn v3(call: &Call, path: &str) -> Result<Reply, ApiError> {
    let path = path.trim_end_matches('/');
    let (format, media) = negotiate(call.request.headers(), V3_PROTOBUF)?;
    let (snapshot, customs) = customs(call);
    let tree = |c: &CustomResourceDefinition| tree(&snapshot, c);
    let served = Served { builtin, customs: &customs, tree: &tree, enums: enums(call) };
    if !served.index().iter().any(|p| p == path) {
        return Err(ApiError::no_such_path());
    }
    let hash = hash(path, served.enums, served.customs_of(path));
    let asked = call.info.param("hash").filter(|h| !h.is_empty());
    if asked.is_some_and(|h| h != hash) {
        let mut reply = respond::with_media(301, Bytes::new().into(), JSON);
        if let Ok(v) = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={hash}")) {
            reply.headers_mut().insert(header::LOCATION, v);
        }
        return Ok(reply);
    }
    let packed = packed(&hash, format, Box::new(|out| served.write_v3(path, format, out)))?;
    let mut reply = document(call.request.headers(), &hash, media, packed.ok_or_else(ApiError::no_such_path)?)?;
    if asked.is_some() {
        reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
        if let Some(v) = in_a_year(call) {
            reply.headers_mut().insert(header::EXPIRES, v);
        }
    }
    Ok(reply)
}
