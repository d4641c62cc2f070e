//! Fields of pod specs, in pods and in templates. KEP-4960 (stop signals), KEP-3257 (trust bundles), KEP-4317 (pod certificates),
//! KEP-4671 (gang scheduling), KEP-5307 (restart rules), KEP-3721 (environment files), KEP-4762 (hostname override), KEP-2837
//! (resources of pods), KEP-3243 (label keys of spread constraints).

use super::Part;
use crate::read::items;
use kinds::api::core::v1::{Container, EnvVar, Lifecycle, PodSpec, VolumeProjection};

pub(super) const SPEC: &[Part<PodSpec>] = &[
    Part::new(&["PodLevelResources"], |p: &PodSpec| p.resources.is_some(), |p| p.resources = None).kept_by(as_a_whole),
    Part::new(
        &["MatchLabelKeysInPodTopologySpread"],
        |p| items(&p.topology_spread_constraints).iter().any(|c| !items(&c.match_label_keys).is_empty()),
        |p| p.topology_spread_constraints.iter_mut().flatten().for_each(|c| c.match_label_keys = None),
    ),
    Part::new(&["ClusterTrustBundleProjection"], bundles, |p| each_source(p, |s| s.cluster_trust_bundle = None)),
    Part::new(&["PodCertificateRequest"], certificates, |p| each_source(p, |s| s.pod_certificate = None)),
    Part::new(&["GenericWorkload"], |p| p.scheduling_group.is_some(), |p| p.scheduling_group = None),
    Part::new(&["ContainerRestartRules"], restarts, drop_restarts).kept_by(kept_restarts),
    Part::new(&["HostnameOverride"], |p| p.hostname_override.is_some(), |p| p.hostname_override = None),
    Part::new(&["EnvFiles"], env_files, |p| {
        each_env(p, |v| {
            if let Some(from) = &mut v.value_from {
                from.file_key_ref = None;
            }
        });
    }),
    Part::new(&["ContainerStopSignals"], stops, drop_stops),
];

/// Whether a pod asks for resources as a whole.
pub(super) fn as_a_whole(p: &PodSpec) -> bool {
    let any = |m: &Option<std::collections::BTreeMap<_, _>>| m.as_ref().is_some_and(|m| !m.is_empty());
    p.resources.as_ref().is_some_and(|r| any(&r.requests) || any(&r.limits))
}

/// App and init containers.
pub(super) fn containers(p: &PodSpec) -> impl Iterator<Item = &Container> {
    p.containers.iter().chain(items(&p.init_containers))
}

pub(super) fn containers_mut(p: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    p.containers.iter_mut().chain(p.init_containers.iter_mut().flatten())
}

fn stops(p: &PodSpec) -> bool {
    let passing = items(&p.ephemeral_containers).iter().filter_map(|c| c.lifecycle.as_ref());
    containers(p).filter_map(|c| c.lifecycle.as_ref()).chain(passing).any(|l| l.stop_signal.is_some())
}

/// A lifecycle that says nothing else goes too.
fn drop_stops(p: &mut PodSpec) {
    let wipe = |l: &mut Option<Lifecycle>| {
        if let Some(x) = l
            && x.stop_signal.take().is_some()
            && *x == Lifecycle::default()
        {
            *l = None;
        }
    };
    containers_mut(p).for_each(|c| wipe(&mut c.lifecycle));
    p.ephemeral_containers.iter_mut().flatten().for_each(|c| wipe(&mut c.lifecycle));
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

fn each_source(p: &mut PodSpec, change: impl Fn(&mut VolumeProjection)) {
    let projected = p.volumes.iter_mut().flatten().filter_map(|v| v.projected.as_mut());
    projected.flat_map(|v| v.sources.iter_mut().flatten()).for_each(change);
}

pub(super) fn env_files(p: &PodSpec) -> bool {
    let passing = items(&p.ephemeral_containers).iter().flat_map(|c| items(&c.env));
    let all = containers(p).flat_map(|c| items(&c.env)).chain(passing);
    all.filter_map(|v| v.value_from.as_ref()).any(|f| f.file_key_ref.is_some())
}

fn each_env(p: &mut PodSpec, change: impl Fn(&mut EnvVar)) {
    containers_mut(p).flat_map(|c| c.env.iter_mut().flatten()).for_each(&change);
    p.ephemeral_containers.iter_mut().flatten().flat_map(|c| c.env.iter_mut().flatten()).for_each(change);
}

/// Whether an init container restarts otherwise than as a sidecar does.
fn ruled(c: &Container) -> bool {
    c.restart_policy.as_deref().is_some_and(|p| p != "Always")
}

/// Policies of containers of their own, but for sidecars.
fn restarts(p: &PodSpec) -> bool {
    let passing = items(&p.ephemeral_containers);
    p.containers.iter().any(|c| c.restart_policy.is_some() || c.restart_policy_rules.is_some())
        || items(&p.init_containers).iter().any(|c| ruled(c) || c.restart_policy_rules.is_some())
        || passing.iter().any(|c| c.restart_policy.is_some() || c.restart_policy_rules.is_some())
}

fn kept_restarts(p: &PodSpec) -> bool {
    p.containers.iter().any(|c| c.restart_policy.is_some())
        || items(&p.init_containers).iter().any(|c| ruled(c) || !items(&c.restart_policy_rules).is_empty())
}

fn drop_restarts(p: &mut PodSpec) {
    for c in p.init_containers.iter_mut().flatten() {
        if ruled(c) {
            c.restart_policy = None;
        }
        c.restart_policy_rules = None;
    }
    for c in &mut p.containers {
        (c.restart_policy, c.restart_policy_rules) = (None, None);
    }
    for c in p.ephemeral_containers.iter_mut().flatten() {
        (c.restart_policy, c.restart_policy_rules) = (None, None);
    }
}

/// Whether a rule of a container restarts all of them (KEP-5532).
pub(super) fn restarts_all(p: &PodSpec) -> bool {
    containers(p).flat_map(|c| items(&c.restart_policy_rules)).any(|r| r.action == "RestartAllContainers")
}
