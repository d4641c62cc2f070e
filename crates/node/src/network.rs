//! The port to the pod network, and its implementation by the crate `net`. Calls block; the hands make them on threads
//! that may.

use net::pod::{Attachment, HostPort, PodNetwork, Transport};
use net::{NetError, NetNs};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// A port of the node that leads to a pod.
pub use pods::plan::sandbox::HostPort as HostPortPlan;

/// Namespaces and addresses of pods. `owner` names a sandbox for ever (pod uid and attempt).
pub trait Network: Send + Sync {
    /// A network namespace for the owner.
    ///
    /// # Errors
    /// What the kernel said.
    fn create(&self, owner: &str) -> Result<PathBuf, String>;
    /// Joins it to the pod network; gives its addresses.
    ///
    /// # Errors
    /// What the kernel said.
    fn attach(&self, owner: &str, ports: &[HostPortPlan]) -> Result<Vec<String>, String>;
    /// Takes addresses, device and namespace away. Idempotent.
    ///
    /// # Errors
    /// What the kernel said.
    fn remove(&self, owner: &str) -> Result<(), String>;
    /// The addresses that the owner has.
    fn addresses(&self, owner: &str) -> Vec<String>;
    /// Takes away what belongs to none of these owners.
    ///
    /// # Errors
    /// What the kernel said.
    fn audit(&self, live: &BTreeSet<String>) -> Result<(), String>;
}

/// The node's own network.
pub struct NodeNetwork {
    network: Arc<PodNetwork>,
    netns_dir: PathBuf,
}

impl NodeNetwork {
    /// Namespaces are mounted below `netns_dir`.
    pub fn new(network: Arc<PodNetwork>, netns_dir: PathBuf) -> Self {
        Self { network, netns_dir }
    }

    fn path(&self, owner: &str) -> PathBuf {
        self.netns_dir.join(owner)
    }
}

fn text(e: NetError) -> String {
    let mut out = e.to_string();
    let mut source = std::error::Error::source(&e);
    while let Some(s) = source {
        out += &format!(": {s}");
        source = s.source();
    }
    out
}

fn host_port(p: &HostPortPlan) -> HostPort {
    let transport = match p.protocol.as_str() {
        "UDP" => Transport::Udp,
        "SCTP" => Transport::Sctp,
        _ => Transport::Tcp,
    };
    let host_ip: Option<IpAddr> = p.host_ip.as_deref().and_then(|ip| ip.parse().ok());
    HostPort { host_ip, host_port: p.host_port, pod_port: p.container_port, transport }
}

impl Network for NodeNetwork {
    fn create(&self, owner: &str) -> Result<PathBuf, String> {
        let path = self.path(owner);
        NetNs::create(&path).map_err(text)?;
        Ok(path)
    }

    fn attach(&self, owner: &str, ports: &[HostPortPlan]) -> Result<Vec<String>, String> {
        let host_ports: Vec<HostPort> = ports.iter().map(host_port).collect();
        let netns = self.path(owner);
        let ask = Attachment { owner, netns: &netns, ifname: "eth0", host_ports: &host_ports };
        let made = self.network.attach(&ask).map_err(text)?;
        Ok(made.ips.iter().map(ToString::to_string).collect())
    }

    fn remove(&self, owner: &str) -> Result<(), String> {
        self.network.detach(owner).map_err(text)?;
        NetNs::delete(&self.path(owner)).map_err(text)
    }

    fn addresses(&self, owner: &str) -> Vec<String> {
        self.network.ipam().addresses_of(owner).iter().map(ToString::to_string).collect()
    }

    fn audit(&self, live: &BTreeSet<String>) -> Result<(), String> {
        self.network.audit(live).map_err(text)?;
        for entry in std::fs::read_dir(&self.netns_dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !live.contains(&name) {
                NetNs::delete(&entry.path()).map_err(text)?;
            }
        }
        Ok(())
    }
}
