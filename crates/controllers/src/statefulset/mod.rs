//! StatefulSet: pods with stable names and storage, made, replaced and removed in order.
//!
//! Docs: "StatefulSets", "StatefulSet Basics"; KEP-1847 (claim retention), KEP-3335 (start ordinal), KEP-661 (partition).
//!
//! ```text
//!  ordinals start … start+replicas-1:  make the lowest that is missing ── wait until it is available ── the next
//!  ordinals beyond:                    remove the highest ── wait until it is gone ── the next
//!  then, from the highest down to the partition: replace the first pod that is not of the update revision
//! ```
//! Laws: 1. `OrderedReady` does one thing at a time; `Parallel` makes and removes at once, but updates in order.
//! 2. A pod below the partition is remade from the current revision. 3. Claims outlive pods unless the retention policy
//! says otherwise. 4. When all pods are of the update revision and ready, it becomes the current one.

mod claims;
mod decide;
mod observe;
mod pod;
mod status;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use observe::{Seen, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself, managing};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::api::apps::v1::StatefulSet;
use kinds::api::core::v1::Pod;
use kinds::{Kind, Selector};

/// The StatefulSet controller.
pub const CONTROLLER: Controller = Controller {
    name: "statefulset",
    account: "statefulset-controller",
    component: "statefulset-controller",
    watches: Watches::Kinds(&[Kind::StatefulSet, Kind::Pod, Kind::ControllerRevision]),
    wakes,
    subjects: every::<StatefulSet>,
    plan,
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::StatefulSet) {
        return vec![s];
    }
    let mut out = managing(change, Kind::StatefulSet);
    if let Some(pod) = change.new_as::<Pod>().filter(|p| kinds::owner::controller_of(&p.metadata).is_none()) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let selects = |s: &&std::sync::Arc<StatefulSet>| {
            let selector = s.spec.as_ref().map(|s| &s.selector);
            Selector::from_label_selector(selector).matches(pod.metadata.labels.as_ref())
        };
        out.extend(snapshot.list::<StatefulSet>(namespace).filter(selects).map(|s| Subject::of(&**s)));
    }
    out
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}
