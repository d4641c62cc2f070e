//! The world behaves as the API does.

use crate::build::{deployment, meta, template};
use crate::{World, now_or_never};
use cache::{Interest, Source};
use kinds::api::apps::v1::Deployment;
use kinds::api::core::v1::Pod;
use kinds::{DeleteOptions, Kind, Object, ObjectKey, Target};
use std::sync::Arc;

#[test]
fn writes_behave_as_the_api_does() {
    let w = World::default();
    let made = w.create(deployment("web", 1).into()).expect("created");
    assert!(w.create(deployment("web", 1).into()).expect_err("twice").is_already_exists());
    let mut d = Deployment::clone(made.typed().expect("a deployment"));
    d.spec.as_mut().expect("spec").replicas = Some(2);
    let second = w.update(d.clone().into(), "").expect("updated");
    assert_eq!(second.meta().generation, Some(2));
    assert!(w.update(d.into(), "").expect_err("stale").is_conflict());
}

#[test]
fn finalizers_and_grace_hold_objects_back() {
    let w = World::default();
    let mut pod = Pod { metadata: meta("default", "p"), spec: template("p", "v1").spec, status: None };
    pod.spec.as_mut().expect("spec").node_name = Some("n1".to_owned());
    w.given(pod);
    let target = Target::new(Kind::Pod, ObjectKey::new("default", "p"));
    let lingers = w.delete(&target, &DeleteOptions::default()).expect("deleted").expect("graceful");
    assert!(lingers.meta().deletion_timestamp.is_some());
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    assert!(w.delete(&target, &now).expect("forced").is_none());
    assert!(w.all::<Pod>().is_empty());
}

#[test]
fn subscribers_hear_of_changes() {
    let w = World::default();
    let mut s = w.subscribe(Interest::Everything);
    assert!(now_or_never(s.next()).expect("open").lagged);
    w.given(deployment("web", 1));
    let batch = now_or_never(s.next()).expect("open");
    assert!(matches!(batch.changes[0].new.as_ref().expect("new").object(), Object::Deployment(d) if Arc::strong_count(d) > 0));
}
