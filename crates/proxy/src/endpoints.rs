//! Which endpoints get a service's traffic on this node (KEP-1669 terminating endpoints, KEP-2433 and KEP-3015 topology,
//! KEP-2086 internal traffic policy).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use kinds::api::discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice};

use crate::model::{Family, Protocol};
use crate::service::ServicePort;

/// An endpoint of one service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub ip: IpAddr,
    pub port: u16,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    /// On this node.
    pub local: bool,
    /// Its node is known: not so in slices written by hand.
    pub placed: bool,
    pub zones: Vec<String>,
    pub nodes: Vec<String>,
}

/// The endpoints that traffic is led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routable {
    /// For policy `Cluster`.
    pub cluster: Vec<Endpoint>,
    /// For policy `Local`.
    pub local: Vec<Endpoint>,
    /// There is an endpoint somewhere, maybe not for this node.
    pub any: bool,
}

/// The endpoints of a service port in one family, from all its slices, in order of address.
pub(crate) fn collect(slices: &[Arc<EndpointSlice>], port: &ServicePort, family: Family, node: &str) -> Vec<Endpoint> {
    let mut out: BTreeMap<(IpAddr, u16), Endpoint> = BTreeMap::new();
    let wanted_type = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    for slice in slices.iter().filter(|s| s.address_type == wanted_type) {
        let target = slice.ports.iter().flatten().find(|p| {
            p.name.as_deref().unwrap_or_default() == port.port_name && Protocol::parse(p.protocol.as_deref()) == Some(port.protocol)
        });
        let Some(target) = target.and_then(|p| p.port).and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0) else { continue };
        for e in slice.endpoints.iter().flatten() {
            // All addresses of an endpoint are interchangeable: the first is used.
            let Some(ip) = e.addresses.first().and_then(|a| a.parse::<IpAddr>().ok()).filter(|ip| Family::of(*ip) == family) else {
                continue;
            };
            let endpoint = read(e, ip, target, node);
            // While an endpoint moves between slices it may be in two: the better state holds.
            let better = out.get(&(ip, target)).is_none_or(|old| !old.ready && (endpoint.ready || !old.serving));
            if better {
                out.insert((ip, target), endpoint);
            }
        }
    }
    out.into_values().collect()
}

fn read(e: &ApiEndpoint, ip: IpAddr, port: u16, node: &str) -> Endpoint {
    let conditions = e.conditions.as_ref();
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    let hints = e.hints.as_ref();
    Endpoint {
        ip,
        port,
        ready,
        serving: conditions.and_then(|c| c.serving).unwrap_or(ready),
        terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
        local: e.node_name.as_deref() == Some(node),
        placed: e.node_name.is_some(),
        zones: hints.and_then(|h| h.for_zones.as_ref()).into_iter().flatten().map(|z| z.name.clone()).collect(),
        nodes: hints.and_then(|h| h.for_nodes.as_ref()).into_iter().flatten().map(|n| n.name.clone()).collect(),
    }
}

/// Which hints are followed: all ready endpoints must have them, and one must be for us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topology {
    None,
    Node,
    Zone,
}

fn topology(all: &[Endpoint], port: &ServicePort, node: &str, zone: Option<&str>) -> Topology {
    if port.internal_local && (port.external_local || !port.is_external()) {
        return Topology::None;
    }
    let ready = || all.iter().filter(|e| e.ready);
    let for_node = |e: &Endpoint| e.nodes.iter().any(|n| n == node);
    if ready().any(for_node) && ready().all(|e| !e.nodes.is_empty()) {
        return Topology::Node;
    }
    let Some(zone) = zone else { return Topology::None };
    let for_zone = |e: &Endpoint| e.zones.iter().any(|z| z == zone);
    if ready().any(for_zone) && ready().all(|e| !e.zones.is_empty()) { Topology::Zone } else { Topology::None }
}

/// Sorts out who gets traffic: the ready ones; if there are none, those that end but still serve.
pub(crate) fn categorize(all: &[Endpoint], port: &ServicePort, node: &str, zone: Option<&str>) -> Routable {
    let mode = topology(all, port, node, zone);
    let near = |e: &Endpoint| match mode {
        Topology::None => true,
        Topology::Node => e.nodes.iter().any(|n| n == node),
        Topology::Zone => e.zones.iter().any(|z| Some(z.as_str()) == zone),
    };
    let pick = |filter: &dyn Fn(&Endpoint) -> bool| all.iter().filter(|e| filter(e)).cloned().collect::<Vec<_>>();
    let or_ending = |ready: Vec<Endpoint>, scope: &dyn Fn(&Endpoint) -> bool| {
        if ready.is_empty() { pick(&|e| scope(e) && e.serving && e.terminating) } else { ready }
    };
    let cluster = or_ending(pick(&|e| e.ready && near(e)), &|_| true);
    let local = or_ending(pick(&|e| e.ready && e.local), &|e| e.local);
    let any = !cluster.is_empty() || !local.is_empty();
    Routable { cluster, local, any }
}
