//! Goldens of rulesets, tables of endpoint rules, and the law that a difference leads exactly from one ruleset to another.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cache::{Entry as CacheEntry, Snapshot, Tables, Write};
use kinds::api::core::v1::{
    LoadBalancerIngress, LoadBalancerStatus, Node, Service, ServicePort as ApiPort, ServiceSpec, ServiceStatus,
};
use kinds::api::discovery::v1::{
    Endpoint as ApiEndpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use kinds::{Object, ObjectMeta, Revision};

use crate::endpoints::{categorize, collect};
use crate::*;

/// Objects on their way into a snapshot.
#[derive(Default)]
struct World(Tables, u64);

impl World {
    fn put(&mut self, object: impl Into<Object>) -> &mut Self {
        self.1 += 1;
        let (object, revision) = (object.into(), Revision(self.1));
        let (key, resource) = (object.key(), object.resource());
        let entry = CacheEntry::new(key.clone(), object, Bytes::new(), revision);
        self.0.apply(Write { resource, key, revision, entry: Some(Arc::new(entry)) });
        self
    }

    fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

fn meta(name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    ObjectMeta { name: Some(name.into()), namespace: Some("ns".into()), labels: Some(labels), ..Default::default() }
}

fn service(name: &str, ip: &str, port: i32, protocol: &str, change: impl FnOnce(&mut ServiceSpec)) -> Service {
    let mut spec = ServiceSpec {
        cluster_ip: Some(ip.into()),
        cluster_ips: Some(vec![ip.into()]),
        ports: Some(vec![ApiPort { name: Some("p".into()), port, protocol: Some(protocol.into()), ..Default::default() }]),
        type_: Some("ClusterIP".into()),
        ..Default::default()
    };
    change(&mut spec);
    Service { metadata: meta(name, &[]), spec: Some(spec), ..Default::default() }
}

fn endpoint(ip: &str, node: &str) -> ApiEndpoint {
    ApiEndpoint { addresses: vec![ip.into()], node_name: Some(node.into()), ..Default::default() }
}

fn state(mut e: ApiEndpoint, ready: bool, serving: bool, terminating: bool) -> ApiEndpoint {
    e.conditions = Some(EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) });
    e
}

fn slice(service: &str, port: i32, protocol: &str, endpoints: Vec<ApiEndpoint>) -> EndpointSlice {
    EndpointSlice {
        address_type: "IPv4".into(),
        metadata: meta(&format!("{service}-abc"), &[("kubernetes.io/service-name", service)]),
        ports: Some(vec![EndpointPort {
            name: Some("p".into()),
            port: Some(port),
            protocol: Some(protocol.into()),
            ..Default::default()
        }]),
        endpoints: Some(endpoints),
    }
}

fn config() -> Config {
    Config {
        node: "here".into(),
        families: vec![Family::V4],
        pod_cidrs: vec!["10.244.0.0/16".parse().expect("range")],
        service_cidrs: vec!["10.96.0.0/12".parse().expect("range")],
        answered_here: vec!["10.96.0.10".parse().expect("ip")],
        ..Default::default()
    }
}

fn script(world: &World) -> String {
    Script(&plan(&world.snapshot(), &config()).ruleset).to_string()
}

/// Everything after the fixed chains: what services add.
fn added(world: &World) -> String {
    let empty = script(&World::default());
    let fixed: Vec<&str> = empty.lines().collect();
    script(world).lines().filter(|l| !fixed.contains(l)).map(|l| format!("{}\n", l.trim_end())).collect()
}

fn nodeport(spec: &mut ServiceSpec, port: i32) {
    spec.type_ = Some("NodePort".into());
    for p in spec.ports.iter_mut().flatten() {
        p.node_port = Some(port);
    }
}

fn with_ingress(mut s: Service, ip: &str, mode: &str) -> Service {
    let ingress = LoadBalancerIngress { ip: Some(ip.into()), ip_mode: Some(mode.into()), ..Default::default() };
    s.status = Some(ServiceStatus { load_balancer: Some(LoadBalancerStatus { ingress: Some(vec![ingress]) }), conditions: None });
    s
}

