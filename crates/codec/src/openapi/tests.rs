//! The documents in a few well-known places, and against upstream's own where those are at hand.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn tree(crd: &CustomResourceDefinition) -> Value {
    crate::to_value(&kinds::Object::from(crd.clone()))
}

const SERVED: Served<'static> = Served { builtin: |r| r.served_by_default, customs: &[], tree: &tree, enums: true };

fn v3(served: &Served<'_>, path: &str) -> Value {
    let mut out = Vec::new();
    assert!(served.write_v3(path, Format::Json, &mut out).expect("memory"), "{path}");
    serde_json::from_slice(&out).expect("JSON")
}

/// The whole v2 document out of its parts.
fn joined(served: &Served<'_>, foreign: &[Foreign], format: Format) -> Vec<u8> {
    let (mut paths, mut definitions, mut parameters) = (Vec::new(), Vec::new(), Parameters::new());
    let texts = Texts::unpack(true);
    let customs = served.customs.iter().map(|c| Part::Custom(c));
    for part in std::iter::once(Part::Builtin).chain(customs).chain(foreign.iter().map(Part::Foreign)) {
        parameters.extend(served.write_v2(&part, &texts, format, (&mut paths, &mut definitions)).expect("memory"));
    }
    let [head, middle, tail] = v2_frame(format, &parameters);
    [head, paths, middle, definitions, tail].concat()
}

fn v2(served: &Served<'_>) -> Value {
    serde_json::from_slice(&joined(served, &[], Format::Json)).expect("JSON")
}

#[test]
fn what_other_servers_publish_is_merged() {
    let refer = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
    let shared = "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions";
    let document = |path: &str, kind: &str, fields: Value| {
        let ours = v2(&SERVED)["definitions"][shared].clone();
        let kind_of = |text: &str| json!({ "type": "object", "description": text, "properties": { "meta": refer("m.Meta"), "p": refer(shared) } });
        let document = json!({
            "swagger": "2.0", "paths": { "/apis/": {}, "/apis/g.io/": { "get": {} }, "/apis/other.io/v1/": {}, path: { "get": { "schema": refer(kind) } } },
            "definitions": { kind: kind_of("a thing"), "m.Meta": { "type": "object", "properties": fields }, "unused": {}, shared: ours },
            "parameters": { "pretty-x": { "name": "pretty" } },
        });
        Foreign::read(document.to_string().as_bytes(), "g.io", "v1").expect("a document")
    };
    let one = document("/apis/g.io/v1/xs", "io.g.v1.X", json!({ "a": { "type": "string" } }));
    let two = document("/apis/g.io/v1/ys", "io.g.v1.Y", json!({ "b": { "type": "string" } }));
    assert!(Foreign::read(b"{}", "g.io", "v1").is_none());
    let settled = Foreign::settled(&[&one, &two]);
    let text = String::from_utf8(joined(&SERVED, &settled, Format::Json)).expect("UTF-8");
    assert_eq!((text.matches("\"/apis/g.io/\":").count(), text.matches("\"/apis/\":").count()), (1, 1));
    assert_eq!(text.matches(&format!("\"{shared}\":")).count(), 1, "it says what ours says");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(all["definitions"]["io.g.v1.X"]["properties"]["meta"], refer("m.Meta"));
    assert_eq!(all["definitions"]["io.g.v1.Y"]["properties"]["meta"], refer("m.Meta_v2"));
    assert_eq!(all["definitions"]["m.Meta_v2"]["properties"], json!({ "b": { "type": "string" } }));
    assert!(all["definitions"].get("unused").is_none() && all["paths"].get("/apis/other.io/v1/").is_none());
    assert_eq!(all["paths"]["/apis/g.io/v1/ys"]["get"]["schema"], refer("io.g.v1.Y"));
    assert_eq!(all["parameters"]["pretty-x"]["name"], "pretty");
}

