//! One claim: find a volume, take it, and say so.

use super::suit::{best, refers};
use super::{BIND_COMPLETED, BOUND_BY_CONTROLLER};
use crate::plan::{Event, Plan, Step, reference};
use cache::Snapshot;
use kinds::ObjectKey;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod};
use kinds::api::storage::v1::StorageClass;
use std::sync::Arc;

const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// One claim as it stands.
#[derive(Debug)]
pub(super) struct Seen {
    pub claim: Arc<PersistentVolumeClaim>,
    /// The volume that its spec names.
    pub named: Option<Arc<PersistentVolume>>,
    /// The volume that it could have.
    pub best: Option<Arc<PersistentVolume>>,
    pub class: Option<Arc<StorageClass>>,
    /// An unscheduled pod that uses it.
    pub consumer: Option<String>,
}

fn volume_name(claim: &PersistentVolumeClaim) -> Option<&String> {
    claim.spec.as_ref()?.volume_name.as_ref().filter(|n| !n.is_empty())
}

/// Gathers it; `None` when the claim is gone.
pub(super) fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let claim = snapshot.find::<PersistentVolumeClaim>(key)?;
    let spec = claim.spec.as_ref()?;
    let named = volume_name(claim).and_then(|n| snapshot.get::<PersistentVolume>("", n)).cloned();
    let class = spec.storage_class_name.as_deref().and_then(|c| snapshot.get::<StorageClass>("", c)).cloned();
    let best = if volume_name(claim).is_none() { best(snapshot, claim) } else { None };
    let uses = |p: &&Arc<Pod>| {
        let spec = p.spec.as_ref();
        let volumes = spec.and_then(|s| s.volumes.as_ref());
        let claims = volumes.into_iter().flatten().filter_map(|v| v.persistent_volume_claim.as_ref());
        spec.is_some_and(|s| s.node_name.is_none()) && claims.into_iter().any(|c| c.claim_name == key.name)
    };
    let consumer = snapshot.list::<Pod>(&key.namespace).find(uses).and_then(|p| p.metadata.name.clone());
    Some(Seen { claim: Arc::clone(claim), named, best, class, consumer })
}

fn has_note(claim: &PersistentVolumeClaim, note: &str) -> bool {
    claim.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(note))
}

/// What is to be done for one claim.
pub(super) fn decide(seen: &Seen) -> Plan {
    if seen.claim.metadata.deletion_timestamp.is_some() && volume_name(&seen.claim).is_none() {
        return Plan::because("being deleted");
    }
    match volume_name(&seen.claim) {
        None => unbound(seen),
        Some(_) => named(seen),
    }
}

fn unbound(seen: &Seen) -> Plan {
    let claim = &*seen.claim;
    let waits = seen.class.as_ref().and_then(|c| c.volume_binding_mode.as_deref()) == Some("WaitForFirstConsumer");
    let taken = seen.best.as_ref().filter(|v| {
        v.spec.as_ref().and_then(|s| s.claim_ref.as_ref()).is_some_and(|r| refers(r, claim) && r.uid == claim.metadata.uid)
    });
    if let Some(volume) = taken {
        let mut next = claim.clone();
        next.spec.get_or_insert_default().volume_name.clone_from(&volume.metadata.name);
        let notes = next.metadata.annotations.get_or_insert_default();
        notes.insert(BIND_COMPLETED.to_owned(), "yes".to_owned());
        notes.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
        return Plan::because("its volume knows it").step(Step::update(next));
    }
    if let Some(volume) = seen.best.as_ref().filter(|_| !waits) {
        return Plan::because("a volume suits").step(take(volume, claim));
    }
    let pending = PersistentVolumeClaimStatus { phase: Some("Pending".to_owned()), ..claim.status.clone().unwrap_or_default() };
    why_pending(seen, waits).status(status(claim, pending))
}