#[test]
fn nothing_but_the_skeleton() {
    insta::assert_snapshot!(script(&World::default()));
}

#[test]
fn cluster_ip_with_two_endpoints() {
    let mut w = World::default();
    w.put(service("web", "10.96.1.1", 80, "TCP", |_| {}));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here"), endpoint("10.244.1.7", "there")]));
    insta::assert_snapshot!(added(&w));
}

#[test]
fn node_port_external_and_balancer_addresses() {
    let mut w = World::default();
    let s = service("web", "10.96.1.1", 80, "TCP", |s| {
        nodeport(s, 30001);
        s.type_ = Some("LoadBalancer".into());
        s.external_ips = Some(vec!["192.0.2.7".into()]);
        s.load_balancer_source_ranges = Some(vec!["198.51.100.0/24".into()]);
    });
    w.put(with_ingress(s, "203.0.113.9", "VIP"));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here")]));
    insta::assert_snapshot!(added(&w));
}

#[test]
fn a_proxying_balancer_is_left_alone() {
    let mut w = World::default();
    let s = service("web", "10.96.1.1", 80, "TCP", |s| s.type_ = Some("LoadBalancer".into()));
    w.put(with_ingress(s, "203.0.113.9", "Proxy"));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here")]));
    assert!(!script(&w).contains("203.0.113.9"));
}

#[test]
fn affinity_remembers_clients() {
    let mut w = World::default();
    w.put(service("web", "10.96.1.1", 80, "TCP", |s| s.session_affinity = Some("ClientIP".into())));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here"), endpoint("10.244.1.7", "there")]));
    insta::assert_snapshot!(added(&w));
}

#[test]
fn policies_local() {
    let mut w = World::default();
    w.put(service("web", "10.96.1.1", 80, "TCP", |s| {
        nodeport(s, 30001);
        s.external_traffic_policy = Some("Local".into());
        s.internal_traffic_policy = Some("Local".into());
    }));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here"), endpoint("10.244.1.7", "there")]));
    insta::assert_snapshot!("policies_local_with_local_endpoint", added(&w));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.1.7", "there")]));
    insta::assert_snapshot!("policies_local_without_local_endpoint", added(&w));
}

#[test]
fn without_endpoints_rejected() {
    let mut w = World::default();
    w.put(service("web", "10.96.1.1", 80, "UDP", |s| nodeport(s, 30001)));
    insta::assert_snapshot!(added(&w));
}

#[test]
fn services_that_are_not_ours() {
    let mut w = World::default();
    w.put(service("headless", "None", 80, "TCP", |_| {}));
    w.put(service("alias", "10.96.1.2", 80, "TCP", |s| s.type_ = Some("ExternalName".into())));
    w.put(service("dns", "10.96.0.10", 53, "UDP", |_| {}));
    let mut other = service("other", "10.96.1.3", 80, "TCP", |_| {});
    other.metadata.labels.get_or_insert_default().insert("service.kubernetes.io/service-proxy-name".into(), "x".into());
    w.put(other);
    assert_eq!(added(&w), "");
}

fn ips(endpoints: &[Endpoint]) -> Vec<String> {
    endpoints.iter().map(|e| e.ip.to_string()).collect()
}

fn routable(endpoints: Vec<ApiEndpoint>, zone: Option<&str>) -> Routable {
    let port = &ServicePort::of(&service("web", "10.96.1.1", 80, "TCP", |_| {}))[0];
    let all = collect(&[Arc::new(slice("web", 8080, "TCP", endpoints))], port, Family::V4, "here");
    categorize(&all, port, "here", zone)
}

#[test]
fn ending_endpoints_serve_only_when_nobody_else_does() {
    let ready = || state(endpoint("10.0.0.1", "there"), true, true, false);
    let ending = || state(endpoint("10.0.0.2", "here"), false, true, true);
    let broken = || state(endpoint("10.0.0.3", "here"), false, false, false);
    let r = routable(vec![ready(), ending(), broken()], None);
    assert_eq!((ips(&r.cluster), ips(&r.local)), (vec!["10.0.0.1".into()], vec!["10.0.0.2".to_owned()]));
    let r = routable(vec![ending(), broken()], None);
    assert_eq!(ips(&r.cluster), ["10.0.0.2"]);
    assert!(!routable(vec![broken()], None).any);
}

