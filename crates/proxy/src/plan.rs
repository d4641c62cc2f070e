//! The whole ruleset: the fixed chains, and for each service port its elements and chains.
//!
//! ```text
//!  prerouting ─ firewall-check ─► services ─► service-ips / service-nodeports ─► service chain ─► dnat
//!  input, forward, output (after dnat) ─► no endpoints? unassigned address? ─► reject
//!  postrouting ─► masquerading
//! ```
//! Laws: planning the same again changes nothing; every packet to an address of the service ranges is either translated,
//! rejected, or the node's own; nothing of a service range ever leaves the node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use cache::Snapshot;
use ipnet::IpNet;
use kinds::api::core::v1::{Node, Service};
use kinds::api::discovery::v1::EndpointSlice;
use kinds::api::networking::v1::ServiceCIDR;

use crate::endpoints::{categorize, collect};
use crate::model::{Base, Chain, Family, FieldType, Hook, Part, Rule, Ruleset, Set, SetKind, Side, Stmt, Table, Verdict};
use crate::service::ServicePort;
use crate::service_rules::ServiceRules;

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const PRIORITY_DSTNAT: i32 = -100;
const PRIORITY_SRCNAT: i32 = 100;
/// Checks of original addresses run before translation, checks of what remained after it.
const PRIORITY_BEFORE_DNAT: i32 = -110;
const PRIORITY_AFTER_DNAT: i32 = -90;

/// What the proxy is told about its node and cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// The families to serve.
    pub families: Vec<Family>,
    /// Sources that need no masquerading: the pods (of the cluster, or of this node).
    pub pod_cidrs: Vec<IpNet>,
    /// The ranges of service addresses.
    pub service_cidrs: Vec<IpNet>,
    /// Service addresses that the node itself answers (its DNS): left alone.
    pub answered_here: Vec<IpAddr>,
    /// Node ports answer at these addresses; empty: at every address of the node.
    pub node_port_addresses: Vec<IpNet>,
    /// Masquerade all service traffic.
    pub masquerade_all: bool,
}

/// A health check port of a LoadBalancer service with external policy `Local`: data for the server of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    pub namespace: String,
    pub name: String,
    pub port: u16,
    /// Ready endpoints on this node.
    pub local_endpoints: usize,
}

/// What should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub ruleset: Ruleset,
    pub health_checks: Vec<HealthCheck>,
}

/// Plans the ruleset of a node.
#[must_use]
pub fn plan(snapshot: &Snapshot, config: &Config) -> Plan {
    let mut out = Plan::default();
    let ranges = service_ranges(snapshot, config);
    for family in &config.families {
        out.ruleset.tables.insert(*family, skeleton(*family, config, &ranges));
    }
    let node = snapshot.get::<Node>("", &config.node);
    let zone = node.and_then(|n| n.metadata.labels.as_ref()?.get(ZONE_LABEL).cloned());
    for service in snapshot.list::<Service>("") {
        let ports = ServicePort::of(service);
        let Some(first) = ports.first() else { continue };
        if first.cluster_ips.iter().any(|ip| config.answered_here.contains(ip)) {
            continue;
        }
        let slices: Vec<Arc<EndpointSlice>> = snapshot.slices_of(&first.namespace, &first.name).cloned().collect();
        plan_service(&mut out.ruleset, config, &ports, &slices, zone.as_deref());
        out.health_checks.extend(health_check(service, &ports, &slices, config));
    }
    out
}

/// The configured ranges and those of ServiceCIDR objects, without repetition.
fn service_ranges(snapshot: &Snapshot, config: &Config) -> BTreeSet<IpNet> {
    let objects = snapshot.list::<ServiceCIDR>("").filter_map(|c| c.spec.as_ref()?.cidrs.as_ref()).flatten();
    objects.filter_map(|c| c.parse().ok()).chain(config.service_cidrs.iter().copied()).map(|c: IpNet| c.trunc()).collect()
}

