//! What the kernel lacks for pods and services, each with the command that mends it (`timonel doctor`). Everything is tried in a
//! network namespace of its own that ends with the thread: nothing of the machine is touched.

use std::path::Path;
use std::thread;

use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};

use crate::link::{Mac, Rtnl, Vxlan};
use crate::nft::{
    self, BaseChain, Chain, ChainKind, DataType, Expr, Family, Fib, Hook, NatKind, NatTarget, Op, Reg, Reject, Rule, Set, SetRef,
    Target, Transaction, Verdict,
};
use crate::{NetError, conntrack, sysctl};

/// Something that the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it is.
    pub what: &'static str,
    /// What does not work without it, and what the kernel said.
    pub why: String,
    /// The command that mends it.
    pub mend: &'static str,
    /// Whether nothing works without it.
    pub fatal: bool,
}

/// Tries everything that the pod network and the proxy need.
pub fn probe() -> Vec<Missing> {
    let failed = |_| vec![Missing { what: "network probe", why: "the probe itself failed".into(), mend: "dmesg | tail", fatal: true }];
    let mut out = thread::spawn(probe_here).join().unwrap_or_else(failed);
    out.extend(forward_policy());
    out
}

/// Another program's firewall (Docker's, for one) may drop what is forwarded, whatever our rules say.
fn forward_policy() -> Option<Missing> {
    let drops = |family| nft::policy(family, "filter", "FORWARD").ok().flatten() == Some(Verdict::Drop);
    if !drops(Family::Ip) {
        return None;
    }
    let why = "the firewall's FORWARD chain drops packets by default: pods reach neither each other nor services".into();
    Some(Missing { what: "forward policy", why, mend: "iptables -P FORWARD ACCEPT", fatal: false })
}

/// Routes of the machine that lead into the cluster's ranges by other devices than the cluster's `own`: what is there could not
/// be reached any more.
pub fn probe_ranges(ranges: &[IpNet], own: &[&str]) -> Result<Vec<Missing>, NetError> {
    let mut rtnl = Rtnl::open()?;
    let ours: Vec<u32> = rtnl.links()?.into_iter().filter(|l| own.contains(&l.name.as_str())).map(|l| l.index).collect();
    let mut routes = rtnl.routes(false)?;
    routes.extend(rtnl.routes(true)?);
    let clash = |range: &IpNet| {
        let inside = |dst: &IpNet| dst.prefix_len() > 0 && (range.contains(dst) || dst.contains(range));
        routes.iter().find(|r| inside(&r.dst) && !ours.contains(&r.index)).map(|r| r.dst)
    };
    let told = ranges.iter().filter_map(|range| {
        let route = clash(range)?;
        let why = format!("{range} is for the cluster, but this machine reaches {route} by another device");
        Some(Missing { what: "address ranges", why, mend: "timonel up --pod-cidr ... --service-cidr ...   # ranges that are free here", fatal: false })
    });
    Ok(told.collect())
}

fn probe_here() -> Vec<Missing> {
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        let why = format!("pods need network namespaces of their own: {}", e.desc());
        return vec![Missing { what: "network namespaces", why, mend: "sudo -i   # CAP_SYS_ADMIN and CONFIG_NET_NS are needed", fatal: true }];
    }
    let mut out = Vec::new();
    let mut check = |what, why: &str, mend, fatal, tried: Result<(), NetError>| {
        if let Err(e) = tried {
            out.push(Missing { what, why: format!("{why}: {e}"), mend, fatal });
        }
    };
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    check("bridge", "pods are joined by a bridge", "modprobe bridge", true, Rtnl::open().and_then(|mut r| r.add_bridge("b", mac, 1500)));
    check("veth", "each pod has a veth pair", "modprobe veth", true, try_veth());
    check("vxlan", "pods on several nodes reach each other by vxlan", "modprobe vxlan", false, try_vxlan(mac));
    check("nf_tables", "services and masquerading are nftables rules", "modprobe nf_tables", true, try_table());
    check("nft_chain_nat", "services translate addresses", "modprobe -a nft_chain_nat nft_nat nft_masq", true, try_rule(ChainKind::Nat, nat()));
    check("nft_reject", "services without endpoints are refused", "modprobe -a nft_reject nft_reject_ipv4", true, try_rule(ChainKind::Filter, reject()));
    check("nft_numgen", "services spread connections at random", "modprobe nft_numgen", true, try_rule(ChainKind::Filter, random()));
    check("nft_fib", "node ports are told by the kind of address", "modprobe -a nft_fib nft_fib_ipv4", true, try_rule(ChainKind::Filter, fib()));
    check("nft_ct", "rules look at new connections only", "modprobe -a nft_ct nf_conntrack", true, try_rule(ChainKind::Filter, Expr::ct_new()));
    check("nf_conntrack_netlink", "UDP flows to endpoints that are gone are forgotten", "modprobe nf_conntrack_netlink", false, conntrack::flows(|_| false).map(drop));
    if let Err(e) = sysctl::set("ipv4/ip_forward", "1") {
        out.push(Missing { what: "ip_forward", why: format!("packets of pods are forwarded: {e}"), mend: "sysctl -w net.ipv4.ip_forward=1", fatal: true });
    }
    if !Path::new("/proc/sys/net/ipv6").exists() {
        out.push(Missing { what: "ipv6", why: "dual-stack clusters need IPv6 in the kernel".into(), mend: "modprobe ipv6", fatal: false });
    }
    out
}

