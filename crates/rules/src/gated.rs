//! Feature gates: what a server does not know whose gate is off. Fields of such features are dropped from what is written,
//! unless the stored object has them already; defaults and rules of features follow their gates too.
//!
//! ```text
//!   fill (defaults) -> prepare_* (drop what is off, then the kind's own row) -> the row's validation -> judge (what gates change of it)
//! ```
//! The rows of the kinds know what v1.36 knows by default; here stands what changes of it with `--feature-gates`. Each family has a
//! table: the gates, whether an object uses what they let in, and how that is dropped. With the default gates nothing is looked at
//! but the kind, and of pods the fields that gates are about. Docs: "Feature Gates"; the KEPs are named at the tables.

use crate::table::Rules;
use crate::Gates;
use kinds::api::core::v1::PodSpec;
use kinds::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kinds::{FieldErrors, Object};
use std::sync::Arc;

mod devices;
mod judging;
mod pods;
mod resizing;
mod services;
mod statuses;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

/// A part of an object that servers without one of the gates do not know.
struct Part<T: 'static> {
    /// Known only with all of them.
    gates: &'static [&'static str],
    /// Whether a new object has it.
    has: fn(&T) -> bool,
    /// Whether a stored object has it, so that a new one may.
    kept: fn(&T) -> bool,
    drop: fn(&mut T),
}

impl<T> Part<T> {
    const fn new(gates: &'static [&'static str], has: fn(&T) -> bool, drop: fn(&mut T)) -> Self {
        Self { gates, has, kept: has, drop }
    }

    /// Stored objects count by another rule.
    const fn kept_by(mut self, kept: fn(&T) -> bool) -> Self {
        self.kept = kept;
        self
    }
}

/// How to drop what the gates do not let in.
fn off<T>(parts: &'static [Part<T>], gates: &Gates, new: &T, old: Option<&T>) -> Vec<fn(&mut T)> {
    let unknown = parts.iter().filter(|p| (p.has)(new) && !p.gates.iter().all(|g| gates.on(g)) && !old.is_some_and(p.kept));
    unknown.map(|p| p.drop).collect()
}

/// Drops from an object what the gates do not let in. Nothing is copied where nothing is dropped.
macro_rules! dropped {
    ($v:ident, $parts:expr, $gates:expr, $new:expr, $old:expr) => {
        if let Object::$v(new) = $new {
            let old = match $old {
                Some(Object::$v(old)) => Some(&**old),
                _ => None,
            };
            let gone = off($parts, $gates, &**new, old);
            if !gone.is_empty() {
                let new = Arc::make_mut(new);
                gone.iter().for_each(|drop| drop(new));
            }
        }
    };
}

/// Defaults of fields that only come with their gates. Idempotent.
pub fn fill(gates: &Gates, object: &mut Object) {
    match object {
        Object::StatefulSet(set) if gates.on("MaxUnavailableStatefulSet") => workloads::fill(set),
        Object::CSIDriver(driver) if gates.on("VolumeLimitScaling") => storage::fill(driver),
        _ => {}
    }
}

/// Before a create: what gates do not let in goes, then the kind prepares its new object.
pub fn prepare_create(gates: &Gates, rules: &Rules, object: &mut Object) {
    drop_disabled(gates, object, None);
    let kept = services::kept(gates, object);
    (rules.prepare_create)(object);
    services::keep(object, kept);
    if let Object::Pod(p) = object
        && SPREAD_MERGE.iter().all(|g| gates.on(g))
    {
        crate::core::pod::merge_spread(p);
    }
}

/// What makes the labels of `matchLabelKeys` requirements of a constraint's selector.
const SPREAD_MERGE: [&str; 2] = ["MatchLabelKeysInPodTopologySpread", "MatchLabelKeysInPodTopologySpreadSelectorMerge"];

/// Before an update, by whichever of the kind's ways: the same around it.
pub fn prepare_update(gates: &Gates, subresource: &str, object: &mut Object, old: &Object, prepare: impl FnOnce(&mut Object) -> bool) -> bool {
    // A slice's generation counts what is dropped; a node's status is written as it is.
    let (late, as_is) = (matches!(object, Object::ResourceSlice(_)), matches!(object, Object::Node(_)) && subresource == "status");
    if !late && !as_is {
        drop_disabled(gates, object, Some(old));
    }
    if let (Object::Pod(new), Object::Pod(old), "resize") = (&mut *object, old, subresource)
        && !gates.on("InPlacePodLevelResourcesVerticalScaling")
        && let (Some(new), Some(old)) = (Arc::make_mut(new).spec.as_mut(), &old.spec)
    {
        new.resources.clone_from(&old.resources);
    }
    let kept = services::kept(gates, object);
    let whole = prepare(object);
    if whole {
        services::keep(object, kept);
    }
    if late {
        drop_disabled(gates, object, Some(old));
    }
    whole
}

/// What the gates change of a verdict on a new (`old` is none) or changed object.
pub fn judge(gates: &Gates, subresource: &str, new: &Object, old: Option<&Object>, e: &mut FieldErrors) {
    judging::judge(gates, subresource, new, old, e);
}

