//! The proxy's operations, in nftables' registers and bytes. Pure.

use std::net::IpAddr;

use net::nft::{
    BaseChain, Chain, ChainKind, CmpOp, DataType, DynsetOp, Element, Expr, Fib, Hook, Load, MetaKey, NatKind, NatTarget, Op,
    Reg, Reject, Rule, Set, SetRef, SetValue, Target, Transaction, Verdict,
};
use proxy::{Family, Field, FieldType, Key, Ops, Part, SetKind, Side, Stmt};

/// Kubernetes' bit for packets to be masqueraded.
const MARK: u32 = 0x4000;
/// Where translated addresses are put together, clear of the registers that keys use.
const NAT_REG: Reg = Reg(8);

/// One transaction a family.
#[must_use]
pub fn transactions(ops: &Ops) -> Vec<Transaction> {
    ops.iter()
        .map(|(f, ops)| {
            let mut t = Transaction::new(family(*f), proxy::TABLE);
            for op in ops {
                t.push(operation(*f, op));
            }
            t
        })
        .collect()
}

pub(super) fn family(f: Family) -> net::nft::Family {
    match f {
        Family::V4 => net::nft::Family::Ip,
        Family::V6 => net::nft::Family::Ip6,
    }
}

fn operation(f: Family, op: &proxy::Op) -> Op {
    match op {
        proxy::Op::AddTable => Op::AddTable,
        proxy::Op::DeleteTable => Op::DeleteTable,
        proxy::Op::AddSet { name, kind, key } => Op::AddSet(set(f, name, *kind, key)),
        proxy::Op::DeleteSet(name) => Op::DeleteSet(name.clone()),
        proxy::Op::AddChain { name, base } => {
            Op::AddChain(Chain { name: name.clone(), base: base.map(base_chain), comment: None })
        }
        proxy::Op::FlushChain(name) => Op::FlushChain(name.clone()),
        proxy::Op::DeleteChain(name) => Op::DeleteChain(name.clone()),
        proxy::Op::AddRule { chain, rule } => Op::AddRule(Rule {
            chain: chain.clone(),
            exprs: rule.stmts.iter().flat_map(|s| statement(f, s)).collect(),
            comment: rule.comment.map(str::to_owned),
        }),
        proxy::Op::AddElements { set, elements } => {
            let elements = elements.iter().map(|(key, e)| Element {
                value: e.verdict.as_ref().map(|v| net::nft::Value::Verdict(verdict(v))),
                comment: e.comment.clone(),
                ..Element::key(key_bytes(key))
            });
            Op::AddElements(set.clone(), elements.collect())
        }
        proxy::Op::DeleteElements { set, keys } => {
            Op::DeleteElements(set.clone(), keys.iter().map(|k| Element::key(key_bytes(k))).collect())
        }
    }
}

fn base_chain(b: proxy::Base) -> BaseChain {
    let hook = match b.hook {
        proxy::Hook::Prerouting => Hook::Prerouting,
        proxy::Hook::Input => Hook::Input,
        proxy::Hook::Forward => Hook::Forward,
        proxy::Hook::Output => Hook::Output,
        proxy::Hook::Postrouting => Hook::Postrouting,
    };
    BaseChain { kind: if b.nat { ChainKind::Nat } else { ChainKind::Filter }, hook, priority: b.priority }
}

fn address_type(f: Family) -> DataType {
    match f {
        Family::V4 => DataType::Ipv4,
        Family::V6 => DataType::Ipv6,
    }
}