#[test]
fn hints_are_followed_when_all_have_them() {
    let hinted = |ip: &str, zone: &str, node: Option<&str>| ApiEndpoint {
        hints: Some(EndpointHints {
            for_zones: Some(vec![ForZone { name: zone.into() }]),
            for_nodes: node.map(|n| vec![ForNode { name: n.into() }]),
        }),
        ..endpoint(ip, "there")
    };
    let zones = || vec![hinted("10.0.0.1", "a", None), hinted("10.0.0.2", "b", None)];
    assert_eq!(ips(&routable(zones(), Some("a")).cluster), ["10.0.0.1"]);
    assert_eq!(routable(zones(), Some("c")).cluster.len(), 2);
    assert_eq!(routable(zones(), None).cluster.len(), 2);
    let mut some = zones();
    some.push(endpoint("10.0.0.3", "there"));
    assert_eq!(routable(some, Some("a")).cluster.len(), 3);
    let nodes = vec![hinted("10.0.0.1", "a", Some("there")), hinted("10.0.0.2", "a", Some("here"))];
    assert_eq!(ips(&routable(nodes, Some("a")).cluster), ["10.0.0.2"]);
}

#[test]
fn zones_come_from_the_node() {
    let mut w = World::default();
    let hinted = |ip: &str, zone: &str| ApiEndpoint {
        hints: Some(EndpointHints { for_zones: Some(vec![ForZone { name: zone.into() }]), for_nodes: None }),
        ..endpoint(ip, "there")
    };
    let mut node = Node { metadata: meta("here", &[("topology.kubernetes.io/zone", "b")]), ..Default::default() };
    node.metadata.namespace = None;
    w.put(node);
    w.put(service("web", "10.96.1.1", 80, "TCP", |_| {}));
    w.put(slice("web", 8080, "TCP", vec![hinted("10.244.0.5", "a"), hinted("10.244.1.7", "b")]));
    let text = script(&w);
    assert!(text.contains("dnat to 10.244.1.7:8080") && !text.contains("10.244.0.5"), "{text}");
}

#[test]
fn health_checks_count_local_ready_endpoints() {
    let mut w = World::default();
    w.put(service("web", "10.96.1.1", 80, "TCP", |s| {
        nodeport(s, 30001);
        s.external_traffic_policy = Some("Local".into());
        s.health_check_node_port = Some(31000);
    }));
    let ending = state(endpoint("10.244.0.6", "here"), false, true, true);
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here"), ending, endpoint("10.244.1.7", "there")]));
    let checks = plan(&w.snapshot(), &config()).health_checks;
    assert_eq!(checks, [HealthCheck { namespace: "ns".into(), name: "web".into(), port: 31000, local_endpoints: 1 }]);
}

/// Applies operations to a ruleset as the kernel would, checking every reference.
fn apply(ruleset: &mut Ruleset, ops: &Ops) {
    for (family, ops) in ops {
        for op in ops {
            apply_one(ruleset, *family, op);
        }
    }
}

