//! The pod's sandbox: names, namespaces, cgroup, sysctls, host ports.

use super::network;
use super::resources::{self, Limits};
use crate::facts::Facts;
use crate::roster;
use kinds::api::core::v1::{Pod, PodSpec};
use std::collections::BTreeMap;

/// Label keys that the kubelet puts on what it makes.
pub mod label {
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
}

/// Whose view of a namespace processes get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Pod,
    Container,
    Node,
    /// That of another container of the pod, by name in the spec.
    Target(String),
}

/// A port of the node that leads to the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host_ip: Option<String>,
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: String,
}

/// The sandbox to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxPlan {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub attempt: u32,
    pub hostname: String,
    pub resolv_conf: String,
    pub log_directory: String,
    pub host_network: bool,
    pub pid: Sharing,
    pub ipc: Sharing,
    /// Run in a user namespace of its own.
    pub user_namespace: bool,
    pub cgroup_parent: String,
    pub limits: Limits,
    pub sysctls: BTreeMap<String, String>,
    pub host_ports: Vec<HostPort>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// `<log dir>/<namespace>_<name>_<uid>`.
#[must_use]
pub fn log_directory(pod: &Pod, facts: &Facts) -> String {
    format!("{}/{}_{}_{}", facts.log_dir, roster::namespace(pod), roster::name(pod), roster::uid(pod))
}

/// How the pod's processes see each other.
#[must_use]
pub fn pid_sharing(spec: &PodSpec) -> Sharing {
    match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => Sharing::Node,
        (_, Some(true)) => Sharing::Pod,
        _ => Sharing::Container,
    }
}

/// Host ports of all containers.
#[must_use]
pub fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let ports = roster::init(pod).chain(roster::apps(pod)).flat_map(|c| c.ports.iter().flatten());
    let of = |p: &kinds::api::core::v1::ContainerPort| {
        Some(HostPort {
            host_ip: p.host_ip.clone().filter(|ip| !ip.is_empty() && ip != "0.0.0.0"),
            host_port: p.host_port.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)?,
            container_port: u16::try_from(p.container_port).ok()?,
            protocol: p.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        })
    };
    ports.filter_map(of).collect()
}

/// Labels by which the node knows again what it made.
#[must_use]
pub fn labels(pod: &Pod) -> BTreeMap<String, String> {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.insert(label::POD_NAME.to_owned(), roster::name(pod).to_owned());
    labels.insert(label::POD_NAMESPACE.to_owned(), roster::namespace(pod).to_owned());
    labels.insert(label::POD_UID.to_owned(), roster::uid(pod).to_owned());
    labels
}

/// The sandbox of that attempt.
///
/// # Errors
/// The reason of a `FailedCreatePodSandBox`.
pub fn plan(pod: &Pod, attempt: u32, facts: &Facts) -> Result<SandboxPlan, String> {
    let spec = roster::spec(pod);
    let security = spec.security_context.clone().unwrap_or_default();
    let host_network = spec.host_network == Some(true);
    Ok(SandboxPlan {
        name: roster::name(pod).to_owned(),
        namespace: roster::namespace(pod).to_owned(),
        uid: roster::uid(pod).to_owned(),
        attempt,
        hostname: network::hostname(pod, facts)?.shown,
        resolv_conf: network::resolv_conf(pod, facts),
        log_directory: log_directory(pod, facts),
        host_network,
        pid: pid_sharing(spec),
        ipc: if spec.host_ipc == Some(true) { Sharing::Node } else { Sharing::Pod },
        user_namespace: spec.host_users == Some(false),
        cgroup_parent: resources::cgroup_parent(pod),
        limits: resources::whole_pod(pod),
        sysctls: security.sysctls.into_iter().flatten().map(|s| (s.name, s.value)).collect(),
        host_ports: if host_network { Vec::new() } else { host_ports(pod) },
        labels: labels(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
    })
}
