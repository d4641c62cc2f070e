//! Binding, release, loss, protection and ephemeral claims.

use super::*;
use crate::harness::Harness;
use kinds::api::core::v1::{
    EphemeralVolumeSource, PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec, Pod, Volume, VolumeResourceRequirements,
};
use kinds::api::storage::v1::{StorageClass, VolumeAttributesClass};
use kinds::{DeleteOptions, ObjectKey, QuantityText, Target};
use std::collections::BTreeMap;
use testkit::build::{meta, template};

fn storage(size: &str) -> Option<BTreeMap<String, QuantityText>> {
    Some([("storage".to_owned(), QuantityText(size.to_owned()))].into())
}

fn volume(h: &Harness, name: &str, size: &str) {
    let spec = PersistentVolumeSpec {
        capacity: storage(size),
        access_modes: Some(vec!["ReadWriteOnce".into()]),
        persistent_volume_reclaim_policy: Some("Retain".into()),
        ..PersistentVolumeSpec::default()
    };
    h.world.given(PersistentVolume { metadata: meta("", name), spec: Some(spec), status: None });
}

fn claim(h: &Harness, name: &str, size: &str, class: Option<&str>) {
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".into()]),
        resources: Some(VolumeResourceRequirements { requests: storage(size), limits: None }),
        storage_class_name: class.map(ToOwned::to_owned),
        ..PersistentVolumeClaimSpec::default()
    };
    h.world.given(PersistentVolumeClaim { metadata: meta("default", name), spec: Some(spec), status: None });
}

fn phases(h: &Harness) -> (Vec<String>, Vec<String>) {
    let v = h.world.all::<PersistentVolume>().iter().filter_map(|v| v.status.as_ref()?.phase.clone()).collect();
    let c = h.world.all::<PersistentVolumeClaim>().iter().filter_map(|c| c.status.as_ref()?.phase.clone()).collect();
    (v, c)
}

/// Passes until only events are told any more.
fn rest(h: &mut Harness) {
    for _ in 0..10 {
        h.pass();
    }
}

#[test]
fn the_smallest_volume_that_suits_is_taken_and_released() {
    let mut h = Harness::new(&[&BINDER, &CLAIM_PROTECTION, &VOLUME_PROTECTION]);
    for (name, size) in [("a", "10Gi"), ("b", "5Gi"), ("c", "1Gi")] {
        volume(&h, name, size);
    }
    claim(&h, "data", "2Gi", None);
    h.settle();
    let c = h.world.get::<PersistentVolumeClaim>("default", "data");
    assert_eq!(c.spec.as_ref().and_then(|s| s.volume_name.as_deref()), Some("b"));
    assert_eq!(c.status.as_ref().and_then(|s| s.capacity.clone()), storage("5Gi"));
    assert_eq!(phases(&h).0, ["Available", "Bound", "Available"]);
    assert_eq!(c.metadata.finalizers.as_deref(), Some(&["kubernetes.io/pvc-protection".to_owned()][..]));
    // In use it stays, then it goes and the volume is released.
    let mut spec = template("web", "v1").spec.expect("spec");
    spec.node_name = Some("n".into());
    let source = PersistentVolumeClaimVolumeSource { claim_name: "data".into(), read_only: None };
    spec.volumes = Some(vec![Volume { name: "v".into(), persistent_volume_claim: Some(source), ..Volume::default() }]);
    h.world.given(Pod { metadata: meta("default", "user"), spec: Some(spec), status: None });
    let target = Target::new(Kind::PersistentVolumeClaim, ObjectKey::new("default", "data"));
    h.world.delete(&target, &DeleteOptions::default()).expect("deleted");
    h.settle();
    assert_eq!(h.world.all::<PersistentVolumeClaim>().len(), 1);
    h.world.erase::<Pod>("default", "user");
    h.settle();
    assert!(h.world.all::<PersistentVolumeClaim>().is_empty());
    assert_eq!(phases(&h).0, ["Available", "Released", "Available"]);
}

#[test]
fn why_a_claim_waits_is_told_and_a_lost_volume_too() {
    let mut h = Harness::new(&[&BINDER]);
    claim(&h, "none", "1Gi", None);
    let class = |name: &str, provisioner: &str, mode: &str| StorageClass {
        metadata: meta("", name),
        provisioner: provisioner.into(),
        volume_binding_mode: Some(mode.into()),
        ..StorageClass::default()
    };
    h.world.given(class("wait", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"));
    h.world.given(class("made", "example.com/maker", "Immediate"));
    claim(&h, "waits", "1Gi", Some("wait"));
    claim(&h, "made", "1Gi", Some("made"));
    rest(&mut h);
    let told = h.told();
    for start in [
        "FailedBinding: no persistent volumes available for this claim and no storage class is set",
        "WaitForFirstConsumer: waiting for first consumer to be created before binding",
        "ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'example.com/maker'",
    ] {
        assert!(told.iter().any(|t| t.starts_with(start)), "{start}");
    }
    volume(&h, "v", "1Gi");
    rest(&mut h);
    assert!(phases(&h).1.contains(&"Bound".to_owned()));
    h.world.erase::<PersistentVolume>("", "v");
    rest(&mut h);
    assert!(phases(&h).1.contains(&"Lost".to_owned()));
}

#[test]
fn ephemeral_volumes_have_claims_of_their_pod() {
    let mut h = Harness::new(&[&EPHEMERAL]);
    let mut spec = template("web", "v1").spec.expect("spec");
    let source = EphemeralVolumeSource { volume_claim_template: Some(PersistentVolumeClaimTemplate::default()) };
    spec.volumes = Some(vec![Volume { name: "scratch".into(), ephemeral: Some(source), ..Volume::default() }]);
    let pod = h.world.given(Pod { metadata: meta("default", "web"), spec: Some(spec), status: None });
    h.settle();
    let c = h.world.get::<PersistentVolumeClaim>("default", "web-scratch");
    assert!(kinds::owner::is_controlled_by(&c.metadata, pod.metadata.uid.as_deref().expect("uid")));
}

#[test]
fn a_class_of_attributes_outlives_its_deletion_while_a_claim_names_it() {
    let mut h = Harness::new(&[&CLASS_PROTECTION]);
    h.world.given(VolumeAttributesClass {
        metadata: meta("", "gold"),
        driver_name: "example.com/disk".into(),
        ..VolumeAttributesClass::default()
    });
    let spec = PersistentVolumeClaimSpec {
        volume_attributes_class_name: Some("gold".into()),
        ..PersistentVolumeClaimSpec::default()
    };
    h.world.given(PersistentVolumeClaim { metadata: meta("default", "data"), spec: Some(spec), status: None });
    h.settle();
    let finalizers = h.world.get::<VolumeAttributesClass>("", "gold").metadata.finalizers.clone();
    assert_eq!(finalizers.as_deref(), Some(&["kubernetes.io/vac-protection".to_owned()][..]));
    let target = Target::new(Kind::VolumeAttributesClass, ObjectKey::new("", "gold"));
    h.world.delete(&target, &DeleteOptions::default()).expect("deleted");
    h.settle();
    assert_eq!(h.world.all::<VolumeAttributesClass>().len(), 1);
    h.world.erase::<PersistentVolumeClaim>("default", "data");
    h.settle();
    assert!(h.world.all::<VolumeAttributesClass>().is_empty());
}
