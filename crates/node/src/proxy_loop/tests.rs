//! Real packets through real rules: a node, pods and an outside client, each in a network namespace of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use cache::{Entry, Tables, Write};
use kinds::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus};
use kinds::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use kinds::{Object, ObjectMeta, Revision};
use net::link::{Mac, Route, VethPair};
use net::{Attachment, NetNs, PodNetwork, PodNetworkConfig};
use proxy::{Family, Script};

use super::*;

const PATIENCE: Duration = Duration::from_secs(3);

struct Lab {
    dir: tempfile::TempDir,
    node: NetNs,
    outside: NetNs,
    pods: Vec<(NetNs, IpAddr)>,
    v6: Vec<IpAddr>,
    tables: Tables,
    revision: u64,
    last: Option<Ruleset>,
}

fn ranges(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|t| t.parse().expect("a range")).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn at(ip_text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(ip_text), port)
}

impl Lab {
    /// A node with pods that answer on TCP and UDP port 8080 with their number and the caller's address, and a client outside.
    fn new(test: &str, pods: usize, bridge_nf: &str) -> Option<Self> {
        if let Some(m) = net::probe().into_iter().find(|m| m.fatal) {
            println!("SKIP {test}: {}: {}", m.what, m.why);
            return None;
        }
        let dir = tempfile::tempdir().expect("a scratch directory");
        let node = NetNs::create(&dir.path().join("node")).expect("node namespace");
        let outside = NetNs::create(&dir.path().join("outside")).expect("outside namespace");
        let mut lab = Self { dir, node, outside, pods: Vec::new(), v6: Vec::new(), tables: Tables::default(), revision: 0, last: None };
        let network = lab.node.run(|| {
            // Absent without br_netfilter: then there is one mode only.
            let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", bridge_nf);
            PodNetwork::ensure(PodNetworkConfig {
                bridge: "timonel0".into(),
                pod_cidrs: ranges(&["10.244.0.0/24", "fd00:10:244::/64"]),
                cluster_cidrs: Vec::new(),
                service_cidrs: ranges(&["10.96.0.0/12", "fd00:10:96::/112"]),
                mtu: None,
                lease_dir: lab.dir.path().join("leases"),
            })
        });
        let network = network.expect("enter").expect("pod network");
        for i in 0..pods {
            let path: PathBuf = lab.dir.path().join(format!("pod{i}"));
            let netns = NetNs::create(&path).expect("pod namespace");
            let a = Attachment { owner: &format!("pod{i}"), netns: &path, ifname: "eth0", host_ports: &[] };
            let ips = network.attach(&a).expect("attach").ips;
            for ip in &ips {
                serve(&netns, i, SocketAddr::new(*ip, 8080));
            }
            lab.pods.push((netns, ips[0]));
            lab.v6.push(ips[1]);
        }
        lab.plug_outside();
        lab.sync();
        Some(lab)
    }

    fn plug_outside(&self) {
        let plugged = self.node.run(|| {
            let mut r = Rtnl::open()?;
            r.add_bridge("ext0", Mac([2, 0, 0, 0, 0, 1]), 1500)?;
            let bridge = r.link("ext0")?.expect("just made").index;
            r.add_address(bridge, "192.0.2.1/24".parse().expect("net"))?;
            r.add_veth(&VethPair {
                host_name: "vext",
                bridge,
                peer_netns: self.outside.as_fd(),
                peer_name: "eth0",
                peer_mac: Mac([2, 0, 0, 0, 0, 2]),
                mtu: 1500,
            })
        });
        plugged.expect("enter").expect("plug");
        let configured = self.outside.run(|| {
            let mut r = Rtnl::open()?;
            let index = r.link("eth0")?.expect("plugged").index;
            r.set_up(index)?;
            r.add_address(index, "192.0.2.2/24".parse().expect("net"))?;
            let dst = "0.0.0.0/0".parse().expect("net");
            r.set_route(&Route { dst, via: Some(ip("192.0.2.1")), index, src: None, onlink: false })
        });
        configured.expect("enter").expect("configure");
    }

