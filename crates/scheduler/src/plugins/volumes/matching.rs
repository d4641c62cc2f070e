//! Which existing volume suits a claim on a node: the smallest that is large enough and in every other way fits.
//!
//! Docs: "Persistent Volumes" (binding, reserving, node affinity).

use super::claims::class_name;
use crate::framework::World;
use crate::nodes::NodeInfo;
use crate::selector::NodeTerms;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kinds::{ObjectKey, Quantity, Selector};
use std::sync::Arc;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Whether a node may use a volume.
#[must_use]
pub fn is_reachable(volume: &PersistentVolume, node: &NodeInfo) -> bool {
    let required = volume.spec.as_ref().and_then(|s| s.node_affinity.as_ref()).and_then(|a| a.required.as_ref());
    required.is_none_or(|r| NodeTerms::read(r).matches(&node.name, node.labels()))
}

fn storage(list: Option<&std::collections::BTreeMap<String, kinds::QuantityText>>) -> Quantity {
    list.and_then(|l| l.get("storage")).and_then(|q| Quantity::parse(&q.0).ok()).unwrap_or_default()
}

/// How much a claim asks for.
#[must_use]
pub fn wanted(claim: &PersistentVolumeClaim) -> Quantity {
    storage(claim.spec.as_ref().and_then(|s| s.resources.as_ref()).and_then(|r| r.requests.as_ref()))
}

fn text(o: Option<&String>, default: &'static str) -> String {
    o.filter(|s| !s.is_empty()).cloned().unwrap_or_else(|| default.to_owned())
}

/// Whether a volume is made for the claim's purposes, wherever it is and whoever has it.
fn suits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(v), Some(c)) = (&volume.spec, &claim.spec) else { return false };
    let annotated = volume.metadata.annotations.as_ref().and_then(|a| a.get(CLASS_ANNOTATION));
    let class = annotated.or(v.storage_class_name.as_ref()).map_or("", String::as_str);
    let selector = c.selector.as_ref().map_or_else(Selector::everything, |s| Selector::from_label_selector(Some(s)));
    let has_modes = c.access_modes.iter().flatten().all(|m| v.access_modes.iter().flatten().any(|n| n == m));
    class == class_name(claim)
        && has_modes
        && text(v.volume_mode.as_ref(), "Filesystem") == text(c.volume_mode.as_ref(), "Filesystem")
        && text(v.volume_attributes_class_name.as_ref(), "") == text(c.volume_attributes_class_name.as_ref(), "")
        && selector.matches(volume.metadata.labels.as_ref())
        && storage(v.capacity.as_ref()) >= wanted(claim)
        && volume.metadata.deletion_timestamp.is_none()
}

/// Who has a volume, if anyone: this claim, or another.
enum Held {
    Free,
    Mine,
    Others,
}

fn held(volume: &PersistentVolume, claim: &PersistentVolumeClaim, world: &World<'_>) -> Held {
    let key = ObjectKey::of(&claim.metadata);
    if let Some(promised) = world.nodes.volumes.of_volume(volume.metadata.name.as_deref().unwrap_or_default()) {
        return if *promised == key { Held::Mine } else { Held::Others };
    }
    let Some(r) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) else {
        let free = volume.status.as_ref().is_none_or(|s| s.phase.as_deref().is_none_or(|p| p == "Available"));
        return if free { Held::Free } else { Held::Others };
    };
    let named = r.namespace.as_deref() == Some(&*key.namespace) && r.name.as_deref() == Some(&*key.name);
    let same = r.uid.as_deref().is_none_or(|u| u.is_empty() || Some(u) == claim.metadata.uid.as_deref());
    if named && same { Held::Mine } else { Held::Others }
}

/// The best volume for a claim on a node, of those that are not `taken`.
#[must_use]
pub fn best(claim: &PersistentVolumeClaim, node: &NodeInfo, taken: &[String], world: &World<'_>) -> Option<Arc<PersistentVolume>> {
    let mut best: Option<&Arc<PersistentVolume>> = None;
    for v in world.objects.list::<PersistentVolume>("") {
        let name = v.metadata.name.as_deref().unwrap_or_default();
        if taken.iter().any(|t| t == name) || !suits(v, claim) || !is_reachable(v, node) {
            continue;
        }
        match held(v, claim, world) {
            Held::Others => {}
            Held::Mine => return Some(Arc::clone(v)),
            Held::Free => {
                let size = |v: &PersistentVolume| storage(v.spec.as_ref().and_then(|s| s.capacity.as_ref()));
                if best.is_none_or(|b| size(v) < size(b)) {
                    best = Some(v);
                }
            }
        }
    }
    best.cloned()
}
