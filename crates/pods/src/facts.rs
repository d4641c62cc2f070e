//! What a worker knows of its node and of the cluster: fixed facts, and a port to look up other objects.

use crate::resize::Room;
use kinds::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service};
use std::net::IpAddr;
use std::sync::Arc;

/// The node's own `/etc/resolv.conf`, read once by the hands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostResolver {
    pub nameservers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// Facts of the node that do not change while it runs.
#[derive(Clone, Debug)]
pub struct Facts {
    pub node_name: String,
    pub host_ips: Vec<IpAddr>,
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    pub resolver: HostResolver,
    /// The node's own `/etc/hosts`.
    pub host_hosts: String,
    pub hostname: String,
    /// The kubelet's directory, e.g. `/var/lib/timonel/kubelet`.
    pub root_dir: String,
    /// Where pod logs go, e.g. `/var/log/pods`.
    pub log_dir: String,
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    /// The prefix of container ids in statuses, e.g. `timonel`.
    pub runtime_name: String,
}

impl Facts {
    /// The pod's directory on the node.
    #[must_use]
    pub fn pod_dir(&self, uid: &str) -> String {
        format!("{}/pods/{uid}", self.root_dir)
    }
}

/// Looks up objects that pods refer to, as of now.
pub trait World {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;
    /// The services of a namespace, by name.
    fn services(&self, namespace: &str) -> Vec<Arc<Service>>;
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>>;
    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>>;
    /// Whether the node has room for a pod that is there and asks for other resources.
    fn room(&self, _pod: &Pod) -> Room {
        Room::Free
    }
    /// Whether services were heard of at all: pods wait for them, as their environment is fixed at the start.
    fn is_synced(&self) -> bool {
        true
    }
}