#[test]
fn the_index_names_every_group_version() {
    let index = SERVED.index();
    for path in ["api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version", "apis/rbac.authorization.k8s.io/v1"] {
        assert!(index.iter().any(|p| p == path), "{path}");
    }
    assert!(!index.iter().any(|p| p.ends_with("v1alpha1")));
    let mut out = Vec::new();
    assert!(!SERVED.write_v3("apis/nothing/v1", Format::Json, &mut out).expect("memory"));
    assert!(out.is_empty());
}

#[test]
fn a_deployment_is_explained() {
    let apps = v3(&SERVED, "apis/apps/v1");
    let schemas = &apps["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"], json!([{ "group": "apps", "kind": "Deployment", "version": "v1" }]));
    assert!(deployment["description"].as_str().expect("described").starts_with("Deployment enables"));
    let spec = &deployment["properties"]["spec"];
    assert_eq!(spec["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
    assert_eq!(spec["default"], json!({}));
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    assert!(strategy["description"].as_str().expect("described").contains("strategy"));
    assert_eq!(schemas["io.k8s.api.apps.v1.DeploymentSpec"]["required"], json!(["selector", "template"]));
    assert!(deployment["properties"]["kind"]["description"].is_string());
}

#[test]
fn kubectl_finds_field_validation_on_the_patch() {
    let apps = v3(&SERVED, "apis/apps/v1");
    let item = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    let patch = &item["patch"];
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({ "group": "apps", "kind": "Deployment", "version": "v1" }));
    let names: Vec<_> = patch["parameters"].as_array().expect("own").iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let shared: Vec<_> = item["parameters"].as_array().expect("shared").iter().map(|p| p["name"].clone()).collect();
    assert_eq!(shared, ["name", "namespace", "pretty"]);
    assert!(patch["requestBody"]["content"]["application/apply-patch+yaml"].is_object());
}

#[test]
fn v2_says_the_same_in_its_own_words() {
    let all = v2(&SERVED);
    let spec = &all["definitions"]["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"];
    assert_eq!(spec["$ref"], "#/definitions/io.k8s.api.apps.v1.DeploymentSpec");
    assert!(spec.get("default").is_none());
    assert_eq!(all["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["type"], "string");
    let post = &all["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"];
    assert_eq!(post["parameters"][0]["in"], "body");
    assert_eq!(post["operationId"], "createCoreV1NamespacedPod");
    let list = &all["paths"]["/api/v1/pods"]["parameters"][0]["$ref"];
    let name = list.as_str().and_then(|r| r.strip_prefix("#/parameters/")).expect("shared");
    assert_eq!(all["parameters"][name]["name"], "allowWatchBookmarks");
}

#[test]
fn descriptions_are_there_for_nearly_every_type() {
    let texts = super::text::Descriptions::unpack(true);
    assert!(texts.len() > 600, "{}", texts.len());
    let about = texts.of_field("io.k8s.api.core.v1.ServiceSpec", "clusterIPs").expect("described");
    assert!(about.contains("clusterIPs[0]") && about.contains("\n\n"), "{about}");
}

fn crd(text: &str) -> Arc<CustomResourceDefinition> {
    let object = crate::decode(kinds::Kind::CustomResourceDefinition, text.as_bytes()).expect("a definition");
    let kinds::Object::CustomResourceDefinition(crd) = object else { panic!("another kind") };
    crd
}

fn crontab() -> Arc<CustomResourceDefinition> {
    crd(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crontabs.stable.example.com" },
        "spec": {
            "group": "stable.example.com", "scope": "Namespaced",
            "names": { "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": {
                    "type": "object", "required": ["cronSpec"],
                    "properties": {
                        "cronSpec": { "type": "string", "pattern": "^.*$", "default": "x", "nullable": true },
                        "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
                        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "a": { "type": "string" } } },
                        "default": { "type": "string" },
                    },
                } } } },
            }],
        },
    }).to_string())
}

