//! Garbage collector: objects whose owners are gone go too, and owners wait for those that block them.
//!
//! Docs: "Garbage Collection", "Owners and Dependents", "Use Cascading Deletion".
//!
//! ```text
//!  owner refs of an object:  solid (it exists) · dangling (it does not) · waiting (it goes once this one is gone)
//!   any solid            -> the object stays; dangling and waiting refs are dropped from it
//!   none solid           -> the object is deleted: in the foreground when an owner waits and it has dependents itself
//!  finalizer "foregroundDeletion": goes when no dependent blocks any more
//!  finalizer "orphan":             goes when no dependent refers to the owner any more
//! ```
//! Laws: 1. an owner is the object of that kind, name *and uid*. 2. A namespaced owner is looked for in the
//! dependent's namespace alone. 3. A reference to a kind that nothing serves deletes nothing. 4. The snapshot is the
//! graph: nothing is remembered between rounds.

mod decide;
mod observe;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use observe::{OwnerState, Seen, observe};

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::plan::Plan;
use cache::{Change, Entry, Snapshot};
use kinds::{Kind, ObjectMeta};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// The garbage collector.
pub const CONTROLLER: Controller = Controller {
    name: "garbage_collector_attempt_to_delete",
    account: "generic-garbage-collector",
    component: "garbage-collector-controller",
    watches: Watches::Everything,
    wakes,
    subjects,
    plan,
};

pub(crate) fn has_finalizer(meta: &ObjectMeta, name: &str) -> bool {
    meta.finalizers.iter().flatten().any(|f| f == name)
}

/// Being deleted, and waiting for its dependents to be gone or orphaned.
fn waits(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some() && (has_finalizer(meta, FOREGROUND) || has_finalizer(meta, ORPHAN))
}

fn concerns(e: &Entry) -> bool {
    e.object().kind() != Some(Kind::Event) && (e.meta().owner_references.is_some() || waits(e.meta()))
}

fn subject(e: &Entry) -> Subject {
    Subject { resource: e.object().resource(), key: e.key.clone() }
}

fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    snapshot.tables().flat_map(|(_, t)| t.iter()).filter(|e| concerns(e)).map(|e| subject(e)).collect()
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    let (old, new) = (change.old.as_deref(), change.new.as_deref());
    let mut out = Vec::new();
    match new {
        None => {
            // Its dependents have lost an owner, and its owners may have waited for it.
            let uid = old.map(Entry::uid).unwrap_or_default();
            out.extend(snapshot.owned(uid).map(|e| subject(e)));
            out.extend(old.into_iter().flat_map(|o| waiting_owners(snapshot, o)));
        }
        Some(e) => {
            let refs_changed = old.is_none_or(|o| o.meta().owner_references != e.meta().owner_references);
            let leaving = old.is_none_or(|o| waits(o.meta()) != waits(e.meta()));
            if concerns(e) && (refs_changed || leaving || waits(e.meta())) {
                out.push(subject(e));
            }
            if waits(e.meta()) && leaving {
                out.extend(snapshot.owned(e.uid()).map(|d| subject(d)));
            }
            if refs_changed {
                out.extend(old.into_iter().flat_map(|o| waiting_owners(snapshot, o)));
            }
        }
    }
    out
}

/// The owners of this object that wait for their dependents.
fn waiting_owners(snapshot: &Snapshot, e: &Entry) -> Vec<Subject> {
    let refs = e.meta().owner_references.iter().flatten();
    let found = refs.filter_map(|r| observe::owner(snapshot, r, &e.key.namespace));
    found.filter(|o| waits(o.meta())).map(|o| subject(&o)).collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, _: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, subject)?))
}
