//! Budgets and granted evictions, counted.

use super::*;
use crate::harness::Harness;
use crate::{deployment, replicas};
use kinds::api::policy::v1::PodDisruptionBudgetSpec;
use testkit::build::{deployment as a_deployment, meta, selector};

fn harness(spec: PodDisruptionBudgetSpec) -> Harness {
    let mut h = Harness::new(&[&deployment::CONTROLLER, &replicas::REPLICASET, &CONTROLLER]);
    h.world.given(a_deployment("web", 4));
    let spec = PodDisruptionBudgetSpec { selector: Some(selector(&[("app", "web")])), ..spec };
    h.world.given(PodDisruptionBudget { metadata: meta("default", "web"), spec: Some(spec), status: None });
    h.settle_running();
    h
}

fn counts(h: &Harness) -> [i32; 4] {
    let s = h.world.get::<PodDisruptionBudget>("default", "web").status.clone().expect("status");
    [s.expected_pods, s.desired_healthy, s.current_healthy, s.disruptions_allowed].map(|n| n.unwrap_or(-1))
}

#[test]
fn budgets_are_counted() {
    let of = |min: Option<IntOrString>, max: Option<IntOrString>| {
        counts(&harness(PodDisruptionBudgetSpec { min_available: min, max_unavailable: max, ..Default::default() }))
    };
    assert_eq!(of(Some(IntOrString::Int(3)), None), [4, 3, 4, 1]);
    assert_eq!(of(Some(IntOrString::String("50%".into())), None), [4, 2, 4, 2]);
    assert_eq!(of(None, Some(IntOrString::Int(1))), [4, 3, 4, 1]);
    assert_eq!(of(None, Some(IntOrString::String("0%".into()))), [4, 4, 4, 0]);
}

#[test]
fn a_granted_eviction_counts_until_it_is_forgotten() {
    let mut h = harness(PodDisruptionBudgetSpec { min_available: Some(IntOrString::Int(3)), ..Default::default() });
    let name = h.world.all::<Pod>()[0].metadata.name.clone().expect("name");
    let now = h.world.time();
    h.world.edit::<PodDisruptionBudget>("default", "web", |b| {
        let s = b.status.as_mut().expect("status");
        s.disrupted_pods = Some([(name, now)].into());
        s.disruptions_allowed = Some(0);
    });
    h.settle_running();
    assert_eq!(counts(&h), [4, 3, 3, 0]);
    h.wait(121);
    h.settle_running();
    assert_eq!(counts(&h), [4, 3, 4, 1]);
}
