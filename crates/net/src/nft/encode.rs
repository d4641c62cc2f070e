//! Operations to bytes: message and attribute numbers of nf_tables.h.

use super::expr::{CmpOp, CtKey, DynsetOp, Expr, Fib, LimitUnit, MetaKey, NatKind, PayloadBase, Reg, Reject, SetRef, Target};
use super::model::{
    BaseChain, Chain, ChainKind, DataType, Element, Family, Hook, Op, Rule, Set, SetValue, Value, Verdict,
};
use super::Transaction;
use crate::NetError;
use crate::netlink::{Socket, Writer};

pub(super) const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = SUBSYSTEM;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const DELCHAIN: u16 = SUBSYSTEM | 5;
const NEWRULE: u16 = SUBSYSTEM | 6;
const DELRULE: u16 = SUBSYSTEM | 8;
const NEWSET: u16 = SUBSYSTEM | 9;
const DELSET: u16 = SUBSYSTEM | 11;
const NEWSETELEM: u16 = SUBSYSTEM | 12;
const DELSETELEM: u16 = SUBSYSTEM | 14;

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;

const SET_ANONYMOUS: u32 = 1;
const SET_CONSTANT: u32 = 2;
const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
const SET_TIMEOUT: u32 = 0x10;
const SET_EVAL: u32 = 0x20;
const DATA_VERDICT: u32 = 0xffff_ff00;
const ELEM_INTERVAL_END: u32 = 1;
const LIST_ELEM: u16 = 1;
/// Room for elements in one message: an attribute is at most 65,535 bytes long.
const ELEMENTS_BYTES: usize = 48 << 10;
/// The longest comment that listing tools show.
const COMMENT_BYTES: usize = 127;

/// An encoded transaction and which operation each message came from.
pub(super) struct Batch {
    w: Writer,
    pub(super) first: u32,
    pub(super) last: u32,
    origin: Vec<(u32, String)>,
}

impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        self.w.bytes()
    }

    /// The error with the operation that caused it.
    pub(super) fn explain(&self, seq: u32, error: NetError) -> NetError {
        let what = self.origin.iter().rev().find(|(s, _)| *s <= seq).map(|(_, o)| o.as_str()).unwrap_or("commit");
        match error {
            NetError::Netlink { op, errno, detail } => {
                let said = detail.map(|d| format!(": {d}")).unwrap_or_default();
                NetError::Netlink { op, errno, detail: Some(format!("{what}{said}")) }
            }
            other => other,
        }
    }
}

struct Encoder<'a> {
    w: Writer,
    socket: &'a mut Socket,
    family: u8,
    table: &'a str,
    set_id: u32,
    last_start: usize,
    last_seq: u32,
}

pub(super) fn batch(socket: &mut Socket, transactions: &[Transaction]) -> Result<Batch, NetError> {
    let first = socket.next_seq();
    let mut e = Encoder { w: Writer::new(), socket, family: 0, table: "", set_id: 0, last_start: 0, last_seq: 0 };
    let mut origin = Vec::new();
    e.bracket(BATCH_BEGIN, first);
    for t in transactions {
        e.family = t.family.number();
        e.table = &t.table;
        for op in &t.ops {
            let before = e.last_seq;
            e.op(op);
            origin.push((before.max(first) + 1, describe(&t.table, op)));
        }
    }
    let last = e.last_seq;
    e.w.set_flags(e.last_start, libc::NLM_F_ACK as u16);
    let end = e.socket.next_seq();
    e.bracket(BATCH_END, end);
    Ok(Batch { w: e.w, first, last, origin })
}

fn describe(table: &str, op: &Op) -> String {
    match op {
        Op::AddTable => format!("add table {table}"),
        Op::DeleteTable => format!("delete table {table}"),
        Op::AddChain(c) => format!("add chain {table} {}", c.name),
        Op::FlushChain(c) => format!("flush chain {table} {c}"),
        Op::DeleteChain(c) => format!("delete chain {table} {c}"),
        Op::AddSet(s) => format!("add set {table} {}", s.name),
        Op::FlushSet(s) => format!("flush set {table} {s}"),
        Op::DeleteSet(s) => format!("delete set {table} {s}"),
        Op::AddElements(s, _) => format!("add elements {table} {s}"),
        Op::DeleteElements(s, _) => format!("delete elements {table} {s}"),
        Op::AddRule(r) => format!("add rule {table} {} {}", r.chain, r.comment.as_deref().unwrap_or_default()),
    }
}

