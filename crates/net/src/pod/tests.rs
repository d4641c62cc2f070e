//! Pods on a node, each in a network namespace of its own, with real packets; and the address book.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::netns::NetNs;

const PATIENCE: Duration = Duration::from_secs(3);

/// A node in a network namespace of its own, deleted at the end.
struct Node {
    dir: tempfile::TempDir,
    ns: NetNs,
    pods: Vec<PathBuf>,
}

impl Node {
    /// `None`, said by name, where the machine does not let us.
    fn new(test: &str) -> Option<Self> {
        if !crate::testing::is_able(test) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a scratch directory");
        let ns = NetNs::create(&dir.path().join("node")).expect("a network namespace");
        Some(Self { dir, ns, pods: Vec::new() })
    }

    fn config(&self, cidrs: &[&str]) -> PodNetworkConfig {
        PodNetworkConfig {
            bridge: "timonel0".into(),
            pod_cidrs: cidrs.iter().map(|c| c.parse().expect("a range")).collect(),
            cluster_cidrs: Vec::new(),
            service_cidrs: vec!["10.96.0.0/12".parse().expect("a range")],
            mtu: None,
            lease_dir: self.dir.path().join("leases"),
        }
    }

    fn pod(&mut self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        NetNs::create(&path).expect("a pod namespace");
        self.pods.push(path.clone());
        path
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for path in self.pods.iter().map(PathBuf::as_path).chain([self.ns.path()]) {
            let _ = NetNs::delete(path);
        }
    }
}

fn attachment<'a>(owner: &'a str, netns: &'a Path, host_ports: &'a [HostPort]) -> Attachment<'a> {
    Attachment { owner, netns, ifname: "eth0", host_ports }
}

/// Answers every connection with the caller's address as the server sees it.
fn serve_peer_name(netns: &Path, at: SocketAddr) {
    let listener = NetNs::open(netns).and_then(|n| n.run(|| TcpListener::bind(at))).expect("enter").expect("bind");
    std::thread::spawn(move || {
        while let Ok((mut s, peer)) = listener.accept() {
            let _ = s.write_all(peer.ip().to_string().as_bytes());
        }
    });
}

fn ask(netns: &NetNs, to: SocketAddr) -> std::io::Result<String> {
    netns
        .run(|| {
            let mut s = TcpStream::connect_timeout(&to, PATIENCE)?;
            s.set_read_timeout(Some(PATIENCE))?;
            let mut out = String::new();
            s.read_to_string(&mut out)?;
            Ok(out)
        })
        .expect("enter the namespace")
}

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

#[test]
fn pods_reach_each_other_and_the_node() {
    let Some(mut node) = Node::new("pods_reach_each_other_and_the_node") else { return };
    let (a, b) = (node.pod("a"), node.pod("b"));
    let config = node.config(&["10.244.0.0/24", "fd00:10:244::/64"]);
    let network = node.ns.run(|| PodNetwork::ensure(config.clone())).expect("enter").expect("ensure");
    let begun = Instant::now();
    let ia = network.attach(&attachment("a", &a, &[])).expect("attach a");
    let first = begun.elapsed();
    let begun = Instant::now();
    let ib = network.attach(&attachment("b", &b, &[])).expect("attach b");
    eprintln!("attach took {first:?} and {:?}", begun.elapsed());
    assert_eq!(ia.ips[0].to_string(), "10.244.0.2");
    assert_eq!(ib.ips[0].to_string(), "10.244.0.3");
    assert_eq!(network.attach(&attachment("a", &a, &[])).expect("again"), ia);

    let ranges = [config.pod_cidrs[0], config.service_cidrs[0]];
    let clashes = |own: &[&str]| node.ns.run(|| crate::probe_ranges(&ranges, own)).expect("enter").expect("probe");
    assert_eq!(clashes(&["timonel0"]), []);
    assert_eq!(clashes(&[]).len(), 2, "seen from another cluster");

    serve_peer_name(&b, at(ib.ips[0], 80));
    serve_peer_name(&b, at(ib.ips[1], 80));
    let inside = NetNs::open(&a).expect("open");
    assert_eq!(ask(&inside, at(ib.ips[0], 80)).expect("pod to pod"), ia.ips[0].to_string());
    assert_eq!(ask(&node.ns, at(ib.ips[0], 80)).expect("node to pod"), "10.244.0.1");
    assert_eq!(ask(&inside, at(ib.ips[1], 80)).expect("pod to pod, IPv6"), ia.ips[1].to_string());
    serve_peer_name(node.ns.path(), at("10.244.0.1".parse().expect("ip"), 81));
    assert_eq!(ask(&inside, at("10.244.0.1".parse().expect("ip"), 81)).expect("pod to node"), ia.ips[0].to_string());

    network.detach("b").expect("detach");
    network.detach("b").expect("detach again");
    assert!(ask(&inside, at(ib.ips[0], 80)).is_err());
    assert_eq!(network.ipam().leases().len(), 2);
}

