//! Fields of features that are off: a server without the feature drops them from what is written, as if it did not know them.
//! KEP-4960 (stop signals), KEP-3257 (trust bundles), KEP-4317 (pod certificates), KEP-4671 (gang scheduling).

use crate::Gates;
use crate::read::items;
use kinds::Object;
use kinds::api::core::v1::{Container, PodSpec, VolumeProjection};
use std::sync::Arc;

/// Drops the fields of gates that are off, unless the stored object has them already.
pub fn drop_disabled(gates: &Gates, new: &mut Object, old: Option<&Object>) {
    drop_status(gates, new, old);
    let Some(spec) = pod_spec(new) else { return };
    let kept = old.and_then(pod_spec);
    let used = |has: fn(&PodSpec) -> bool| kept.is_some_and(has);
    let rules: [(&str, fn(&PodSpec) -> bool, fn(&mut PodSpec)); 4] = [
        ("ContainerStopSignals", stops, |p| each_container(p, |c| {
            if let Some(l) = &mut c.lifecycle {
                l.stop_signal = None;
            }
        })),
        ("ClusterTrustBundleProjection", bundles, |p| each_source(p, |s| s.cluster_trust_bundle = None)),
        ("PodCertificateRequest", certificates, |p| each_source(p, |s| s.pod_certificate = None)),
        ("GenericWorkload", |p| p.scheduling_group.is_some(), |p| p.scheduling_group = None),
    ];
    let off: Vec<_> = rules.iter().filter(|(gate, has, _)| !gates.on(gate) && has(spec) && !used(*has)).collect();
    if off.is_empty() {
        return;
    }
    if let Some(spec) = pod_spec_mut(new) {
        off.iter().for_each(|(_, _, drop)| drop(spec));
    }
}

/// KEP-5517 (node allocatable resources in claims).
fn drop_status(gates: &Gates, new: &mut Object, old: Option<&Object>) {
    let used = |o: &Object| matches!(o, Object::Pod(p) if p.status.as_ref().is_some_and(|s| s.node_allocatable_resource_claim_statuses.is_some()));
    if gates.on("DRANodeAllocatableResources") || !used(new) || old.is_some_and(used) {
        return;
    }
    if let Object::Pod(p) = new
        && let Some(s) = &mut Arc::make_mut(p).status
    {
        s.node_allocatable_resource_claim_statuses = None;
    }
}

fn stops(p: &PodSpec) -> bool {
    let all = p.containers.iter().chain(items(&p.init_containers));
    all.filter_map(|c| c.lifecycle.as_ref()).any(|l| l.stop_signal.is_some())
}

fn sources(p: &PodSpec) -> impl Iterator<Item = &VolumeProjection> {
    items(&p.volumes).iter().filter_map(|v| v.projected.as_ref()).flat_map(|v| items(&v.sources))
}

fn bundles(p: &PodSpec) -> bool {
    sources(p).any(|s| s.cluster_trust_bundle.is_some())
}

fn certificates(p: &PodSpec) -> bool {
    sources(p).any(|s| s.pod_certificate.is_some())
}

fn each_container(p: &mut PodSpec, change: impl Fn(&mut Container)) {
    p.containers.iter_mut().chain(p.init_containers.iter_mut().flatten()).for_each(change);
}

fn each_source(p: &mut PodSpec, change: impl Fn(&mut VolumeProjection)) {
    let projected = p.volumes.iter_mut().flatten().filter_map(|v| v.projected.as_mut());
    projected.flat_map(|v| v.sources.iter_mut().flatten()).for_each(change);
}

/// The pod spec of a pod, or of the template that an object carries.
fn pod_spec(o: &Object) -> Option<&PodSpec> {
    match o {
        Object::Pod(x) => x.spec.as_ref(),
        Object::PodTemplate(x) => x.template.as_ref()?.spec.as_ref(),
        Object::ReplicationController(x) => x.spec.as_ref()?.template.as_ref()?.spec.as_ref(),
        Object::ReplicaSet(x) => x.spec.as_ref()?.template.as_ref()?.spec.as_ref(),
        Object::Deployment(x) => x.spec.as_ref()?.template.spec.as_ref(),
        Object::DaemonSet(x) => x.spec.as_ref()?.template.spec.as_ref(),
        Object::StatefulSet(x) => x.spec.as_ref()?.template.spec.as_ref(),
        Object::Job(x) => x.spec.as_ref()?.template.spec.as_ref(),
        Object::CronJob(x) => x.spec.job_template.spec.as_ref()?.template.spec.as_ref(),
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