fn drop_disabled(gates: &Gates, new: &mut Object, old: Option<&Object>) {
    match new {
        Object::Pod(_) => {
            dropped!(Pod, statuses::POD, gates, new, old);
            spec_dropped(gates, new, old);
        }
        Object::PodTemplate(_) | Object::ReplicationController(_) | Object::DaemonSet(_) | Object::Job(_) | Object::CronJob(_) => {
            spec_dropped(gates, new, old);
        }
        Object::Deployment(_) => {
            dropped!(Deployment, workloads::DEPLOYMENT, gates, new, old);
            spec_dropped(gates, new, old);
        }
        Object::ReplicaSet(_) => {
            dropped!(ReplicaSet, workloads::REPLICA_SET, gates, new, old);
            spec_dropped(gates, new, old);
        }
        Object::StatefulSet(_) => {
            dropped!(StatefulSet, workloads::STATEFUL_SET, gates, new, old);
            spec_dropped(gates, new, old);
        }
        Object::HorizontalPodAutoscaler(_) => dropped!(HorizontalPodAutoscaler, workloads::AUTOSCALER, gates, new, old),
        Object::Lease(_) => dropped!(Lease, services::LEASE, gates, new, old),
        Object::Node(_) => dropped!(Node, statuses::NODE, gates, new, old),
        Object::PersistentVolumeClaim(_) => dropped!(PersistentVolumeClaim, storage::CLAIM, gates, new, old),
        Object::CSIDriver(_) => dropped!(CSIDriver, storage::DRIVER, gates, new, old),
        Object::ResourceClaim(_) => dropped!(ResourceClaim, devices::CLAIM, gates, new, old),
        Object::ResourceClaimTemplate(_) => dropped!(ResourceClaimTemplate, devices::TEMPLATE, gates, new, old),
        Object::ResourceSlice(_) => dropped!(ResourceSlice, devices::SLICE, gates, new, old),
        Object::DeviceClass(_) => dropped!(DeviceClass, devices::CLASS, gates, new, old),
        _ => {}
    }
}

fn spec_dropped(gates: &Gates, new: &mut Object, old: Option<&Object>) {
    let Some((spec, _)) = pod_spec(new) else { return };
    let gone = off(pods::SPEC, gates, spec, old.and_then(pod_spec).map(|(s, _)| s));
    if !gone.is_empty()
        && let Some(spec) = pod_spec_mut(new)
    {
        gone.iter().for_each(|drop| drop(spec));
    }
}

/// The pod spec of a pod, or of the template that an object carries, and where it stands.
fn pod_spec(o: &Object) -> Option<(&PodSpec, &'static str)> {
    const TEMPLATE: &str = "spec.template.spec";
    match o {
        Object::Pod(x) => Some((x.spec.as_ref()?, "spec")),
        Object::PodTemplate(x) => Some((x.template.as_ref()?.spec.as_ref()?, "template.spec")),
        Object::ReplicationController(x) => Some((x.spec.as_ref()?.template.as_ref()?.spec.as_ref()?, TEMPLATE)),
        Object::ReplicaSet(x) => Some((x.spec.as_ref()?.template.as_ref()?.spec.as_ref()?, TEMPLATE)),
        Object::Deployment(x) => Some((x.spec.as_ref()?.template.spec.as_ref()?, TEMPLATE)),
        Object::DaemonSet(x) => Some((x.spec.as_ref()?.template.spec.as_ref()?, TEMPLATE)),
        Object::StatefulSet(x) => Some((x.spec.as_ref()?.template.spec.as_ref()?, TEMPLATE)),
        Object::Job(x) => Some((x.spec.as_ref()?.template.spec.as_ref()?, TEMPLATE)),
        Object::CronJob(x) => Some((x.spec.job_template.spec.as_ref()?.template.spec.as_ref()?, "spec.jobTemplate.spec.template.spec")),
        _ => None,
    }
}

/// The metadata of a pod, or of the template that an object carries.
fn pod_meta(o: &Object) -> Option<&ObjectMeta> {
    match o {
        Object::Pod(x) => Some(&x.metadata),
        Object::PodTemplate(x) => x.template.as_ref()?.metadata.as_ref(),
        Object::ReplicationController(x) => x.spec.as_ref()?.template.as_ref()?.metadata.as_ref(),
        Object::ReplicaSet(x) => x.spec.as_ref()?.template.as_ref()?.metadata.as_ref(),
        Object::Deployment(x) => x.spec.as_ref()?.template.metadata.as_ref(),
        Object::DaemonSet(x) => x.spec.as_ref()?.template.metadata.as_ref(),
        Object::StatefulSet(x) => x.spec.as_ref()?.template.metadata.as_ref(),
        Object::Job(x) => x.spec.as_ref()?.template.metadata.as_ref(),
        Object::CronJob(x) => x.spec.job_template.spec.as_ref()?.template.metadata.as_ref(),
        _ => None,
    }
}

fn pod_spec_mut(o: &mut Object) -> Option<&mut PodSpec> {
    match o {
        Object::Pod(x) => Arc::make_mut(x).spec.as_mut(),
        Object::PodTemplate(x) => Arc::make_mut(x).template.as_mut()?.spec.as_mut(),
        Object::ReplicationController(x) => Arc::make_mut(x).spec.as_mut()?.template.as_mut()?.spec.as_mut(),
        Object::ReplicaSet(x) => Arc::make_mut(x).spec.as_mut()?.template.as_mut()?.spec.as_mut(),
        Object::Deployment(x) => Arc::make_mut(x).spec.as_mut()?.template.spec.as_mut(),
        Object::DaemonSet(x) => Arc::make_mut(x).spec.as_mut()?.template.spec.as_mut(),
        Object::StatefulSet(x) => Arc::make_mut(x).spec.as_mut()?.template.spec.as_mut(),
        Object::Job(x) => Arc::make_mut(x).spec.as_mut()?.template.spec.as_mut(),
        Object::CronJob(x) => Arc::make_mut(x).spec.job_template.spec.as_mut()?.template.spec.as_mut(),
        _ => None,
    }
}
