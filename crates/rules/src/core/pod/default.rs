//! What a pod that does not say otherwise gets. Answers to the "default" notes of the PodSpec API reference.

use crate::quantities::{resources, round_up_milli, spell_opt};
use crate::read::{fill, has, on, s};
use kinds::api::core::v1::{
    Container, ContainerPort, EnvVar, EphemeralContainer, HTTPGetAction, Lifecycle, ObjectFieldSelector, Pod,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
};

/// The grace period of a pod that names none.
pub const GRACE_S: i64 = 30;

/// Defaults of a pod itself.
pub(super) fn pod(p: &mut Pod) {
    let spec = p.spec.get_or_insert_default();
    self::spec(spec);
    spec.enable_service_links.get_or_insert(true);
    for c in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        requests_from_limits(&mut c.resources);
    }
    pod_level_requests(spec);
    if let Some(st) = &mut p.status {
        for c in [&mut st.container_statuses, &mut st.init_container_statuses, &mut st.ephemeral_container_statuses]
            .into_iter()
            .flatten()
            .flatten()
        {
            resources(&mut c.resources);
            round_up_milli(&mut c.allocated_resources);
        }
        resources(&mut st.resources);
        round_up_milli(&mut st.allocated_resources);
    }
}

/// Defaults of a pod template: those of its spec, and nothing that depends on the pod.
pub fn template(t: &mut PodTemplateSpec) {
    t.metadata.get_or_insert_default();
    spec(t.spec.get_or_insert_default());
}

fn requests_from_limits(r: &mut Option<ResourceRequirements>) {
    let Some(r) = r else { return };
    let Some(limits) = r.limits.as_ref().filter(|l| !l.is_empty()) else { return };
    let requests = r.requests.get_or_insert_default();
    for (name, amount) in limits {
        requests.entry(name.clone()).or_insert_with(|| amount.clone());
    }
}

/// Pod-level requests follow, per resource, from what the containers ask for together, or else from the pod-level limit
/// (KEP-2837).
fn pod_level_requests(spec: &mut PodSpec) {
    const POD_LEVEL: &[&str] = &["cpu", "memory"];
    let supported = |k: &str| POD_LEVEL.contains(&k) || k.starts_with("hugepages-");
    let Some(limits) = spec.resources.as_ref().and_then(|r| r.limits.clone()) else { return };
    let own = spec.resources.as_mut().and_then(|r| r.requests.take()).unwrap_or_default();
    let mut requests = own.clone();
    let from_containers = {
        let mut bare = spec.clone();
        bare.resources = None;
        bare.overhead = None;
        kinds::pod::requests(&bare)
    };
    for (name, limit) in &limits {
        if !supported(name) || requests.contains_key(name) {
            continue;
        }
        let amount = from_containers.get(name).map_or_else(|| limit.clone(), kinds::Quantity::text);
        requests.insert(name.clone(), amount);
    }
    if let Some(r) = &mut spec.resources {
        r.requests = Some(requests).filter(|r| !r.is_empty());
    }
}

/// Defaults of a pod's spec, in pods and templates alike.
pub fn spec(p: &mut PodSpec) {
    fill(&mut p.dns_policy, "ClusterFirst");
    fill(&mut p.restart_policy, "Always");
    fill(&mut p.scheduler_name, "default-scheduler");
    p.security_context.get_or_insert_with(PodSecurityContext::default);
    let grace_s = p.termination_grace_period_seconds.get_or_insert(GRACE_S);
    if *grace_s < 0 {
        *grace_s = 1;
    }
    // The deprecated spelling and the current one are one field.
    if has(&p.service_account_name) {
        p.service_account = p.service_account_name.clone();
    } else if has(&p.service_account) {
        p.service_account_name = p.service_account.clone();
    }
    let host_network = on(p.host_network);
    for c in p.containers.iter_mut().chain(p.init_containers.iter_mut().flatten()) {
        container(c, host_network);
    }
    for c in p.ephemeral_containers.iter_mut().flatten() {
        ephemeral(c);
    }
    for v in p.volumes.iter_mut().flatten() {
        super::volume_default::volume(v);
    }
    round_up_milli(&mut p.overhead);
    resources(&mut p.resources);
}

