//! DaemonSets over nodes with taints, updates and surge.

use super::*;
use crate::harness::Harness;
use crate::history::REVISION_LABEL;
use kinds::IntOrString;
use kinds::api::apps::v1::{ControllerRevision, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use kinds::api::core::v1::{NodeSpec, Taint};
use testkit::build::{meta, node, selector, template};

fn harness(nodes: usize, rolling: RollingUpdateDaemonSet) -> Harness {
    let h = Harness::with_json(&[&CONTROLLER]);
    (0..nodes).for_each(|n| drop(h.world.given(node(&format!("n{n}")))));
    let spec = DaemonSetSpec {
        selector: selector(&[("app", "agent")]),
        template: template("agent", "v1"),
        update_strategy: Some(DaemonSetUpdateStrategy { type_: Some("RollingUpdate".into()), rolling_update: Some(rolling) }),
        revision_history_limit: Some(10),
        ..DaemonSetSpec::default()
    };
    h.world.given(DaemonSet { metadata: meta("default", "agent"), spec: Some(spec), status: None });
    h
}

fn image(h: &Harness, image: &str) {
    h.world.edit::<DaemonSet>("default", "agent", |d| {
        d.spec.as_mut().expect("spec").template.spec.as_mut().expect("spec").containers[0].image = Some(image.to_owned());
    });
}

fn taint(h: &Harness, name: &str, effect: &str) {
    let taint = Taint { key: "test".into(), effect: effect.into(), ..Taint::default() };
    h.world.edit::<Node>("", name, |n| n.spec = Some(NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() }));
}

#[test]
fn a_pod_a_node_by_affinity_and_taints_are_heeded() {
    let mut h = harness(3, RollingUpdateDaemonSet::default());
    h.settle_running();
    let s = h.world.get::<DaemonSet>("default", "agent").status.clone().expect("status");
    assert_eq!((s.desired_number_scheduled, s.current_number_scheduled, s.number_ready, s.updated_number_scheduled), (3, 3, 3, Some(3)));
    let mut on: Vec<String> = h.world.all::<Pod>().iter().map(|p| node::target_node(p)).collect();
    on.sort();
    assert_eq!(on, ["n0", "n1", "n2"]);
    taint(&h, "n1", "NoSchedule");
    taint(&h, "n2", "NoExecute");
    h.settle_running();
    let s = h.world.get::<DaemonSet>("default", "agent").status.clone().expect("status");
    assert_eq!((s.desired_number_scheduled, s.number_misscheduled), (1, 1));
    assert_eq!(h.world.all::<Pod>().len(), 2);
}

#[test]
fn updates_keep_to_what_may_be_missing_and_going_back_renumbers() {
    let mut h = harness(3, RollingUpdateDaemonSet { max_unavailable: Some(IntOrString::Int(1)), max_surge: None });
    h.settle_running();
    image(&h, "v2");
    h.settle();
    assert_eq!(h.world.all::<Pod>().iter().filter(|p| !kinds::pod::is_ready(p)).count(), 1, "one at a time");
    h.settle_running();
    image(&h, "v1");
    h.settle_running();
    let mut revisions: Vec<i64> = h.world.all::<ControllerRevision>().iter().map(|r| r.revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3]);
    let images: Vec<_> = h.world.all::<Pod>().iter().filter_map(|p| p.spec.as_ref()?.containers[0].image.clone()).collect();
    assert_eq!(images, ["v1", "v1", "v1"]);
    assert!(h.world.all::<Pod>().iter().all(|p| p.metadata.labels.as_ref().is_some_and(|l| l.contains_key(REVISION_LABEL))));
}

#[test]
fn surge_makes_the_new_before_the_old_goes() {
    let surge = RollingUpdateDaemonSet { max_unavailable: Some(IntOrString::Int(0)), max_surge: Some(IntOrString::Int(1)) };
    let mut h = harness(2, surge);
    h.settle_running();
    image(&h, "v2");
    for _ in 0..20 {
        let wrote = h.pass();
        let ready = h.world.all::<Pod>().iter().filter(|p| kinds::pod::is_active(p) && kinds::pod::is_ready(p)).count();
        assert!(ready >= 2, "none may be missing");
        if !(h.run_pods() || wrote) {
            break;
        }
    }
    assert_eq!(h.world.all::<Pod>().len(), 2);
}