#[test]
fn host_ports_lead_to_pods() {
    host_ports("host_ports_lead_to_pods", "0");
}

#[test]
fn host_ports_lead_to_pods_with_br_netfilter() {
    host_ports("host_ports_lead_to_pods_with_br_netfilter", "1");
}

fn host_ports(test: &str, bridge_nf: &str) {
    let Some(mut node) = Node::new(test) else { return };
    if node.ns.run(|| sysctl::set("bridge/bridge-nf-call-iptables", bridge_nf)).expect("enter").is_err() && bridge_nf == "1" {
        println!("SKIP {test}: no br_netfilter in this kernel");
        return;
    }
    let (a, b) = (node.pod("a"), node.pod("b"));
    let config = node.config(&["10.244.0.0/24"]);
    let network = node.ns.run(|| PodNetwork::ensure(config.clone())).expect("enter").expect("ensure");
    let ports = [HostPort { host_ip: None, host_port: 8080, pod_port: 80, transport: Transport::Tcp }];
    let (ia, _ib) = node
        .ns
        .run(|| {
            let ia = network.attach(&attachment("a", &a, &ports)).expect("attach a");
            (ia, network.attach(&attachment("b", &b, &[])).expect("attach b"))
        })
        .expect("enter");
    serve_peer_name(&a, at(ia.ips[0], 80));
    let gateway: IpAddr = "10.244.0.1".parse().expect("ip");
    let localhost: IpAddr = "127.0.0.1".parse().expect("ip");
    let (inside_a, inside_b) = (NetNs::open(&a).expect("a"), NetNs::open(&b).expect("b"));
    assert_eq!(ask(&inside_b, at(gateway, 8080)).expect("from another pod"), "10.244.0.3");
    assert_eq!(ask(&inside_a, at(gateway, 8080)).expect("from itself"), "10.244.0.1");
    assert_eq!(ask(&node.ns, at(localhost, 8080)).expect("from the node's loopback"), "10.244.0.1");

    // A restart keeps the port; a detach ends it.
    let again = node.ns.run(|| PodNetwork::ensure(config.clone())).expect("enter").expect("ensure again");
    assert_eq!(ask(&node.ns, at(localhost, 8080)).expect("after a restart"), "10.244.0.1");
    node.ns.run(|| again.detach("a")).expect("enter").expect("detach");
    assert!(ask(&node.ns, at(localhost, 8080)).is_err());
}

#[test]
fn pods_do_not_reach_the_nodes_loopback() {
    let Some(mut node) = Node::new("pods_do_not_reach_the_nodes_loopback") else { return };
    let a = node.pod("a");
    let config = node.config(&["10.244.0.0/24"]);
    let network = node.ns.run(|| PodNetwork::ensure(config.clone())).expect("enter").expect("ensure");
    network.attach(&attachment("a", &a, &[])).expect("attach");
    let secret = node.ns.run(|| UdpSocket::bind("127.0.0.1:9")).expect("enter").expect("bind");
    let control = node.ns.run(|| UdpSocket::bind("10.244.0.1:9")).expect("enter").expect("bind");
    secret.set_nonblocking(true).expect("nonblocking");
    control.set_read_timeout(Some(PATIENCE)).expect("timeout");
    NetNs::open(&a)
        .expect("open")
        .run(|| {
            // The pod's own loopback would take it: send by the device that leads to the node.
            let s = UdpSocket::bind("10.244.0.2:0").expect("bind");
            let mut rtnl = Rtnl::open().expect("rtnl");
            let eth0 = rtnl.link("eth0").expect("link").expect("eth0");
            sysctl::set("ipv4/conf/eth0/route_localnet", "1").expect("sysctl");
            rtnl.delete_address(1, "127.0.0.1/8".parse().expect("net")).expect("delete");
            let dst = "127.0.0.0/8".parse().expect("net");
            let via = Some("10.244.0.1".parse().expect("ip"));
            rtnl.set_route(&Route { dst, via, index: eth0.index, src: None, onlink: true }).expect("route");
            let _ = s.send_to(b"x", "127.0.0.1:9");
            s.send_to(b"y", "10.244.0.1:9").expect("send");
        })
        .expect("enter");
    let mut buf = [0; 8];
    assert_eq!(control.recv(&mut buf).expect("the control packet arrives, sent later"), 1);
    assert!(secret.recv(&mut buf).is_err());
}