    fn put(&mut self, object: impl Into<Object>) -> &mut Self {
        self.revision += 1;
        let (object, revision) = (object.into(), Revision(self.revision));
        let (key, resource) = (object.key(), object.resource());
        let entry = Entry::new(key.clone(), object, bytes::Bytes::new(), revision);
        self.tables.apply(Write { resource, key, revision, entry: Some(Arc::new(entry)) });
        self
    }

    fn config() -> Config {
        Config {
            node: "here".into(),
            families: vec![Family::V4, Family::V6],
            pod_cidrs: ranges(&["10.244.0.0/16", "fd00:10:244::/56"]),
            service_cidrs: ranges(&["10.96.0.0/12", "fd00:10:96::/112"]),
            ..Default::default()
        }
    }

    /// Plans, and brings the kernel there.
    fn sync(&mut self) {
        let next = proxy::plan(&self.tables.snapshot(), &Self::config()).ruleset;
        let last = self.last.take();
        self.node.run(|| write(last.as_ref(), &next)).expect("enter").expect("write the rules");
        assert!(self.node.run(|| is_whole(&next)).expect("enter"));
        self.last = Some(next);
    }

    fn endpoints(&mut self, service: &str, protocol: &str, pods: &[usize]) -> &mut Self {
        let ips: Vec<IpAddr> = pods.iter().map(|i| self.pods[*i].1).collect();
        self.slice(&format!("{service}-x"), service, protocol, "IPv4", &ips)
    }

