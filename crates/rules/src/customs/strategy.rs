//! What a write may change: status and the rest are kept apart where there is a status subresource, generations count
//! changes, and the scale subresource reads and writes the definition's paths. Docs: "Subresources".

use super::{ScalePaths, Version, field_at};
use kinds::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use kinds::{Dynamic, ObjectMeta};
use serde_json::{Map, Value};

/// Before a create.
pub fn prepare_create(version: &Version, new: &mut Dynamic) {
    if version.status {
        new.body.remove("status");
    }
    new.metadata.generation = Some(1);
}

/// Before an update of the object itself.
pub fn prepare_update(version: &Version, new: &mut Dynamic, old: &Dynamic) {
    if version.status {
        keep(&mut new.body, &old.body, "status");
    }
    let changed = |a: &Map<String, Value>, b: &Map<String, Value>| {
        let counts = |k: &str| !(version.status && k == "status");
        a.iter().any(|(k, v)| counts(k) && b.get(k) != Some(v)) || b.keys().any(|k| counts(k) && !a.contains_key(k))
    };
    let was = old.metadata.generation.unwrap_or_default();
    new.metadata.generation = Some(if changed(&new.body, &old.body) { was + 1 } else { was });
}

/// Before an update of the status: everything else stays, field owners excepted.
pub fn prepare_status_update(new: &mut Dynamic, old: &Dynamic) {
    let given = std::mem::take(&mut new.body);
    new.body.clone_from(&old.body);
    keep(&mut new.body, &given, "status");
    let (owners, version) = (new.metadata.managed_fields.take(), new.metadata.resource_version.take());
    new.metadata = ObjectMeta { managed_fields: owners, resource_version: version, ..old.metadata.clone() };
}

fn keep(to: &mut Map<String, Value>, from: &Map<String, Value>, key: &str) {
    match from.get(key) {
        Some(v) => {
            to.insert(key.to_owned(), v.clone());
        }
        None => {
            to.remove(key);
        }
    }
}

/// The `Scale` of an object; `None` when it does not say how many it wants.
#[must_use]
pub fn scale(paths: &ScalePaths, d: &Dynamic) -> Option<Scale> {
    let count = |path: &str| field_at(d, path).parse::<i32>().ok();
    let wanted = count(&paths.spec_replicas)?;
    let selector = paths.selector.as_ref().map(|p| field_at(d, p)).filter(|s| !s.is_empty());
    let meta = &d.metadata;
    Some(Scale {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            creation_timestamp: meta.creation_timestamp.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(ScaleSpec { replicas: Some(wanted) }),
        status: Some(ScaleStatus { replicas: count(&paths.status_replicas).unwrap_or_default(), selector }),
    })
}

/// Sets the replicas at the definition's path.
pub fn set_replicas(paths: &ScalePaths, d: &mut Dynamic, replicas: i32) {
    let parts: Vec<&str> = paths.spec_replicas.trim_start_matches('.').split('.').collect();
    let Some((last, before)) = parts.split_last() else { return };
    let mut at = &mut d.body;
    for part in before {
        let inner = at.entry(*part).or_insert_with(|| Map::new().into());
        if !inner.is_object() {
            *inner = Map::new().into();
        }
        let Value::Object(map) = inner else { return };
        at = map;
    }
    at.insert((*last).to_owned(), replicas.into());
}
