//! Adoption and release: a controller takes orphans that its selector matches and lets go of what it no longer matches.
//!
//! Docs: "ReplicaSet: acquiring pods outside of its template"; design proposal "controller-ref".
//!
//! Laws: 1. an object with another managing owner is never touched. 2. A controller that is being deleted adopts
//! nothing, but still releases. 3. What is being deleted is neither adopted nor counted as adoptable.

use crate::plan::Step;
use cache::Snapshot;
use kinds::owner::{controller_of, controller_ref};
use kinds::{Selector, Typed};
use std::sync::Arc;

/// What belongs to a controller, and the steps that make the API say so.
#[derive(Debug)]
pub(crate) struct Claim<K> {
    pub owned: Vec<Arc<K>>,
    /// Adoptions and releases still to be written.
    pub steps: Vec<Step>,
}

/// Sorts the objects of the controller's namespace into owned, to adopt and to release. `adoptable` may veto adoption.
pub(crate) fn claim<O: Typed, K: Typed>(
    snapshot: &Snapshot,
    owner: &O,
    selector: &Selector,
    adoptable: impl Fn(&K) -> bool,
) -> Claim<K> {
    let meta = owner.meta();
    let (uid, namespace) = (meta.uid.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
    let mut out = Claim { owned: Vec::new(), steps: Vec::new() };
    for item in snapshot.owned_as::<K>(uid) {
        let of_owner = controller_of(item.meta()).is_some_and(|o| o.uid == uid);
        if !of_owner || item.meta().namespace.as_deref().unwrap_or_default() != namespace {
            continue;
        }
        if selector.matches(item.meta().labels.as_ref()) {
            out.owned.push(Arc::clone(item));
        } else if item.meta().deletion_timestamp.is_none() && meta.deletion_timestamp.is_none() {
            out.steps.push(release(&**item, uid));
        }
    }
    if meta.deletion_timestamp.is_some() || selector.is_everything() {
        return out;
    }
    for item in snapshot.list::<K>(namespace) {
        let m = item.meta();
        let free = controller_of(m).is_none() && m.deletion_timestamp.is_none();
        if free && selector.matches(m.labels.as_ref()) && adoptable(item) {
            out.steps.push(adopt(&**item, owner));
        }
    }
    out
}

fn adopt<O: Typed, K: Typed>(item: &K, owner: &O) -> Step {
    let mut meta = item.meta().clone();
    let reference = controller_ref(owner);
    let owners = meta.owner_references.get_or_insert_default();
    owners.retain(|o| o.uid != reference.uid);
    owners.push(reference);
    Step::patch_meta(K::KIND, &meta).lenient()
}

fn release<K: Typed>(item: &K, uid: &str) -> Step {
    let mut meta = item.meta().clone();
    let owners = meta.owner_references.take().unwrap_or_default();
    let rest: Vec<_> = owners.into_iter().filter(|o| o.uid != uid).collect();
    meta.owner_references = crate::numbers::filled(rest);
    Step::patch_meta(K::KIND, &meta).lenient()
}
