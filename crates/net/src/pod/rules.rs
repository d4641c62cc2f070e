//! The pod network's own nftables tables (`timonel-pods`, one a family): masquerading of what leaves the cluster, host ports
//! (the portmap of CNI), and the guard that keeps 127.0.0.0/8 of the node unreachable for pods.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{HostPort, Lease, PodNetworkConfig};
use crate::NetError;
use crate::nft::{
    self, BaseChain, Chain, ChainKind, CmpOp, DataType, Element, Expr, Family, Fib, Hook, Load, MetaKey, NatKind, NatTarget, Op,
    Reg, Rule, Set, SetRef, Target, Transaction, Verdict,
};

const TABLE: &str = "timonel-pods";
const BY_PORT: &str = "host-ports";
const BY_ADDRESS: &str = "host-ports-by-address";
const HAIRPIN: &str = "host-port-hairpins";
const PRIORITY_RAW: i32 = -300;
/// Just before the services' chains: a host port wins over a node port.
const PRIORITY_DSTNAT: i32 = -101;
/// After the services' chain, which may have decided already.
const PRIORITY_SRCNAT: i32 = 101;

struct Side {
    family: Family,
    address: DataType,
    src: Load,
    dst: Load,
    v4: bool,
}

const V4: Side = Side { family: Family::Ip, address: DataType::Ipv4, src: Load::Ipv4Src, dst: Load::Ipv4Dst, v4: true };
const V6: Side = Side { family: Family::Ip6, address: DataType::Ipv6, src: Load::Ipv6Src, dst: Load::Ipv6Dst, v4: false };

impl Side {
    fn of(ip: IpAddr) -> &'static Side {
        if ip.is_ipv4() { &V4 } else { &V6 }
    }

    fn has(&self, net: &IpNet) -> bool {
        net.addr().is_ipv4() == self.v4
    }
}

/// Writes both tables anew, in one transaction: flows that exist are not touched.
pub(super) fn ensure(config: &PodNetworkConfig, leases: &[Lease]) -> Result<(), NetError> {
    let mut all = Vec::new();
    for side in [&V4, &V6] {
        if !config.pod_cidrs.iter().any(|c| side.has(c)) {
            continue;
        }
        let mut t = Transaction::new(side.family, TABLE);
        t.push(Op::AddTable).push(Op::DeleteTable).push(Op::AddTable);
        table(&mut t, side, config);
        for lease in leases.iter().filter(|l| l.ip.is_ipv4() == side.v4 && !l.host_ports.is_empty()) {
            t.ops.extend(host_port_ops(side, lease.ip, &lease.host_ports, Op::AddElements));
        }
        all.push(t);
    }
    nft::apply_all(&all).map(drop)
}

pub(super) fn remove() -> Result<(), NetError> {
    for side in [&V4, &V6] {
        if nft::list(side.family, TABLE)?.is_some() {
            let mut t = Transaction::new(side.family, TABLE);
            t.push(Op::DeleteTable);
            nft::apply(&t)?;
        }
    }
    Ok(())
}

pub(super) fn add_host_ports(ips: &[IpAddr], ports: &[HostPort]) -> Result<(), NetError> {
    change_host_ports(ips, ports, Op::AddElements)
}

/// Deletes element by element: what is not there is fine.
pub(super) fn delete_host_ports(ips: &[IpAddr], ports: &[HostPort]) -> Result<(), NetError> {
    match change_host_ports(ips, ports, Op::DeleteElements) {
        Err(e) if e.errno() == Some(nix::errno::Errno::ENOENT) => {
            for port in ports {
                // Already gone, or never written: both are what is wanted.
                let _ = change_host_ports(ips, std::slice::from_ref(port), Op::DeleteElements);
            }
            Ok(())
        }
        other => other,
    }
}