fn container(c: &mut Container, host_network: bool) {
    let policy = if is_latest(s(&c.image)) { "Always" } else { "IfNotPresent" };
    fill(&mut c.image_pull_policy, policy);
    fill(&mut c.termination_message_path, "/dev/termination-log");
    fill(&mut c.termination_message_policy, "File");
    for p in c.ports.iter_mut().flatten() {
        port(p, host_network);
    }
    let probes = [&mut c.liveness_probe, &mut c.readiness_probe, &mut c.startup_probe];
    probes.into_iter().flatten().for_each(probe);
    c.lifecycle.iter_mut().for_each(lifecycle);
    c.env.iter_mut().flatten().for_each(env);
    c.resources.get_or_insert_default();
    resources(&mut c.resources);
}

fn ephemeral(e: &mut EphemeralContainer) {
    let (mut c, target) = to_container(std::mem::take(e));
    container(&mut c, false);
    *e = from_container(c, target);
}

fn port(p: &mut ContainerPort, host_network: bool) {
    fill(&mut p.protocol, "TCP");
    if host_network && p.host_port.unwrap_or_default() == 0 {
        p.host_port = Some(p.container_port);
    }
}

fn probe(p: &mut Probe) {
    let zero = |o: &Option<i32>| o.unwrap_or_default() == 0;
    for (field, value) in [
        (&mut p.timeout_seconds, 1),
        (&mut p.period_seconds, 10),
        (&mut p.success_threshold, 1),
        (&mut p.failure_threshold, 3),
    ] {
        if zero(field) {
            *field = Some(value);
        }
    }
    p.http_get.iter_mut().for_each(http);
    if let Some(g) = &mut p.grpc {
        g.service.get_or_insert_default();
    }
}

fn http(h: &mut HTTPGetAction) {
    fill(&mut h.path, "/");
    fill(&mut h.scheme, "HTTP");
}

fn lifecycle(l: &mut Lifecycle) {
    for h in [&mut l.post_start, &mut l.pre_stop].into_iter().flatten() {
        h.http_get.iter_mut().for_each(http);
    }
}

fn env(v: &mut EnvVar) {
    let Some(from) = &mut v.value_from else { return };
    if let Some(file) = &mut from.file_key_ref {
        file.optional.get_or_insert(false);
    }
    from.field_ref.iter_mut().for_each(field_ref);
    if let Some(r) = &mut from.resource_field_ref {
        divisor(&mut r.divisor);
    }
}

pub(super) fn field_ref(f: &mut ObjectFieldSelector) {
    fill(&mut f.api_version, "v1");
}

/// The divisor is a plain quantity: absent reads as zero, which stands for one unit.
pub(super) fn divisor(d: &mut Option<kinds::QuantityText>) {
    d.get_or_insert_with(|| kinds::QuantityText("0".into()));
    spell_opt(d);
}

/// Whether an image reference names the tag `latest`, by saying so or by saying no tag and no digest.
#[must_use]
pub fn is_latest(image: &str) -> bool {
    if image.contains('@') || image.is_empty() {
        return false;
    }
    // What is no reference has no tag either.
    const NAME_MAX: usize = 255;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._/-:".contains(&b);
    if image.len() > NAME_MAX || !image.bytes().all(fits) {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None => true,
        Some((_, tag)) => tag == "latest",
    }
}


macro_rules! same_fields {
    ($from:expr, $to:ident { $($extra:tt)* }) => {{
        let c = $from;
        $to {
            args: c.args, command: c.command, env: c.env, env_from: c.env_from, image: c.image,
            image_pull_policy: c.image_pull_policy, lifecycle: c.lifecycle, liveness_probe: c.liveness_probe, name: c.name,
            ports: c.ports, readiness_probe: c.readiness_probe, resize_policy: c.resize_policy, resources: c.resources,
            restart_policy: c.restart_policy, restart_policy_rules: c.restart_policy_rules,
            security_context: c.security_context, startup_probe: c.startup_probe, stdin: c.stdin,
            stdin_once: c.stdin_once, termination_message_path: c.termination_message_path,
            termination_message_policy: c.termination_message_policy, tty: c.tty, volume_devices: c.volume_devices,
            volume_mounts: c.volume_mounts, working_dir: c.working_dir, $($extra)*
        }
    }};
}

/// An ephemeral container as a container, and the container that it targets.
#[must_use]
pub fn to_container(e: EphemeralContainer) -> (Container, Option<String>) {
    let target = e.target_container_name.clone();
    (same_fields!(e, Container {}), target)
}

fn from_container(c: Container, target: Option<String>) -> EphemeralContainer {
    same_fields!(c, EphemeralContainer { target_container_name: target })
}