fn try_veth() -> Result<(), NetError> {
    use std::os::fd::AsFd;
    let here = std::fs::File::open("/proc/thread-self/ns/net").map_err(|e| NetError::file("open", "/proc/thread-self/ns/net", e))?;
    let mut rtnl = Rtnl::open()?;
    let bridge = rtnl.link("b")?.map_or(0, |l| l.index);
    rtnl.add_veth(&crate::link::VethPair {
        host_name: "v0",
        bridge,
        peer_netns: here.as_fd(),
        peer_name: "v1",
        peer_mac: Mac([2, 0, 0, 0, 0, 2]),
        mtu: 1500,
    })
}

fn try_vxlan(mac: Mac) -> Result<(), NetError> {
    let local = [127, 0, 0, 1].into();
    Rtnl::open()?.add_vxlan(&Vxlan { name: "x", vni: 1, port: 4789, underlay: None, local, mac, mtu: 1450 })
}

fn try_table() -> Result<(), NetError> {
    let mut t = Transaction::new(Family::Ip, "probe");
    t.push(Op::AddTable).push(Op::AddSet(Set::verdicts("m", &[DataType::Ipv4, DataType::Proto, DataType::Port])));
    nft::apply(&t).map(drop)
}

fn try_rule(kind: ChainKind, exprs: Vec<Expr>) -> Result<(), NetError> {
    let mut t = Transaction::new(Family::Ip, "probe");
    let base = Some(BaseChain { kind, hook: Hook::Output, priority: 0 });
    t.push(Op::AddTable).push(Op::AddChain(Chain { name: "c".into(), base, comment: None }));
    t.push(Op::AddRule(Rule { chain: "c".into(), exprs, comment: None })).push(Op::DeleteTable);
    nft::apply(&t).map(drop)
}

fn nat() -> Vec<Expr> {
    let target = NatTarget { addr: Reg(0), port: Some(Reg(1)) };
    vec![
        Expr::Immediate(Reg(0), vec![127, 0, 0, 1]),
        Expr::Immediate(Reg(1), vec![0, 80]),
        Expr::Nat(NatKind::Dnat, Family::Ip, target),
    ]
}

fn reject() -> Vec<Expr> {
    vec![Expr::Reject(Reject::PortUnreachable, Family::Ip)]
}

fn random() -> Vec<Expr> {
    let map = Set::verdicts("__map%d", &[DataType::Integer]);
    let element = nft::Element::verdict(0u32.to_ne_bytes().to_vec(), Verdict::Accept);
    vec![
        Expr::Random { modulus: 1, dreg: Reg(0) },
        Expr::Lookup { set: SetRef::Anonymous(map, vec![element]), key: Reg(0), target: Target::Verdict },
    ]
}

fn fib() -> Vec<Expr> {
    Expr::address_is_local(Fib::DestinationType, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind_and_says_how_to_mend() {
        let links = || Rtnl::open().and_then(|mut r| r.links()).map(|l| l.len()).ok();
        let before = links();
        for m in probe() {
            assert!(!m.why.is_empty() && !m.mend.is_empty(), "{m:?}");
            println!("{m:?}");
        }
        assert_eq!(links(), before);
    }
}
