//! What is served: legacy and aggregated discovery, the version, and the token issuer's documents.
//! Docs: "Kubernetes API Concepts: API Discovery", KEP-3352; OpenID Connect Discovery 1.0.

use crate::aggregate::Remote;
use crate::call::Call;
use crate::respond::{self, Accept, Reply};
use crate::zpages;
use http::{HeaderValue, header};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, CustomResourceDefinitionVersion};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Kubernetes version that is answered to.
pub const GIT_VERSION: &str = "v1.36.1";

/// `/version`.
#[must_use]
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

/// Bytes of the hash of the stored version.
const STORAGE_HASH_BYTES: usize = 8;

/// The priority of a version whose APIService is not asked: all equal, so that their names order them.
const VERSION_PRIORITY: u32 = 100;

/// One resource of one group-version.
struct Row {
    name: String,
    singular: String,
    kind: String,
    group: String,
    version: String,
    namespaced: bool,
    verbs: Vec<String>,
    short_names: Vec<String>,
    categories: Vec<String>,
    hash: String,
    subresources: Vec<Sub>,
    /// The priority of its group, where it is not a built-in one.
    priority: Option<u32>,
    /// The priority of its version in the group, where its APIService says one.
    version_priority: Option<u32>,
    /// Whether another server serves it and does not answer now.
    stale: bool,
    /// Whether aggregated discovery says its group and version again with its kind.
    spelled: bool,
}

struct Sub {
    name: String,
    group: String,
    version: String,
    kind: String,
    verbs: Vec<String>,
}

fn texts<S: AsRef<str>>(list: &[S]) -> Vec<String> {
    list.iter().map(|s| s.as_ref().to_owned()).collect()
}

fn builtin(r: &schema::Resource) -> Row {
    let sub = |s: &schema::Subresource| Sub {
        name: s.name.to_owned(),
        group: s.group.to_owned(),
        version: s.version.to_owned(),
        kind: s.kind.to_owned(),
        verbs: texts(&s.verbs),
    };
    Row {
        name: r.plural.to_owned(),
        singular: r.singular.to_owned(),
        kind: r.kind.to_owned(),
        group: r.group.to_owned(),
        version: r.version.to_owned(),
        namespaced: r.namespaced,
        verbs: texts(&r.verbs),
        short_names: texts(&r.short_names),
        categories: texts(&r.categories),
        priority: r.group_priority_minimum,
        version_priority: None,
        stale: false,
        spelled: false,
        hash: r.storage_version_hash.to_owned(),
        subresources: r.subresources.iter().map(sub).collect(),
    }
}

