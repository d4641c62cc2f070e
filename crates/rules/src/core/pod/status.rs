//! The status of pods: what kubelets and the scheduler write. Docs: "Pod Lifecycle"; KEP-5067 (observed generations), KEP-4680
//! (device health), KEP-3063 (claims), KEP-4639 (users).

use crate::checks::complain;
use crate::meta::immutable_text;
use crate::names;
use crate::read::{entries, has, items, s, unset_empty};
use crate::statuses::{addresses, texts};
use kinds::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, ResourceStatus};
use kinds::{FieldErrors, Path, pod};

/// Conditions of Kubernetes itself.
const SYSTEM: &[&str] = &["PodScheduled", "Ready", "Initialized"];
const ID_MAX: i64 = i32::MAX as i64;
const NO_ID: &str = "must be between 0 and 2147483647, inclusive";
const NOT_NEGATIVE: &str = "must be a non-negative integer";
const HEALTH_MESSAGE_BYTES_MAX: usize = 2048;
const NOT_RUNNING_AGAIN: &str = "may not be transitioned to non-terminated state";

/// Everything but the status stays; what an old kubelet forgets in it stays too.
pub(super) fn prepare(n: &mut Pod, o: &Pod) {
    n.spec.clone_from(&o.spec);
    n.metadata.generation = o.metadata.generation;
    n.metadata.deletion_timestamp.clone_from(&o.metadata.deletion_timestamp);
    n.metadata.owner_references.clone_from(&o.metadata.owner_references);
    let new = n.status.get_or_insert_default();
    unset_empty(&mut new.qos_class);
    let Some(old) = &o.status else { return };
    if new.qos_class.is_none() {
        new.qos_class.clone_from(&old.qos_class);
    }
    if new.observed_generation.unwrap_or_default() == 0 {
        new.observed_generation = old.observed_generation;
    }
    keep_condition_generations(new.conditions.as_deref_mut().unwrap_or_default(), items(&old.conditions));
}

fn keep_condition_generations(new: &mut [PodCondition], old: &[PodCondition]) {
    let mut left: Vec<&PodCondition> = old.iter().collect();
    for c in new {
        let Some(i) = left.iter().position(|o| o.type_ == c.type_) else { continue };
        let was = left.remove(i).observed_generation;
        if c.observed_generation.unwrap_or_default() == 0 {
            c.observed_generation = was;
        }
    }
}

/// An update of the status.
pub(super) fn validate(n: &Pod, o: &Pod, e: &mut FieldErrors) {
    let path = Path::new("status");
    let (none, no_spec) = (PodStatus::default(), PodSpec::default());
    let (new, old) = (n.status.as_ref().unwrap_or(&none), o.status.as_ref().unwrap_or(&none));
    let spec = o.spec.as_ref().unwrap_or(&no_spec);
    conditions(items(&new.conditions), &path.child("conditions"), e);
    if n.spec.as_ref().map(|x| s(&x.node_name)) != o.spec.as_ref().map(|x| s(&x.node_name)) {
        e.forbidden(&path.child("nodeName"), "may not be changed directly");
    }
    nominated(new, old, spec, &path.child("nominatedNodeName"), e);
    if let Some(g) = new.observed_generation.filter(|g| *g < 0) {
        e.invalid(&path.child("observedGeneration"), g, NOT_NEGATIVE);
    }
    immutable_text(s(&new.qos_class), s(&old.qos_class), &path.child("qosClass"), e);
    transitions(items(&new.container_statuses), items(&old.container_statuses), &spec.containers, spec, &path.child("containerStatuses"), e);
    let inits = items(&spec.init_containers);
    transitions(items(&new.init_container_statuses), items(&old.init_container_statuses), inits, spec, &path.child("initContainerStatuses"), e);
    let passing = (items(&new.ephemeral_container_statuses), items(&old.ephemeral_container_statuses));
    ended_for_good(passing.0, passing.1, &path.child("ephemeralContainerStatuses"), e);
    claims(new, spec, &path.child("resourceClaimStatuses"), e);
    extended_claims(new, spec, &path.child("extendedResourceClaimStatus"), e);
    addresses(&pod_ips(new), &pod_ips(old), &path.child("podIPs"), e);
    host_ips(new, old, &path, e);
    containers(new, spec, &path, e);
}

/// A pod's addresses; one that stands alone is the first.
fn pod_ips(status: &PodStatus) -> Vec<&str> {
    let all = texts(&status.pod_ips, |x| &x.ip);
    match s(&status.pod_ip) {
        one if all.is_empty() && !one.is_empty() => vec![one],
        _ => all,
    }
}