    fn slice(&mut self, name: &str, service: &str, protocol: &str, kind: &str, ips: &[IpAddr]) -> &mut Self {
        let endpoints = ips.iter().map(|ip| Endpoint {
            addresses: vec![ip.to_string()],
            node_name: Some("here".into()),
            ..Default::default()
        });
        self.put(EndpointSlice {
            address_type: kind.into(),
            metadata: meta(name, &[("kubernetes.io/service-name", service)]),
            ports: Some(vec![EndpointPort { port: Some(8080), protocol: Some(protocol.into()), ..Default::default() }]),
            endpoints: Some(endpoints.collect()),
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for ns in self.pods.iter().map(|(ns, _)| ns).chain([&self.node, &self.outside]) {
            let _ = NetNs::delete(ns.path());
        }
    }
}

fn meta(name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    ObjectMeta { name: Some(name.into()), namespace: Some("ns".into()), labels: Some(labels), ..Default::default() }
}

fn service(name: &str, cluster_ip: &str, port: i32, protocol: &str, change: impl FnOnce(&mut ServiceSpec)) -> Service {
    let mut spec = ServiceSpec {
        cluster_ip: Some(cluster_ip.into()),
        ports: Some(vec![ServicePort { port, protocol: Some(protocol.into()), ..Default::default() }]),
        ..Default::default()
    };
    change(&mut spec);
    Service { metadata: meta(name, &[]), spec: Some(spec), ..Default::default() }
}

fn node_port(spec: &mut ServiceSpec, port: i32) {
    spec.type_ = Some("NodePort".into());
    for p in spec.ports.iter_mut().flatten() {
        p.node_port = Some(port);
    }
}

fn serve(netns: &NetNs, number: usize, at: SocketAddr) {
    let sockets = netns.run(|| Ok::<_, io::Error>((TcpListener::bind(at)?, UdpSocket::bind(at)?)));
    let (tcp, udp) = sockets.expect("enter").expect("bind");
    std::thread::spawn(move || {
        while let Ok((mut s, peer)) = tcp.accept() {
            let _ = s.write_all(format!("{number} {}", peer.ip()).as_bytes());
        }
    });
    std::thread::spawn(move || {
        let mut buf = [0; 64];
        while let Ok((_, peer)) = udp.recv_from(&mut buf) {
            let _ = udp.send_to(format!("{number} {}", peer.ip()).as_bytes(), peer);
        }
    });
}

/// Which pod answered, and whom it saw.
fn ask(from: &NetNs, to: SocketAddr) -> io::Result<(usize, String)> {
    let text = from.run(|| {
        let mut s = TcpStream::connect_timeout(&to, PATIENCE)?;
        s.set_read_timeout(Some(PATIENCE))?;
        let mut out = String::new();
        s.read_to_string(&mut out)?;
        Ok::<_, io::Error>(out)
    });
    let text = text.expect("enter the namespace")?;
    let (number, peer) = text.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
    Ok((number.parse().map_err(|_| io::ErrorKind::InvalidData)?, peer.to_owned()))
}

fn refused(from: &NetNs, to: SocketAddr) -> bool {
    match ask(from, to) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => true,
        other => {
            eprintln!("{to}: {other:?}");
            false
        }
    }
}

fn cluster_ip(test: &str, bridge_nf: &str) {
    let Some(mut lab) = Lab::new(test, 3, bridge_nf) else { return };
    lab.put(service("web", "10.96.1.1", 80, "TCP", |_| {})).endpoints("web", "TCP", &[0, 1]);
    lab.sync();
    let vip = at("10.96.1.1", 80);
    let answers: BTreeSet<usize> = (0..40).map(|_| ask(&lab.pods[2].0, vip).expect("from a pod").0).collect();
    assert_eq!(answers, BTreeSet::from([0, 1]), "connections are spread");
    assert_eq!(ask(&lab.pods[2].0, vip).expect("from a pod").1, lab.pods[2].1.to_string());
    assert!(ask(&lab.node, vip).is_ok(), "from the node, which has no default route");
    lab.endpoints("web", "TCP", &[0]);
    lab.sync();
    assert_eq!(ask(&lab.pods[0].0, vip).expect("to itself"), (0, "10.244.0.1".into()));
    // As a router would that knows the node: outside clients may use the cluster IP, and answers come back the same way.
    assert_eq!(ask(&lab.outside, vip).expect("from outside"), (0, "10.244.0.1".into()));
}

#[test]
fn cluster_ips_lead_to_endpoints() {
    cluster_ip("cluster_ips_lead_to_endpoints", "0");
}

#[test]
fn cluster_ips_lead_to_endpoints_with_br_netfilter() {
    cluster_ip("cluster_ips_lead_to_endpoints_with_br_netfilter", "1");
}

#[test]
fn what_nobody_serves_is_refused() {
    let Some(mut lab) = Lab::new("what_nobody_serves_is_refused", 1, "0") else { return };
    lab.put(service("web", "10.96.1.1", 80, "TCP", |s| node_port(s, 30001)));
    lab.sync();
    let pod = &lab.pods[0].0;
    for from in [pod, &lab.node] {
        assert!(refused(from, at("10.96.1.1", 80)), "no endpoints");
        assert!(refused(from, at("10.96.1.1", 81)), "no such port");
        assert!(refused(from, at("10.96.77.7", 80)), "no such service");
    }
    assert!(refused(&lab.outside, at("192.0.2.1", 30001)), "node port without endpoints");
    assert!(refused(&lab.node, at("127.0.0.1", 30001)), "node port without endpoints, on loopback");
    lab.endpoints("web", "TCP", &[0]);
    lab.sync();
    assert!(ask(&lab.pods[0].0, at("10.96.1.1", 80)).is_ok());
    assert!(refused(&lab.node, at("10.96.1.1", 81)), "no such port");
}

#[test]
fn node_ports_answer_everywhere() {
    let Some(mut lab) = Lab::new("node_ports_answer_everywhere", 2, "0") else { return };
    lab.put(service("web", "10.96.1.1", 80, "TCP", |s| node_port(s, 30001))).endpoints("web", "TCP", &[0]);
    lab.sync();
    assert_eq!(ask(&lab.outside, at("192.0.2.1", 30001)).expect("from outside"), (0, "10.244.0.1".into()));
    assert!(ask(&lab.node, at("127.0.0.1", 30001)).is_ok(), "the node's loopback");
    assert!(ask(&lab.node, at("192.0.2.1", 30001)).is_ok(), "the node's own address");
    assert!(ask(&lab.pods[1].0, at("10.244.0.1", 30001)).is_ok(), "a pod, at the gateway");
    assert!(ask(&lab.pods[0].0, at("192.0.2.1", 30001)).is_ok(), "the endpoint itself");
    lab.put(service("web", "10.96.1.1", 80, "TCP", |s| {
        node_port(s, 30001);
        s.external_traffic_policy = Some("Local".into());
    }));
    lab.sync();
    let (_, seen) = ask(&lab.outside, at("192.0.2.1", 30001)).expect("from outside, policy Local");
    assert_eq!(seen, "192.0.2.2", "the client's address is kept");
    assert!(ask(&lab.node, at("127.0.0.1", 30001)).is_ok());
}

#[test]
fn external_addresses_and_source_ranges() {
    let Some(mut lab) = Lab::new("external_addresses_and_source_ranges", 1, "0") else { return };
    let balanced = |range: &str| {
        let mut s = service("web", "10.96.1.1", 80, "TCP", |s| {
            s.type_ = Some("LoadBalancer".into());
            s.external_ips = Some(vec!["198.51.100.1".into()]);
            s.load_balancer_source_ranges = Some(vec![range.into()]);
        });
        let ingress = LoadBalancerIngress { ip: Some("203.0.113.9".into()), ..Default::default() };
        s.status = Some(ServiceStatus { load_balancer: Some(LoadBalancerStatus { ingress: Some(vec![ingress]) }), conditions: None });
        s
    };
    lab.put(balanced("192.0.2.0/24")).endpoints("web", "TCP", &[0]);
    lab.sync();
    assert!(ask(&lab.outside, at("198.51.100.1", 80)).is_ok(), "external IP");
    assert!(ask(&lab.outside, at("203.0.113.9", 80)).is_ok(), "balancer IP, allowed");
    lab.put(balanced("172.16.0.0/12"));
    lab.sync();
    assert!(ask(&lab.outside, at("198.51.100.1", 80)).is_ok(), "ranges are for the balancer's address");
    let e = ask(&lab.outside, at("203.0.113.9", 80)).expect_err("balancer IP, not allowed");
    assert_eq!(e.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn affinity_sticks() {
    let Some(mut lab) = Lab::new("affinity_sticks", 4, "0") else { return };
    lab.put(service("web", "10.96.1.1", 80, "TCP", |s| s.session_affinity = Some("ClientIP".into())));
    lab.endpoints("web", "TCP", &[0, 1, 2]).sync();
    let vip = at("10.96.1.1", 80);
    let first = ask(&lab.pods[3].0, vip).expect("first").0;
    for _ in 0..20 {
        assert_eq!(ask(&lab.pods[3].0, vip).expect("again").0, first);
    }
    // The others go; the client stays.
    lab.endpoints("web", "TCP", &[first, (first + 1) % 3]).sync();
    assert_eq!(ask(&lab.pods[3].0, vip).expect("after a change").0, first);
    lab.endpoints("web", "TCP", &[(first + 1) % 3]).sync();
    assert_eq!(ask(&lab.pods[3].0, vip).expect("its endpoint is gone").0, (first + 1) % 3);
}

#[test]
fn udp_clients_follow_their_service() {
    let Some(mut lab) = Lab::new("udp_clients_follow_their_service", 3, "0") else { return };
    lab.put(service("dns", "10.96.1.1", 53, "UDP", |s| node_port(s, 30053)));
    lab.sync();
    let client = lab.pods[2].0.run(|| UdpSocket::bind("0.0.0.0:0")).expect("enter").expect("bind");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let ask = |to: &str| {
        client.send_to(b"?", to)?;
        let mut buf = [0; 64];
        let n = client.recv(&mut buf)?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&buf[..n]).into_owned())
    };
    // A flow from before there is any endpoint, then to one, then to another: always the same socket.
    client.send_to(b"?", "10.96.1.1:53").expect("send");
    lab.endpoints("dns", "UDP", &[0]).sync();
    assert!(ask("10.96.1.1:53").expect("first").starts_with("0 "));
    assert!(ask("10.244.0.1:30053").expect("node port").starts_with("0 "));
    lab.endpoints("dns", "UDP", &[1]).sync();
    assert!(ask("10.96.1.1:53").expect("moved").starts_with("1 "));
    assert!(ask("10.244.0.1:30053").expect("node port moved").starts_with("1 "));
}

#[test]
fn both_families() {
    let Some(mut lab) = Lab::new("both_families", 3, "0") else { return };
    lab.put(service("web", "10.96.1.1", 80, "TCP", |s| {
        s.cluster_ips = Some(vec!["10.96.1.1".into(), "fd00:10:96::1".into()]);
        s.session_affinity = Some("ClientIP".into());
        node_port(s, 30001);
    }));
    let v6 = lab.v6.clone();
    lab.endpoints("web", "TCP", &[0, 1]).slice("web-6", "web", "TCP", "IPv6", &v6[..2]).sync();
    let vip = at("fd00:10:96::1", 80);
    let (first, seen) = ask(&lab.pods[2].0, vip).expect("from a pod");
    assert_eq!(seen, v6[2].to_string());
    for _ in 0..10 {
        assert_eq!(ask(&lab.pods[2].0, vip).expect("again").0, first);
    }
    assert!(ask(&lab.node, vip).is_ok(), "from the node");
    assert!(ask(&lab.pods[2].0, at("fd00:10:244::1", 30001)).is_ok(), "node port");
    assert!(ask(&lab.pods[0].0, at("10.96.1.1", 80)).is_ok(), "the other family");
    for from in [&lab.pods[2].0, &lab.node] {
        assert!(refused(from, at("fd00:10:96::1", 81)), "no such port");
        assert!(refused(from, at("fd00:10:96::77", 80)), "no such service");
    }
    lab.slice("web-6", "web", "TCP", "IPv6", &v6[..1]).sync();
    assert_eq!(ask(&lab.pods[0].0, vip).expect("to itself"), (0, "fd00:10:244::1".into()));
    lab.slice("web-6", "web", "TCP", "IPv6", &[]).sync();
    assert!(refused(&lab.pods[2].0, vip), "no endpoints of this family");
}

/// What we wrote by netlink lists as what the nft tool makes of the printed script.
#[test]
fn the_script_says_the_same() {
    let test = "the_script_says_the_same";
    if std::process::Command::new("nft").arg("--version").output().is_err() {
        println!("SKIP {test}: no nft tool");
        return;
    }
    let Some(mut lab) = Lab::new(test, 2, "0") else { return };
    lab.put(service("web", "10.96.1.1", 80, "TCP", |s| {
        node_port(s, 30001);
        s.external_traffic_policy = Some("Local".into());
        s.internal_traffic_policy = Some("Local".into());
    }));
    lab.endpoints("web", "TCP", &[0, 1]);
    lab.put(service("db", "10.96.1.2", 5432, "TCP", |s| s.session_affinity = Some("ClientIP".into())));
    lab.endpoints("db", "TCP", &[0, 1]).put(service("none", "10.96.1.3", 1, "UDP", |s| node_port(s, 30002)));
    lab.sync();
    let path = lab.dir.path().join("script.nft");
    let last = lab.last.as_ref().expect("synced");
    std::fs::write(&path, Script(last).to_string()).expect("write");
    let list = |ns: &NetNs, before: &[&str]| {
        ns.run(|| {
            if !before.is_empty() {
                let out = std::process::Command::new("nft").args(before).output().expect("nft");
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            }
            let out = std::process::Command::new("nft").args(["-s", "list", "ruleset"]).output().expect("nft");
            String::from_utf8_lossy(&out.stdout).into_owned()
        })
        .expect("enter")
    };
    let ours = list(&lab.node, &[]);
    let theirs = list(&lab.outside, &["-f", path.to_str().expect("a path")]);
    let (_, ours) = ours.split_once("table ip kube-proxy").expect("our table, after that of pods");
    let (_, theirs) = theirs.split_once("table ip kube-proxy").expect("the table");
    let sorted = |text: &str| text.replace(",\n", "\n").lines().map(|l| l.trim().to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(sorted(ours), sorted(theirs));
}

/// A large cluster: written once, then one service changes.
#[test]
fn a_change_among_thousands() {
    let Some(mut lab) = Lab::new("a_change_among_thousands", 2, "0") else { return };
    let n = 2000;
    for i in 0..n {
        let name = format!("s{i}");
        lab.put(service(&name, &format!("10.97.{}.{}", i / 250, i % 250), 80, "TCP", |_| {})).endpoints(&name, "TCP", &[0, 1]);
    }
    let begun = std::time::Instant::now();
    lab.sync();
    eprintln!("{n} services from nothing: {:?}", begun.elapsed());
    lab.endpoints("s1234", "TCP", &[1]);
    let begun = std::time::Instant::now();
    let next = proxy::plan(&lab.tables.snapshot(), &Lab::config()).ruleset;
    let planned = begun.elapsed();
    let last = lab.last.take();
    let ops = proxy::diff(last.as_ref().expect("synced"), &next);
    assert!(ops.values().map(Vec::len).sum::<usize>() <= 3, "{ops:?}");
    lab.node.run(|| write(last.as_ref(), &next)).expect("enter").expect("write");
    eprintln!("one change among them: planned in {planned:?}, all in {:?}", begun.elapsed());
    assert_eq!(ask(&lab.node, at("10.97.4.234", 80)).expect("the changed one").0, 1);
    let begun = std::time::Instant::now();
    assert!(lab.node.run(|| is_whole(&next)).expect("enter"));
    eprintln!("audit: {:?}", begun.elapsed());
}

#[test]
fn pods_reach_outside_as_the_node() {
    let Some(lab) = Lab::new("pods_reach_outside_as_the_node", 1, "0") else { return };
    serve(&lab.outside, 7, at("192.0.2.2", 8080));
    assert_eq!(ask(&lab.pods[0].0, at("192.0.2.2", 8080)).expect("outside"), (7, "192.0.2.1".into()));
}

#[test]
fn udp_without_endpoints_is_refused() {
    let Some(mut lab) = Lab::new("udp_without_endpoints_is_refused", 1, "0") else { return };
    lab.put(service("dns", "10.96.1.1", 53, "UDP", |_| {})).sync();
    let client = lab.pods[0].0.run(|| UdpSocket::bind("0.0.0.0:0")).expect("enter").expect("bind");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    client.connect("10.96.1.1:53").expect("connect");
    client.send(b"?").expect("send");
    let e = client.recv(&mut [0; 8]).expect_err("nobody answers");
    assert_eq!(e.kind(), io::ErrorKind::ConnectionRefused);
}

/// A source that the test drives.
struct Driven(watch::Sender<cache::Snapshot>);

struct Seen(watch::Receiver<cache::Snapshot>, bool);

impl Source for Driven {
    fn snapshot(&self) -> cache::Snapshot {
        self.0.borrow().clone()
    }
    fn subscribe(&self, _: Interest) -> Box<dyn Subscription> {
        Box::new(Seen(self.0.subscribe(), true))
    }
}

impl Subscription for Seen {
    fn next(&mut self) -> std::pin::Pin<Box<dyn Future<Output = Option<cache::Batch>> + Send + '_>> {
        Box::pin(async move {
            if !std::mem::take(&mut self.1) {
                self.0.changed().await.ok()?;
            }
            let snapshot = self.0.borrow_and_update().clone();
            Some(cache::Batch { snapshot, changes: Vec::new(), lagged: true })
        })
    }
}

/// The loop as a whole, inside the node's namespace.
#[test]
fn the_loop_follows_its_source() {
    let Some(mut lab) = Lab::new("the_loop_follows_its_source", 1, "0") else { return };
    let source = Arc::new(Driven(watch::channel(lab.tables.snapshot()).0));
    lab.put(service("web", "10.96.1.1", 80, "TCP", |_| {})).endpoints("web", "TCP", &[0]);
    let later = lab.tables.snapshot();
    let done = lab.node.run(|| {
        // Threads of this runtime are started here: they belong to the node's namespace too.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let registry = base::metrics::Registry::default();
            let mut handle = start_proxy(Lab::config(), Arc::<Driven>::clone(&source), &registry, stop.clone());
            handle.synced.wait_for(|s| *s).await.expect("synced");
            source.0.send_replace(later);
            let chain = |l: &nft::Listing| l.chains.keys().any(|c| c.contains("ns/web/"));
            let until = std::time::Instant::now() + PATIENCE;
            while !nft::list(net::nft::Family::Ip, proxy::TABLE).expect("list").is_some_and(|l| chain(&l)) {
                assert!(std::time::Instant::now() < until, "the change is written in time");
                tokio::task::yield_now().await;
            }
            let text = registry.expose();
            assert!(text.contains("kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}"), "{text}");
            stop.cancel();
            handle.stopped().await;
        });
        remove().expect("remove");
        remove().expect("remove again");
        assert_eq!(nft::list(net::nft::Family::Ip, proxy::TABLE).expect("list"), None);
    });
    done.expect("inside the namespace");
}

