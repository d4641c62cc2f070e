//! Job: pods that run until enough of them have succeeded, or too many have failed.
//!
//! Docs: "Jobs"; KEP-2307 (tracking with finalizers), KEP-3329 (pod failure policy), KEP-3850 (back-off per index),
//! KEP-3939 (pod replacement policy), KEP-3998 (success policy), KEP-2232 (suspend).
//!
//! ```text
//!  a pod is over ──> its uid goes into status.uncountedTerminatedPods ──> its finalizer goes ──> the counter grows
//!                (a succeeded index goes straight into completedIndexes)
//!  enough succeeded ──> SuccessCriteriaMet ─┐
//!  too many failed, too late, a policy ──> FailureTarget ─┴─> active pods go ──> all counted ──> Complete / Failed
//! ```
//! Laws: 1. no pod is counted twice or missed: the finalizer goes only after the status names the pod. 2. Complete and
//! Failed come last, when no pod runs and none is uncounted. 3. A finished job changes no more.

mod conditions;
mod count;
mod decide;
mod indexes;
mod manage;
mod observe;
mod policy;
#[cfg(test)]
mod tests;

pub use conditions::{finished, is_finished};
pub use decide::decide;
pub use observe::{Seen, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, itself, managing};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::Kind;
use kinds::api::batch::v1::Job;
use kinds::api::core::v1::Pod;
use kinds::owner::controller_of;

/// The Job controller.
pub const CONTROLLER: Controller = Controller {
    name: "job",
    account: "job-controller",
    component: "job-controller",
    watches: Watches::Kinds(&[Kind::Job, Kind::Pod]),
    wakes,
    subjects,
    plan,
};

/// The finalizer that keeps a pod until it is counted.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Job) {
        return vec![s];
    }
    let mut out = managing(change, Kind::Job);
    if let Some(pod) = change.new.as_ref().and_then(|e| e.object().typed::<Pod>()).filter(|p| controller_of(&p.metadata).is_none()) {
        let takers = observe::adopters(snapshot, pod).map(|job| Subject::of(&**job));
        let lost = observe::is_lost(snapshot, pod).then(|| Subject::of(&**pod));
        let new: Vec<Subject> = takers.chain(lost).filter(|s| !out.contains(s)).collect();
        out.extend(new);
    }
    out
}

/// All jobs, those whose pods still wait to be counted although they are gone, and pods that no job counts.
fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let mut out = crate::controller::every::<Job>(snapshot);
    for pod in snapshot.list::<Pod>("").filter(|p| crate::garbage::has_finalizer(&p.metadata, TRACKING)) {
        if observe::is_lost(snapshot, pod) {
            out.push(Subject::of(&**pod));
        }
        if let Some(owner) = controller_of(&pod.metadata).filter(|o| o.kind == "Job") {
            let s = Subject::named(Kind::Job, pod.metadata.namespace.clone().unwrap_or_default(), owner.name.clone());
            if !out.contains(&s) {
                out.push(s);
            }
        }
    }
    out
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    if subject.resource == Kind::Pod.into() {
        return observe::release_lost(snapshot, &subject.key);
    }
    Some(match observe(snapshot, &subject.key) {
        Some(seen) => decide(&seen, ctx),
        None => observe::release_orphans(snapshot, &subject.key),
    })
}
