//! A pod's claims, read: bound, to be bound on the chosen node, or not ready for any node.
//!
//! Docs: "Persistent Volumes" (binding), "Storage Classes" (volume binding mode), "Ephemeral Volumes".

use crate::framework::World;
use crate::podinfo::PodInfo;
use crate::reason::Text;
use kinds::api::core::v1::{PersistentVolumeClaim, Volume};
use kinds::api::storage::v1::StorageClass;
use kinds::owner::is_controlled_by;
use std::sync::Arc;

/// Set on a claim once both sides of the binding are written.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Names the node that a claim's volume is to be made for.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// The older spelling of `storageClassName`.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const UNBOUND: &str = "pod has unbound immediate PersistentVolumeClaims";

/// A pod's claims by what is to be done about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    pub bound: Vec<Arc<PersistentVolumeClaim>>,
    pub delayed: Vec<Arc<PersistentVolumeClaim>>,
}

/// The claim that a volume stands for, by name.
#[must_use]
pub fn claim_name(pod: &PodInfo, volume: &Volume) -> Option<String> {
    match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(c), _) => Some(c.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", pod.key.name, volume.name)),
        _ => None,
    }
}

/// The name of a claim's class; empty when it has none.
#[must_use]
pub fn class_name(claim: &PersistentVolumeClaim) -> &str {
    let annotated = claim.metadata.annotations.as_ref().and_then(|a| a.get(CLASS_ANNOTATION));
    let spec = claim.spec.as_ref().and_then(|s| s.storage_class_name.as_ref());
    annotated.or(spec).map_or("", String::as_str)
}

/// The volume that a claim names.
#[must_use]
pub fn volume_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.volume_name.as_deref().filter(|n| !n.is_empty())
}

/// An annotation of a claim.
#[must_use]
pub fn annotation<'a>(claim: &'a PersistentVolumeClaim, key: &str) -> Option<&'a str> {
    claim.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether both sides are bound.
#[must_use]
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    volume_name(claim).is_some() && annotation(claim, BIND_COMPLETED).is_some()
}

fn waits_for_consumer(claim: &PersistentVolumeClaim, world: &World<'_>) -> bool {
    let class = world.objects.get::<StorageClass>("", class_name(claim));
    class.is_some_and(|c| c.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
}

/// The claim of one volume, if the volume is one.
///
/// # Errors
/// It is not there, not the pod's own, lost, or going.
pub fn find(pod: &PodInfo, volume: &Volume, world: &World<'_>) -> Result<Option<Arc<PersistentVolumeClaim>>, Text> {
    let Some(name) = claim_name(pod, volume) else { return Ok(None) };
    let ephemeral = volume.persistent_volume_claim.is_none();
    let Some(claim) = world.objects.get::<PersistentVolumeClaim>(pod.namespace(), &name) else {
        return Err(match ephemeral {
            true => format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}").into(),
            false => format!("persistentvolumeclaim {name:?} not found").into(),
        });
    };
    let lost = claim.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Lost"));
    if lost {
        let volume = volume_name(claim).unwrap_or_default();
        return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}").into());
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted").into());
    }
    if ephemeral && !is_controlled_by(&claim.metadata, &pod.uid) {
        let (ns, pod) = (pod.namespace(), &pod.key.name);
        return Err(format!("PVC {ns}/{name} was not created for pod {ns}/{pod} (pod is not owner)").into());
    }
    Ok(Some(Arc::clone(claim)))
}

/// All claims of a pod.
///
/// # Errors
/// One of them is not ready for any node.
pub fn read(pod: &PodInfo, world: &World<'_>) -> Result<Claims, Text> {
    let mut claims = Claims::default();
    let mut all = Vec::new();
    for v in pod.volumes() {
        all.extend(find(pod, v, world)?);
    }
    for claim in all {
        if is_bound(&claim) {
            claims.bound.push(claim);
        } else if volume_name(&claim).is_none() && waits_for_consumer(&claim, world) {
            claims.delayed.push(claim);
        } else {
            return Err(UNBOUND.into());
        }
    }
    Ok(claims)
}