fn custom(crd: &CustomResourceDefinition, v: &CustomResourceDefinitionVersion) -> Row {
    let names = &crd.spec.names;
    let mut subresources = Vec::new();
    if let Some(s) = &v.subresources {
        let verbs = texts(&["get", "patch", "update"]);
        let (group, version) = (crd.spec.group.clone(), v.name.clone());
        if s.status.is_some() {
            subresources.push(Sub { name: "status".into(), group, version, kind: names.kind.clone(), verbs: verbs.clone() });
        }
        if s.scale.is_some() {
            let (group, version) = ("autoscaling".into(), "v1".into());
            subresources.push(Sub { name: "scale".into(), group, version, kind: "Scale".into(), verbs });
        }
    }
    Row {
        name: names.plural.clone(),
        singular: names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase()),
        kind: names.kind.clone(),
        group: crd.spec.group.clone(),
        version: v.name.clone(),
        namespaced: crd.spec.scope == "Namespaced",
        verbs: texts(&["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]),
        short_names: names.short_names.clone().unwrap_or_default(),
        categories: names.categories.clone().unwrap_or_default(),
        hash: storage_hash(crd),
        subresources,
        priority: None,
        version_priority: None,
        stale: false,
        spelled: true,
    }
}

/// Tells clients whether objects have moved to another version of storage: of a version that is served.
fn storage_hash(crd: &CustomResourceDefinition) -> String {
    let Some(stored) = crd.spec.versions.iter().find(|v| v.served && v.storage) else { return String::new() };
    let digest = Sha256::digest(format!("{}/{}/{}", crd.spec.group, stored.name, crd.spec.names.kind));
    BASE64.encode(&digest[..STORAGE_HASH_BYTES])
}

/// What another server serves in one group-version. Without anything there is one nameless row, which stands for the
/// group-version itself.
fn remote(r: &Remote) -> Vec<Row> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let list = |v: &Value| v.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let or = |v: &Value, other: &str| v.as_str().filter(|t| !t.is_empty()).unwrap_or(other).to_owned();
    let row = |v: &Value| Row {
        name: text(&v["name"]),
        singular: text(&v["singularName"]),
        kind: text(&v["kind"]),
        group: r.group.clone(),
        version: r.version.clone(),
        namespaced: v["namespaced"] == true,
        verbs: list(&v["verbs"]),
        short_names: list(&v["shortNames"]),
        categories: list(&v["categories"]),
        hash: text(&v["storageVersionHash"]),
        subresources: Vec::new(),
        priority: Some(r.group_priority),
        version_priority: Some(r.version_priority),
        stale: r.stale,
        spelled: false,
    };
    let all = r.resources["resources"].as_array().map_or(&[][..], Vec::as_slice);
    let is_sub = |v: &&Value| v["name"].as_str().is_some_and(|n| n.contains('/'));
    let mut rows: Vec<Row> = all.iter().filter(|v| !is_sub(v)).map(row).collect();
    for v in all.iter().filter(is_sub) {
        let Some((of, name)) = v["name"].as_str().and_then(|n| n.split_once('/')) else { continue };
        let Some(row) = rows.iter_mut().find(|r| r.name == of) else { continue };
        let (group, version) = (or(&v["group"], &r.group), or(&v["version"], &r.version));
        row.subresources.push(Sub { name: name.to_owned(), group, version, kind: text(&v["kind"]), verbs: list(&v["verbs"]) });
    }
    if rows.is_empty() {
        rows.push(row(&Value::Null));
    }
    rows
}

/// A group with its versions in order of preference.
struct Group {
    name: String,
    versions: Vec<String>,
    priority: (u32, u32),
}

fn rows(call: &Call) -> Vec<Row> {
    let mut all: Vec<Row> = schema::resources().iter().filter(|r| r.served_by_default).map(builtin).collect();
    if !call.shared.registry.settings().gates.on("StorageVersionHash") {
        all.iter_mut().for_each(|r| r.hash.clear());
    }
    let snapshot = call.shared.registry.snapshot();
    for crd in snapshot.list::<CustomResourceDefinition>("") {
        if !is_established(crd) {
            continue;
        }
        all.extend(crd.spec.versions.iter().filter(|v| v.served).map(|v| custom(crd, v)));
    }
    for r in call.shared.aggregate.remotes() {
        all.retain(|own| own.group != r.group || own.version != r.version);
        all.extend(remote(&r));
    }
    all
}

fn is_established(crd: &Arc<CustomResourceDefinition>) -> bool {
    let conditions = crd.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Established" && c.status == "True"))
}

fn groups(rows: &[Row]) -> Vec<Group> {
    let mut found: BTreeMap<&str, Group> = BTreeMap::new();
    for r in rows.iter().filter(|r| !r.group.is_empty()) {
        // The aggregation layer's own group stands first.
        let own = r.group == "apiregistration.k8s.io";
        let priority = if own { u32::MAX } else { r.priority.unwrap_or(1000) };
        let group = found.entry(&r.group).or_insert_with(|| Group {
            name: r.group.clone(),
            versions: Vec::new(),
            priority: (priority, 0),
        });
        if !group.versions.contains(&r.version) {
            group.versions.push(r.version.clone());
        }
    }
    let mut all: Vec<Group> = found.into_values().collect();
    for g in &mut all {
        let own = |v: &str| rows.iter().find(|r| r.group == g.name && r.version == v).and_then(|r| r.version_priority);
        g.versions.sort_by_cached_key(|v| std::cmp::Reverse((own(v).unwrap_or(VERSION_PRIORITY), version_rank(v))));
    }
    all.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.name.cmp(&b.name)));
    all
}

