//! The pod network of one node: every pod a veth pair between its namespace and one bridge
//! (kubernetes.io/docs/concepts/services-networking, "every Pod gets its own cluster-wide unique IP address").
//!
//! ```text
//!   pod netns                     node
//!   eth0 10.244.0.5/32 ---veth--- timonel0 10.244.0.1/24 --- forwarding --- eth0 of the node
//!   default via 10.244.0.1
//! ```
//! Laws:
//! 1. A pod's address is a /32 and its only neighbour is the gateway. All traffic, pod to pod too, passes the node's IP layer, so
//!    services, hairpins and policies work without br_netfilter, and (tested) with it: then the bridge itself translates and
//!    forwards, which is why ports are in hairpin mode and not isolated.
//! 2. A pod's hardware address follows from its IP address: no neighbour entry is ever stale.
//! 3. Every call may be repeated; what exists already is used. Leases are files, everything else is read from the kernel.

mod attach;
mod ipam;
mod rules;

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use parking::Locked;

pub use attach::{Attachment, PodInterface};
pub use ipam::{Ipam, Lease};

use crate::link::{IfAddress, Link, Mac, Route, Rtnl};
use crate::{NetError, sysctl};

mod parking;

/// The smallest packet that IPv6 allows a link to carry.
const MIN_MTU: u32 = 1280;
/// Where the node has no default route to learn from.
const DEFAULT_MTU: u32 = 1500;

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// The IANA protocol number.
    pub fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Transport::Tcp, Transport::Udp, Transport::Sctp].into_iter().find(|t| t.number() == number)
    }
}

/// A port of the node that leads to a port of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The node's address; `None` (or unspecified): all of them.
    pub host_ip: Option<IpAddr>,
    /// The node's port.
    pub host_port: u16,
    /// The pod's port.
    pub pod_port: u16,
    /// Of this protocol.
    pub transport: Transport,
}

/// How a node's pod network looks.
#[derive(Debug, Clone)]
pub struct PodNetworkConfig {
    /// The bridge's name.
    pub bridge: String,
    /// This node's pod ranges, the primary family first, one a family.
    pub pod_cidrs: Vec<IpNet>,
    /// The ranges of all pods of the cluster: not masqueraded. Empty: the node's own.
    pub cluster_cidrs: Vec<IpNet>,
    /// The ranges of service addresses: routed to the bridge, so that a node without a default route reaches them too.
    pub service_cidrs: Vec<IpNet>,
    /// The largest packet; `None`: that of the device with the default route.
    pub mtu: Option<u32>,
    /// Where leases are kept (survives the process).
    pub lease_dir: PathBuf,
}

/// The pod network, ready.
#[derive(Debug)]
pub struct PodNetwork {
    config: PodNetworkConfig,
    ipam: Ipam,
    bridge: u32,
    mtu: u32,
    rtnl: Locked<Rtnl>,
    /// The kernel takes its time to delete a link (some 15 ms): attachments do not wait for that.
    deleting: Locked<Rtnl>,
}

/// The first address of a pod range: the bridge's.
pub fn gateway_of(cidr: IpNet) -> Option<IpAddr> {
    if cidr.prefix_len() > cidr.max_prefix_len() - 2 {
        return None;
    }
    // Not the network's own address: that means "any router" in IPv6.
    Some(match cidr.network() {
        IpAddr::V4(n) => IpAddr::from((u32::from(n) + 1).to_be_bytes()),
        IpAddr::V6(n) => IpAddr::from((u128::from(n) + 1).to_be_bytes()),
    })
}

impl PodNetwork {
    /// Makes or completes the bridge, its addresses and routes, forwarding and masquerading. Belongs to the network namespace of
    /// the calling thread.
    pub fn ensure(config: PodNetworkConfig) -> Result<Self, NetError> {
        if config.pod_cidrs.is_empty() {
            return Err(NetError::Config("the pod network needs a pod range".into()));
        }
        let ipam = Ipam::open(&config.lease_dir, &config.pod_cidrs)?;
        let mut rtnl = Rtnl::open()?;
        let mtu = match config.mtu {
            Some(mtu) => mtu.max(MIN_MTU),
            None => uplink_mtu(&mut rtnl)?,
        };
        let bridge = ensure_bridge(&mut rtnl, &config, mtu)?;
        ensure_switches(&mut rtnl, &config)?;
        ensure_routes(&mut rtnl, &config, bridge.index)?;
        let network = Self { config, ipam, bridge: bridge.index, mtu, rtnl: Locked::new(rtnl), deleting: Locked::new(Rtnl::open()?) };
        rules::ensure(&network.config, &network.ipam.leases())?;
        Ok(network)
    }

    /// The gateway addresses, one a family.
    pub fn gateways(&self) -> Vec<IpAddr> {
        self.config.pod_cidrs.iter().filter_map(|c| gateway_of(*c)).collect()
    }