#[test]
fn leases_survive_and_leaks_are_found() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let cidrs = ["10.0.0.0/29".parse().expect("range")];
    let book = Ipam::open(dir.path(), &cidrs).expect("open");
    let one = book.allocate("one", &[]).expect("one");
    let two = book.allocate("two", &[]).expect("two");
    assert_eq!(book.allocate("one", &[]).expect("again"), one);
    drop(book);
    std::fs::write(dir.path().join("new.10.0.0.6"), "torn").expect("write");
    let book = Ipam::open(dir.path(), &cidrs).expect("open again");
    assert_eq!(book.addresses_of("two"), two);
    assert!(matches!(book.claim("x", two[0]), Err(NetError::AddressInUse(..))));
    let ended = book.audit(&BTreeSet::from(["two".to_owned()])).expect("audit");
    assert_eq!(ended.iter().map(|l| l.ip).collect::<Vec<_>>(), one);
    assert!(!dir.path().join("new.10.0.0.6").exists());
}

#[test]
fn addresses_rest_before_they_are_used_again() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let cidrs = ["10.0.0.0/29".parse().expect("range")];
    let book = Ipam::open(dir.path(), &cidrs).expect("open");
    let names: Vec<String> = (0..5).map(|i| format!("p{i}")).collect();
    let given: Vec<IpAddr> = names.iter().map(|n| book.allocate(n, &[]).expect("free")[0]).collect();
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 5);
    assert!(!given.contains(&"10.0.0.1".parse().expect("gateway")));
    assert!(matches!(book.allocate("p5", &[]), Err(NetError::Exhausted(_))));
    book.release("p3").expect("release");
    book.release("p1").expect("release");
    // Nothing else is left: the one that rested longest.
    assert_eq!(book.allocate("p6", &[]).expect("free")[0], given[3]);
    assert_eq!(book.allocate("p7", &[]).expect("free")[0], given[1]);
}

/// Thirty pods at once, as a Deployment brings them.
#[test]
fn many_pods_at_once() {
    let Some(mut node) = Node::new("many_pods_at_once") else { return };
    let config = node.config(&["10.244.0.0/24", "fd00:10:244::/64"]);
    let network = node.ns.run(|| PodNetwork::ensure(config.clone())).expect("enter").expect("ensure");
    let names: Vec<String> = (0..30).map(|i| format!("pod{i}")).collect();
    let begun = Instant::now();
    let paths: Vec<PathBuf> = names.iter().map(|n| node.pod(n)).collect();
    eprintln!("30 namespaces: {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut seen: Vec<IpAddr> = std::thread::scope(|s| {
        let network = &network;
        let work: Vec<_> = names
            .iter()
            .zip(&paths)
            .map(|(n, p)| s.spawn(move || network.attach(&attachment(n, p, &[])).expect("attach").ips))
            .collect();
        work.into_iter().flat_map(|w| w.join().expect("no panic")).collect()
    });
    eprintln!("30 attachments: {:?}", begun.elapsed());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60, "every address is given once");
    let begun = Instant::now();
    let dead = network.audit(&BTreeSet::from([names[0].clone()])).expect("audit");
    eprintln!("29 detachments: {:?}", begun.elapsed());
    assert_eq!((dead.len(), network.ipam().leases().len()), (29, 2));
}