fn plan_service(ruleset: &mut Ruleset, config: &Config, ports: &[ServicePort], slices: &[Arc<EndpointSlice>], zone: Option<&str>) {
    let Ruleset { tables, udp } = ruleset;
    for (family, table) in tables.iter_mut() {
        for port in ports {
            let all = collect(slices, port, *family, &config.node);
            let routable = categorize(&all, port, &config.node, zone);
            ServiceRules { family: *family, config, port, routable: &routable }.write(table, udp);
        }
    }
}

fn health_check(service: &Service, ports: &[ServicePort], slices: &[Arc<EndpointSlice>], config: &Config) -> Option<HealthCheck> {
    let spec = service.spec.as_ref()?;
    let port = u16::try_from(spec.health_check_node_port?).ok().filter(|p| *p != 0)?;
    let first = ports.first().filter(|p| p.external_local)?;
    let local: BTreeSet<IpAddr> = config
        .families
        .iter()
        .flat_map(|f| ports.iter().flat_map(|p| collect(slices, p, *f, &config.node)))
        .filter(|e| e.ready && e.local)
        .map(|e| e.ip)
        .collect();
    Some(HealthCheck { namespace: first.namespace.clone(), name: first.name.clone(), port, local_endpoints: local.len() })
}

pub(crate) fn rule(stmts: Vec<Stmt>) -> Rule {
    Rule { stmts, comment: None }
}

fn noted(comment: &'static str, stmts: Vec<Stmt>) -> Rule {
    Rule { stmts, comment: Some(comment) }
}

fn jump(to: &str) -> Stmt {
    Stmt::Verdict(Verdict::Jump(to.into()))
}

const ADDRESS_KEY: [Part; 3] = [Part::Destination, Part::Protocol, Part::DestinationPort];
const PORT_KEY: [Part; 2] = [Part::Protocol, Part::DestinationPort];

fn vmap(key: &[Part], map: &str) -> Stmt {
    Stmt::Vmap { key: key.to_vec(), map: map.into() }
}

/// The chains and sets that are there whatever the services are.
fn skeleton(family: Family, config: &Config, ranges: &BTreeSet<IpNet>) -> Table {
    let mut t = Table { sets: sets(), chains: BTreeMap::new() };
    let mut base = |name: &str, nat, hook, priority, rules: Vec<Rule>| {
        t.chains.insert(name.into(), Chain { base: Some(Base { nat, hook, priority }), rules });
    };
    let new_to = |chain: &str| rule(vec![Stmt::CtNew, jump(chain)]);
    base("filter-prerouting", false, Hook::Prerouting, PRIORITY_BEFORE_DNAT, vec![new_to("firewall-check")]);
    base("filter-input", false, Hook::Input, PRIORITY_BEFORE_DNAT, vec![new_to("nodeport-endpoints-check"), new_to("service-endpoints-check")]);
    base("filter-forward", false, Hook::Forward, PRIORITY_BEFORE_DNAT, vec![new_to("service-endpoints-check"), new_to("cluster-ips-check")]);
    base("filter-output", false, Hook::Output, PRIORITY_BEFORE_DNAT, vec![new_to("firewall-check")]);
    base("filter-output-post-dnat", false, Hook::Output, PRIORITY_AFTER_DNAT, vec![new_to("service-endpoints-check"), new_to("cluster-ips-check")]);
    base("nat-prerouting", true, Hook::Prerouting, PRIORITY_DSTNAT, vec![rule(vec![jump("services")])]);
    base("nat-output", true, Hook::Output, PRIORITY_DSTNAT, vec![rule(vec![jump("services")])]);
    base("nat-postrouting", true, Hook::Postrouting, PRIORITY_SRCNAT, vec![rule(vec![jump("masquerading")])]);
    let mut chain = |name: &str, rules: Vec<Rule>| {
        t.chains.insert(name.into(), Chain { base: None, rules });
    };
    chain("firewall-check", vec![rule(vec![vmap(&ADDRESS_KEY, "firewall-ips")])]);
    chain("service-endpoints-check", vec![rule(vec![vmap(&ADDRESS_KEY, "no-endpoint-services")])]);
    chain("nodeport-endpoints-check", node_port_rules(family, config, "no-endpoint-nodeports"));
    chain("reject-chain", vec![rule(vec![Stmt::Reset]), rule(vec![Stmt::Reject])]);
    chain("mark-for-masquerade", vec![rule(vec![Stmt::MarkSet])]);
    chain("masquerading", masquerading());
    chain("cluster-ips-check", cluster_ips_check(family, config, ranges));
    let mut services = vec![rule(vec![vmap(&ADDRESS_KEY, "service-ips")])];
    services.extend(node_port_rules(family, config, "service-nodeports"));
    chain("services", services);
    t
}

