//! DaemonSet: a pod of the template on every node that suits it.
//!
//! Docs: "DaemonSet", "Perform a Rolling Update on a DaemonSet"; KEP-1591 (surge).
//!
//! ```text
//!  node ── affinity, selector, taints ──> should run? may stay? ──> create (bound by node affinity) · keep · delete
//!  old pods ── maxUnavailable: delete as many as may be missing · maxSurge: make new ones beside them first
//! ```
//! Laws: 1. pods reach their node through the scheduler, by an affinity to its name. 2. What does not tolerate
//! NoExecute goes, what does not tolerate NoSchedule only does not come. 3. One pod a node; of several the oldest stays.

mod decide;
mod node;
mod observe;
mod rolling;
mod status;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use observe::{Seen, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself, managing};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::api::apps::v1::DaemonSet;
use kinds::api::core::v1::{Node, Pod};
use kinds::{Kind, Selector};

/// The DaemonSet controller.
pub const CONTROLLER: Controller = Controller {
    name: "daemonset",
    account: "daemon-set-controller",
    component: "daemonset-controller",
    watches: Watches::Kinds(&[Kind::DaemonSet, Kind::Pod, Kind::Node, Kind::ControllerRevision]),
    wakes,
    subjects: every::<DaemonSet>,
    plan,
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::DaemonSet) {
        return vec![s];
    }
    if change.resource == Kind::Node.into() {
        return if places_differ(change) { every::<DaemonSet>(snapshot) } else { Vec::new() };
    }
    let mut out = managing(change, Kind::DaemonSet);
    if let Some(pod) = change.new_as::<Pod>().filter(|p| kinds::owner::controller_of(&p.metadata).is_none()) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let selects = |d: &&std::sync::Arc<DaemonSet>| {
            let selector = d.spec.as_ref().map(|s| &s.selector);
            Selector::from_label_selector(selector).matches(pod.metadata.labels.as_ref())
        };
        out.extend(snapshot.list::<DaemonSet>(namespace).filter(selects).map(|d| Subject::of(&**d)));
    }
    out
}

/// Heartbeats of nodes are no news; labels and taints are.
fn places_differ(change: &Change) -> bool {
    let (Some(old), Some(new)) = (change.old_as::<Node>(), change.new_as::<Node>()) else { return true };
    old.metadata.labels != new.metadata.labels || crate::placement::taints(old) != crate::placement::taints(new)
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}