fn conditions(list: &[PodCondition], path: &Path, e: &mut FieldErrors) {
    for (i, c) in list.iter().enumerate() {
        let at = path.index(i);
        if let Some(g) = c.observed_generation.filter(|g| *g < 0) {
            e.invalid(&at.child("observedGeneration"), g, NOT_NEGATIVE);
        }
        if !SYSTEM.contains(&c.type_.as_str()) {
            complain(&at.child("Type"), &c.type_, names::qualified_name(&c.type_), e);
        }
    }
}

fn nominated(new: &PodStatus, old: &PodStatus, spec: &PodSpec, at: &Path, e: &mut FieldErrors) {
    let name = s(&new.nominated_node_name);
    if name == s(&old.nominated_node_name) || name.is_empty() {
        return;
    }
    complain(at, name, names::dns_subdomain(name), e);
    if has(&spec.node_name) {
        e.forbidden(at, "may not be set on pods that are already bound to a node");
    }
}

/// A container that has ended for good may not be reported as running again.
fn transitions(new: &[ContainerStatus], old: &[ContainerStatus], of: &[Container], spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let all = spec.containers.iter().chain(items(&spec.init_containers));
    if all.flat_map(|c| items(&c.restart_policy_rules)).any(|r| r.action == "RestartAllContainers") {
        return;
    }
    let restarts = |name: &str, code: i32| {
        let Some(c) = of.iter().find(|c| c.name == name) else { return false };
        let ruled = items(&c.restart_policy_rules).iter().any(|r| {
            r.exit_codes.as_ref().is_some_and(|x| items(&x.values).contains(&code) == (x.operator == "In"))
        });
        let policy = if has(&c.restart_policy) { s(&c.restart_policy) } else { s(&spec.restart_policy) };
        ruled || pod::is_sidecar(c) || policy == "Always" || policy.is_empty() || (policy == "OnFailure" && code != 0)
    };
    let left: Vec<ContainerStatus> = old.iter().map(|o| {
        let code = o.state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| t.exit_code);
        if code.is_some_and(|code| restarts(&o.name, code)) { ContainerStatus::default() } else { o.clone() }
    }).collect();
    ended_for_good(new, &left, path, e);
}

fn ended_for_good(new: &[ContainerStatus], old: &[ContainerStatus], path: &Path, e: &mut FieldErrors) {
    let ended = |s: &ContainerStatus| s.state.as_ref().is_some_and(|s| s.terminated.is_some());
    for (i, o) in old.iter().enumerate().filter(|(_, o)| ended(o)) {
        if new.iter().find(|n| n.name == o.name).is_some_and(|n| !ended(n)) {
            e.forbidden(&path.index(i).child("state"), NOT_RUNNING_AGAIN);
        }
    }
}

