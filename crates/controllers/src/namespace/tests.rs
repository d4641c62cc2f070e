//! Namespaces that go, in order, and say what holds them.

use super::*;
use crate::harness::Harness;
use kinds::api::core::v1::{ConfigMap, Pod};
use kinds::{ApiError, DeleteOptions, ObjectKey, ObjectMeta, Target};
use testkit::build::{meta, namespace, template};

fn terminating(h: &Harness) {
    let target = Target::new(Kind::Namespace, ObjectKey::cluster("x"));
    h.world.delete(&target, &DeleteOptions::default()).expect("deleted");
}

fn message(h: &Harness, kind: &str) -> String {
    let n = h.world.get::<Namespace>("", "x");
    let all = n.status.clone().and_then(|s| s.conditions).unwrap_or_default();
    all.into_iter().find(|c| c.type_ == kind).and_then(|c| c.message).unwrap_or_default()
}

#[test]
fn pods_go_first_then_the_rest_then_the_namespace() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(namespace("x"));
    let mut pod = Pod { metadata: meta("x", "p"), spec: template("p", "v1").spec, status: None };
    pod.spec.as_mut().expect("spec").node_name = Some("n".to_owned());
    h.world.given(pod);
    let held = ObjectMeta { finalizers: Some(vec!["test/hold".to_owned()]), ..meta("x", "m") };
    h.world.given(ConfigMap { metadata: held, ..ConfigMap::default() });
    terminating(&h);
    h.settle();
    assert!(h.world.get::<ConfigMap>("x", "m").metadata.deletion_timestamp.is_none(), "a pod is still there");
    assert_eq!(
        message(&h, "NamespaceContentRemaining"),
        "Some resources are remaining: configmaps. has 1 resource instances, pods. has 1 resource instances"
    );
    h.run_pods();
    h.settle();
    assert_eq!(
        message(&h, "NamespaceFinalizersRemaining"),
        "Some content in the namespace has finalizers remaining: test/hold in 1 resource instances"
    );
    h.world.erase::<ConfigMap>("x", "m");
    h.settle();
    assert!(h.world.all::<Namespace>().is_empty());
}

#[test]
fn a_refused_deletion_is_told() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(namespace("x"));
    h.world.given(ConfigMap { metadata: meta("x", "m"), ..ConfigMap::default() });
    terminating(&h);
    h.world.refuse(|verb, _| (verb == "delete").then(|| ApiError::internal("disk full")));
    h.pass();
    let text = message(&h, "NamespaceDeletionContentFailure");
    assert_eq!(text, "Failed to delete all resource types, 1 remaining: Internal error occurred: disk full");
}
