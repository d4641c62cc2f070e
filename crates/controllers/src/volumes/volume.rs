//! One volume: available, bound, or released when its claim is gone.

use super::BOUND_BY_CONTROLLER;
use super::suit::refers;
use crate::controller::Ctx;
use crate::plan::{Event, Plan, Step, reference};
use cache::Snapshot;
use kinds::ObjectKey;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeStatus};
use std::sync::Arc;

const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// One volume with the claim that it refers to, if that exists.
#[derive(Debug)]
pub(super) struct Seen {
    pub volume: Arc<PersistentVolume>,
    pub claim: Option<Arc<PersistentVolumeClaim>>,
}

/// Gathers it; `None` when the volume is gone.
pub(super) fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let volume = snapshot.find::<PersistentVolume>(key)?;
    let r = volume.spec.as_ref()?.claim_ref.as_ref();
    let found = r.and_then(|r| {
        let claim = snapshot.get::<PersistentVolumeClaim>(r.namespace.as_deref()?, r.name.as_deref()?)?;
        refers(r, claim).then(|| Arc::clone(claim))
    });
    Some(Seen { volume: Arc::clone(volume), claim: found })
}

/// What is to be done for one volume.
pub(super) fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let volume = &*seen.volume;
    let Some(r) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) else {
        return phase(volume, "Available", "it has no claim", ctx);
    };
    let given = r.uid.as_deref().is_some_and(|u| !u.is_empty());
    match &seen.claim {
        _ if !given => phase(volume, "Available", "it waits for its claim", ctx),
        Some(claim) => {
            let name = claim.spec.as_ref().and_then(|s| s.volume_name.as_ref()).filter(|n| !n.is_empty());
            match name {
                Some(n) if Some(n) == volume.metadata.name.as_ref() => phase(volume, "Bound", "its claim has it", ctx),
                None => Plan::because("its claim is about to take it"),
                Some(_) => untie(volume),
            }
        }
        None => released(volume, ctx),
    }
}

/// Its claim has another volume: one that this controller tied is free again.
fn untie(volume: &PersistentVolume) -> Plan {
    let ours = volume.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(BOUND_BY_CONTROLLER));
    if !ours {
        return Plan::because("its claim has another volume");
    }
    let mut next = volume.clone();
    next.spec.get_or_insert_default().claim_ref = None;
    next.metadata.annotations.get_or_insert_default().remove(BOUND_BY_CONTROLLER);
    Plan::because("its claim has another volume").step(Step::update(next))
}

fn released(volume: &PersistentVolume, ctx: &Ctx) -> Plan {
    let status = volume.status.clone().unwrap_or_default();
    let deletes = volume.spec.as_ref().and_then(|s| s.persistent_volume_reclaim_policy.as_deref()) == Some("Delete");
    let external = volume.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(PROVISIONED_BY));
    if status.phase.as_deref() == Some("Released") && deletes && !external {
        // Nothing in here deletes volumes; with a provisioner it would.
        let text = "error getting deleter volume plugin for volume: no volume plugin matched";
        let next = PersistentVolumeStatus { phase: Some("Failed".to_owned()), message: Some(text.to_owned()), ..status };
        return Plan::because("nobody can delete it")
            .status(Some(write(volume, next)))
            .event(Event::warning(reference(volume), "VolumeFailedDelete", text));
    }
    if status.phase.as_deref() == Some("Failed") {
        return Plan::because("it failed to be reclaimed");
    }
    phase(volume, "Released", "its claim is gone", ctx)
}

fn phase(volume: &PersistentVolume, phase: &str, because: &str, ctx: &Ctx) -> Plan {
    let status = volume.status.clone().unwrap_or_default();
    if status.phase.as_deref() == Some(phase) {
        return Plan::because(because);
    }
    let next = PersistentVolumeStatus {
        phase: Some(phase.to_owned()),
        last_phase_transition_time: Some(ctx.time()),
        message: None,
        reason: None,
    };
    Plan::because(because).status(Some(write(volume, next)))
}

fn write(volume: &PersistentVolume, status: PersistentVolumeStatus) -> Step {
    Step::update_status(PersistentVolume { status: Some(status), ..volume.clone() })
}
