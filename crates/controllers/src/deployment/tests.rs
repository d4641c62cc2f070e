//! Rollouts, undo, pause, proportions, history and their bounds.

use super::*;
use crate::harness::Harness;
use crate::replicas::REPLICASET;
use kinds::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
use kinds::{ApiError, IntOrString};
use proptest::prelude::*;
use std::sync::Arc;
use testkit::build::deployment;

fn harness(replicas: i32) -> Harness {
    let h = Harness::new(&[&CONTROLLER, &REPLICASET]);
    h.world.given(deployment("web", replicas));
    h
}

fn edit(h: &Harness, change: impl FnOnce(&mut kinds::api::apps::v1::DeploymentSpec)) {
    h.world.edit::<Deployment>("default", "web", |d| change(d.spec.as_mut().expect("spec")));
}

fn image(h: &Harness, image: &str) {
    edit(h, |s| s.template.spec.as_mut().expect("spec").containers[0].image = Some(image.to_owned()));
}

fn condition(h: &Harness, kind: &str) -> (String, String, String) {
    let d = h.world.get::<Deployment>("default", "web");
    let all = d.status.clone().and_then(|s| s.conditions).unwrap_or_default();
    let c = all.into_iter().find(|c| c.type_ == kind).expect("the condition");
    (c.status, c.reason.unwrap_or_default(), c.message.unwrap_or_default())
}

fn sizes(h: &Harness) -> Vec<i32> {
    let mut sets: Vec<Arc<ReplicaSet>> = h.world.all();
    sets.sort_by_key(|s| observe::age_order(s));
    sets.iter().map(|s| scale::size(s)).collect()
}

#[test]
fn a_first_rollout_completes() {
    let mut h = harness(3);
    h.settle_running();
    let set = &h.world.all::<ReplicaSet>()[0];
    let name = set.metadata.name.clone().expect("name");
    assert_eq!(h.told()[0], format!("ScalingReplicaSet: Scaled up replica set {name} from 0 to 3"));
    let d = h.world.get::<Deployment>("default", "web");
    let s = d.status.clone().expect("status");
    assert_eq!((s.replicas, s.updated_replicas, s.available_replicas, s.unavailable_replicas), (Some(3), Some(3), Some(3), None));
    assert_eq!(d.metadata.annotations.as_ref().and_then(|a| a.get(revision::REVISION)).map(String::as_str), Some("1"));
    let (status, reason, message) = condition(&h, "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "NewReplicaSetAvailable"));
    assert_eq!(message, format!("ReplicaSet \"{name}\" has successfully progressed."));
    assert_eq!(condition(&h, "Available").2, "Deployment has minimum availability.");
    let notes = set.metadata.annotations.clone().expect("annotations");
    assert_eq!((notes[scale::DESIRED].as_str(), notes[scale::MAX].as_str()), ("3", "4"));
}

#[test]
fn a_new_template_rolls_and_undo_moves_the_revision_on() {
    let mut h = harness(4);
    h.settle_running();
    h.wait(5);
    image(&h, "v2");
    h.settle_running();
    assert_eq!(sizes(&h), [0, 4]);
    image(&h, "v1");
    h.settle_running();
    assert_eq!(sizes(&h), [4, 0]);
    let d = h.world.get::<Deployment>("default", "web");
    assert_eq!(d.metadata.annotations.clone().expect("notes")[revision::REVISION], "3");
    let first = &h.world.all::<ReplicaSet>().into_iter().find(|s| scale::size(s) == 4).expect("the first");
    assert_eq!(first.metadata.annotations.clone().expect("notes")["deployment.kubernetes.io/revision-history"], "1");
}

#[test]
fn a_broken_image_keeps_the_app_up_until_the_deadline_says_so() {
    let mut h = harness(4);
    h.settle_running();
    h.wait(5);
    image(&h, "broken");
    h.settle();
    // 4 replicas: one may be missing, one may be too many.
    assert_eq!(sizes(&h), [3, 2]);
    h.wait(601);
    h.settle();
    let (status, reason, message) = condition(&h, "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
    assert!(message.ends_with("\" has timed out progressing."), "{message}");
}

#[test]
fn paused_deployments_scale_in_proportion() {
    let mut h = harness(10);
    edit(&h, |s| {
        s.strategy = Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(3)),
                max_unavailable: Some(IntOrString::Int(2)),
            }),
        });
    });
    h.settle_running();
    h.wait(5);
    image(&h, "broken");
    h.settle();
    assert_eq!(sizes(&h), [8, 5]);
    // The documentation's example: 10 -> 15 with 8 and 5 becomes 11 and 7.
    edit(&h, |s| s.replicas = Some(15));
    h.pass();
    assert_eq!(sizes(&h), [11, 7]);
    edit(&h, |s| s.paused = Some(true));
    h.settle();
    assert_eq!(condition(&h, "Progressing").1, "DeploymentPaused");
}