fn claims(new: &PodStatus, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let list = items(&new.resource_claim_statuses);
    for (i, c) in list.iter().enumerate() {
        let at = path.index(i);
        if !items(&spec.resource_claims).iter().any(|x| x.name == c.name) {
            e.invalid(&at.child("name"), &c.name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if list[..i].iter().any(|x| x.name == c.name) {
            e.duplicate(&at.child("name"), &c.name);
        }
        if let Some(name) = &c.resource_claim_name {
            complain(&at.child("resourceClaimName"), name, names::dns_subdomain(name), e);
        }
    }
}

/// Which request of a claim stands for which extended resource of which container (KEP-5004).
fn extended_claims(new: &PodStatus, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(status) = &new.extended_resource_claim_status else { return };
    let at = path.child("requestMappings");
    if status.request_mappings.is_empty() {
        e.required(&at, "at least one request mapping is required");
    }
    let all: Vec<&Container> = spec.containers.iter().chain(items(&spec.init_containers)).collect();
    for (i, m) in status.request_mappings.iter().enumerate() {
        let at = at.index(i);
        match all.iter().find(|c| c.name == m.container_name) {
            None => {
                let why = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                e.invalid(&at.child("containerName"), &m.container_name, why);
            }
            Some(c) if !c.resources.iter().flat_map(|r| entries(&r.requests)).any(|(k, _)| *k == m.resource_name) => {
                let why = "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
                e.invalid(&at.child("resourceName"), &m.resource_name, why);
            }
            Some(_) => {}
        }
        complain(&path.child("requestName"), &m.request_name, names::dns_label(&m.request_name), e);
        if status.request_mappings[..i].contains(m) {
            for (name, value) in [("containerName", &m.container_name), ("resourceName", &m.resource_name), ("requestName", &m.request_name)] {
                e.duplicate(&at.child(name), value);
            }
        }
    }
    if status.resource_claim_name.is_empty() {
        e.required(&path.child("resourceClaimName"), "");
    } else {
        complain(&path.child("resourceClaimName"), &status.resource_claim_name, names::dns_subdomain(&status.resource_claim_name), e);
    }
}

fn host_ips(new: &PodStatus, old: &PodStatus, path: &Path, e: &mut FieldErrors) {
    let (is, was) = (texts(&new.host_ips, |x| &x.ip), texts(&old.host_ips, |x| &x.ip));
    let at = path.child("hostIPs");
    if let Some(first) = is.first()
        && *first != s(&new.host_ip)
    {
        e.invalid(&at.index(0).child("ip"), *first, "must be equal to `hostIP`");
    }
    addresses(&is, &was, &at, e);
}

/// Users of containers, and the health of what they were given.
fn containers(new: &PodStatus, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let groups = [
        ("containerStatuses", items(&new.container_statuses), Some(spec.containers.as_slice())),
        ("initContainerStatuses", items(&new.init_container_statuses), Some(items(&spec.init_containers))),
        ("ephemeralContainerStatuses", items(&new.ephemeral_container_statuses), None),
    ];
    let os = spec.os.as_ref().map_or("linux", |os| os.name.as_str());
    for (group, list, _) in &groups {
        for (i, c) in list.iter().enumerate() {
            user(c, os, &path.child(group).index(i).child("user").child("linux"), e);
        }
    }
    for (group, list, of) in groups {
        for (i, c) in list.iter().enumerate() {
            let at = path.child(group).index(i).child("allocatedResourcesStatus");
            match of {
                Some(of) => health(c, of, &at, e),
                None if !items(&c.allocated_resources_status).is_empty() => e.forbidden(&at, "must not be specified in container status"),
                None => {}
            }
        }
    }
}

fn user(c: &ContainerStatus, os: &str, at: &Path, e: &mut FieldErrors) {
    let Some(user) = c.user.as_ref().and_then(|u| u.linux.as_ref()) else { return };
    if os == "windows" {
        e.forbidden(at, "cannot be set for a windows pod");
    }
    if os != "linux" {
        return;
    }
    let mut id = |n: i64, at: &Path| {
        if !(0..=ID_MAX).contains(&n) {
            e.invalid(at, n, NO_ID);
        }
    };
    id(user.uid, &at.child("uid"));
    id(user.gid, &at.child("gid"));
    for (i, g) in items(&user.supplemental_groups).iter().enumerate() {
        id(*g, &at.child("supplementalGroups").index(i));
    }
}

fn health(c: &ContainerStatus, of: &[Container], path: &Path, e: &mut FieldErrors) {
    for (i, r) in items(&c.allocated_resources_status).iter().enumerate() {
        let at = path.index(i);
        if let Some(container) = of.iter().find(|x| x.name == c.name) {
            asked_for(r, container, &at.child("name"), e);
        }
        let list = items(&r.resources);
        for (k, x) in list.iter().enumerate() {
            let at = at.child("resources").index(k);
            if !["Healthy", "Unhealthy", "Unknown"].contains(&s(&x.health)) {
                e.not_supported(&at.child("health"), s(&x.health), &["Healthy", "Unhealthy", "Unknown"]);
            }
            match x.message.as_deref() {
                Some("") => e.required(&at.child("message"), "must be non-empty if specified"),
                Some(m) if m.len() > HEALTH_MESSAGE_BYTES_MAX => e.too_long(&at.child("message"), HEALTH_MESSAGE_BYTES_MAX),
                _ => {}
            }
            if list[..k].iter().any(|other| other.resource_id == x.resource_id) {
                e.duplicate(&at.child("resourceID"), &x.resource_id);
            }
        }
    }
}

/// The resource must be one that the container requests, by itself or through a claim.
fn asked_for(r: &ResourceStatus, c: &Container, at: &Path, e: &mut FieldErrors) {
    let resources = c.resources.as_ref();
    let (known, why) = if r.name.starts_with("claim:") {
        let claims = resources.iter().flat_map(|x| items(&x.claims));
        let name = |c: &kinds::api::core::v1::ResourceClaim| match s(&c.request) {
            "" => format!("claim:{}", c.name),
            request => format!("claim:{}/{request}", c.name),
        };
        let why = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
        (claims.map(name).any(|n| n == r.name), why)
    } else {
        let known = resources.iter().flat_map(|x| entries(&x.requests)).any(|(k, _)| *k == r.name);
        (known, "must match one of the container's resource requests")
    };
    if !known {
        e.invalid(at, &r.name, why);
    }
}
