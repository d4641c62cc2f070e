//! ReplicaSet and ReplicationController: keep as many pods of one template as asked for.
//!
//! Docs: "ReplicaSet", "ReplicationController", KEP-2255 (pod deletion cost), KEP-2185 (logarithmic scale down),
//! KEP-3973 (terminating replicas).
//!
//! ```text
//!  pods of the namespace ── claim ──> mine ──> active ──┬── too few:  create min(missing, 500), slow start
//!                                                       ├── too many: rank, delete min(surplus, 500)
//!                                                       └── right:    status only
//! ```
//! Laws: 1. adoptions and releases come first, alone. 2. A set that is being deleted creates and deletes nothing.
//! 3. Status is written only when it differs. 4. Terminal pods are no replicas.

pub(crate) mod decide;
mod observe;
mod rank;
mod set;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use observe::{Seen, observe};
pub use set::ReplicaKind;

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself, managing};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::api::apps::v1::ReplicaSet;
use kinds::api::core::v1::{Pod, ReplicationController};
use kinds::Kind;

/// The ReplicaSet controller.
pub const REPLICASET: Controller = Controller {
    name: "replicaset",
    account: "replicaset-controller",
    component: "replicaset-controller",
    watches: Watches::Kinds(&[Kind::ReplicaSet, Kind::Pod]),
    wakes: wakes::<ReplicaSet>,
    subjects: every::<ReplicaSet>,
    plan: plan::<ReplicaSet>,
};

/// The ReplicationController controller.
pub const REPLICATIONCONTROLLER: Controller = Controller {
    name: "replicationmanager",
    account: "replication-controller",
    component: "replication-controller",
    watches: Watches::Kinds(&[Kind::ReplicationController, Kind::Pod]),
    wakes: wakes::<ReplicationController>,
    subjects: every::<ReplicationController>,
    plan: plan::<ReplicationController>,
};

fn wakes<K: ReplicaKind>(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, K::KIND) {
        return vec![s];
    }
    let mut out = managing(change, K::KIND);
    // An orphan may be adopted by whoever selects it.
    if let Some(pod) = change.new_as::<Pod>().filter(|p| kinds::owner::controller_of(&p.metadata).is_none()) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let selecting = snapshot.list::<K>(namespace).filter(|s| s.selector().matches(pod.metadata.labels.as_ref()));
        out.extend(selecting.map(|s| Subject::of(&**s)));
    }
    out
}

fn plan<K: ReplicaKind>(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    let seen = observe::<K>(snapshot, &subject.key)?;
    Some(decide(&seen, ctx))
}