/// Orders versions as Kubernetes does: GA before beta before alpha, newer first, other words last by name.
fn version_rank(v: &str) -> (u8, u32, u32) {
    let Some(rest) = v.strip_prefix('v') else { return (0, 0, 0) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse() else { return (0, 0, 0) };
    let (word, minor) = match &rest[digits..] {
        "" => return (3, major, 0),
        s if s.starts_with("beta") => (2, &s[4..]),
        s if s.starts_with("alpha") => (1, &s[5..]),
        _ => return (0, 0, 0),
    };
    minor.parse().map_or((0, 0, 0), |m| (word, major, m))
}

fn legacy_resources(rows: &[Row], group: &str, version: &str) -> Option<Value> {
    let own: Vec<&Row> = rows.iter().filter(|r| r.group == group && r.version == version).collect();
    if own.is_empty() {
        return None;
    }
    let mut resources = Vec::new();
    for r in own {
        let mut tree = json!({
            "name": r.name, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind, "verbs": r.verbs,
        });
        for (k, list) in [("shortNames", &r.short_names), ("categories", &r.categories)] {
            if !list.is_empty() {
                tree[k] = json!(list);
            }
        }
        if !r.hash.is_empty() {
            tree["storageVersionHash"] = r.hash.as_str().into();
        }
        resources.push(tree);
        for s in &r.subresources {
            let mut tree = json!({
                "name": format!("{}/{}", r.name, s.name), "singularName": "", "namespaced": r.namespaced,
                "kind": s.kind, "verbs": s.verbs,
            });
            if (s.group.as_str(), s.version.as_str()) != (group, version) {
                tree["group"] = s.group.as_str().into();
                tree["version"] = s.version.as_str().into();
            }
            resources.push(tree);
        }
    }
    let gv = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": resources }))
}

fn legacy_group(g: &Group) -> Value {
    let version = |v: &String| json!({ "groupVersion": format!("{}/{v}", g.name), "version": v });
    json!({
        "name": g.name,
        "versions": g.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": g.versions.first().map(version),
    })
}

/// `/`, `/api` and `/apis`.
pub(crate) fn root(call: &Call) -> Reply {
    let rows = rows(call);
    let path = call.info.path.trim_end_matches('/');
    if path.is_empty() {
        return respond::tree(200, &json!({ "paths": paths(call, &rows) }), call.accept);
    }
    let core = path == "/api";
    if let Some(media) = aggregated_media(call) {
        return aggregated(call, &rows, core, media);
    }
    let tree = if core {
        json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": server_address(call) }],
        })
    } else {
        let all: Vec<Value> = groups(&rows).iter().map(legacy_group).collect();
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": all })
    };
    respond::tree(200, &tree, call.accept)
}

fn server_address(call: &Call) -> String {
    let c = &call.shared.registry.settings().config;
    format!("{}:{}", c.advertise_address, c.secure_port)
}

fn paths(call: &Call, rows: &[Row]) -> Vec<String> {
    let mut all = vec!["/.well-known/openid-configuration".to_owned(), "/api".into(), "/api/v1".into(), "/apis".into()];
    for g in groups(rows) {
        all.push(format!("/apis/{}", g.name));
        all.extend(g.versions.iter().map(|v| format!("/apis/{}/{v}", g.name)));
    }
    const OTHERS: [&str; 13] = [
        "/debug/pprof", "/debug/pprof/", "/flagz", "/healthz", "/livez", "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3",
        "/openid/v1/jwks", "/readyz", "/statusz", "/version",
    ];
    all.extend(OTHERS.into_iter().filter(|p| zpages::is_on(call, p)).map(str::to_owned));
    all.sort();
    all
}

/// `/api/v1`, `/apis/GROUP`, `/apis/GROUP/VERSION`; `None` for what is not served.
pub(crate) fn below(call: &Call) -> Option<Reply> {
    let rows = rows(call);
    let parts: Vec<&str> = call.info.path.trim_matches('/').split('/').collect();
    let tree = match parts[..] {
        ["api", version] => legacy_resources(&rows, "", version),
        ["apis", group] => groups(&rows).iter().find(|g| g.name == group).map(|g| {
            let mut tree = legacy_group(g);
            tree["kind"] = "APIGroup".into();
            tree["apiVersion"] = "v1".into();
            tree
        }),
        ["apis", group, version] => legacy_resources(&rows, group, version),
        _ => None,
    };
    tree.map(|t| respond::tree(200, &t, call.accept))
}

