//! One object with the state of its owners and its dependents.

use super::{FOREGROUND, has_finalizer};
use crate::controller::Subject;
use cache::{Entry, Snapshot};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{Kind, ObjectKey, OwnerReference, Resource};
use std::sync::Arc;

/// What became of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    Solid,
    Dangling,
    /// It is being deleted in the foreground and waits for its dependents.
    Waiting,
    /// Nothing serves its kind: no judgement is possible.
    Unknown,
}

/// One object as it stands.
#[derive(Debug)]
pub struct Seen {
    pub item: Arc<Entry>,
    pub owners: Vec<(OwnerReference, OwnerState)>,
    /// Everything that refers to it.
    pub dependents: Vec<Arc<Entry>>,
}

/// Gathers it; `None` when the object is gone.
pub fn observe(snapshot: &Snapshot, subject: &Subject) -> Option<Seen> {
    let item = snapshot.entry(&subject.resource, &subject.key)?;
    let refs = item.meta().owner_references.iter().flatten();
    let owners = refs.map(|r| (r.clone(), state(snapshot, r, item))).collect();
    let dependents = if item.meta().deletion_timestamp.is_some() || item.meta().owner_references.is_some() {
        snapshot.owned(item.uid()).filter(|d| in_scope(item, d)).cloned().collect()
    } else {
        Vec::new()
    };
    Some(Seen { item: Arc::clone(item), owners, dependents })
}

/// A namespaced owner has dependents in its own namespace only.
fn in_scope(owner: &Entry, dependent: &Entry) -> bool {
    owner.key.namespace.is_empty() || owner.key.namespace == dependent.key.namespace
}

fn state(snapshot: &Snapshot, r: &OwnerReference, item: &Entry) -> OwnerState {
    if resource_of(snapshot, r).is_none() {
        return OwnerState::Unknown;
    }
    let namespaced = resource_of(snapshot, r).is_some_and(|o| o.namespaced());
    if namespaced && item.key.namespace.is_empty() {
        // A cluster-scoped object cannot have a namespaced owner: there is no namespace to look in.
        return OwnerState::Unknown;
    }
    match owner(snapshot, r, &item.key.namespace) {
        None => OwnerState::Dangling,
        Some(o) if o.meta().deletion_timestamp.is_some() && has_finalizer(o.meta(), FOREGROUND) => OwnerState::Waiting,
        Some(_) => OwnerState::Solid,
    }
}

/// The owner itself: of that kind, name and uid.
pub(super) fn owner(snapshot: &Snapshot, r: &OwnerReference, namespace: &str) -> Option<Arc<Entry>> {
    let resource = resource_of(snapshot, r)?;
    let namespace = if resource.namespaced() { namespace } else { "" };
    let found = snapshot.entry(&resource, &ObjectKey::new(namespace, r.name.clone()))?;
    (found.uid() == r.uid).then(|| Arc::clone(found))
}

/// The resource whose objects have that kind; versions do not matter.
fn resource_of(snapshot: &Snapshot, r: &OwnerReference) -> Option<Resource> {
    let group = r.api_version.split_once('/').map_or("", |(g, _)| g);
    if let Some(k) = Kind::ALL.iter().find(|k| k.info().kind == r.kind && k.info().group == group) {
        return Some((*k).into());
    }
    let same = |x: &&Resource| matches!(x, Resource::Custom(c) if c.group == group && c.kind == r.kind);
    if let Some(found) = snapshot.tables().map(|(x, _)| x).find(same) {
        return Some(found.clone());
    }
    let crd = snapshot.list::<CustomResourceDefinition>("").find(|c| c.spec.group == group && c.spec.names.kind == r.kind)?;
    Some(Resource::Custom(Arc::new(kinds::CustomResource {
        group: group.to_owned(),
        plural: crd.spec.names.plural.clone(),
        kind: r.kind.clone(),
        namespaced: crd.spec.scope == "Namespaced",
    })))
}