/// A single value goes bare; the fields of a concatenation are padded to registers.
pub(super) fn width(types: &[DataType]) -> u32 {
    match types {
        [one] => one.len() as u32,
        many => many.iter().map(|t| t.len().next_multiple_of(4) as u32).sum(),
    }
}

fn type_id(types: &[DataType]) -> u32 {
    types.iter().fold(0, |id, t| (id << 6) | t.id())
}

impl Encoder<'_> {
    fn bracket(&mut self, kind: u16, seq: u32) {
        self.w.message(kind, libc::NLM_F_REQUEST as u16, seq).raw(&[0, 0, 0, 10]);
        self.w.finish();
    }

    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer)) {
        let seq = self.socket.next_seq();
        self.last_seq = seq;
        self.last_start = self.w.mark();
        self.w.message(kind, flags | libc::NLM_F_REQUEST as u16, seq).raw(&[self.family, 0, 0, 0]).str(1, self.table);
        fill(&mut self.w);
        self.w.finish();
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::AddTable => self.message(NEWTABLE, CREATE, |w| {
                w.be32(2, 0);
            }),
            Op::DeleteTable => self.message(DELTABLE, 0, |_| {}),
            Op::AddChain(c) => self.message(NEWCHAIN, CREATE, |w| chain(w, c)),
            Op::FlushChain(name) => self.message(DELRULE, 0, |w| {
                w.str(2, name);
            }),
            Op::DeleteChain(name) => self.message(DELCHAIN, 0, |w| {
                w.str(3, name);
            }),
            Op::AddSet(s) => {
                self.set_id += 1;
                let id = self.set_id;
                self.message(NEWSET, CREATE, |w| set(w, s, id, 0));
            }
            Op::FlushSet(name) => self.message(DELSETELEM, 0, |w| {
                w.str(2, name);
            }),
            Op::DeleteSet(name) => self.message(DELSET, 0, |w| {
                w.str(2, name);
            }),
            Op::AddElements(name, elements) => self.elements(NEWSETELEM, CREATE, name, None, elements),
            Op::DeleteElements(name, elements) => self.elements(DELSETELEM, 0, name, None, elements),
            Op::AddRule(r) => self.rule(r),
        }
    }

    fn elements(&mut self, kind: u16, flags: u16, name: &str, id: Option<u32>, elements: &[Element]) {
        let mut rest = elements;
        while !rest.is_empty() {
            let mut taken = 0;
            self.message(kind, flags, |w| {
                w.str(2, name);
                if let Some(id) = id {
                    w.be32(4, id);
                }
                w.nest(3, |w| {
                    let start = w.mark();
                    for e in rest {
                        if w.since(start) > ELEMENTS_BYTES {
                            break;
                        }
                        w.nest(LIST_ELEM, |w| element(w, e));
                        taken += 1;
                    }
                });
            });
            rest = &rest[taken..];
        }
    }

    /// A rule, after the anonymous sets that it looks into.
    fn rule(&mut self, r: &Rule) {
        let mut ids = Vec::new();
        for e in &r.exprs {
            let Expr::Lookup { set: SetRef::Anonymous(spec, elements), .. } = e else { continue };
            self.set_id += 1;
            let id = self.set_id;
            ids.push(id);
            self.message(NEWSET, CREATE, |w| set(w, spec, id, SET_ANONYMOUS | SET_CONSTANT));
            self.elements(NEWSETELEM, CREATE, &spec.name, Some(id), elements);
        }
        let mut ids = ids.into_iter();
        self.message(NEWRULE, APPEND, |w| {
            w.str(2, &r.chain);
            w.nest(4, |w| {
                for e in &r.exprs {
                    w.nest(LIST_ELEM, |w| {
                        w.str(1, expr_name(e)).nest(2, |w| expr(w, e, &mut ids));
                    });
                }
            });
            if let Some(c) = &r.comment {
                w.attr(7, &comment(c));
            }
        });
    }
}