fn sets() -> BTreeMap<String, Set> {
    let address = [FieldType::Address, FieldType::Protocol, FieldType::Port];
    let port = [FieldType::Protocol, FieldType::Port];
    let set = |kind, key: &[FieldType], comment| Set { kind, key: key.to_vec(), comment: Some(comment), elements: BTreeMap::new() };
    BTreeMap::from([
        ("cluster-ips".into(), set(SetKind::Plain, &[FieldType::Address], "active cluster IPs")),
        ("hairpin-endpoints".into(), set(SetKind::Plain, &[FieldType::Address; 2], "endpoints that may call themselves")),
        ("firewall-ips".into(), set(SetKind::VerdictMap, &address, "load balancer IPs with source ranges")),
        ("no-endpoint-services".into(), set(SetKind::VerdictMap, &address, "service IPs without usable endpoints")),
        ("no-endpoint-nodeports".into(), set(SetKind::VerdictMap, &port, "node ports without usable endpoints")),
        ("service-ips".into(), set(SetKind::VerdictMap, &address, "cluster, external and load balancer IPs")),
        ("service-nodeports".into(), set(SetKind::VerdictMap, &port, "node ports")),
    ])
}

fn masquerading() -> Vec<Rule> {
    let pair = vec![Part::Source, Part::Destination];
    vec![
        noted("an endpoint that reached itself", vec![Stmt::CtDnat, Stmt::In { key: pair, set: "hairpin-endpoints".into() }, Stmt::Masquerade]),
        rule(vec![Stmt::Marked, Stmt::MarkClear, Stmt::Masquerade]),
    ]
}

fn cluster_ips_check(family: Family, config: &Config, ranges: &BTreeSet<IpNet>) -> Vec<Rule> {
    let here = config.answered_here.iter().filter(|ip| Family::of(**ip) == family);
    let mut rules: Vec<Rule> = here
        .map(|ip| noted("answered by the node", vec![
            Stmt::Net { side: Side::Destination, net: IpNet::from(*ip), negate: false },
            Stmt::Verdict(Verdict::Return),
        ]))
        .collect();
    rules.push(noted("other ports of cluster IPs", vec![
        Stmt::In { key: vec![Part::Destination], set: "cluster-ips".into() },
        Stmt::Verdict(Verdict::Goto("reject-chain".into())),
    ]));
    for cidr in ranges.iter().filter(|c| Family::of_net(c) == family) {
        rules.push(noted("unassigned service IPs", vec![
            Stmt::Net { side: Side::Destination, net: *cidr, negate: false },
            Stmt::Local { side: Side::Destination, negate: true },
            Stmt::Verdict(Verdict::Goto("reject-chain".into())),
        ]));
    }
    rules
}

/// One rule an address range, or one for every address of the node.
fn node_port_rules(family: Family, config: &Config, map: &str) -> Vec<Rule> {
    let local = Stmt::Local { side: Side::Destination, negate: false };
    if config.node_port_addresses.is_empty() {
        let mut stmts = vec![local];
        if family == Family::V6 {
            // IPv6 never routes its loopback address to another host.
            let net = IpNet::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST));
            stmts.push(Stmt::Net { side: Side::Destination, net, negate: true });
        }
        stmts.push(vmap(&PORT_KEY, map));
        return vec![rule(stmts)];
    }
    let ours = config.node_port_addresses.iter().filter(|c| Family::of_net(c) == family);
    ours.map(|c| {
        let net = Stmt::Net { side: Side::Destination, net: c.trunc(), negate: false };
        rule(vec![local.clone(), net, vmap(&PORT_KEY, map)])
    })
    .collect()
}
