//! What the proxy needs of a Service: one value a port.

use std::net::IpAddr;

use ipnet::IpNet;
use kinds::api::core::v1::{Service, ServicePort as ApiPort, ServiceSpec};
use kinds::hash::Fnv32;

use crate::model::{Family, Protocol};

/// Services with this label belong to another proxy.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// Kubernetes' default for ClientIP affinity: three hours.
const AFFINITY_TIMEOUT_S: i32 = 10_800;
/// The longest name in the kernel is 255 bytes; chain names end in the endpoint, for affinity.
const NAME_BYTES: usize = 180;

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub namespace: String,
    pub name: String,
    pub port_name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: Option<u16>,
    pub cluster_ips: Vec<IpAddr>,
    pub external_ips: Vec<IpAddr>,
    pub load_balancer_ips: Vec<IpAddr>,
    pub source_ranges: Vec<IpNet>,
    pub external_local: bool,
    pub internal_local: bool,
    pub affinity_timeout_s: Option<u32>,
}

impl ServicePort {
    /// The ports of a Service that this proxy serves, in order: none when it is headless, an alias, or another proxy's.
    #[must_use]
    pub fn of(service: &Service) -> Vec<Self> {
        let labels = service.metadata.labels.as_ref();
        let Some(spec) = service.spec.as_ref().filter(|_| labels.is_none_or(|l| !l.contains_key(PROXY_NAME_LABEL))) else {
            return Vec::new();
        };
        let cluster_ips = cluster_ips(spec);
        if spec.type_.as_deref() == Some("ExternalName") || cluster_ips.is_empty() {
            return Vec::new();
        }
        spec.ports.iter().flatten().filter_map(|p| port(service, spec, &cluster_ips, p)).collect()
    }

    /// Whether clients outside the cluster have an address for it.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.load_balancer_ips.is_empty()
    }

    /// `hash-namespace/name/protocol/port`: the end of its chains' names.
    #[must_use]
    pub fn chain_suffix(&self) -> String {
        let full = format!("{}/{}/{}/{}", self.namespace, self.name, self.protocol.word(), self.port_name);
        let mut hash = Fnv32::default();
        hash.update(full.as_bytes());
        let short: String = full.chars().take(NAME_BYTES).collect();
        format!("{:08x}-{short}", hash.finish())
    }

    /// `namespace/name:port`: how it is named to people.
    #[must_use]
    pub fn title(&self) -> String {
        match self.port_name.as_str() {
            "" => format!("{}/{}", self.namespace, self.name),
            port => format!("{}/{}:{port}", self.namespace, self.name),
        }
    }

    /// Its cluster address of one family.
    #[must_use]
    pub fn cluster_ip(&self, family: Family) -> Option<IpAddr> {
        self.cluster_ips.iter().copied().find(|ip| Family::of(*ip) == family)
    }
}

fn cluster_ips(spec: &ServiceSpec) -> Vec<IpAddr> {
    let many = spec.cluster_ips.iter().flatten();
    let mut ips: Vec<IpAddr> = many.chain(&spec.cluster_ip).filter_map(|ip| ip.parse().ok()).collect();
    let mut seen = Vec::new();
    ips.retain(|ip| !seen.contains(ip) && { seen.push(*ip); true });
    ips
}

fn port(service: &Service, spec: &ServiceSpec, cluster_ips: &[IpAddr], p: &ApiPort) -> Option<ServicePort> {
    let affinity = spec.session_affinity.as_deref() == Some("ClientIP");
    let timeout = || {
        let config = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref());
        config.and_then(|c| c.timeout_seconds).unwrap_or(AFFINITY_TIMEOUT_S)
    };
    Some(ServicePort {
        namespace: service.metadata.namespace.clone().unwrap_or_default(),
        name: service.metadata.name.clone().unwrap_or_default(),
        port_name: p.name.clone().unwrap_or_default(),
        protocol: Protocol::parse(p.protocol.as_deref())?,
        port: u16::try_from(p.port).ok().filter(|p| *p != 0)?,
        node_port: p.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0),
        cluster_ips: cluster_ips.to_vec(),
        external_ips: spec.external_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect(),
        load_balancer_ips: load_balancer_ips(service),
        source_ranges: source_ranges(spec),
        external_local: spec.external_traffic_policy.as_deref() == Some("Local"),
        internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        affinity_timeout_s: affinity.then(timeout).and_then(|s| u32::try_from(s).ok()),
    })
}

/// Addresses whose load balancer delivers packets with the address still on them (`ipMode: VIP`).
fn load_balancer_ips(service: &Service) -> Vec<IpAddr> {
    let status = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = status.and_then(|l| l.ingress.as_ref()).into_iter().flatten();
    let vip = ingress.filter(|i| i.ip_mode.as_deref().is_none_or(|m| m == "VIP"));
    vip.filter_map(|i| i.ip.as_deref()?.parse().ok()).collect()
}

fn source_ranges(spec: &ServiceSpec) -> Vec<IpNet> {
    let ranges = spec.load_balancer_source_ranges.iter().flatten();
    ranges.filter_map(|r| r.trim().parse::<IpNet>().ok()).map(|n| n.trunc()).collect()
}
