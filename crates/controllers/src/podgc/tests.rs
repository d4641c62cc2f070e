//! Lost, unbound and too many pods.

use super::*;
use crate::harness::Harness;
use testkit::build::{meta, node, running, template};

fn pod(h: &Harness, name: &str, on: Option<&str>) {
    let mut spec = template("web", "v1").spec.expect("spec");
    spec.node_name = on.map(ToOwned::to_owned);
    h.world.given(Pod { metadata: meta("default", name), spec: Some(spec), status: Some(running("10.0.0.1", h.world.time())) });
}

#[test]
fn lost_and_unbound_pods_are_removed() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.world.given(node("a"));
    pod(&h, "fine", Some("a"));
    pod(&h, "lost", Some("gone"));
    pod(&h, "unbound", None);
    h.world.edit::<Pod>("default", "unbound", |p| {
        p.metadata.finalizers = Some(vec!["test/hold".into()]);
        p.metadata.deletion_timestamp = p.metadata.creation_timestamp.clone();
    });
    h.pass();
    let names: Vec<_> = h.world.all::<Pod>().iter().filter_map(|p| p.metadata.name.clone()).collect();
    assert_eq!(names, ["fine", "unbound"]);
    assert_eq!(kinds::pod::phase(&h.world.get::<Pod>("default", "unbound")), "Failed", "so that its job counts it");
}

#[test]
fn terminal_pods_beyond_the_threshold_go_oldest_first() {
    let mut h = Harness::new(&[&CONTROLLER]);
    h.config.terminated_pod_threshold = 2;
    h.world.given(node("a"));
    for n in ["p1", "p2", "p3"] {
        h.wait(1);
        pod(&h, n, Some("a"));
        h.world.edit::<Pod>("default", n, |p| p.status.as_mut().expect("status").phase = Some("Succeeded".into()));
    }
    h.settle();
    let names: Vec<_> = h.world.all::<Pod>().iter().filter_map(|p| p.metadata.name.clone()).collect();
    assert_eq!(names, ["p2", "p3"]);
}