    /// The address book.
    pub fn ipam(&self) -> &Ipam {
        &self.ipam
    }

    /// The largest packet of pods.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Removes the bridge, its routes and rules (on uninstall). Leases stay until `lease_dir` is deleted.
    pub fn remove(config: &PodNetworkConfig) -> Result<(), NetError> {
        let mut rtnl = Rtnl::open()?;
        if let Some(bridge) = rtnl.link(&config.bridge)? {
            // A pod's namespace goes with its last user, and its end of the pair with it: not always at once.
            let ports = rtnl.links()?.into_iter().filter(|l| l.master == Some(bridge.index) && l.kind == "veth");
            for port in ports.collect::<Vec<_>>() {
                rtnl.delete_link(&port.name)?;
            }
            rtnl.delete_link(&config.bridge)?;
        }
        rules::remove()
    }
}

fn uplink_mtu(rtnl: &mut Rtnl) -> Result<u32, NetError> {
    let uplink = rtnl.routes(false)?.into_iter().find(|r| r.dst.prefix_len() == 0).map(|r| r.index);
    let links = rtnl.links()?;
    let mtu = links.iter().find(|l| Some(l.index) == uplink).map_or(DEFAULT_MTU, |l| l.mtu);
    Ok(mtu.max(MIN_MTU))
}

fn ensure_bridge(rtnl: &mut Rtnl, config: &PodNetworkConfig, mtu: u32) -> Result<Link, NetError> {
    let gateways: Vec<IpNet> = config
        .pod_cidrs
        .iter()
        .map(|c| {
            let gateway = gateway_of(*c).ok_or_else(|| NetError::Config(format!("pod range {c} is too small")))?;
            IpNet::new(gateway, c.prefix_len()).map_err(|e| NetError::Config(e.to_string()))
        })
        .collect::<Result<_, _>>()?;
    let name = config.bridge.as_str();
    let link = match rtnl.link(name)? {
        Some(l) if l.kind == "bridge" => l,
        Some(l) => return Err(NetError::Config(format!("device {name} exists and is no bridge but {:?}", l.kind))),
        None => {
            rtnl.add_bridge(name, Mac::of(gateways[0].addr()), mtu)?;
            rtnl.link(name)?.ok_or_else(|| NetError::Config(format!("bridge {name} vanished")))?
        }
    };
    if link.mtu != mtu {
        rtnl.set_mtu(link.index, mtu)?;
    }
    if !link.up {
        rtnl.set_up(link.index)?;
    }
    let present: Vec<IfAddress> = rtnl.addresses()?.into_iter().filter(|a| a.index == link.index).collect();
    for stale in present.iter().filter(|a| !gateways.contains(&a.net) && !is_link_local(a.net.addr())) {
        rtnl.delete_address(link.index, stale.net)?;
    }
    for wanted in gateways {
        if !present.iter().any(|a| a.net == wanted) {
            rtnl.add_address(link.index, wanted)?;
        }
    }
    Ok(link)
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Forwarding on; node ports answer on 127.0.0.1 too (`route_localnet`, guarded by a rule); no redirects to pods.
fn ensure_switches(rtnl: &mut Rtnl, config: &PodNetworkConfig) -> Result<(), NetError> {
    let bridge = &config.bridge;
    if config.pod_cidrs.iter().any(|c| c.addr().is_ipv4()) {
        sysctl::set("ipv4/ip_forward", "1")?;
        sysctl::set(&format!("ipv4/conf/{bridge}/route_localnet"), "1")?;
        // A redirect would use up the allowance of ICMP refusals to the same pod. The kernel sends them if either switch is on;
        // other devices keep their own.
        sysctl::set("ipv4/conf/all/send_redirects", "0")?;
        sysctl::set(&format!("ipv4/conf/{bridge}/send_redirects"), "0")?;
        // Replies to a translated flow may come from where the route back does not point.
        sysctl::set(&format!("ipv4/conf/{bridge}/rp_filter"), "0")?;
    }
    if config.pod_cidrs.iter().any(|c| c.addr().is_ipv6()) {
        // A forwarding machine stops listening to routers unless told otherwise.
        for link in rtnl.links()? {
            let name = format!("ipv6/conf/{}/accept_ra", link.name);
            if sysctl::get(&name).as_deref() == Some("1") {
                sysctl::set(&name, "2")?;
            }
        }
        sysctl::set("ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

fn ensure_routes(rtnl: &mut Rtnl, config: &PodNetworkConfig, index: u32) -> Result<(), NetError> {
    for dst in &config.service_cidrs {
        let same_family = |c: &&IpNet| c.addr().is_ipv4() == dst.addr().is_ipv4();
        let src = config.pod_cidrs.iter().find(same_family).and_then(|c| gateway_of(*c));
        if src.is_some() {
            rtnl.set_route(&Route { dst: dst.trunc(), via: None, index, src, onlink: false })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