/// Comments as the nft tool stores them: type, length, text.
fn comment(text: &str) -> Vec<u8> {
    let mut end = text.len().min(COMMENT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = vec![0, end as u8 + 1];
    out.extend_from_slice(&text.as_bytes()[..end]);
    out.push(0);
    out
}

fn chain(w: &mut Writer, c: &Chain) {
    w.str(3, &c.name);
    if let Some(BaseChain { kind, hook, priority }) = c.base {
        let hook = match hook {
            Hook::Prerouting => 0,
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
            Hook::Postrouting => 4,
        };
        w.nest(4, |w| {
            w.be32(1, hook).be32(2, priority as u32);
        });
        w.str(
            7,
            match kind {
                ChainKind::Filter => "filter",
                ChainKind::Nat => "nat",
                ChainKind::Route => "route",
            },
        );
    }
    if let Some(c) = &c.comment {
        w.attr(12, &comment(c));
    }
}

fn set(w: &mut Writer, s: &Set, id: u32, flags: u32) {
    let mut flags = flags;
    if s.interval {
        flags |= SET_INTERVAL;
    }
    if s.timeout_ms.is_some() {
        flags |= SET_TIMEOUT | SET_EVAL;
    }
    if s.value != SetValue::None {
        flags |= SET_MAP;
    }
    w.str(2, &s.name).be32(3, flags).be32(4, type_id(&s.key)).be32(5, width(&s.key));
    match &s.value {
        SetValue::None => {}
        SetValue::Verdict => {
            w.be32(6, DATA_VERDICT).be32(7, 16);
        }
        SetValue::Data(types) => {
            w.be32(6, type_id(types)).be32(7, width(types));
        }
    }
    if let Some(size) = s.size {
        w.nest(9, |w| {
            w.be32(1, size);
        });
    }
    w.be32(10, id);
    if let Some(ms) = s.timeout_ms.filter(|ms| *ms > 0) {
        w.be64(11, ms);
    }
    if s.key == [DataType::Integer] {
        // Tells listing tools that the key is in host order.
        let mut userdata = vec![0, 4];
        userdata.extend_from_slice(&1u32.to_ne_bytes());
        w.attr(13, &userdata);
    }
}

fn element(w: &mut Writer, e: &Element) {
    w.nest(1, |w| {
        w.attr(1, &e.key);
    });
    match &e.value {
        None => {}
        Some(Value::Data(data)) => {
            w.nest(2, |w| {
                w.attr(1, data);
            });
        }
        Some(Value::Verdict(v)) => {
            w.nest(2, |w| verdict(w, v));
        }
    }
    if e.interval_end {
        w.be32(3, ELEM_INTERVAL_END);
    }
    if let Some(c) = &e.comment {
        w.attr(6, &comment(c));
    }
}

fn verdict(w: &mut Writer, v: &Verdict) {
    let (code, chain): (i32, Option<&str>) = match v {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(c) => (-3, Some(c)),
        Verdict::Goto(c) => (-4, Some(c)),
        Verdict::Return => (-5, None),
    };
    w.nest(2, |w| {
        w.be32(1, code as u32);
        if let Some(c) = chain {
            w.str(2, c);
        }
    });
}

fn expr_name(e: &Expr) -> &'static str {
    match e {
        Expr::Payload { .. } => "payload",
        Expr::Meta(..) | Expr::SetMark(_) => "meta",
        Expr::Ct(..) => "ct",
        Expr::Cmp(..) => "cmp",
        Expr::Bitwise { .. } => "bitwise",
        Expr::Lookup { .. } => "lookup",
        Expr::Verdict(_) | Expr::Immediate(..) => "immediate",
        Expr::Nat(..) => "nat",
        Expr::Masquerade => "masq",
        Expr::Redirect(_) => "redir",
        Expr::Random { .. } => "numgen",
        Expr::Reject(..) => "reject",
        Expr::Counter => "counter",
        Expr::Limit { .. } => "limit",
        Expr::Dynset { .. } => "dynset",
        Expr::Fib(..) => "fib",
    }
}

const META_MARK: u32 = 3;
const CT_DIR_ORIGINAL: u8 = 0;
const NAT_RANDOM_FULLY: u32 = 0x10;

