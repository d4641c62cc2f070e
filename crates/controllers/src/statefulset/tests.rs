//! Stable names, claims, order, partitions and remaking.

use super::*;
use crate::harness::Harness;
use kinds::ObjectMeta;
use kinds::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use kinds::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use testkit::build::{meta, selector, template};

fn harness(replicas: i32, change: impl FnOnce(&mut StatefulSetSpec)) -> Harness {
    let h = Harness::with_json(&[&CONTROLLER, &crate::garbage::CONTROLLER]);
    let mut spec = StatefulSetSpec {
        replicas: Some(replicas),
        selector: selector(&[("app", "db")]),
        service_name: Some("db".into()),
        template: template("db", "v1"),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateStatefulSetStrategy { partition: Some(0), max_unavailable: None }),
        }),
        revision_history_limit: Some(10),
        ..StatefulSetSpec::default()
    };
    change(&mut spec);
    h.world.given(StatefulSet { metadata: meta("default", "db"), spec: Some(spec), status: None });
    h
}

fn edit(h: &Harness, change: impl FnOnce(&mut StatefulSetSpec)) {
    h.world.edit::<StatefulSet>("default", "db", |s| change(s.spec.as_mut().expect("spec")));
}

fn image(s: &mut StatefulSetSpec, image: &str) {
    s.template.spec.as_mut().expect("spec").containers[0].image = Some(image.to_owned());
}

fn pods(h: &Harness) -> Vec<(String, String)> {
    let view = |p: &std::sync::Arc<Pod>| {
        let image = p.spec.as_ref().and_then(|s| s.containers[0].image.clone());
        (p.metadata.name.clone().unwrap_or_default(), image.unwrap_or_default())
    };
    h.world.all::<Pod>().iter().map(view).collect()
}

fn names(h: &Harness) -> Vec<String> {
    pods(h).into_iter().map(|(n, _)| n).collect()
}

fn data(s: &mut StatefulSetSpec) {
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some("data".into()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec::default()),
        status: None,
    };
    s.volume_claim_templates = Some(vec![claim]);
}

#[test]
fn pods_come_in_order_with_names_and_claims() {
    let mut h = harness(3, data);
    h.settle();
    assert_eq!(names(&h), ["db-0"], "the next waits for the first");
    h.settle_running();
    assert_eq!(names(&h), ["db-0", "db-1", "db-2"]);
    let claims: Vec<_> = h.world.all::<PersistentVolumeClaim>().iter().filter_map(|c| c.metadata.name.clone()).collect();
    assert_eq!(claims, ["data-db-0", "data-db-1", "data-db-2"]);
    let p = h.world.get::<Pod>("default", "db-1");
    let spec = p.spec.as_ref().expect("spec");
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-1"), Some("db")));
    assert_eq!(spec.volumes.as_ref().expect("volumes")[0].persistent_volume_claim.as_ref().expect("claim").claim_name, "data-db-1");
    let l = p.metadata.labels.as_ref().expect("labels");
    assert_eq!((l["statefulset.kubernetes.io/pod-name"].as_str(), l["apps.kubernetes.io/pod-index"].as_str()), ("db-1", "1"));
    let s = h.world.get::<StatefulSet>("default", "db").status.clone().expect("status");
    assert_eq!((s.replicas, s.ready_replicas, s.updated_replicas, s.current_replicas), (3, Some(3), Some(3), Some(3)));
    assert!(h.told().contains(&"SuccessfulCreate: create Pod db-0 in StatefulSet db successful".to_owned()));
    assert!(h.told().contains(&"SuccessfulCreate: create Claim data-db-0 Pod db-0 in StatefulSet db success".to_owned()));
}

#[test]
fn scaling_in_takes_the_highest_and_keeps_claims() {
    let mut h = harness(3, data);
    h.settle_running();
    edit(&h, |s| s.replicas = Some(1));
    h.settle_running();
    assert_eq!(names(&h), ["db-0"]);
    assert_eq!(h.world.all::<PersistentVolumeClaim>().len(), 3);
    let mut h = harness(2, |s| {
        data(s);
        let policy = |v: &str| Some(v.to_owned());
        s.persistent_volume_claim_retention_policy = Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: policy("Retain"),
            when_scaled: policy("Delete"),
        });
    });
    h.settle_running();
    edit(&h, |s| s.replicas = Some(1));
    h.settle_running();
    assert_eq!(h.world.all::<PersistentVolumeClaim>().len(), 1, "the claim went with its pod");
}

#[test]
fn updates_go_from_the_top_down_to_the_partition() {
    let mut h = harness(3, |_| {});
    h.settle_running();
    edit(&h, |s| {
        image(s, "v2");
        s.update_strategy.as_mut().expect("strategy").rolling_update.as_mut().expect("rolling").partition = Some(2);
    });
    h.settle();
    assert_eq!(pods(&h)[2].1, "v2");
    h.settle_running();
    let images = |h: &Harness| pods(h).into_iter().map(|(_, i)| i).collect::<Vec<_>>();
    assert_eq!(images(&h), ["v1", "v1", "v2"]);
    // Below the partition a pod is remade as it was.
    h.world.erase::<Pod>("default", "db-0");
    h.settle_running();
    assert_eq!(images(&h), ["v1", "v1", "v2"]);
    edit(&h, |s| s.update_strategy.as_mut().expect("strategy").rolling_update.as_mut().expect("rolling").partition = Some(0));
    h.settle_running();
    assert_eq!(images(&h), ["v2", "v2", "v2"]);
    let s = h.world.get::<StatefulSet>("default", "db").status.clone().expect("status");
    assert_eq!(s.current_revision, s.update_revision);
}

#[test]
fn parallel_sets_do_not_wait_and_failed_pods_are_remade() {
    let mut h = harness(3, |s| s.pod_management_policy = Some("Parallel".into()));
    h.settle();
    assert_eq!(names(&h).len(), 3);
    h.settle_running();
    h.world.edit::<Pod>("default", "db-1", |p| p.status.as_mut().expect("status").phase = Some("Failed".into()));
    h.settle_running();
    assert_eq!(names(&h).len(), 3);
    assert!(h.told().contains(&"RecreatingFailedPod: StatefulSet default/db is recreating failed Pod db-1".to_owned()));
}