#[test]
fn recreate_stops_the_old_before_it_starts_the_new() {
    let mut h = harness(2);
    edit(&h, |s| s.strategy = Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }));
    h.settle_running();
    h.wait(5);
    for p in h.world.all::<Pod>() {
        h.world.edit::<Pod>("default", p.metadata.name.as_deref().expect("name"), |p| {
            p.spec.as_mut().expect("spec").node_name = Some("n1".to_owned());
        });
    }
    image(&h, "v2");
    h.settle();
    assert_eq!(sizes(&h), [0], "old pods still terminate");
    h.settle_running();
    assert_eq!(sizes(&h), [0, 2]);
}

#[test]
fn history_is_limited_and_collisions_are_counted() {
    let mut h = harness(1);
    edit(&h, |s| s.revision_history_limit = Some(2));
    for v in ["v1", "v2", "v3", "v4", "v5"] {
        image(&h, v);
        h.settle_running();
        h.wait(5);
    }
    assert_eq!(sizes(&h), [0, 0, 1]);
    let d = h.world.get::<Deployment>("default", "web");
    let mut next = Deployment::clone(&d);
    next.spec.as_mut().expect("spec").template.spec.as_mut().expect("spec").containers[0].image = Some("v6".to_owned());
    let hash = kinds::hash::content_hash(&next.spec.as_ref().expect("spec").template, None);
    let squatter = ReplicaSet { metadata: testkit::build::meta("default", &format!("web-{hash}")), ..ReplicaSet::default() };
    h.world.given(squatter);
    image(&h, "v6");
    h.settle_running();
    let status = h.world.get::<Deployment>("default", "web").status.clone().expect("status");
    assert_eq!((status.collision_count, status.updated_replicas), (Some(1), Some(1)));
}

#[test]
fn a_refused_replica_set_is_told() {
    let mut h = harness(1);
    h.refuse_creating(Kind::ReplicaSet, ApiError::forbidden(&Kind::ReplicaSet.into(), "web", "no"));
    h.pass();
    let (status, reason, message) = condition(&h, "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ReplicaSetCreateError"));
    assert!(message.starts_with("Failed to create new replica set \"web-"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the bounds, a rollout ends with all replicas new, never below the minimum nor above the maximum.
    #[test]
    fn rollouts_keep_their_bounds(replicas in 0i32..8, surge in 0i32..4, missing in 0i32..4) {
        let mut h = harness(replicas);
        edit(&h, |s| s.strategy = Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(surge)),
                max_unavailable: Some(IntOrString::Int(missing)),
            }),
        }));
        h.settle_running();
        h.wait(1);
        image(&h, "v2");
        let missing = if surge == 0 && missing == 0 { 1 } else { missing };
        for _ in 0..200 {
            let wrote = h.pass();
            let pods = h.world.all::<Pod>();
            let active = pods.iter().filter(|p| kinds::pod::is_active(p)).count() as i32;
            let ready = pods.iter().filter(|p| kinds::pod::is_active(p) && kinds::pod::is_ready(p)).count() as i32;
            prop_assert!(active <= replicas + surge, "{active} active");
            prop_assert!(ready >= replicas - missing, "{ready} ready");
            if !(h.run_pods() || wrote) { break; }
        }
        prop_assert_eq!(sizes(&h), vec![0, replicas]);
        prop_assert!(!h.pass());
    }
}