fn change_host_ports(ips: &[IpAddr], ports: &[HostPort], op: fn(String, Vec<Element>) -> Op) -> Result<(), NetError> {
    let mut all = Vec::new();
    for ip in ips {
        let side = Side::of(*ip);
        let mut t = Transaction::new(side.family, TABLE);
        t.ops = host_port_ops(side, *ip, ports, op);
        all.push(t);
    }
    nft::apply_all(&all).map(drop)
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn host_port_ops(side: &Side, ip: IpAddr, ports: &[HostPort], op: fn(String, Vec<Element>) -> Op) -> Vec<Op> {
    let (mut by_port, mut by_address) = (Vec::new(), Vec::new());
    for p in ports {
        let mut key = vec![p.transport.number(), 0, 0, 0];
        key.extend_from_slice(&p.host_port.to_be_bytes());
        key.extend_from_slice(&[0, 0]);
        let mut value = octets(ip);
        value.extend_from_slice(&p.pod_port.to_be_bytes());
        value.extend_from_slice(&[0, 0]);
        match p.host_ip.filter(|h| !h.is_unspecified()) {
            None => by_port.push(Element::data(key, value)),
            Some(h) if h.is_ipv4() == side.v4 => {
                let mut long = octets(h);
                long.extend_from_slice(&key);
                by_address.push(Element::data(long, value));
            }
            Some(_) => {}
        }
    }
    let mut ops = Vec::new();
    if by_port.is_empty() && by_address.is_empty() {
        return ops;
    }
    let mut pair = octets(ip);
    pair.extend_from_slice(&octets(ip));
    ops.push(op(HAIRPIN.into(), vec![Element::key(pair)]));
    for (name, elements) in [(BY_PORT, by_port), (BY_ADDRESS, by_address)] {
        if !elements.is_empty() {
            ops.push(op(name.into(), elements));
        }
    }
    ops
}

fn base(name: &str, kind: ChainKind, hook: Hook, priority: i32) -> Op {
    Op::AddChain(Chain { name: name.into(), base: Some(BaseChain { kind, hook, priority }), comment: None })
}

fn rule(chain: &str, comment: &str, exprs: Vec<Expr>) -> Op {
    Op::AddRule(Rule { chain: chain.into(), exprs, comment: Some(comment.into()) })
}

fn table(t: &mut Transaction, side: &Side, config: &PodNetworkConfig) {
    let (proto, port) = (DataType::Proto, DataType::Port);
    t.push(Op::AddSet(Set::map(BY_PORT, &[proto, port], &[side.address, port])));
    t.push(Op::AddSet(Set::map(BY_ADDRESS, &[side.address, proto, port], &[side.address, port])));
    t.push(Op::AddSet(Set::keys(HAIRPIN, &[side.address, side.address])));
    t.push(Op::AddChain(Chain { name: "host-ports".into(), base: None, comment: None }));
    t.push(base("prerouting", ChainKind::Nat, Hook::Prerouting, PRIORITY_DSTNAT));
    t.push(base("output", ChainKind::Nat, Hook::Output, PRIORITY_DSTNAT));
    t.push(base("postrouting", ChainKind::Nat, Hook::Postrouting, PRIORITY_SRCNAT));
    t.push(base("guard", ChainKind::Filter, Hook::Prerouting, PRIORITY_RAW));
    for chain in ["prerouting", "output"] {
        let mut exprs = Expr::address_is_local(Fib::DestinationType, true);
        exprs.push(Expr::Verdict(Verdict::Jump("host-ports".into())));
        t.push(rule(chain, "host ports", exprs));
    }
    host_port_rules(t, side);
    postrouting_rules(t, side, config);
    if side.v4 {
        let loopback = IpNet::from(ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8));
        let mut exprs = Expr::iif_name(CmpOp::Eq, &config.bridge);
        exprs.extend(Expr::in_net(side.dst, CmpOp::Eq, loopback));
        exprs.push(Expr::Verdict(Verdict::Drop));
        t.push(rule("guard", "the node's loopback is not for pods", exprs));
    }
}

fn host_port_rules(t: &mut Transaction, side: &Side) {
    let words = if side.v4 { 1 } else { 4 };
    let dnat = |set: &str, key: Reg| {
        let target = NatTarget { addr: Reg(8), port: Some(Reg(8 + words)) };
        [
            Expr::Lookup { set: SetRef::Named(set.into()), key, target: Target::Reg(Reg(8)) },
            Expr::Nat(NatKind::Dnat, side.family, target),
        ]
    };
    let mut by_address = vec![
        Expr::load(side.dst, Reg(0)),
        Expr::Meta(MetaKey::L4Proto, Reg(words)),
        Expr::load(Load::DstPort, Reg(words + 1)),
    ];
    by_address.extend(dnat(BY_ADDRESS, Reg(0)));
    t.push(rule("host-ports", "of one address", by_address));
    let mut by_port = vec![Expr::Meta(MetaKey::L4Proto, Reg(0)), Expr::load(Load::DstPort, Reg(1))];
    by_port.extend(dnat(BY_PORT, Reg(0)));
    t.push(rule("host-ports", "of all addresses", by_port));
}

fn postrouting_rules(t: &mut Transaction, side: &Side, config: &PodNetworkConfig) {
    let words = if side.v4 { 1 } else { 4 };
    let mut hairpin = Expr::ct_dnat();
    hairpin.extend([
        Expr::load(side.src, Reg(0)),
        Expr::load(side.dst, Reg(words)),
        Expr::Lookup { set: SetRef::Named(HAIRPIN.into()), key: Reg(0), target: Target::Match },
        Expr::Masquerade,
    ]);
    t.push(rule("postrouting", "a pod that reaches itself by a host port", hairpin));
    if side.v4 {
        let loopback = IpNet::from(ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8));
        let mut exprs = Expr::oif_name(CmpOp::Eq, &config.bridge);
        exprs.extend(Expr::in_net(side.src, CmpOp::Eq, loopback));
        exprs.push(Expr::Masquerade);
        t.push(rule("postrouting", "from the node's loopback to pods", exprs));
    }
    let inside = if config.cluster_cidrs.is_empty() { &config.pod_cidrs } else { &config.cluster_cidrs };
    let multicast: IpNet = if side.v4 {
        IpNet::V4(ipnet::Ipv4Net::new_assert([224, 0, 0, 0].into(), 4))
    } else {
        IpNet::V6(ipnet::Ipv6Net::new_assert([0xff00, 0, 0, 0, 0, 0, 0, 0].into(), 8))
    };
    for cidr in config.pod_cidrs.iter().filter(|c| side.has(c)) {
        let mut exprs = Expr::in_net(side.src, CmpOp::Eq, *cidr);
        for not in inside.iter().filter(|c| side.has(c)).chain([&multicast]) {
            exprs.extend(Expr::in_net(side.dst, CmpOp::Neq, *not));
        }
        exprs.push(Expr::Masquerade);
        t.push(rule("postrouting", "from pods to outside the cluster", exprs));
    }
}
