//! Joining a pod's namespace to the pod network, and parting them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use ipnet::IpNet;

use super::{HostPort, Lease, PodNetwork, gateway_of, rules};
use crate::link::{LOOPBACK_INDEX, Mac, Route, Rtnl, VethPair};
use crate::{NetError, NetNs};

/// What is to be joined.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// The pod sandbox's id: the key of its lease.
    pub owner: &'a str,
    /// Where its network namespace is mounted.
    pub netns: &'a Path,
    /// The device's name inside, `eth0` for pods.
    pub ifname: &'a str,
    /// The node's ports that lead to it.
    pub host_ports: &'a [HostPort],
}

/// A pod's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodInterface {
    /// Its addresses, the primary family first.
    pub ips: Vec<IpAddr>,
    /// Its hardware address.
    pub mac: Mac,
    /// The device's name inside.
    pub ifname: String,
    /// The device's name on the node.
    pub host_ifname: String,
}

/// The node-side device of an owner: always the same.
pub(super) fn host_ifname(owner: &str) -> String {
    // FNV-1a: stable across releases, which std's hasher is not.
    let hash = owner.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("veth{:011x}", hash >> 20)
}

impl PodNetwork {
    /// Gives a namespace its addresses, device, routes and host ports. What an earlier call did is kept.
    pub fn attach(&self, a: &Attachment<'_>) -> Result<PodInterface, NetError> {
        let netns = NetNs::open(a.netns)?;
        let ips = self.ipam.allocate(a.owner, a.host_ports)?;
        let joined = self.join(a, &netns, &ips);
        if joined.is_err() && self.rtnl.lock().link(&host_ifname(a.owner)).is_ok_and(|l| l.is_none()) {
            // Nothing is there that could use the address.
            self.ipam.release(a.owner)?;
        }
        joined
    }

    fn join(&self, a: &Attachment<'_>, netns: &NetNs, ips: &[IpAddr]) -> Result<PodInterface, NetError> {
        let host_name = host_ifname(a.owner);
        let mac = Mac::of(ips[0]);
        {
            let mut rtnl = self.rtnl.lock();
            let existing = rtnl.link(&host_name)?;
            let usable = existing.as_ref().is_some_and(|l| l.master == Some(self.bridge))
                && netns.run(|| Rtnl::open()?.link(a.ifname))??.is_some_and(|l| l.mac == Some(mac));
            if !usable {
                if existing.is_some() {
                    rtnl.delete_link(&host_name)?;
                }
                rtnl.add_veth(&VethPair {
                    host_name: &host_name,
                    bridge: self.bridge,
                    peer_netns: netns.as_fd(),
                    peer_name: a.ifname,
                    peer_mac: mac,
                    mtu: self.mtu,
                })?;
                if let Some(port) = rtnl.link(&host_name)? {
                    // Hairpin: with br_netfilter a packet that a service leads back to its sender never leaves the bridge.
                    rtnl.set_port(port.index, true, false)?;
                }
            }
        }
        let plan: Vec<(IpAddr, IpAddr)> = ips
            .iter()
            .filter_map(|ip| {
                let cidr = self.config.pod_cidrs.iter().find(|c| c.contains(ip))?;
                Some((*ip, gateway_of(*cidr)?))
            })
            .collect();
        let gateway_mac = Mac::of(self.gateways()[0]);
        netns.run(|| configure_inside(a.ifname, &plan, gateway_mac))??;
        if !a.host_ports.is_empty() {
            rules::add_host_ports(ips, a.host_ports)?;
        }
        Ok(PodInterface { ips: ips.to_vec(), mac, ifname: a.ifname.to_owned(), host_ifname: host_name })
    }

    /// Takes an owner's device, host ports and addresses away; what is not there is fine. Its namespace may be gone already.
    pub fn detach(&self, owner: &str) -> Result<(), NetError> {
        self.deleting.lock().delete_link(&host_ifname(owner))?;
        let leases = self.ipam.leases();
        let ended: Vec<&Lease> = leases.iter().filter(|l| l.owner == owner).collect();
        self.forget_host_ports(&ended)?;
        self.ipam.release(owner)?;
        Ok(())
    }

    /// Detaches every owner that is not alive (leases that a crash left behind) and returns who that was.
    pub fn audit(&self, live: &BTreeSet<String>) -> Result<BTreeSet<String>, NetError> {
        let dead: BTreeSet<String> =
            self.ipam.leases().into_iter().map(|l| l.owner).filter(|owner| !live.contains(owner)).collect();
        for owner in &dead {
            self.detach(owner)?;
        }
        Ok(dead)
    }

    fn forget_host_ports(&self, ended: &[&Lease]) -> Result<(), NetError> {
        let ips: Vec<IpAddr> = ended.iter().map(|l| l.ip).collect();
        match ended.first() {
            Some(first) if !first.host_ports.is_empty() => rules::delete_host_ports(&ips, &first.host_ports),
            _ => Ok(()),
        }
    }
}

fn configure_inside(ifname: &str, plan: &[(IpAddr, IpAddr)], gateway_mac: Mac) -> Result<(), NetError> {
    let mut rtnl = Rtnl::open()?;
    rtnl.set_up(LOOPBACK_INDEX)?;
    let link = rtnl.link(ifname)?.ok_or_else(|| NetError::Config(format!("device {ifname} vanished from its namespace")))?;
    rtnl.set_up(link.index)?;
    for (ip, gateway) in plan {
        rtnl.add_address(link.index, IpNet::from(*ip))?;
        rtnl.set_neighbour(link.index, *gateway, gateway_mac)?;
        rtnl.set_route(&Route { dst: IpNet::from(*gateway), via: None, index: link.index, src: None, onlink: false })?;
        let any = if ip.is_ipv4() { IpAddr::from([0u8; 4]) } else { IpAddr::from([0u8; 16]) };
        let default = IpNet::new(any, 0).map_err(|e| NetError::Config(e.to_string()))?;
        rtnl.set_route(&Route { dst: default, via: Some(*gateway), index: link.index, src: None, onlink: false })?;
    }
    Ok(())
}
