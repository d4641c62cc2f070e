//! Cluster IPs: those in use, and a free one. Addresses from the upper band are given out first, so that the lower band
//! stays for people who choose an address themselves. The networks are the installation's and those of ready ServiceCIDRs
//! (KEP-1880); an address is in use when a service has it or an IPAddress stands for it.

use crate::context::Ctx;
use crate::read::{items, s};
use base::Ids;
use ipnet::IpNet;
use kinds::api::core::v1::Service;
use kinds::api::networking::v1::{IPAddress, ServiceCIDR};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const BAND_MIN: u128 = 16;
const BAND_MAX: u128 = 256;
const BAND_STEP: u128 = 16;

/// The service that always has the first address of the network.
const FIRST: (&str, &str) = ("default", "kubernetes");

/// Every address in use by another service than `key`.
pub(super) fn taken(ctx: &Ctx<'_>, key: &(String, String)) -> BTreeSet<IpAddr> {
    let mut all = BTreeSet::new();
    for service in ctx.snapshot.list::<Service>("") {
        let m = &service.metadata;
        if m.namespace.as_ref() == Some(&key.0) && m.name.as_ref() == Some(&key.1) {
            continue;
        }
        let ips = service.spec.as_ref().map(|s| items(&s.cluster_ips).to_vec()).unwrap_or_default();
        all.extend(ips.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()));
    }
    for address in ctx.snapshot.list::<IPAddress>("") {
        let p = &address.spec.parent_ref;
        if (p.resource.as_str(), s(&p.namespace), p.name.as_str()) != ("services", key.0.as_str(), key.1.as_str()) {
            all.extend(address.metadata.name.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
        }
    }
    if (key.0.as_str(), key.1.as_str()) != FIRST {
        all.extend(ctx.config.service_cidrs.first().and_then(|n| at(n, 1)));
    }
    all
}

/// The networks that addresses are given out of: the installation's first, then those that were added.
pub(super) fn networks(ctx: &Ctx<'_>) -> Vec<IpNet> {
    let mut all = ctx.config.service_cidrs.clone();
    for cidr in ctx.snapshot.list::<ServiceCIDR>("").filter(|c| is_open(c)) {
        let nets = cidr.spec.iter().flat_map(|x| items(&x.cidrs)).filter_map(|n| n.parse::<IpNet>().ok());
        for net in nets {
            if !all.contains(&net) {
                all.push(net);
            }
        }
    }
    all
}

/// Whether addresses may still be taken out of it.
fn is_open(cidr: &ServiceCIDR) -> bool {
    let ready = |c: &kinds::apimachinery::pkg::apis::meta::v1::Condition| c.type_ == "Ready" && c.status == "True";
    cidr.metadata.deletion_timestamp.is_none() && cidr.status.iter().flat_map(|x| items(&x.conditions)).any(ready)
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v) => u128::from(u32::from(v)),
        IpAddr::V6(v) => u128::from(v),
    }
}

/// The address at a distance from the network's own.
fn at(net: &IpNet, offset: u128) -> Option<IpAddr> {
    let n = number(net.network()).checked_add(offset)?;
    let ip = match net {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(n).ok()?)),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(n)),
    };
    net.contains(&ip).then_some(ip)
}

/// First and last offset that can be given out: not the network itself, and not IPv4's broadcast address.
fn bounds(net: &IpNet) -> (u128, u128) {
    let size = number(net.broadcast()) - number(net.network());
    match net {
        IpNet::V4(_) => (1, size.saturating_sub(1)),
        IpNet::V6(_) => (1, size.min(u128::from(u64::MAX))),
    }
}

/// How many offsets at the low end are left to explicit choice.
pub(super) fn band(size: u128, min: u128, max: u128, step: u128) -> u128 {
    if size < min { 0 } else { (size / step).clamp(min, max) }
}

const MISMATCH: &str = "the provided network does not match the current range";

/// Whether an address that was asked for can be had.
pub(super) fn check(ip: &str, cidrs: &[IpNet], taken: &BTreeSet<IpAddr>) -> Result<(), String> {
    let Ok(ip) = ip.parse::<IpAddr>() else { return Ok(()) };
    let Some(net) = cidrs.iter().find(|n| n.contains(&ip)) else {
        return Err(MISMATCH.into());
    };
    let offset = number(ip) - number(net.network());
    let (first, last) = bounds(net);
    if offset < first || offset > last {
        return Err(MISMATCH.into());
    }
    if taken.contains(&ip) { Err("provided IP is already allocated".into()) } else { Ok(()) }
}

/// A free address: by chance from the upper band, else from the lower one.
pub(super) fn pick(net: &IpNet, taken: &BTreeSet<IpAddr>, ids: &dyn Ids) -> Option<IpAddr> {
    let (first, last) = bounds(net);
    let low = band(last + 2, BAND_MIN, BAND_MAX, BAND_STEP);
    scan(net, low.max(first), last, taken, ids).or_else(|| scan(net, first, low.saturating_sub(1).min(last), taken, ids))
}

/// From a random start, around once. At most as many steps as addresses are taken.
fn scan(net: &IpNet, from: u128, to: u128, taken: &BTreeSet<IpAddr>, ids: &dyn Ids) -> Option<IpAddr> {
    if from > to {
        return None;
    }
    let count = to - from + 1;
    let start = u128::from(ids.below(u64::try_from(count).unwrap_or(u64::MAX)));
    let steps = count.min(taken.len() as u128 + 1);
    (0..steps).filter_map(|i| at(net, from + (start + i) % count)).find(|ip| !taken.contains(ip))
}