/// Why a claim stays pending, told.
fn why_pending(seen: &Seen, waits: bool) -> Plan {
    let about = || reference(&*seen.claim);
    let plan = Plan::because("no volume suits");
    // Told once, with the first status: later rounds repeat it only when something changed.
    if waits && !has_note(&seen.claim, SELECTED_NODE) {
        return plan.event(match &seen.consumer {
            None => {
                let text = "waiting for first consumer to be created before binding";
                Event::normal(about(), "WaitForFirstConsumer", text)
            }
            Some(pod) => {
                Event::normal(about(), "WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled"))
            }
        });
    }
    match seen.class.as_ref().map(|c| c.provisioner.clone()) {
        Some(p) if p != NO_PROVISIONER => provisioned(seen, &p, plan),
        _ => {
            let text = "no persistent volumes available for this claim and no storage class is set";
            plan.event(Event::normal(about(), "FailedBinding", text))
        }
    }
}

/// An external provisioner is asked by an annotation.
fn provisioned(seen: &Seen, provisioner: &str, plan: Plan) -> Plan {
    let asked = seen.claim.metadata.annotations.as_ref().and_then(|a| a.get(PROVISIONER));
    if asked.map(String::as_str) != Some(provisioner) {
        let mut next = PersistentVolumeClaim::clone(&seen.claim);
        let notes = next.metadata.annotations.get_or_insert_default();
        notes.insert(PROVISIONER.to_owned(), provisioner.to_owned());
        notes.insert(PROVISIONER_BETA.to_owned(), provisioner.to_owned());
        return plan.step(Step::update(next));
    }
    let text = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    plan.event(Event::normal(reference(&*seen.claim), "ExternalProvisioning", text))
}

fn take(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Step {
    let mut next = volume.clone();
    let preset = next.spec.as_ref().and_then(|s| s.claim_ref.as_ref()).is_some();
    next.spec.get_or_insert_default().claim_ref = Some(reference(claim));
    if !preset {
        let notes = next.metadata.annotations.get_or_insert_default();
        notes.insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
    }
    Step::update(next)
}

fn named(seen: &Seen) -> Plan {
    let claim = &*seen.claim;
    let done = has_note(claim, BIND_COMPLETED);
    let phase = |phase: &str| {
        let next = PersistentVolumeClaimStatus { phase: Some(phase.to_owned()), ..claim.status.clone().unwrap_or_default() };
        status(claim, next)
    };
    let lost = |reason: &'static str, text: &str| {
        let step = phase("Lost");
        let plan = Plan::because("its volume is lost");
        let plan = if step.is_some() { plan.event(Event::warning(reference(claim), reason, text)) } else { plan };
        plan.status(step)
    };
    let Some(volume) = &seen.named else {
        return if done {
            lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
        } else {
            Plan::because("the named volume does not exist").status(phase("Pending"))
        };
    };
    let claim_ref = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
    match claim_ref {
        Some(r) if refers(r, claim) && r.uid == claim.metadata.uid => {}
        Some(r) if !refers(r, claim) => {
            return if done {
                lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
            } else {
                Plan::because("the named volume is another's").status(phase("Pending"))
            };
        }
        _ if done && claim_ref.is_none() => return lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"),
        _ => return Plan::because("the named volume is taken").step(take(volume, claim)),
    }
    if !done {
        let mut next = claim.clone();
        next.metadata.annotations.get_or_insert_default().insert(BIND_COMPLETED.to_owned(), "yes".to_owned());
        return Plan::because("the binding is complete").step(Step::update(next));
    }
    let spec = volume.spec.as_ref();
    let next = PersistentVolumeClaimStatus {
        phase: Some("Bound".to_owned()),
        access_modes: spec.and_then(|s| s.access_modes.clone()),
        capacity: spec.and_then(|s| s.capacity.clone()),
        ..claim.status.clone().unwrap_or_default()
    };
    Plan::because("it is bound").status(status(claim, next))
}

fn status(claim: &PersistentVolumeClaim, next: PersistentVolumeClaimStatus) -> Option<Step> {
    let changed = claim.status.as_ref() != Some(&next);
    changed.then(|| Step::update_status(PersistentVolumeClaim { status: Some(next), ..claim.clone() }))
}