fn apply_one(ruleset: &mut Ruleset, family: Family, op: &Op) {
    if let Op::DeleteTable = op {
        ruleset.tables.remove(&family);
        return;
    }
    let t = ruleset.tables.entry(family).or_default();
    match op {
        Op::AddTable | Op::DeleteTable => {}
        Op::AddSet { name, kind, key } => {
            let set = Set { kind: *kind, key: key.clone(), comment: None, elements: BTreeMap::new() };
            assert!(t.sets.insert(name.clone(), set).is_none(), "{name} is there already");
        }
        Op::DeleteSet(name) => {
            assert!(!Script(&Ruleset { tables: BTreeMap::from([(family, t.clone())]), ..Default::default() }).to_string().contains(&format!("@{name} ")));
            t.sets.remove(name).expect("deleted set is there");
        }
        Op::AddChain { name, base } => {
            t.chains.insert(name.clone(), Chain { base: *base, rules: Vec::new() });
        }
        Op::FlushChain(name) => t.chains.get_mut(name).expect("flushed chain is there").rules.clear(),
        Op::DeleteChain(name) => {
            assert!(t.chains.remove(name).expect("deleted chain is there").rules.is_empty());
            let text = Script(&Ruleset { tables: BTreeMap::from([(family, t.clone())]), ..Default::default() }).to_string();
            assert!(!text.contains(&format!("goto {name}\n")) && !text.contains(&format!("goto {name},")), "{name} is in use");
        }
        Op::AddRule { chain, rule } => t.chains.get_mut(chain).expect("the rule's chain is there").rules.push(rule.clone()),
        Op::AddElements { set, elements } => {
            for (key, entry) in elements {
                if let Some(Verdict::Goto(to)) = &entry.verdict {
                    assert!(t.chains.contains_key(to));
                }
                let old = t.sets.get_mut(set).expect("set").elements.insert(key.clone(), entry.clone());
                assert_eq!(old, None);
            }
        }
        Op::DeleteElements { set, keys } => {
            for key in keys {
                t.sets.get_mut(set).expect("set").elements.remove(key).expect("deleted element is there");
            }
        }
    }
}

#[test]
fn every_step_of_a_history_is_applied_exactly() {
    let web = |n: u8| slice("web", 8080, "TCP", (0..n).map(|i| endpoint(&format!("10.244.0.{}", i + 2), "here")).collect());
    let sticky = |s: &mut ServiceSpec| s.session_affinity = Some("ClientIP".into());
    let steps: Vec<Vec<Object>> = vec![
        vec![service("web", "10.96.1.1", 80, "TCP", |_| {}).into()],
        vec![web(1).into()],
        vec![web(3).into(), service("db", "10.96.1.2", 5432, "UDP", |s| nodeport(s, 30002)).into()],
        vec![service("web", "10.96.1.1", 80, "TCP", sticky).into()],
        vec![web(2).into()],
        vec![service("web", "10.96.1.1", 80, "TCP", |s| {
            nodeport(s, 30001);
            s.external_traffic_policy = Some("Local".into());
        }).into()],
        vec![web(0).into()],
        vec![service("web", "None", 80, "TCP", |_| {}).into(), slice("db", 1, "UDP", vec![endpoint("10.244.0.9", "here")]).into()],
    ];
    let mut w = World::default();
    let mut kernel = Ruleset::default();
    let mut last = Ruleset::default();
    for step in steps {
        for o in step {
            w.put(o);
        }
        let next = plan(&w.snapshot(), &config()).ruleset;
        apply(&mut kernel, &diff(&last, &next));
        assert_eq!(Script(&kernel).to_string(), Script(&next).to_string());
        assert!(diff(&next, &next).is_empty());
        let mut fresh = Ruleset::default();
        apply(&mut fresh, &rebuild(&next));
        assert_eq!(Script(&fresh).to_string(), Script(&next).to_string());
        last = next;
    }
}

#[test]
fn a_change_costs_what_changed() {
    let mut w = World::default();
    for i in 0..200 {
        let name = format!("s{i}");
        w.put(service(&name, &format!("10.96.2.{i}"), 80, "TCP", |_| {}));
        w.put(slice(&name, 8080, "TCP", vec![endpoint(&format!("10.244.3.{i}"), "there")]));
    }
    let before = plan(&w.snapshot(), &config()).ruleset;
    w.put(slice("s7", 8080, "TCP", vec![endpoint("10.244.3.7", "there"), endpoint("10.244.3.250", "there")]));
    let after = plan(&w.snapshot(), &config()).ruleset;
    let ops = &diff(&before, &after)[&Family::V4];
    assert_eq!(ops.len(), 3, "{ops:?}");
    assert!(matches!(&ops[0], Op::FlushChain(c) if c.contains("ns/s7/")));
}

