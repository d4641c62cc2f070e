//! The chain: what webhooks are shown, in which order, and when a second time.

use super::*;
use crate::tests::{caller, open_with};
use cache::Snapshot;
use kinds::api::core::v1::{ConfigMap, Pod};
use kinds::api::policy::v1::Eviction;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{DeleteOptions, Fut, Kind, ObjectKey, ObjectMeta};
use parking_lot::Mutex;
use std::sync::Arc;
use store::MemoryDisk;

/// Notes every call; the phase that changes adds one to a counter in the object's data, once or always.
#[derive(Default)]
struct Spy {
    seen: Mutex<Vec<String>>,
    refuse: bool,
}

impl Spy {
    fn note(&self, phase: &str, ask: &Ask<'_>, object: Option<&Object>, old: Option<&Object>) {
        let r = ask.request;
        let (o, n) = (old.map_or("-", Object::kind_name), object.map_or("-", Object::kind_name));
        let name = object.map_or("", |o| o.meta().uid.as_deref().map_or("no uid", |_| "uid"));
        self.seen.lock().push(format!("{phase} {:?} {}/{} {o}>{n} {name}", r.operation, r.resource, r.subresource).trim().to_owned());
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock())
    }
}

impl Hooks for Spy {
    fn concern(&self, _: Phase, ask: &Ask<'_>) -> bool {
        ask.request.resource.builtin() != Some(Kind::Namespace)
    }
    fn mutate<'a>(
        &'a self,
        ask: &'a Ask<'a>,
        mut object: Option<Object>,
        old: Option<&'a Object>,
        round: &'a mut Round,
    ) -> Fut<'a, Option<Object>> {
        self.note(if round.second { "again" } else { "mutate" }, ask, object.as_ref(), old);
        if let (Some(Object::ConfigMap(m)), false) = (&mut object, round.second) {
            Arc::make_mut(m).data.get_or_insert_default().insert("hook".into(), "was here".into());
            round.changed = true;
        }
        Box::pin(async move { Ok(object) })
    }
    fn validate<'a>(&'a self, ask: &'a Ask<'a>, object: Option<&'a Object>, old: Option<&'a Object>) -> Fut<'a, ()> {
        self.note("validate", ask, object, old);
        let refuse = self.refuse;
        Box::pin(async move { if refuse { Err(ApiError::bad_request("no")) } else { Ok(()) } })
    }
    fn convert<'a>(
        &'a self,
        _: &'a Snapshot,
        _: &'a CustomResourceDefinition,
        objects: Vec<Object>,
        _: &'a str,
    ) -> Fut<'a, Vec<Object>> {
        Box::pin(async move { Ok(objects) })
    }
}

fn map() -> Object {
    ConfigMap { metadata: ObjectMeta { generate_name: Some("m-".into()), ..ObjectMeta::default() }, ..ConfigMap::default() }.into()
}

fn owners(object: &Object) -> String {
    let all = object.meta().managed_fields.iter().flatten();
    all.filter_map(|m| m.fields_v1.as_ref()).map(|f| f.0.to_string()).collect()
}

#[tokio::test]
async fn every_verb_asks_in_order() {
    let spy = Arc::new(Spy::default());
    let r = open_with(Arc::new(MemoryDisk::default()), Some(Arc::clone(&spy) as Arc<dyn Hooks>)).await;
    let options = WriteOptions::default();
    let target = Target::new(Kind::ConfigMap, ObjectKey::new("a", ""));
    let made = r.create(&caller(), &target, map(), &options).await.expect("created").entry;
    assert_eq!(
        spy.take(),
        [
            "mutate Create configmaps/ ->ConfigMap no uid",
            "again Create configmaps/ ->ConfigMap no uid",
            "validate Create configmaps/ ->ConfigMap uid"
        ]
    );
    // What a webhook adds is nobody's.
    assert!(!owners(made.object()).contains("hook"), "{}", owners(made.object()));
    let target = Target::new(Kind::ConfigMap, made.key.clone());
    r.update(&caller(), &target, made.object().clone(), &options).await.expect("updated");
    assert_eq!(
        spy.take(),
        [
            "mutate Update configmaps/ ConfigMap>ConfigMap uid",
            "again Update configmaps/ ConfigMap>ConfigMap uid",
            "validate Update configmaps/ ConfigMap>ConfigMap uid"
        ]
    );
    r.delete(&caller(), &target, &DeleteOptions::default()).await.expect("deleted");
    assert_eq!(spy.take(), ["mutate Delete configmaps/ ConfigMap>-", "validate Delete configmaps/ ConfigMap>-"]);
}

#[tokio::test]
async fn an_eviction_is_no_delete() {
    let spy = Arc::new(Spy::default());
    let r = open_with(Arc::new(MemoryDisk::default()), Some(Arc::clone(&spy) as Arc<dyn Hooks>)).await;
    let key = ObjectKey::new("a", "gone");
    let eviction = Eviction { metadata: ObjectMeta { name: Some("gone".into()), ..ObjectMeta::default() }, ..Eviction::default() };
    let missing = r.evict(&caller(), &key, &eviction, false).await.expect_err("no such pod");
    assert!(missing.is_not_found() && r.snapshot().find::<Pod>(&key).is_none());
    assert_eq!(spy.take(), ["mutate Create pods/eviction ->Eviction no uid", "validate Create pods/eviction ->Eviction no uid"]);
}

#[tokio::test]
async fn a_refusal_leaves_nothing() {
    let spy = Arc::new(Spy { refuse: true, ..Spy::default() });
    let r = open_with(Arc::new(MemoryDisk::default()), Some(Arc::clone(&spy) as Arc<dyn Hooks>)).await;
    let target = Target::new(Kind::ConfigMap, ObjectKey::new("a", ""));
    let e = r.create(&caller(), &target, map(), &WriteOptions::default()).await.expect_err("refused");
    assert_eq!(e.message, "no");
    assert_eq!(r.snapshot().list::<ConfigMap>("").count(), 0);
}