/// The version of aggregated discovery that the client reads, if it reads any.
fn aggregated_media(call: &Call) -> Option<&'static str> {
    let accept = call.request.headers().get(header::ACCEPT)?.to_str().ok()?;
    accept.split(',').find_map(|entry| {
        let has = |p: &str| entry.split(';').any(|x| x.trim() == p);
        if !has("g=apidiscovery.k8s.io") || !has("as=APIGroupDiscoveryList") || !entry.trim().starts_with("application/json") {
            return None;
        }
        match () {
            () if has("v=v2") => Some("v2"),
            () if has("v=v2beta1") => Some("v2beta1"),
            () => None,
        }
    })
}

fn aggregated(call: &Call, rows: &[Row], core: bool, version: &str) -> Reply {
    let groups = if core {
        vec![Group { name: String::new(), versions: vec!["v1".to_owned()], priority: (0, 0) }]
    } else {
        groups(rows)
    };
    let items: Vec<Value> = groups.iter().map(|g| aggregated_group(g, rows)).collect();
    let tree = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items,
    });
    let json = serde_json::to_vec(&tree).unwrap_or_default();
    let etag = tag(&json);
    let known = call.request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(etag.as_str());
    // Caches take the headers of a 304 over into what they kept, so its media type must be the same.
    let media = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let (code, body) = if known { (304, Vec::new()) } else { (200, json) };
    let mut reply = respond::with_media(code, body.into(), &media);
    if let Ok(v) = HeaderValue::from_str(&etag) {
        reply.headers_mut().insert(header::ETAG, v);
    }
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    reply.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    reply
}

/// A strong entity tag of a document.
pub(crate) fn tag(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha512::digest(bytes);
    format!("\"{}\"", digest.iter().map(|b| format!("{b:02X}")).collect::<String>())
}

fn aggregated_group(g: &Group, rows: &[Row]) -> Value {
    let versions: Vec<Value> = g
        .versions
        .iter()
        .map(|v| {
            let own = || rows.iter().filter(|r| r.group == g.name && r.version == *v);
            let resources: Vec<Value> = own().filter(|r| !r.name.is_empty()).map(aggregated_resource).collect();
            let freshness = if own().any(|r| r.stale) { "Stale" } else { "Current" };
            json!({ "version": v, "resources": resources, "freshness": freshness })
        })
        .collect();
    let meta = if g.name.is_empty() { json!({}) } else { json!({ "name": g.name }) };
    json!({ "metadata": meta, "versions": versions })
}

fn aggregated_resource(r: &Row) -> Value {
    // What is the group-version's own is not said again, but of custom resources.
    let kind = |g: &str, v: &str, k: &str| match !r.spelled && g == r.group && v == r.version {
        true => json!({ "group": "", "version": "", "kind": k }),
        false => json!({ "group": g, "version": v, "kind": k }),
    };
    let scope = if r.namespaced { "Namespaced" } else { "Cluster" };
    let mut tree = json!({
        "resource": r.name, "responseKind": kind(&r.group, &r.version, &r.kind), "scope": scope,
        "singularResource": r.singular, "verbs": r.verbs,
    });
    for (k, list) in [("shortNames", &r.short_names), ("categories", &r.categories)] {
        if !list.is_empty() {
            tree[k] = json!(list);
        }
    }
    if !r.subresources.is_empty() {
        let sub = |s: &Sub| {
            json!({ "subresource": s.name, "responseKind": kind(&s.group, &s.version, &s.kind), "verbs": s.verbs })
        };
        tree["subresources"] = r.subresources.iter().map(sub).collect();
    }
    tree
}

/// `/.well-known/openid-configuration`.
pub(crate) fn issuer(call: &Call) -> Reply {
    let tokens = &call.shared.tokens;
    let tree = json!({
        "issuer": tokens.issuer(),
        "jwks_uri": tokens.options().jwks_uri.clone().unwrap_or_else(|| format!("https://{}/openid/v1/jwks", server_address(call))),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    kept(respond::tree(200, &tree, Accept::default()))
}

/// Those who check tokens may keep what they read of the issuer for this long.
const ISSUER_KEPT: &str = "public, max-age=3600";

fn kept(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static(ISSUER_KEPT));
    reply
}

/// `/openid/v1/jwks`.
pub(crate) fn jwks(call: &Call) -> Reply {
    let json = serde_json::to_vec(&call.shared.tokens.jwks()).unwrap_or_default();
    kept(respond::with_media(200, json.into(), "application/jwk-set+json"))
}