#[test]
fn udp_flows_that_lead_nowhere_are_stale() {
    let ip = |s: &str| s.parse::<std::net::IpAddr>().expect("ip");
    let mut w = World::default();
    w.put(service("dns", "10.96.1.1", 53, "UDP", |s| nodeport(s, 30053)));
    let none = plan(&w.snapshot(), &config()).ruleset.udp;
    w.put(slice("dns", 5353, "UDP", vec![endpoint("10.244.0.5", "here")]));
    let one = plan(&w.snapshot(), &config()).ruleset.udp;
    assert!(one.needs_cleaning(&none) && none.needs_cleaning(&one) && !one.needs_cleaning(&one));
    let (vip, good, bad) = ((ip("10.96.1.1"), 53), (ip("10.244.0.5"), 5353), (ip("10.244.0.9"), 5353));
    assert!(!one.is_stale(vip, false, good));
    assert!(one.is_stale(vip, false, bad));
    assert!(one.is_stale(vip, false, vip), "a flow from before there were endpoints");
    assert!(one.is_stale((ip("192.0.2.1"), 30053), true, bad));
    assert!(!one.is_stale((ip("8.8.8.8"), 30053), false, bad));
    assert!(!one.is_stale((ip("8.8.8.8"), 53), false, bad));
    let gone = UdpFlows::default();
    assert!(gone.with_gone(&one).is_stale(vip, false, good));
}

#[test]
fn source_ranges_count_a_family() {
    let mut w = World::default();
    let s = service("web", "10.96.1.1", 80, "TCP", |s| {
        s.type_ = Some("LoadBalancer".into());
        s.load_balancer_source_ranges = Some(vec!["fd00::/8".into()]);
    });
    w.put(with_ingress(s, "203.0.113.9", "VIP"));
    w.put(slice("web", 8080, "TCP", vec![endpoint("10.244.0.5", "here")]));
    assert!(!script(&w).contains("chain firewall-d"), "no range of this family: nothing is kept out");
}

/// A service of a generated world: which of its features are on, and how many endpoints it has here and elsewhere.
#[derive(Clone, Debug)]
struct Generated {
    udp: bool,
    port: Option<i32>,
    sticky: bool,
    external_local: bool,
    internal_local: bool,
    headless: bool,
    here: u8,
    there: u8,
}

fn generated() -> impl proptest::strategy::Strategy<Value = Generated> {
    use proptest::prelude::*;
    let flags = any::<[bool; 5]>();
    (flags, prop::option::of(30000..30003i32), 0..3u8, 0..3u8).prop_map(|(f, port, here, there)| Generated {
        udp: f[0],
        port,
        sticky: f[1],
        external_local: f[2],
        internal_local: f[3],
        headless: f[4] && port.is_none(),
        here,
        there,
    })
}

fn build(all: &[Generated]) -> Ruleset {
    let mut w = World::default();
    for (i, g) in all.iter().enumerate() {
        let (name, protocol) = (format!("s{i}"), if g.udp { "UDP" } else { "TCP" });
        let ip = if g.headless { "None".to_owned() } else { format!("10.96.3.{i}") };
        w.put(service(&name, &ip, 80, protocol, |s| {
            if let Some(port) = g.port {
                nodeport(s, port);
            }
            s.session_affinity = g.sticky.then(|| "ClientIP".into());
            s.external_traffic_policy = g.external_local.then(|| "Local".into());
            s.internal_traffic_policy = g.internal_local.then(|| "Local".into());
        }));
        let here = (0..g.here).map(|n| endpoint(&format!("10.244.{i}.{n}"), "here"));
        let there = (0..g.there).map(|n| endpoint(&format!("10.245.{i}.{n}"), "there"));
        w.put(slice(&name, 8080, protocol, here.chain(there).collect()));
    }
    plan(&w.snapshot(), &config()).ruleset
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]
    /// A difference, applied by a kernel that checks every reference, leads from any ruleset to any other.
    #[test]
    fn a_difference_leads_from_any_ruleset_to_any_other(
        a in proptest::collection::vec(generated(), 0..5),
        b in proptest::collection::vec(generated(), 0..5),
    ) {
        let (a, b) = (build(&a), build(&b));
        let mut kernel = Ruleset::default();
        apply(&mut kernel, &rebuild(&a));
        apply(&mut kernel, &diff(&a, &b));
        proptest::prop_assert_eq!(Script(&kernel).to_string(), Script(&b).to_string());
        proptest::prop_assert!(diff(&b, &b).is_empty());
    }
}
