//! Custom resources through the verbs.

use super::resource_of;
use crate::list::ListQuery;
use crate::tests::{caller, open};
use crate::{Registry, delete::Deleted};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::selector::parse_fields;
use kinds::{DeleteOptions, Kind, Object, ObjectKey, Patch, PatchKind, Resource, Target, WriteOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use store::MemoryDisk;

fn definition() -> Value {
    let schema = json!({ "openAPIV3Schema": { "type": "object", "properties": {
        "spec": { "type": "object", "properties": {
            "cronSpec": { "type": "string", "pattern": "^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$" },
            "replicas": { "type": "integer", "minimum": 1, "maximum": 10, "default": 1 },
            "color": { "type": "string" },
            "tags": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        } },
        "status": { "type": "object", "properties": { "replicas": { "type": "integer" } } },
    } } });
    let version = |name: &str, storage: bool| json!({
        "name": name, "served": true, "storage": storage, "schema": schema,
        "selectableFields": if storage { json!([{ "jsonPath": ".spec.color" }]) } else { json!([]) },
        "subresources": { "status": {}, "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" } },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "crontabs.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "crontabs", "kind": "CronTab" },
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    })
}

async fn with_definition() -> (Arc<Registry>, Resource, Target) {
    defined_on(&Arc::new(MemoryDisk::default())).await
}

async fn defined_on(disk: &Arc<MemoryDisk>) -> (Arc<Registry>, Resource, Target) {
    let r = open(Arc::clone(disk)).await;
    let kind = Kind::CustomResourceDefinition;
    let crd = codec::from_value(&kind.into(), definition()).expect("decodes");
    let target = Target::new(kind, ObjectKey::default());
    let made = r.create(&caller(), &target, crd, &WriteOptions::default()).await.expect("created");
    let resource = resource_of(made.entry.object().typed::<CustomResourceDefinition>().expect("a definition"));
    (r, resource.clone(), Target::new(resource, ObjectKey::new("a", "x")))
}

fn object(resource: &Resource, version: &str, spec: Value) -> Object {
    let tree = json!({
        "apiVersion": format!("example.com/{version}"), "kind": "CronTab",
        "metadata": { "name": "x", "namespace": "a" }, "spec": spec, "status": { "replicas": 7 },
    });
    codec::from_value(resource, tree).expect("decodes")
}

fn tree(o: &Object) -> Value {
    codec::to_value(o)
}

#[tokio::test]
async fn objects_follow_their_definition() {
    let (r, resource, target) = with_definition().await;
    let options = WriteOptions::default();
    let wrong = object(&resource, "v1", json!({ "cronSpec": "* *", "replicas": "many" }));
    let e = r.create(&caller(), &target, wrong, &options).await.expect_err("invalid");
    assert_eq!(
        e.message,
        "CronTab.example.com \"x\" is invalid: [spec.cronSpec: Invalid value: \"* *\": spec.cronSpec in body should match \
         '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$', spec.replicas: Invalid value: \"string\": spec.replicas in body must be \
         of type integer: \"string\"]"
    );
    let new = object(&resource, "v1beta1", json!({ "cronSpec": "* * * * */5", "imag": "x", "color": "red" }));
    let made = r.create(&caller(), &target, new, &options).await.expect("created").entry;
    let seen = tree(&crate::whole(made.object(), &made.json));
    assert_eq!(seen["apiVersion"], "example.com/v1");
    assert_eq!(seen["metadata"]["managedFields"][0]["apiVersion"], "example.com/v1beta1");
    assert_eq!(seen["spec"], json!({ "cronSpec": "* * * * */5", "color": "red", "replicas": 1 }));
    assert_eq!((&seen["status"], made.meta().generation), (&Value::Null, Some(1)));
    let unknown = r.unknown_fields(&resource, "example.com/v1", &json!({ "metadata": { "nam": 1 }, "spec": { "imag": 1 } }));
    assert_eq!(unknown, ["unknown field \"metadata.nam\"", "unknown field \"spec.imag\""]);
    let select = |text: &str| ListQuery { fields: parse_fields(text).expect("parses"), ..ListQuery::default() };
    assert_eq!(r.list(&resource, &select("spec.color=red")).expect("listed").entries.len(), 1);
    assert_eq!(r.list(&resource, &select("spec.color=blue")).expect("listed").entries.len(), 0);
    let e = r.list(&resource, &select("spec.cronSpec=x")).expect_err("not selectable");
    assert_eq!(e.message, "field label not supported: spec.cronSpec");
    let other = ListQuery { version: "v1beta1".into(), ..select("spec.color=red") };
    let e = r.list(&resource, &other).expect_err("not selectable in that version");
    assert_eq!(e.message, "field label not supported: spec.color");
}