#[test]
fn custom_resources_are_published() {
    let customs = [crontab()];
    let served = Served { customs: &customs, ..SERVED };
    assert!(served.index().iter().any(|p| p == "apis/stable.example.com/v1"));
    assert_eq!(served.customs_of("apis/stable.example.com/v1").count(), 1);
    let doc = v3(&served, "apis/stable.example.com/v1");
    let model = &doc["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(model["x-kubernetes-group-version-kind"][0]["kind"], "CronTab");
    assert!(model["properties"]["metadata"]["allOf"].is_array() && model["properties"]["apiVersion"].is_object());
    assert_eq!(model["properties"]["spec"]["properties"]["cronSpec"]["default"], "x");
    assert!(doc["components"]["schemas"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].is_object());
    let patch = &doc["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"]["patch"];
    assert_eq!(patch["operationId"], "patchStableExampleComV1NamespacedCronTab");
    assert!(doc["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}/status"]["put"].is_object());
    let old = v2(&served);
    let spec = &old["definitions"]["com.example.stable.v1.CronTab"]["properties"]["spec"]["properties"];
    assert_eq!(spec["cronSpec"], json!({ "pattern": "^.*$" }));
    assert_eq!(spec["port"], json!({ "x-kubernetes-int-or-string": true }));
    assert_eq!(spec["free"], json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }));
    assert_eq!(spec["default"], json!({ "type": "string" }));
}

/// Joins the fragments of a protobuf message: field numbers with their payloads, in order.
fn fields(mut rest: &[u8]) -> Vec<(u32, Vec<u8>)> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let mut n = 0;
        for shift in (0..).step_by(7) {
            let (b, tail) = rest.split_first().expect("a byte");
            *rest = tail;
            n |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                break;
            }
        }
        n
    }
    let mut all = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let payload = match key & 7 {
            0 => varint(&mut rest).to_le_bytes().to_vec(),
            1 => rest.split_off(..8).expect("8 bytes").to_vec(),
            _ => {
                let n = usize::try_from(varint(&mut rest)).expect("small");
                rest.split_off(..n).expect("whole").to_vec()
            }
        };
        all.push((u32::try_from(key >> 3).expect("small"), payload));
    }
    all
}

fn sub(bytes: &[u8], tag: u32) -> Vec<u8> {
    fields(bytes).into_iter().filter(|f| f.0 == tag).flat_map(|f| f.1).collect()
}

fn find(named: &[u8], tag: u32, name: &str) -> Vec<u8> {
    let each = fields(named).into_iter().filter(|f| f.0 == tag).map(|f| f.1);
    sub(&each.into_iter().find(|e| sub(e, 1) == name.as_bytes()).expect(name), 2)
}