/// The API server's own service: its endpoint is a process of the node, at the node's address.
#[test]
fn a_process_of_the_node_as_endpoint() {
    let Some(mut lab) = Lab::new("a_process_of_the_node_as_endpoint", 1, "0") else { return };
    serve(&lab.node, 9, at("192.0.2.1", 8080));
    lab.put(service("kubernetes", "10.96.0.1", 443, "TCP", |_| {}));
    lab.slice("kubernetes", "kubernetes", "TCP", "IPv4", &[ip("192.0.2.1")]).sync();
    let vip = at("10.96.0.1", 443);
    assert_eq!(ask(&lab.pods[0].0, vip).expect("from a pod"), (9, lab.pods[0].1.to_string()));
    assert_eq!(ask(&lab.node, vip).expect("from the node").0, 9);
}

/// The cluster DNS address is the node's own, though a Service without endpoints has it.
#[test]
fn addresses_answered_here_are_left_alone() {
    let Some(mut lab) = Lab::new("addresses_answered_here_are_left_alone", 1, "0") else { return };
    lab.node.run(|| crate::dns_loop::ensure_addresses(&[ip("10.96.0.10")])).expect("enter").expect("address");
    serve(&lab.node, 5, at("10.96.0.10", 53));
    lab.put(service("kube-dns", "10.96.0.10", 53, "TCP", |_| {}));
    let config = Config { answered_here: vec![ip("10.96.0.10")], ..Lab::config() };
    let next = proxy::plan(&lab.tables.snapshot(), &config).ruleset;
    lab.node.run(|| write(lab.last.as_ref(), &next)).expect("enter").expect("write");
    assert_eq!(ask(&lab.pods[0].0, at("10.96.0.10", 53)).expect("from a pod").0, 5);
    assert_eq!(ask(&lab.node, at("10.96.0.10", 53)).expect("from the node").0, 5);
    assert!(refused(&lab.pods[0].0, at("10.96.0.11", 53)));
    assert!(refused(&lab.node, at("10.96.0.11", 53)));
}