#[tokio::test]
async fn status_and_scale_are_apart() {
    let (r, resource, target) = with_definition().await;
    let options = WriteOptions::default();
    let new = object(&resource, "v1", json!({ "color": "red" }));
    r.create(&caller(), &target, new, &options).await.expect("created");
    let merge = |body: Value| Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() };
    let both = merge(json!({ "spec": { "color": "blue" }, "status": { "replicas": 3 } }));
    let status = r.patch(&caller(), &target.clone().sub("status"), &both, &options).await.expect("patched").entry;
    let seen = tree(status.object());
    assert_eq!((&seen["spec"]["color"], &seen["status"]["replicas"]), (&json!("red"), &json!(3)));
    assert_eq!(status.meta().generation, Some(1));
    let whole = r.patch(&caller(), &target, &merge(json!({ "spec": { "color": "blue" }, "status": null })), &options).await;
    let whole = whole.expect("patched").entry;
    let seen = tree(whole.object());
    assert_eq!((&seen["spec"]["color"], &seen["status"]["replicas"]), (&json!("blue"), &json!(3)));
    assert_eq!(whole.meta().generation, Some(2));
    let mut scale = r.scale_of(&resource, whole.object()).expect("scalable");
    assert_eq!(scale.status.as_ref().map(|s| s.replicas), Some(3));
    scale.spec.get_or_insert_default().replicas = Some(5);
    let scaled = r.set_scale(&caller(), &resource, &target.key, &scale, &options).await.expect("scaled").entry;
    assert_eq!(tree(scaled.object())["spec"]["replicas"], 5);
    scale.metadata.resource_version = None;
    scale.spec.get_or_insert_default().replicas = Some(11);
    let e = r.set_scale(&caller(), &resource, &target.key, &scale, &options).await.expect_err("too many");
    assert!(e.message.ends_with("spec.replicas in body should be less than or equal to 10"), "{}", e.message);
}

#[tokio::test]
async fn sets_are_shared_by_those_who_apply() {
    let (r, _, target) = with_definition().await;
    let apply = |tags: Value| Patch {
        kind: PatchKind::Apply,
        body: json!({
            "apiVersion": "example.com/v1", "kind": "CronTab", "metadata": { "name": "x" }, "spec": { "tags": tags },
        }).to_string().into_bytes(),
    };
    let by = |m: &str| WriteOptions { field_manager: m.to_owned(), ..WriteOptions::default() };
    r.patch(&caller(), &target, &apply(json!(["a"])), &by("one")).await.expect("applied");
    r.patch(&caller(), &target, &apply(json!(["b"])), &by("two")).await.expect("applied");
    let last = r.patch(&caller(), &target, &apply(json!([])), &by("one")).await.expect("applied").entry;
    assert_eq!(tree(last.object())["spec"]["tags"], json!(["b"]));
}

#[tokio::test]
async fn a_deleted_definition_waits_and_takes_nothing_in() {
    let (r, resource, target) = with_definition().await;
    let crd = Target::new(Kind::CustomResourceDefinition, ObjectKey::cluster("crontabs.example.com"));
    let gone = r.delete(&caller(), &crd, &DeleteOptions::default()).await.expect("deleted");
    let Deleted::Lingers(entry) = gone else { panic!("it waits for its instances") };
    assert_eq!(tree(entry.object())["status"]["conditions"][0]["reason"], "InstanceDeletionPending");
    let new = object(&resource, "v1", json!({}));
    let e = r.create(&caller(), &target, new, &WriteOptions::default()).await.expect_err("refused");
    assert_eq!((e.code, e.message.as_str()), (405, "create not allowed while custom resource definition is terminating"));
}

/// Managed fields say again what an object has, some levels further down: what a parser let in may be too deep to be read again.
#[tokio::test]
async fn what_is_stored_can_be_read_again_however_deep_it_is() {
    let disk = Arc::new(MemoryDisk::default());
    let (r, resource, target) = defined_on(&disk).await;
    let options = WriteOptions::default();
    let mut stored = 0;
    for levels in 100..=126 {
        let free = (0..levels).fold(json!(1), |below, _| json!({ "a": below }));
        let mut deep = object(&resource, "v1", json!({ "free": free }));
        deep.meta_mut().name = Some(format!("x{levels}"));
        match r.create(&caller(), &target, deep, &options).await {
            Ok(_) => stored += 1,
            Err(e) => assert_eq!((e.code, e.message.as_str()), (400, "the object and its managed fields have more levels than can be read again")),
        }
    }
    assert!((1..27).contains(&stored), "{stored}");
    let read = |r: &Registry| {
        let listing = r.list(&resource, &ListQuery::default()).expect("listed");
        listing.entries.iter().filter(|e| e.object().meta().uid.is_some()).count()
    };
    // Decoded objects that nobody reads are let go, and decoded again.
    r.cool();
    assert!(r.cool() > 0);
    assert_eq!(read(&r), stored);
    r.engine.close().await;
    drop(r);
    assert_eq!(read(&*open(disk).await), stored);
}
