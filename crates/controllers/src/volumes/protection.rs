//! Claims in use, bound volumes and classes of volume attributes in use are protected by finalizers.
//!
//! Docs: "Storage Object in Use Protection", "Volume Attributes Classes"; KEP-3751.

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::garbage::has_finalizer;
use crate::numbers::filled;
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kinds::api::storage::v1::VolumeAttributesClass;
use kinds::{Kind, ObjectMeta, Typed};
use std::sync::Arc;

const CLAIM: &str = "kubernetes.io/pvc-protection";
const VOLUME: &str = "kubernetes.io/pv-protection";
const CLASS: &str = "kubernetes.io/vac-protection";

/// Lets claims go that no pod uses.
pub const CLAIM_PROTECTION: Controller = Controller {
    name: "pvcprotection",
    account: "pvc-protection-controller",
    component: "pvc-protection-controller",
    watches: Watches::Kinds(&[Kind::PersistentVolumeClaim, Kind::Pod]),
    wakes,
    subjects: every::<PersistentVolumeClaim>,
    plan: |s, subject, _| {
        let claim = s.find::<PersistentVolumeClaim>(&subject.key)?;
        let used = || s.list::<Pod>(&subject.key.namespace).any(|p| uses(p, &subject.key.name));
        Some(decide(&**claim, CLAIM, used))
    },
};

/// Lets volumes go that are not bound.
pub const VOLUME_PROTECTION: Controller = Controller {
    name: "pvprotection",
    account: "pv-protection-controller",
    component: "pv-protection-controller",
    watches: Watches::Kinds(&[Kind::PersistentVolume]),
    wakes: |change: &Change, _| itself(change, Kind::PersistentVolume).into_iter().collect(),
    subjects: every::<PersistentVolume>,
    plan: |s, subject, _: &Ctx| {
        let volume = s.find::<PersistentVolume>(&subject.key)?;
        let used = || volume.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
        Some(decide(&**volume, VOLUME, used))
    },
};

/// Lets classes of volume attributes go that no claim and no volume names.
pub const CLASS_PROTECTION: Controller = Controller {
    name: "vacprotection",
    account: "volumeattributesclass-protection-controller",
    component: "volumeattributesclass-protection-controller",
    watches: Watches::Kinds(&[Kind::VolumeAttributesClass, Kind::PersistentVolumeClaim, Kind::PersistentVolume]),
    wakes: class_wakes,
    subjects: every::<VolumeAttributesClass>,
    plan: |s, subject, _: &Ctx| {
        let class = s.find::<VolumeAttributesClass>(&subject.key)?;
        let name = subject.key.name.as_str();
        let used = || {
            s.list::<PersistentVolumeClaim>("").any(|c| classes_of_claim(c).any(|n| n == name))
                || s.list::<PersistentVolume>("").any(|v| class_of_volume(v) == Some(name))
        };
        Some(decide(&**class, CLASS, used))
    },
};

/// The classes that a claim wants, has, or is on its way to.
fn classes_of_claim(claim: &PersistentVolumeClaim) -> impl Iterator<Item = &str> {
    let wanted = claim.spec.as_ref().and_then(|s| s.volume_attributes_class_name.as_deref());
    let status = claim.status.as_ref();
    let current = status.and_then(|s| s.current_volume_attributes_class_name.as_deref());
    let coming = status.and_then(|s| s.modify_volume_status.as_ref()?.target_volume_attributes_class_name.as_deref());
    [wanted, current, coming].into_iter().flatten()
}

fn class_of_volume(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.volume_attributes_class_name.as_deref()
}

/// A class is looked at when it changes, and when a claim or volume stops naming it.
fn class_wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::VolumeAttributesClass) {
        return vec![s];
    }
    let claims = change.old_as::<PersistentVolumeClaim>().into_iter().flat_map(|c| classes_of_claim(c));
    let volumes = change.old_as::<PersistentVolume>().into_iter().filter_map(|v| class_of_volume(v));
    claims.chain(volumes).map(|n| Subject::named(Kind::VolumeAttributesClass, "", n)).collect()
}

/// The claims of a pod's volumes.
fn claims_of(pod: &Pod) -> impl Iterator<Item = String> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_ref());
    volumes.into_iter().flatten().filter_map(move |v| match (&v.persistent_volume_claim, &v.ephemeral) {
        (Some(c), _) => Some(c.claim_name.clone()),
        (None, Some(_)) => Some(format!("{name}-{}", v.name)),
        _ => None,
    })
}

/// A pod uses a claim from when it is bound until it is gone.
fn uses(pod: &Pod, claim: &str) -> bool {
    let bound = pod.spec.as_ref().is_some_and(|s| s.node_name.as_ref().is_some_and(|n| !n.is_empty()));
    bound && claims_of(pod).any(|c| c == claim)
}

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::PersistentVolumeClaim) {
        return vec![s];
    }
    let (Some(pod), None) = (change.old_as::<Pod>(), &change.new) else { return Vec::new() };
    let namespace = &change.key().namespace;
    claims_of(pod).map(|c| Subject::named(Kind::PersistentVolumeClaim, namespace.clone(), c)).collect()
}

/// What is to be done for one object.
fn decide<K: Typed>(object: &K, finalizer: &str, used: impl Fn() -> bool) -> Plan {
    let meta = object.meta();
    match (meta.deletion_timestamp.is_some(), has_finalizer(meta, finalizer)) {
        (true, true) if used() => Plan::because("it is in use"),
        (true, true) => Plan::because("it is not in use").step(changed(object, |m| {
            let all = m.finalizers.take().unwrap_or_default();
            m.finalizers = filled(all.into_iter().filter(|f| f != finalizer).collect());
        })),
        (false, false) => Plan::because("it is not protected")
            .step(changed(object, |m| m.finalizers.get_or_insert_default().push(finalizer.to_owned()))),
        _ => Plan::because("it is as it should be"),
    }
}

fn changed<K: Typed>(object: &K, change: impl FnOnce(&mut ObjectMeta)) -> Step {
    let mut next = object.clone();
    change(next.meta_mut());
    Step::update(Arc::new(next).into_object()).lenient()
}