fn set(f: Family, name: &str, kind: SetKind, key: &[FieldType]) -> Set {
    let types: Vec<DataType> = key
        .iter()
        .map(|k| match k {
            FieldType::Address => address_type(f),
            FieldType::Protocol => DataType::Proto,
            FieldType::Port => DataType::Port,
        })
        .collect();
    let plain = Set::keys(name, &types);
    match kind {
        SetKind::Plain => plain,
        SetKind::VerdictMap => Set { value: SetValue::Verdict, ..plain },
        SetKind::Affinity { timeout_s } => Set { timeout_ms: Some(u64::from(timeout_s) * 1000), ..plain },
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A single field goes bare; several are padded to registers.
fn key_bytes(key: &Key) -> Vec<u8> {
    let mut out = Vec::new();
    for field in key {
        match field {
            Field::Address(ip) => out.extend(octets(*ip)),
            Field::Protocol(p) => out.push(p.number()),
            Field::Port(p) => out.extend(p.to_be_bytes()),
        }
        if key.len() > 1 {
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    out
}

fn words(f: Family) -> u8 {
    match f {
        Family::V4 => 1,
        Family::V6 => 4,
    }
}

fn field_of(f: Family, side: Side) -> Load {
    match (f, side) {
        (Family::V4, Side::Source) => Load::Ipv4Src,
        (Family::V4, Side::Destination) => Load::Ipv4Dst,
        (Family::V6, Side::Source) => Load::Ipv6Src,
        (Family::V6, Side::Destination) => Load::Ipv6Dst,
    }
}

/// Loads a key into registers from 0 on.
fn load_key(f: Family, key: &[Part]) -> Vec<Expr> {
    let mut at = 0;
    let mut out = Vec::new();
    for part in key {
        let (expr, taken) = match part {
            Part::Source => (Expr::load(field_of(f, Side::Source), Reg(at)), words(f)),
            Part::Destination => (Expr::load(field_of(f, Side::Destination), Reg(at)), words(f)),
            Part::Protocol => (Expr::Meta(MetaKey::L4Proto, Reg(at)), 1),
            Part::DestinationPort => (Expr::load(Load::DstPort, Reg(at)), 1),
        };
        out.push(expr);
        at += taken;
    }
    out
}

fn verdict(v: &proxy::Verdict) -> Verdict {
    match v {
        proxy::Verdict::Drop => Verdict::Drop,
        proxy::Verdict::Return => Verdict::Return,
        proxy::Verdict::Goto(c) => Verdict::Goto(c.clone()),
        proxy::Verdict::Jump(c) => Verdict::Jump(c.clone()),
    }
}

fn look_up(f: Family, key: &[Part], set: &str, target: Target) -> Vec<Expr> {
    let mut out = load_key(f, key);
    out.push(Expr::Lookup { set: SetRef::Named(set.into()), key: Reg(0), target });
    out
}

fn statement(f: Family, stmt: &Stmt) -> Vec<Expr> {
    match stmt {
        Stmt::CtNew => Expr::ct_new(),
        Stmt::CtDnat => Expr::ct_dnat(),
        Stmt::Net { side, net, negate } => {
            let op = if *negate { CmpOp::Neq } else { CmpOp::Eq };
            Expr::in_net(field_of(f, *side), op, *net)
        }
        Stmt::Local { side, negate } => {
            let fib = match side {
                Side::Source => Fib::SourceType,
                Side::Destination => Fib::DestinationType,
            };
            Expr::address_is_local(fib, !negate)
        }
        Stmt::In { key, set } => look_up(f, key, set, Target::Match),
        Stmt::Vmap { key, map } => look_up(f, key, map, Target::Verdict),
        Stmt::MarkSet => mark(MARK),
        Stmt::MarkClear => mark(0),
        Stmt::Marked => {
            let [mask, cmp] = Expr::any_bit(Reg(0), MARK);
            vec![Expr::Meta(MetaKey::Mark, Reg(0)), mask, cmp]
        }
        Stmt::Remember { set } => vec![
            Expr::load(field_of(f, Side::Source), Reg(0)),
            Expr::Dynset { op: DynsetOp::Update, set: set.clone(), key: Reg(0), timeout_ms: None },
        ],
        Stmt::Dnat { protocol, to } => dnat(f, *protocol, to),
        Stmt::RandomGoto(chains) => random_goto(chains),
        Stmt::Reset => {
            let tcp = vec![proxy::Protocol::Tcp.number()];
            let reset = Expr::Reject(Reject::TcpReset, family(f));
            vec![Expr::Meta(MetaKey::L4Proto, Reg(0)), Expr::Cmp(CmpOp::Eq, Reg(0), tcp), reset]
        }
        Stmt::Reject => vec![Expr::Reject(Reject::PortUnreachable, family(f))],
        Stmt::Masquerade => vec![Expr::Masquerade],
        Stmt::Verdict(v) => vec![Expr::Verdict(verdict(v))],
    }
}

/// Sets the masquerade bit of the mark to `bit`.
fn mark(bit: u32) -> Vec<Expr> {
    let (mask, xor) = ((!MARK).to_ne_bytes().to_vec(), bit.to_ne_bytes().to_vec());
    vec![Expr::Meta(MetaKey::Mark, Reg(0)), Expr::Bitwise { reg: Reg(0), mask, xor }, Expr::SetMark(Reg(0))]
}

fn dnat(f: Family, protocol: proxy::Protocol, to: &[(IpAddr, u16)]) -> Vec<Expr> {
    let mut out = vec![Expr::Meta(MetaKey::L4Proto, Reg(0)), Expr::Cmp(CmpOp::Eq, Reg(0), vec![protocol.number()])];
    let port_reg = Reg(NAT_REG.0 + words(f));
    match to {
        [(ip, port)] => {
            out.push(Expr::Immediate(NAT_REG, octets(*ip)));
            out.push(Expr::Immediate(port_reg, port.to_be_bytes().to_vec()));
        }
        many => {
            let elements = (0u32..).zip(many).map(|(i, (ip, port))| {
                let mut value = octets(*ip);
                value.extend(port.to_be_bytes());
                value.extend([0, 0]);
                Element::data(i.to_ne_bytes().to_vec(), value)
            });
            let map = Set::map("__map%d", &[DataType::Integer], &[address_type(f), DataType::Port]);
            out.push(Expr::Random { modulus: many.len() as u32, dreg: Reg(0) });
            let set = SetRef::Anonymous(map, elements.collect());
            out.push(Expr::Lookup { set, key: Reg(0), target: Target::Reg(NAT_REG) });
        }
    }
    out.push(Expr::Nat(NatKind::Dnat, family(f), NatTarget { addr: NAT_REG, port: Some(port_reg) }));
    out
}

fn random_goto(chains: &[String]) -> Vec<Expr> {
    let elements = (0u32..).zip(chains).map(|(i, c)| Element::verdict(i.to_ne_bytes().to_vec(), Verdict::Goto(c.clone())));
    let map = Set::verdicts("__map%d", &[DataType::Integer]);
    vec![
        Expr::Random { modulus: chains.len() as u32, dreg: Reg(0) },
        Expr::Lookup { set: SetRef::Anonymous(map, elements.collect()), key: Reg(0), target: Target::Verdict },
    ]
}