fn expr(w: &mut Writer, e: &Expr, ids: &mut impl Iterator<Item = u32>) {
    match e {
        Expr::Payload { base, offset, len, dreg } => {
            let base = match base {
                PayloadBase::Network => 1,
                PayloadBase::Transport => 2,
            };
            w.be32(1, dreg.number()).be32(2, base).be32(3, *offset).be32(4, *len);
        }
        Expr::Meta(key, dreg) => {
            let key = match key {
                MetaKey::Mark => META_MARK,
                MetaKey::IifName => 6,
                MetaKey::OifName => 7,
                MetaKey::L4Proto => 16,
            };
            w.be32(1, dreg.number()).be32(2, key);
        }
        Expr::SetMark(sreg) => {
            w.be32(2, META_MARK).be32(3, sreg.number());
        }
        Expr::Ct(key, dreg) => ct(w, *key, *dreg),
        Expr::Cmp(op, sreg, data) => {
            w.be32(1, sreg.number()).be32(2, if *op == CmpOp::Eq { 0 } else { 1 }).nest(3, |w| {
                w.attr(1, data);
            });
        }
        Expr::Bitwise { reg, mask, xor } => {
            w.be32(1, reg.number()).be32(2, reg.number()).be32(3, mask.len() as u32);
            w.nest(4, |w| {
                w.attr(1, mask);
            });
            w.nest(5, |w| {
                w.attr(1, xor);
            });
        }
        Expr::Lookup { set, key, target } => lookup(w, set, *key, *target, ids),
        Expr::Verdict(v) => {
            w.be32(1, 0).nest(2, |w| verdict(w, v));
        }
        Expr::Immediate(dreg, data) => {
            w.be32(1, dreg.number()).nest(2, |w| {
                w.attr(1, data);
            });
        }
        other => statement(w, other),
    }
}

fn ct(w: &mut Writer, key: CtKey, dreg: Reg) {
    let (key, directed) = match key {
        CtKey::State => (0, false),
        CtKey::Status => (2, false),
        CtKey::OriginalProtoDst => (12, true),
        CtKey::OriginalIpv4Dst => (20, true),
        CtKey::OriginalIpv6Dst => (22, true),
    };
    w.be32(1, dreg.number()).be32(2, key);
    if directed {
        w.attr(3, &[CT_DIR_ORIGINAL]);
    }
}

fn lookup(w: &mut Writer, set: &SetRef, key: Reg, target: Target, ids: &mut impl Iterator<Item = u32>) {
    match set {
        SetRef::Named(name) => w.str(1, name),
        SetRef::Anonymous(spec, _) => w.str(1, &spec.name),
    };
    w.be32(2, key.number());
    match target {
        Target::Match => {}
        Target::NoMatch => {
            w.be32(5, 1);
        }
        Target::Verdict => {
            w.be32(3, 0);
        }
        Target::Reg(r) => {
            w.be32(3, r.number());
        }
    }
    if matches!(set, SetRef::Anonymous(..))
        && let Some(id) = ids.next()
    {
        w.be32(4, id);
    }
}

fn statement(w: &mut Writer, e: &Expr) {
    match e {
        Expr::Nat(kind, family, target) => {
            let kind = match kind {
                NatKind::Snat => 0,
                NatKind::Dnat => 1,
            };
            w.be32(1, kind).be32(2, family.number().into()).be32(3, target.addr.number());
            if let Some(port) = target.port {
                w.be32(5, port.number());
            }
        }
        Expr::Masquerade => {
            w.be32(1, NAT_RANDOM_FULLY);
        }
        Expr::Redirect(Some(port)) => {
            w.be32(1, port.number());
        }
        Expr::Random { modulus, dreg } => {
            w.be32(1, dreg.number()).be32(2, *modulus).be32(3, 1).be32(4, 0);
        }
        Expr::Reject(Reject::TcpReset, _) => {
            w.be32(1, 1).attr(2, &[0]);
        }
        Expr::Reject(Reject::PortUnreachable, family) => match family {
            Family::Ip => {
                w.be32(1, 0).attr(2, &[3]);
            }
            Family::Ip6 => {
                w.be32(1, 0).attr(2, &[4]);
            }
            Family::Inet => {
                w.be32(1, 2).attr(2, &[1]);
            }
        },
        Expr::Counter => {
            w.be64(1, 0).be64(2, 0);
        }
        Expr::Limit { rate, per, burst } => {
            let unit = match per {
                LimitUnit::Second => 1,
                LimitUnit::Minute => 60,
            };
            w.be64(1, *rate).be64(2, unit).be32(3, *burst).be32(4, 0);
        }
        Expr::Dynset { op, set, key, timeout_ms } => {
            w.str(1, set).be32(3, if *op == DynsetOp::Add { 0 } else { 1 }).be32(4, key.number());
            if let Some(ms) = timeout_ms {
                w.be64(6, *ms);
            }
        }
        Expr::Fib(which, dreg) => {
            let flags = match which {
                Fib::SourceType => 1,
                Fib::DestinationType => 2,
            };
            w.be32(1, dreg.number()).be32(2, 3).be32(3, flags);
        }
        _ => {}
    }
}
