//! The `scale` subresource: what a workload's replicas and selector are, and how to set them.
//! Docs: "Kubernetes API: autoscaling/v1 Scale".

use kinds::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use kinds::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use kinds::api::core::v1::ReplicationController;
use kinds::{Dynamic, Kind, Object, ObjectMeta, Resource, Selector};
use std::sync::Arc;

/// Whether objects of the resource can be scaled.
#[must_use]
pub fn is_scalable(resource: &Resource) -> bool {
    matches!(
        resource.builtin(),
        Some(Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet | Kind::ReplicationController)
    )
}

/// The object's `Scale`; `None` for what cannot be scaled.
#[must_use]
pub fn of(object: &Object) -> Option<Scale> {
    let (wanted, have, selector) = match object {
        Object::Deployment(d) => deployment(d),
        Object::ReplicaSet(r) => replica_set(r),
        Object::StatefulSet(s) => stateful_set(s),
        Object::ReplicationController(r) => replication_controller(r),
        _ => return None,
    };
    let meta = object.meta();
    Some(Scale {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            creation_timestamp: meta.creation_timestamp.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(ScaleSpec { replicas: wanted }),
        status: Some(ScaleStatus { replicas: have, selector: (!selector.is_empty()).then_some(selector) }),
    })
}

type Parts = (Option<i32>, i32, String);

fn deployment(d: &Deployment) -> Parts {
    let spec = d.spec.as_ref();
    let selector = Selector::from_label_selector(spec.map(|s| &s.selector)).to_string();
    (spec.and_then(|s| s.replicas), d.status.as_ref().and_then(|s| s.replicas).unwrap_or(0), selector)
}

fn replica_set(r: &ReplicaSet) -> Parts {
    let spec = r.spec.as_ref();
    let selector = Selector::from_label_selector(spec.map(|s| &s.selector)).to_string();
    (spec.and_then(|s| s.replicas), r.status.as_ref().map_or(0, |s| s.replicas), selector)
}

fn stateful_set(s: &StatefulSet) -> Parts {
    let spec = s.spec.as_ref();
    let selector = Selector::from_label_selector(spec.map(|s| &s.selector)).to_string();
    (spec.and_then(|s| s.replicas), s.status.as_ref().map_or(0, |s| s.replicas), selector)
}

fn replication_controller(r: &ReplicationController) -> Parts {
    let spec = r.spec.as_ref();
    let selector = spec.and_then(|s| s.selector.as_ref()).map(|m| Selector::from_map(m).to_string());
    (spec.and_then(|s| s.replicas), r.status.as_ref().map_or(0, |s| s.replicas), selector.unwrap_or_default())
}

/// Sets the replicas; `None` for what cannot be scaled.
pub fn set_replicas(object: &mut Object, replicas: i32) -> Option<()> {
    match object {
        Object::Deployment(d) => Arc::make_mut(d).spec.get_or_insert_default().replicas = Some(replicas),
        Object::ReplicaSet(r) => Arc::make_mut(r).spec.get_or_insert_default().replicas = Some(replicas),
        Object::StatefulSet(s) => Arc::make_mut(s).spec.get_or_insert_default().replicas = Some(replicas),
        Object::ReplicationController(r) => Arc::make_mut(r).spec.get_or_insert_default().replicas = Some(replicas),
        Object::Dynamic(d) => set_dynamic(Arc::make_mut(d), replicas),
        _ => return None,
    }
    Some(())
}

fn set_dynamic(d: &mut Dynamic, replicas: i32) {
    let spec = d.body.entry("spec").or_insert_with(|| serde_json::json!({}));
    if let Some(map) = spec.as_object_mut() {
        map.insert("replicas".to_owned(), replicas.into());
    }
}
