//! Namespace lifecycle: what is in a terminating namespace is deleted, pods first, and then the namespace is let go.
//!
//! Docs: "Namespaces", "Finalizers"; KEP-5080 (ordered namespace deletion).
//!
//! ```text
//!  deletionTimestamp ──> delete pods ──> delete everything else ──> drop the finalizer "kubernetes"
//!                          └── conditions say what remains and which finalizers it waits for
//! ```
//! Laws: 1. while a pod remains nothing else is deleted. 2. What is being deleted is not deleted again. 3. The
//! finalizer goes only when no object remains in any table.

mod conditions;
mod decide;
#[cfg(test)]
mod tests;

pub use decide::{Seen, decide, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::Kind;
use kinds::api::core::v1::Namespace;

/// The namespace controller.
pub const CONTROLLER: Controller = Controller {
    name: "namespace",
    account: "namespace-controller",
    component: "namespace-controller",
    watches: Watches::Everything,
    wakes,
    subjects: every::<Namespace>,
    plan,
};

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Namespace) {
        return vec![s];
    }
    let name = &change.key().namespace;
    let namespace = snapshot.get::<Namespace>("", name).filter(|n| n.metadata.deletion_timestamp.is_some());
    namespace.map(|n| Subject::of(&**n)).into_iter().collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}
