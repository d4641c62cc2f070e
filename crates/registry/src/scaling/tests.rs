//! Who owns replicas that were written through `scale`: as kube-apiserver v1.36.2 answers the same requests.

use super::*;
use crate::tests::{caller, open};
use serde_json::json;
use std::sync::Arc;
use store::MemoryDisk;

fn body(kind: PatchKind, body: &Value) -> Patch {
    Patch { kind, body: body.to_string().into_bytes() }
}

fn by(manager: &str, force: bool) -> WriteOptions {
    WriteOptions { field_manager: manager.to_owned(), force, ..WriteOptions::default() }
}

/// Managers with their operation, subresource and version, in the order of the list.
fn owners(entry: &Entry) -> Vec<String> {
    let all = codec::managed_fields(&entry.json).unwrap_or_default();
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    all.iter().map(|m| [&m.manager, &m.operation, &m.subresource, &m.api_version].map(text).join(" ").replace("  ", " - ")).collect()
}

#[tokio::test]
async fn replicas_are_owned_through_scale() {
    let r = open(Arc::new(MemoryDisk::default())).await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d", "namespace": "a" },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "a": "d" } },
            "template": { "metadata": { "labels": { "a": "d" } }, "spec": { "containers": [{ "name": "c", "image": "x" }] } },
        },
    });
    let (resource, key) = (Resource::from(Kind::Deployment), ObjectKey::new("a", "d"));
    let deployment = codec::from_value(&resource, deployment).expect("decodes");
    let target = Target::new(resource.clone(), key.clone());
    r.create(&caller(), &target, deployment, &by("kubectl-create", false)).await.expect("created");
    let patch = async |kind, tree: Value, options: &WriteOptions| {
        r.patch_scale(&caller(), (&resource, &key), &body(kind, &tree), options, FieldValidation::Warn).await
    };
    let config = |replicas: i32| json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": "d" }, "spec": { "replicas": replicas } });
    let e = patch(PatchKind::Apply, config(3), &by("s1", false)).await.expect_err("kubectl-create has it");
    assert_eq!((e.code, e.message.as_str()), (409, "Apply failed with 1 conflict: conflict with \"kubectl-create\" using autoscaling/v1: .spec.replicas"));
    let applied = patch(PatchKind::Apply, config(3), &by("s1", true)).await.expect("forced").entry;
    assert_eq!(r.scale_of(&resource, applied.object()).expect("scales").spec.and_then(|s| s.replicas), Some(3));
    assert_eq!(owners(&applied), ["s1 Apply scale apps/v1", "kubectl-create Update - apps/v1"]);
    let merged = patch(PatchKind::Merge, json!({ "spec": { "replicas": 4 } }), &by("s2", false)).await.expect("patched").entry;
    assert_eq!(owners(&merged), ["s2 Update scale apps/v1", "kubectl-create Update - apps/v1"]);
    let strategic = patch(PatchKind::Strategic, json!({ "spec": { "replicas": 4 } }), &by("s3", false)).await.expect("patched").entry;
    assert_eq!(owners(&strategic), owners(&merged), "who changes nothing owns nothing");
    patch(PatchKind::Apply, config(2), &by("s1", true)).await.expect("forced");
    let whole = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" }, "spec": { "replicas": 9 } });
    let e = r.patch(&caller(), &target, &body(PatchKind::Apply, &whole), &by("s4", false)).await.expect_err("s1 has it");
    assert_eq!(e.message, "Apply failed with 1 conflict: conflict with \"s1\" with subresource \"scale\": .spec.replicas");
    let e = patch(PatchKind::Apply, whole, &by("s1", true)).await.expect_err("no scale");
    assert_eq!((e.code, e.message.as_str()), (400, "invalid object type: apps/v1, Kind=Deployment"));
}
