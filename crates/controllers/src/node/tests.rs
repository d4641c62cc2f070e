//! Silence, taints, eviction and pod ranges of nodes.

use super::*;
use crate::controller::Subject;
use crate::harness::Harness;
use kinds::api::coordination::v1::{Lease, LeaseSpec};
use kinds::api::core::v1::{Node, NodeSpec, Pod, Taint, Toleration};
use kinds::{Kind, MicroTime};
use testkit::build::{meta, node, running, template};

fn beat(h: &Harness, name: &str) {
    let spec = LeaseSpec { renew_time: Some(MicroTime(h.world.time().0)), ..LeaseSpec::default() };
    h.world.given(Lease { metadata: meta("kube-node-lease", name), spec: Some(spec) });
}

fn pod(h: &Harness, name: &str, on: &str, tolerations: Vec<Toleration>) {
    let mut spec = template("web", "v1").spec.expect("spec");
    (spec.node_name, spec.tolerations) = (Some(on.to_owned()), Some(tolerations));
    h.world.given(Pod { metadata: meta("default", name), spec: Some(spec), status: Some(running("10.0.0.1", h.world.time())) });
}

fn taints(h: &Harness, name: &str) -> Vec<String> {
    let n = h.world.get::<Node>("", name);
    crate::placement::taints(&n).iter().map(|t| format!("{}:{}", t.key, t.effect)).collect()
}

#[test]
fn silence_becomes_unknown_taints_and_pods_not_ready() {
    let mut h = Harness::new(&[&LIFECYCLE]);
    for n in ["a", "b"] {
        h.world.given(node(n));
        beat(&h, n);
    }
    pod(&h, "web", "b", vec![]);
    h.settle();
    assert!(taints(&h, "b").is_empty());
    h.wait(51);
    beat(&h, "a");
    h.settle();
    let n = h.world.get::<Node>("", "b");
    let c = n.status.as_ref().and_then(|s| s.conditions.as_ref()).expect("conditions").iter().find(|c| c.type_ == "Ready").cloned();
    assert_eq!(c.and_then(|c| c.message).as_deref(), Some("Kubelet stopped posting node status."));
    assert_eq!(taints(&h, "b"), ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]);
    assert!(!kinds::pod::is_ready(&h.world.get::<Pod>("default", "web")));
    assert!(h.told().contains(&"NodeNotReady: Node b status is now: NodeNotReady".to_owned()));
    // With every node silent nobody is evicted.
    h.wait(51);
    h.settle();
    assert_eq!(taints(&h, "b"), ["node.kubernetes.io/unreachable:NoSchedule"]);
}

#[test]
fn a_restart_of_ours_is_no_silence_of_theirs() {
    let mut h = Harness::new(&[&LIFECYCLE]);
    h.world.given(node("a"));
    beat(&h, "a");
    h.wait(3600);
    h.config.started = Some(h.world.time().0);
    let plan = h.plan(&LIFECYCLE, &Subject::named(Kind::Node, "", "a"), None).expect("a plan");
    assert!(plan.is_idle());
    assert_eq!(plan.again, Some(h.config.node_monitor_grace));
}

#[test]
fn cordons_become_taints() {
    let mut h = Harness::new(&[&LIFECYCLE]);
    h.world.given(node("a"));
    beat(&h, "a");
    h.world.edit::<Node>("", "a", |n| n.spec = Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() }));
    h.settle();
    assert_eq!(taints(&h, "a"), ["node.kubernetes.io/unschedulable:NoSchedule"]);
    h.world.edit::<Node>("", "a", |n| n.spec.as_mut().expect("spec").unschedulable = None);
    h.settle();
    assert!(taints(&h, "a").is_empty());
}

#[test]
fn taints_evict_after_what_is_tolerated() {
    let mut h = Harness::new(&[&EVICTION]);
    h.world.given(node("a"));
    let tolerated = |s| Toleration {
        key: Some("node.kubernetes.io/unreachable".into()),
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        toleration_seconds: s,
        ..Toleration::default()
    };
    pod(&h, "never", "a", vec![]);
    pod(&h, "while", "a", vec![tolerated(Some(300))]);
    pod(&h, "forever", "a", vec![tolerated(None)]);
    let taint = Taint {
        key: "node.kubernetes.io/unreachable".into(),
        effect: "NoExecute".into(),
        time_added: Some(h.world.time()),
        value: None,
    };
    h.world.edit::<Node>("", "a", |n| n.spec = Some(NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() }));
    let leaving = |h: &Harness| -> Vec<String> {
        let all = h.world.all::<Pod>();
        all.iter().filter(|p| p.metadata.deletion_timestamp.is_some()).filter_map(|p| p.metadata.name.clone()).collect()
    };
    h.settle();
    assert_eq!(leaving(&h), ["never"]);
    assert!(h.told().contains(&"TaintManagerEviction: Marking for deletion Pod default/never".to_owned()));
    let plan = h.plan(&EVICTION, &Subject::named(Kind::Pod, "default", "while"), None).expect("a plan");
    assert_eq!(plan.again, Some(std::time::Duration::from_secs(300)));
    h.wait(300);
    h.settle();
    assert_eq!(leaving(&h), ["never", "while"]);
    let c = kinds::conditions::pod_condition(&h.world.get::<Pod>("default", "while"), "DisruptionTarget").cloned();
    assert_eq!(c.and_then(|c| c.reason).as_deref(), Some("DeletionByTaintManager"));
}

#[test]
fn ranges_do_not_overlap() {
    let mut h = Harness::new(&[&IPAM]);
    h.config.cluster_cidrs = vec!["10.244.0.0/22".parse().expect("a range")];
    for n in ["a", "b", "c", "d", "e"] {
        h.world.given(node(n));
    }
    h.world.edit::<Node>("", "c", |n| n.spec = Some(NodeSpec { pod_cidr: Some("10.244.1.0/24".into()), ..NodeSpec::default() }));
    h.pass();
    let of = |n: &str| h.world.get::<Node>("", n).spec.clone().and_then(|s| s.pod_cidr);
    assert_eq!(of("a").as_deref(), Some("10.244.0.0/24"));
    assert_eq!(of("b").as_deref(), Some("10.244.2.0/24"));
    assert_eq!(of("d").as_deref(), Some("10.244.3.0/24"));
    assert_eq!(of("e"), None);
    assert!(h.told().contains(&"CIDRNotAvailable: Node e status is now: CIDRNotAvailable".to_owned()));
}