#[test]
fn protobuf_v2_carries_what_kubectl_reads() {
    let out = joined(&SERVED, &[], Format::Protobuf);
    assert_eq!(sub(&out, 1), b"2.0");
    let path = find(&sub(&out, 8), 2, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    let patch = sub(&path, 8);
    assert_eq!(sub(&patch, 5), b"patchAppsV1NamespacedDeployment");
    let gvk = find(&patch, 13, "x-kubernetes-group-version-kind");
    let yaml: Value = serde_json::from_slice(&sub(&gvk, 2)).expect("JSON");
    assert_eq!(yaml["kind"], "Deployment");
    let definition = find(&sub(&out, 9), 1, "io.k8s.api.apps.v1.DeploymentSpec");
    let replicas = find(&sub(&definition, 25), 1, "replicas");
    assert_eq!(sub(&sub(&replicas, 22), 1), b"integer");
    assert_eq!(sub(&replicas, 2), b"int32");
    let mut v3 = Vec::new();
    assert!(SERVED.write_v3("apis/apps/v1", Format::Protobuf, &mut v3).expect("memory"));
    let schema = find(&sub(&sub(&v3, 5), 1), 1, "io.k8s.api.apps.v1.DeploymentSpec");
    let replicas = find(&sub(&sub(&schema, 1), 31), 1, "replicas");
    assert_eq!(sub(&sub(&replicas, 1), 25), b"integer");
}

/// Upstream's `api/openapi-spec` folder, if it is at hand (it is never committed).
fn upstream() -> Option<PathBuf> {
    std::env::var_os("TIMONEL_OPENAPI_SPEC").map(PathBuf::from)
}

/// Paths that upstream serves and this server does not: reading files of the server's machine (deprecated, off by default
/// in hardened clusters).
const NOT_SERVED: &[&str] = &["/logs/", "/logs/{logpath}"];

/// What is compared: all but sentences, published enumerations (upstream's files are made without) and CBOR.
fn bare(tree: &Value) -> Value {
    match tree {
        Value::Object(map) => {
            let kept = map.iter().filter(|(k, v)| {
                !(*k == "description" && v.is_string() || *k == "enum" && v.is_array() || k.contains("cbor") || NOT_SERVED.contains(&k.as_str()))
            });
            let sorted = |k: &str, mut v: Value| {
                if let (true, Value::Array(list)) = (k == "required", &mut v) {
                    list.sort_by_key(Value::to_string);
                }
                v
            };
            kept.map(|(k, v)| (k.clone(), sorted(k, bare(v)))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().filter(|v| !v.as_str().is_some_and(|s| s.contains("cbor"))).map(bare).collect(),
        _ => tree.clone(),
    }
}

fn differences(ours: &Value, theirs: &Value, at: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for (k, v) in b {
                match a.get(k) {
                    Some(o) => differences(o, v, &format!("{at}/{k}"), found),
                    None => found.push(format!("{at}/{k} is missing")),
                }
            }
            found.extend(a.keys().filter(|k| !b.contains_key(*k)).map(|k| format!("{at}/{k} is ours alone")));
        }
        _ if ours != theirs => found.push(format!("{at}: {ours} instead of {theirs}")),
        _ => {}
    }
}

#[test]
fn v3_documents_are_upstreams() {
    let Some(folder) = upstream() else {
        println!("SKIP openapi::v3_documents_are_upstreams: TIMONEL_OPENAPI_SPEC does not name upstream's api/openapi-spec");
        return;
    };
    let all = Served { builtin: |_| true, ..SERVED };
    let mut found = Vec::new();
    for path in all.index() {
        let file = folder.join("v3").join(format!("{}_openapi.json", path.replace('/', "__")));
        let theirs: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
        differences(&bare(&v3(&all, &path)), &bare(&theirs), &path, &mut found);
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(40)].join("\n"));
}

/// Resolves shared parameters (their names are hashes of sentences) and forgets the order of media types.
fn resolved(tree: &Value, parameters: &BTreeMap<String, Value>) -> Value {
    match tree {
        Value::Object(map) => {
            let target = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/parameters/"));
            if let Some(found) = target.and_then(|t| parameters.get(t)) {
                return found.clone();
            }
            let each = map.iter().map(|(k, v)| {
                let mut v = resolved(v, parameters);
                if let (true, Value::Array(list)) = (k == "consumes" || k == "produces", &mut v) {
                    list.sort_by_key(Value::to_string);
                }
                (k.clone(), v)
            });
            each.filter(|(k, v)| !((k == "consumes" || k == "produces") && v == &json!([]))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(|v| resolved(v, parameters)).collect(),
        _ => tree.clone(),
    }
}

#[test]
fn the_v2_document_is_upstreams() {
    let Some(folder) = upstream() else {
        println!("SKIP openapi::the_v2_document_is_upstreams: TIMONEL_OPENAPI_SPEC does not name upstream's api/openapi-spec");
        return;
    };
    let theirs: Value = serde_json::from_slice(&std::fs::read(folder.join("swagger.json")).expect("a file")).expect("JSON");
    let ours = v2(&Served { builtin: |_| true, ..SERVED });
    let whole = |tree: &Value| {
        let parameters = tree["parameters"].as_object().expect("shared").iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut turned = bare(&resolved(tree, &parameters));
        turned["parameters"] = Value::Null;
        turned
    };
    let mut found = Vec::new();
    differences(&whole(&ours), &whole(&theirs), "", &mut found);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(40)].join("\n"));
}
