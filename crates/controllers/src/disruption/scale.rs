//! The sum of the scales of the controllers behind a budget's pods.

use cache::Snapshot;
use kinds::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use kinds::api::core::v1::{Pod, ReplicationController};
use kinds::owner::controller_of;
use kinds::{ObjectKey, OwnerReference, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Each controller counts once.
pub(super) fn expected(snapshot: &Snapshot, pods: &[Arc<Pod>]) -> Result<i32, String> {
    let mut scales: BTreeMap<String, i32> = BTreeMap::new();
    for pod in pods {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let Some(owner) = controller_of(&pod.metadata) else {
            return Err(format!("found no controller ref for pod \"{name}\""));
        };
        if scales.contains_key(&owner.uid) {
            continue;
        }
        let found = scale_of(snapshot, namespace, owner);
        let (uid, n) = found.ok_or_else(|| format!("found no controllers for pod \"{name}\""))?;
        scales.insert(uid, n);
    }
    Ok(scales.values().sum())
}

fn scale_of(snapshot: &Snapshot, namespace: &str, owner: &OwnerReference) -> Option<(String, i32)> {
    let uid = owner.uid.clone();
    let group = owner.api_version.split_once('/').map_or("", |(g, _)| g);
    match (group, owner.kind.as_str()) {
        ("apps", "ReplicaSet") => {
            let set = snapshot.get::<ReplicaSet>(namespace, &owner.name)?;
            let above = controller_of(&set.metadata).filter(|o| o.kind == "Deployment");
            match above.and_then(|o| Some((o, snapshot.get::<Deployment>(namespace, &o.name)?))) {
                Some((o, d)) => Some((o.uid.clone(), d.spec.as_ref()?.replicas.unwrap_or(1))),
                None => Some((uid, set.spec.as_ref()?.replicas.unwrap_or(1))),
            }
        }
        ("apps", "StatefulSet") => {
            let set = snapshot.get::<StatefulSet>(namespace, &owner.name)?;
            Some((uid, set.spec.as_ref()?.replicas.unwrap_or(1)))
        }
        ("", "ReplicationController") => {
            let rc = snapshot.get::<ReplicationController>(namespace, &owner.name)?;
            Some((uid, rc.spec.as_ref()?.replicas.unwrap_or(1)))
        }
        _ => custom(snapshot, namespace, owner, group).map(|n| (uid, n)),
    }
}

/// A custom resource with a scale, by the usual path.
fn custom(snapshot: &Snapshot, namespace: &str, owner: &OwnerReference, group: &str) -> Option<i32> {
    let same = |r: &&Resource| matches!(r, Resource::Custom(c) if c.group == group && c.kind == owner.kind);
    let resource = snapshot.tables().map(|(r, _)| r).find(same)?;
    let entry = snapshot.entry(resource, &ObjectKey::new(namespace, owner.name.clone()))?;
    let kinds::Object::Dynamic(d) = entry.object() else { return None };
    i32::try_from(d.body.get("spec")?.get("replicas")?.as_i64()?).ok()
}
