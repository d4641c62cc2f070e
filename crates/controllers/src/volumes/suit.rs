//! Which volume suits a claim.
//!
//! Docs: "Persistent Volumes: binding", "class", "access modes", "selector", "volume mode".

use cache::Snapshot;
use kinds::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec};
use kinds::{Quantity, QuantityText, Selector};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn storage(of: Option<&BTreeMap<String, QuantityText>>) -> Quantity {
    of.and_then(|m| m.get("storage")).and_then(|q| Quantity::parse(&q.0).ok()).unwrap_or_default()
}

/// Whether a volume's claim reference names that claim: by uid where it has one.
pub(super) fn refers(r: &ObjectReference, claim: &PersistentVolumeClaim) -> bool {
    let m = &claim.metadata;
    let uid = r.uid.as_deref().unwrap_or_default();
    r.name == m.name && r.namespace == m.namespace && (uid.is_empty() || Some(uid) == m.uid.as_deref())
}

fn class(name: Option<&String>) -> &str {
    name.map(String::as_str).unwrap_or_default()
}

fn suits(volume: &PersistentVolume, spec: &PersistentVolumeClaimSpec, selector: &Selector) -> bool {
    let Some(v) = &volume.spec else { return false };
    let mode = |m: &Option<String>| m.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let modes = |m: &String| v.access_modes.iter().flatten().any(|have| have == m);
    volume.metadata.deletion_timestamp.is_none()
        && class(v.storage_class_name.as_ref()) == class(spec.storage_class_name.as_ref())
        && mode(&v.volume_mode) == mode(&spec.volume_mode)
        && spec.access_modes.iter().flatten().all(modes)
        && storage(v.capacity.as_ref()) >= storage(spec.resources.as_ref().and_then(|r| r.requests.as_ref()))
        && selector.matches(volume.metadata.labels.as_ref())
}

/// The volume for a claim: one that names it already, else the smallest free one that suits.
pub(super) fn best(snapshot: &Snapshot, claim: &PersistentVolumeClaim) -> Option<Arc<PersistentVolume>> {
    let spec = claim.spec.as_ref()?;
    let reference = |v: &PersistentVolume| v.spec.as_ref().and_then(|s| s.claim_ref.clone());
    let all = || snapshot.list::<PersistentVolume>("");
    if let Some(named) = all().find(|v| reference(v).is_some_and(|r| refers(&r, claim))) {
        return Some(Arc::clone(named));
    }
    let selector = match &spec.selector {
        Some(s) => Selector::from_label_selector(Some(s)),
        None => Selector::everything(),
    };
    let free = all().filter(|v| reference(v).is_none() && suits(v, spec, &selector));
    free.min_by_key(|v| (storage(v.spec.as_ref().and_then(|s| s.capacity.as_ref())), v.metadata.name.clone())).cloned()
}
