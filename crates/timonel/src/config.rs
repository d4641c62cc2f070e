//! From flags to settled values.

use crate::args::Options;
use crate::places::Places;
use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The domain of cluster DNS.
pub(crate) const CLUSTER_DOMAIN: &str = "cluster.local";
/// What `--disable` may name beside controllers (`*` is all of these).
const PARTS: [&str; 4] = ["dns", "proxy", "scheduler", "*"];
/// First and last node port.
pub(crate) const NODE_PORTS: (u16, u16) = (30_000, 32_767);

/// A cluster's settled values.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) places: Places,
    pub(crate) bind: IpAddr,
    pub(crate) advertise: IpAddr,
    pub(crate) port: u16,
    pub(crate) node_name: String,
    pub(crate) pod_cidr: IpNet,
    pub(crate) service_cidr: IpNet,
    /// Address of the `kubernetes` Service: the first of the range.
    pub(crate) api_ip: IpAddr,
    /// Address of cluster DNS: the tenth.
    pub(crate) dns_ip: IpAddr,
    pub(crate) node: bool,
    pub(crate) disabled: Vec<String>,
    pub(crate) engine: crate::engine::EngineFlags,
    pub(crate) serving: crate::serving::Serving,
    /// Registry (or `_default`) to the mirrors that are asked first.
    pub(crate) mirrors: BTreeMap<String, Vec<String>>,
    /// When the node evicts pods.
    pub(crate) eviction_hard: node::Thresholds,
    /// After how long unused tokens in Secrets are withdrawn.
    pub(crate) legacy_token_period: std::time::Duration,
    /// Every flag with its value, for who asks the running server.
    pub(crate) flags: BTreeMap<String, String>,
}

impl Config {
    pub(crate) fn settle(o: &Options) -> Result<Self> {
        let nth = |n: usize| o.service_cidr.hosts().nth(n - 1).context("--service-cidr is too small: at least a /27 is needed");
        if overlaps(&o.pod_cidr, &o.service_cidr) {
            bail!("--pod-cidr {} and --service-cidr {} overlap", o.pod_cidr, o.service_cidr);
        }
        let advertise = o.advertise_address.unwrap_or_else(|| outward(o.bind_address));
        let node_name = o.node_name.clone().map_or_else(host_name, Ok)?;
        if !is_dns_subdomain(&node_name) {
            bail!("{node_name:?} cannot be a node's name: lower case letters, digits, '-' and '.' only; give one with --node-name");
        }
        check_disabled(&o.disable)?;
        Ok(Self {
            places: Places::new(&o.place.data_dir),
            bind: o.bind_address,
            advertise,
            port: o.secure_port,
            node_name,
            pod_cidr: o.pod_cidr,
            service_cidr: o.service_cidr,
            api_ip: nth(1)?,
            dns_ip: nth(10)?,
            node: !o.no_node,
            disabled: o.disable.clone(),
            engine: o.engine.clone(),
            serving: o.serving.clone(),
            mirrors: mirrors(&o.registry_mirror)?,
            eviction_hard: thresholds(o.eviction_hard.as_deref())?,
            legacy_token_period: o.legacy_service_account_token_clean_up_period,
            flags: o.told.clone(),
        })
    }

    /// Whether a part was switched off.
    pub(crate) fn is_disabled(&self, part: &str) -> bool {
        self.disabled.iter().any(|d| d == part)
    }
}

fn check_disabled(parts: &[String]) -> Result<()> {
    let known = || PARTS.into_iter().chain(["*"]).chain(controllers::ALL.iter().map(|c| c.name));
    if let Some(unknown) = parts.iter().find(|p| !known().any(|k| k == p.as_str())) {
        bail!("--disable: there is no part {unknown:?}; the parts are {}", known().collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

fn mirrors(flags: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for flag in flags {
        let named = flag.split_once('=').filter(|(host, _)| !host.contains("://"));
        let (host, url) = named.unwrap_or(("_default", flag));
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            bail!("--registry-mirror {flag:?}: the address must begin with http:// or https://");
        }
        all.entry(host.to_owned()).or_default().push(url.to_owned());
    }
    Ok(all)
}

fn thresholds(text: Option<&str>) -> Result<node::Thresholds> {
    let Some(text) = text else { return Ok(node::Thresholds::default()) };
    node::Thresholds::parse(text).map_err(|why| anyhow::anyhow!("--eviction-hard: {why}"))
}

fn overlaps(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// The address of this machine that its default route leaves by; nothing is sent. Loopback without a route.
fn outward(bind: IpAddr) -> IpAddr {
    if !bind.is_unspecified() && !bind.is_loopback() {
        return bind;
    }
    let probe = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        // TEST-NET-1 (RFC 5737): only the route is looked up, connecting a UDP socket sends no packet.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        socket.local_addr().ok().map(|a| a.ip())
    };
    probe().filter(|a| !a.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The name of this machine, in the form that names of objects have.
pub(crate) fn host_name() -> Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host name")?;
    Ok(text.trim().to_lowercase().replace('_', "-"))
}

fn is_dns_subdomain(s: &str) -> bool {
    let word = |w: &str| {
        !w.is_empty() && !w.starts_with('-') && !w.ends_with('-')
            && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    s.len() <= 253 && s.split('.').all(word)
}
