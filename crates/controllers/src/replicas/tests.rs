//! ReplicaSets: creation, ranking, adoption, failure, availability.

use super::*;
use crate::harness::Harness;
use kinds::api::apps::v1::ReplicaSetSpec;
use kinds::{ApiError, ObjectMeta};
use testkit::build::{labels, meta, selector, template};

fn set(name: &str, replicas: i32) -> ReplicaSet {
    ReplicaSet {
        metadata: meta("default", name),
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            selector: selector(&[("app", "web")]),
            template: Some(template("web", "v1")),
            min_ready_seconds: None,
        }),
        status: None,
    }
}

fn harness() -> Harness {
    Harness::new(&[&REPLICASET])
}

#[test]
fn it_makes_pods_and_says_so() {
    let mut h = harness();
    h.world.given(set("web", 3));
    h.settle();
    let pods = h.world.all::<Pod>();
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|p| p.metadata.generate_name.as_deref() == Some("web-")));
    let told = h.told();
    assert_eq!(told.iter().filter(|t| t.starts_with("SuccessfulCreate: Created pod: web-")).count(), 3);
    h.settle_running();
    let s = h.world.get::<ReplicaSet>("default", "web").status.clone().expect("status");
    assert_eq!((s.replicas, s.ready_replicas, s.available_replicas, s.fully_labeled_replicas), (3, Some(3), Some(3), Some(3)));
    assert_eq!(s.observed_generation, Some(1));
}

#[test]
fn scaling_down_takes_the_least_worthy() {
    let mut h = harness();
    h.world.given(set("web", 3));
    h.settle_running();
    let names: Vec<String> = h.world.all::<Pod>().iter().filter_map(|p| p.metadata.name.clone()).collect();
    h.world.edit::<Pod>("default", &names[1], |p| p.status.as_mut().expect("status").conditions = None);
    h.world.edit::<Pod>("default", &names[2], |p| {
        p.metadata.annotations = Some(labels(&[("controller.kubernetes.io/pod-deletion-cost", "-5")]));
    });
    h.world.edit::<ReplicaSet>("default", "web", |s| s.spec.as_mut().expect("spec").replicas = Some(1));
    h.settle_running();
    let left: Vec<String> = h.world.all::<Pod>().iter().filter_map(|p| p.metadata.name.clone()).collect();
    assert_eq!(left, [names[0].clone()]);
    assert!(h.told().contains(&format!("SuccessfulDelete: Deleted pod: {}", names[1])));
}

#[test]
fn it_adopts_and_releases() {
    let mut h = harness();
    let pod = Pod {
        metadata: ObjectMeta { labels: Some(labels(&[("app", "web")])), ..meta("default", "alone") },
        ..Pod::default()
    };
    h.world.given(pod);
    h.world.given(set("web", 1));
    h.settle();
    assert_eq!(h.world.all::<Pod>().len(), 1, "the orphan counts");
    h.world.edit::<Pod>("default", "alone", |p| p.metadata.labels = Some(labels(&[("app", "other")])));
    h.settle();
    assert_eq!(h.world.all::<Pod>().len(), 2);
    assert!(h.world.get::<Pod>("default", "alone").metadata.owner_references.is_none(), "released");
}

#[test]
fn failure_is_a_condition_until_it_works_again() {
    let mut h = harness();
    h.world.given(set("web", 2));
    h.refuse_creating(Kind::Pod, ApiError::forbidden(&Kind::Pod.into(), "web-x", "exceeded quota"));
    h.pass();
    let conditions = |h: &Harness| h.world.get::<ReplicaSet>("default", "web").status.clone().and_then(|s| s.conditions);
    let c = conditions(&h).expect("conditions").remove(0);
    assert_eq!((c.type_.as_str(), c.reason.as_deref()), ("ReplicaFailure", Some("FailedCreate")));
    assert_eq!(c.message.as_deref(), Some("pods \"web-x\" is forbidden: exceeded quota"));
    assert!(h.told()[0].starts_with("FailedCreate: Error creating: pods \"web-x\" is forbidden"));
    h.world.accept();
    h.settle();
    assert_eq!(conditions(&h), None);
}

#[test]
fn available_comes_after_min_ready_seconds() {
    let mut h = harness();
    let mut s = set("web", 1);
    s.spec.as_mut().expect("spec").min_ready_seconds = Some(10);
    h.world.given(s);
    h.settle_running();
    let subject = Subject::named(Kind::ReplicaSet, "default", "web");
    let plan = h.plan(&REPLICASET, &subject, None).expect("a plan");
    assert_eq!(plan.again, Some(std::time::Duration::from_secs(10)));
    h.wait(10);
    h.settle();
    assert_eq!(h.world.get::<ReplicaSet>("default", "web").status.clone().expect("status").available_replicas, Some(1));
}
