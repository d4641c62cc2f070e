//! Adoption and release: a controller takes orphans that its selector matches and lets go of what it no longer matches.
//!
//! Docs: "ReplicaSet: acquiring pods outside of its template"; design proposal "controller-ref".
//!
//! Laws: 1. an object with another managing owner is never touched. 2. A controller that is being deleted neither adopts
//! nor releases. 3. What is being deleted is not adopted. 4. A finalizer that stands for the ownership comes and goes with it.

use crate::garbage::has_finalizer;
use crate::numbers::filled;
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
    claim_held(snapshot, owner, selector, None, adoptable)
}

/// The same, for owners that hold what they own by a finalizer.
pub(crate) fn claim_held<O: Typed, K: Typed>(
    snapshot: &Snapshot,
    owner: &O,
    selector: &Selector,
    finalizer: Option<&str>,
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
        } else if meta.deletion_timestamp.is_none() {
            out.steps.push(release(&**item, uid, finalizer));
        }
    }
    if meta.deletion_timestamp.is_some() || selector.is_everything() {
        return out;
    }
    for item in snapshot.list::<K>(namespace) {
        let m = item.meta();
        let free = controller_of(m).is_none() && m.deletion_timestamp.is_none();
        if free && selector.matches(m.labels.as_ref()) && adoptable(item) {
            out.steps.push(adopt(&**item, owner, finalizer));
        }
    }
    out
}

fn adopt<O: Typed, K: Typed>(item: &K, owner: &O, finalizer: Option<&str>) -> Step {
    let mut meta = item.meta().clone();
    let reference = controller_ref(owner);
    let owners = meta.owner_references.get_or_insert_default();
    owners.retain(|o| o.uid != reference.uid);
    owners.push(reference);
    if let Some(f) = finalizer.filter(|f| !has_finalizer(item.meta(), f)) {
        meta.finalizers.get_or_insert_default().push(f.to_owned());
    }
    Step::patch_meta(K::KIND, &meta).lenient()
}

fn release<K: Typed>(item: &K, uid: &str, finalizer: Option<&str>) -> Step {
    let mut meta = item.meta().clone();
    let owners = meta.owner_references.take().unwrap_or_default();
    let rest: Vec<_> = owners.into_iter().filter(|o| o.uid != uid).collect();
    meta.owner_references = filled(rest);
    let kept: Vec<_> = meta.finalizers.take().unwrap_or_default().into_iter().filter(|f| finalizer != Some(f)).collect();
    meta.finalizers = filled(kept);
    Step::patch_meta(K::KIND, &meta).lenient()
}
