//! From the cache's changes to the node table and to events that may help waiting pods.

use crate::cycle::VolumeStep;
use crate::event::Event;
use crate::nodes::{NodeTable, counts};
use crate::podinfo::PodInfo;
use cache::Change;
use kinds::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kinds::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment};
use kinds::{Kind, ObjectKey, Resource};
use std::sync::Arc;

/// The resources that the scheduler wants to hear of.
#[must_use]
pub fn interests() -> Vec<Resource> {
    let kinds = [
        Kind::Pod,
        Kind::Node,
        Kind::PersistentVolumeClaim,
        Kind::PersistentVolume,
        Kind::StorageClass,
        Kind::CSINode,
        Kind::CSIDriver,
        Kind::CSIStorageCapacity,
        Kind::VolumeAttachment,
        Kind::Namespace,
    ];
    kinds.into_iter().map(Resource::from).collect()
}

/// Brings the table up to date and tells what that may mean to others.
pub(crate) fn apply(table: &mut NodeTable, change: &Change) -> Vec<Event> {
    match change.resource.builtin() {
        Some(Kind::Pod) => pod(table, change),
        Some(Kind::Node) => node(table, change).into_iter().collect(),
        _ => other(table, change).into_iter().collect(),
    }
}

fn node(table: &mut NodeTable, change: &Change) -> Option<Event> {
    match (change.old_as::<Node>(), change.new_as::<Node>()) {
        (old, Some(new)) => {
            table.set_node(Arc::clone(new));
            table.refresh();
            Some(match old {
                None => Event::NodeAdded(Arc::clone(new)),
                Some(old) => Event::NodeChanged { old: Arc::clone(old), new: Arc::clone(new) },
            })
        }
        (Some(old), None) => {
            table.remove_node(old.metadata.name.as_deref().unwrap_or_default());
            table.refresh();
            Some(Event::NodeRemoved(Arc::clone(old)))
        }
        (None, None) => None,
    }
}

/// Whether anything that other pods can mind is different.
fn differs(old: &PodInfo, new: &PodInfo) -> bool {
    old.requests != new.requests || old.labels() != new.labels() || old.node() != new.node() || old.uid != new.uid
}

fn pod(table: &mut NodeTable, change: &Change) -> Vec<Event> {
    let key = change.key();
    let before = table.placement(key).map(|(p, _)| (Arc::clone(&p.pod), p.assumed));
    match change.new_as::<Pod>() {
        Some(new) if counts(new) => {
            let info = Arc::new(PodInfo::new(Arc::clone(new)));
            table.place(Arc::clone(&info));
            match before {
                None => vec![Event::PodPlaced(info)],
                Some((_, true)) => {
                    release(table, &info);
                    vec![Event::PodPlaced(info)]
                }
                Some((old, false)) if differs(&old, &info) => vec![Event::PodAltered { old, new: info }],
                Some(_) => Vec::new(),
            }
        }
        Some(new) => match before {
            // An assumed pod whose binding is not seen yet; its status may well change meanwhile.
            Some((old, true)) if new.metadata.uid.as_deref() == Some(old.uid.as_str()) && !kinds::pod::is_terminal(new) => {
                Vec::new()
            }
            other => left(table, other),
        },
        None => left(table, before),
    }
}

fn left(table: &mut NodeTable, before: Option<(Arc<PodInfo>, bool)>) -> Vec<Event> {
    let Some((old, _)) = before else { return Vec::new() };
    release(table, &old);
    table.unplace(&old.key);
    vec![Event::PodLeft(old)]
}

fn other(table: &mut NodeTable, change: &Change) -> Option<Event> {
    if let Some(old) = change.old_as::<VolumeAttachment>() {
        return change.new.is_none().then(|| Event::Detached(Arc::clone(old)));
    }
    if let Some(c) = change.new_as::<PersistentVolumeClaim>() {
        if c.spec.as_ref().is_some_and(|s| s.volume_name.as_deref().is_some_and(|v| !v.is_empty())) {
            table.volumes.release(&ObjectKey::of(&c.metadata));
        }
        return Some(Event::Claim(Arc::clone(c)));
    }
    if change.resource == Kind::PersistentVolumeClaim.into() {
        table.volumes.release(change.key());
        return None;
    }
    if let Some(n) = change.new_as::<CSINode>() {
        return Some(Event::CsiNode { old: change.old_as().cloned(), new: Arc::clone(n) });
    }
    let labels = |n: Option<&Arc<Namespace>>| n.map(|n| n.metadata.labels.clone());
    if change.new_as::<Namespace>().is_some() && labels(change.old_as()) != labels(change.new_as()) {
        return Some(Event::Namespace);
    }
    let volume = change.new_as::<PersistentVolume>().map(|v| Event::Volume(Arc::clone(v)));
    volume
        .or_else(|| change.new_as::<StorageClass>().map(|c| Event::Class(Arc::clone(c))))
        .or_else(|| change.new_as::<CSIDriver>().map(|d| Event::CsiDriver(Arc::clone(d))))
        .or_else(|| change.new_as::<CSIStorageCapacity>().map(|c| Event::Capacity(Arc::clone(c))))
}

/// Promises the volumes of a placed pod (Reserve).
pub(crate) fn reserve(table: &mut NodeTable, pod: &PodInfo, node: &str, steps: &[VolumeStep]) {
    for step in steps {
        match step {
            VolumeStep::Bind { claim, volume } => table.volumes.promise(volume, ObjectKey::new(pod.namespace(), claim)),
            VolumeStep::Provision { claim } => table.volumes.provision(ObjectKey::new(pod.namespace(), claim), node),
        }
    }
}

/// Takes such promises back (Unreserve).
pub(crate) fn release(table: &mut NodeTable, pod: &PodInfo) {
    for claim in &pod.claims {
        table.volumes.release(&ObjectKey::new(pod.namespace(), claim));
    }
}
