//! What a decision may look at besides the object: the user, the clock's reading, one snapshot, gates and settings.

use crate::admission::by_namespace::Tolerations;
use crate::admission::event_rate::EventLimit;
use crate::admission::quota::LimitedResource;
use crate::admission::security::PodSecurity;
use ipnet::IpNet;
use jiff::Timestamp;
use kinds::Resource;
use std::collections::BTreeMap;

mod gates;
mod needs;
mod plugins;
pub use gates::{GateError, Gates};
#[cfg(test)]
pub(crate) use needs::NEEDS;
pub use plugins::{PluginError, Plugins};

/// The extra that names the node of a service account's pod.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user in some groups.
    #[must_use]
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self { name: name.into(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..Self::default() }
    }
    /// Whether the user is in a group.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
    /// The node that a kubelet's user name stands for.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.in_group("system:nodes").then(|| self.name.strip_prefix("system:node:")).flatten().filter(|n| !n.is_empty())
    }
    /// Whether the user is a service account whose pod runs on the node.
    #[must_use]
    pub fn runs_on(&self, node: &str) -> bool {
        let bound = self.extra.get(NODE_NAME).is_some_and(|names| names.len() == 1 && names[0] == node);
        let valid = |(namespace, name): (&str, &str)| crate::names::dns_label(namespace).is_empty() && crate::names::dns_subdomain(name).is_empty();
        bound && self.service_account().is_some_and(valid)
    }
    /// Namespace and name of a service account's user name.
    #[must_use]
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// Settings of the installation that rules depend on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where cluster IPs come from; the first is the primary family.
    pub service_cidrs: Vec<IpNet>,
    /// First and last node port.
    pub node_ports: (u16, u16),
    pub cluster_domain: String,
    /// The address at which the API server is reached by `default/kubernetes`'s endpoints.
    pub advertise_address: std::net::IpAddr,
    /// The API server's port.
    pub secure_port: u16,
    /// Which admission plugins run.
    pub plugins: Plugins,
    /// What they are told.
    pub admission: AdmissionSettings,
}

/// What the configuration of admission says to single plugins (`--admission-control-config-file`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdmissionSettings {
    pub pod_security: PodSecurity,
    /// What may be used only where a quota stands for it.
    pub limited_resources: Vec<LimitedResource>,
    /// Node selectors by namespace, that of all others below `clusterDefaultNodeSelector`.
    pub node_selectors: BTreeMap<String, String>,
    pub tolerations: Tolerations,
    /// How many events are taken.
    pub event_limits: Vec<EventLimit>,
}

/// What is being done, as admission sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// A write on its way to admission.
#[derive(Clone, Debug)]
pub struct Request {
    pub operation: Operation,
    pub resource: Resource,
    /// `status`, `scale`, … or empty.
    pub subresource: &'static str,
    pub namespace: String,
    /// Empty while `generateName` has not been resolved.
    pub name: String,
    pub dry_run: bool,
}

/// Everything that a verdict may depend on.
pub struct Ctx<'a> {
    pub now: Timestamp,
    pub snapshot: &'a cache::Snapshot,
    pub user: &'a User,
    pub gates: &'a Gates,
    pub config: &'a Config,
    /// Names and numbers by chance (token volume names, cluster IPs, node ports).
    pub ids: &'a dyn base::Ids,
}
