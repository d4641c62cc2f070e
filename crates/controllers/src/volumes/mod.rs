//! Claims and volumes: binding, protection, and claims of ephemeral volumes.
//!
//! Docs: "Persistent Volumes", "Ephemeral Volumes: generic ephemeral volumes", "Storage Object in Use Protection".
//!
//! ```text
//!  claim without a volume ── smallest volume that suits ──> volume.claimRef ──> claim.volumeName ──> both Bound
//!  claim gone ──> volume Released        volume gone ──> claim Lost
//! ```
//! Laws: 1. a volume is given to one claim, by uid. 2. With `WaitForFirstConsumer` the scheduler chooses, not this
//! binder. 3. A claim in use, and a bound volume, outlive their deletion until they are let go.

mod claim;
mod ephemeral;
mod protection;
mod suit;
#[cfg(test)]
mod tests;
mod volume;

pub use ephemeral::EPHEMERAL;
pub use protection::{CLAIM_PROTECTION, CLASS_PROTECTION, VOLUME_PROTECTION};

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::Kind;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

pub(crate) const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
pub(crate) const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

/// The persistent volume binder.
pub const BINDER: Controller = Controller {
    name: "claims",
    account: "persistent-volume-binder",
    component: "persistentvolume-controller",
    watches: Watches::Kinds(&[Kind::PersistentVolume, Kind::PersistentVolumeClaim, Kind::StorageClass]),
    wakes,
    subjects,
    plan,
};

fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let mut all = every::<PersistentVolumeClaim>(snapshot);
    all.extend(every::<PersistentVolume>(snapshot));
    all
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    let mut out = Vec::new();
    if let Some(s) = itself(change, Kind::PersistentVolumeClaim) {
        let sides = change.old_as::<PersistentVolumeClaim>().into_iter().chain(change.new_as());
        let names = sides.filter_map(|c| c.spec.as_ref()?.volume_name.clone()).filter(|n| !n.is_empty());
        out.extend(names.map(|n| Subject::named(Kind::PersistentVolume, "", n)));
        // A claim that went may have left volumes that were given to it.
        if change.new.is_none() {
            let refers = |v: &&std::sync::Arc<PersistentVolume>| {
                let r = v.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
                r.is_some_and(|r| r.name.as_ref() == Some(&s.key.name) && r.namespace.as_ref() == Some(&s.key.namespace))
            };
            out.extend(snapshot.list::<PersistentVolume>("").filter(refers).map(|v| Subject::of(&**v)));
        }
        out.push(s);
        return out;
    }
    out.extend(itself(change, Kind::PersistentVolume));
    // A volume (or class) that comes or changes may be what a claim waits for.
    let waits = |c: &&std::sync::Arc<PersistentVolumeClaim>| {
        c.status.as_ref().and_then(|s| s.phase.as_deref()) != Some("Bound") || bound_to(c, &change.key().name)
    };
    out.extend(snapshot.list::<PersistentVolumeClaim>("").filter(waits).map(|c| Subject::of(&**c)));
    out
}

fn bound_to(claim: &PersistentVolumeClaim, volume: &str) -> bool {
    claim.spec.as_ref().and_then(|s| s.volume_name.as_deref()) == Some(volume)
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    if subject.resource == Kind::PersistentVolume.into() {
        return Some(volume::decide(&volume::observe(snapshot, &subject.key)?, ctx));
    }
    Some(claim::decide(&claim::observe(snapshot, &subject.key)?))
}
