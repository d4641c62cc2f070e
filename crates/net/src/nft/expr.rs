//! Expressions: the instructions of which rules are made, on sixteen registers of four bytes.

use super::model::{Element, Family, Set, Verdict};

/// A register of four bytes, 0 to 15; longer values take the following ones too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(pub u8);

impl Reg {
    pub(super) fn number(self) -> u32 {
        8 + u32::from(self.0)
    }
}

/// Which header an offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadBase {
    /// Network header.
    Network,
    /// Transport header.
    Transport,
}

/// Facts about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaKey {
    /// Its mark.
    Mark,
    /// Name of the device that it came in by.
    IifName,
    /// Name of the device that it goes out by.
    OifName,
    /// Its transport protocol.
    L4Proto,
}

/// Facts about a packet's flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtKey {
    /// New, established, ...: a bit set.
    State,
    /// Translated, ...: a bit set.
    Status,
    /// IPv4 destination before translation.
    OriginalIpv4Dst,
    /// IPv6 destination before translation.
    OriginalIpv6Dst,
    /// Destination port before translation.
    OriginalProtoDst,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
}

/// Which translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// Of the source.
    Snat,
    /// Of the destination.
    Dnat,
}

/// Registers that hold the translated address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatTarget {
    /// The address.
    pub addr: Reg,
    /// The port.
    pub port: Option<Reg>,
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// ICMP port unreachable (of the table's family).
    PortUnreachable,
    /// TCP reset.
    TcpReset,
}

/// What a rule does to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynsetOp {
    /// Adds the key if it is not there.
    Add,
    /// Adds the key, or starts its timeout again.
    Update,
}

/// Which of a packet's addresses to ask the routing table about, for the kind of address that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fib {
    /// The source.
    SourceType,
    /// The destination.
    DestinationType,
}

/// The unit of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
}

/// A set to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetRef {
    /// By name.
    Named(String),
    /// Made for this rule alone, with its elements.
    Anonymous(Set, Vec<Element>),
}

/// Where the result of a lookup goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nowhere: the rule goes on if the key is there.
    Match,
    /// Nowhere: the rule goes on if the key is not there.
    NoMatch,
    /// The found verdict is the rule's.
    Verdict,
    /// Into registers.
    Reg(Reg),
}

/// Header fields that are often needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// IPv4 source.
    Ipv4Src,
    /// IPv4 destination.
    Ipv4Dst,
    /// IPv6 source.
    Ipv6Src,
    /// IPv6 destination.
    Ipv6Dst,
    /// Transport source port.
    SrcPort,
    /// Transport destination port.
    DstPort,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Loads bytes of a header.
    Payload {
        /// Counted from here.
        base: PayloadBase,
        /// Bytes to skip.
        offset: u32,
        /// Bytes to load.
        len: u32,
        /// Into here.
        dreg: Reg,
    },
    /// Loads a fact about the packet.
    Meta(MetaKey, Reg),
    /// Sets the packet's mark from a register.
    SetMark(Reg),
    /// Loads a fact about the flow.
    Ct(CtKey, Reg),
    /// Goes on only if the comparison holds.
    Cmp(CmpOp, Reg, Vec<u8>),
    /// `reg = (reg & mask) ^ xor`.
    Bitwise {
        /// From and into here.
        reg: Reg,
        /// And this.
        mask: Vec<u8>,
        /// Then exclusive-or this.
        xor: Vec<u8>,
    },
    /// Looks a key up.
    Lookup {
        /// In which set.
        set: SetRef,
        /// The key's first register.
        key: Reg,
        /// What to do with the answer.
        target: Target,
    },
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Loads a constant.
    Immediate(Reg, Vec<u8>),
    /// Translates addresses.
    Nat(NatKind, Family, NatTarget),
    /// Translates the source to the outgoing device's address, with random ports.
    Masquerade,
    /// Translates the destination to this machine, at the port in a register.
    Redirect(Option<Reg>),
    /// A random number below the modulus.
    Random {
        /// One more than the largest.
        modulus: u32,
        /// Into here.
        dreg: Reg,
    },
    /// Refuses the packet, telling the sender.
    Reject(Reject, Family),
    /// Counts packets and bytes.
    Counter,
    /// Goes on only below a rate.
    Limit {
        /// So many packets.
        rate: u64,
        /// In this time.
        per: LimitUnit,
        /// Plus so many at once.
        burst: u32,
    },
    /// Writes a key into a set.
    Dynset {
        /// How.
        op: DynsetOp,
        /// Into which set.
        set: String,
        /// The key's first register.
        key: Reg,
        /// For how long, if not for the set's own timeout.
        timeout_ms: Option<u64>,
    },
    /// Loads the kind of an address (local, unicast, ...).
    Fib(Fib, Reg),
}

/// The flow has just begun.
const CT_STATE_NEW: u32 = 8;
/// The flow's destination is translated.
const CT_STATUS_DNAT: u32 = 0x20;
/// An address of this machine.
const RTN_LOCAL: u32 = 2;

impl Expr {
    /// Loads a well-known header field.
    pub fn load(field: Load, dreg: Reg) -> Self {
        let (base, offset, len) = match field {
            Load::Ipv4Src => (PayloadBase::Network, 12, 4),
            Load::Ipv4Dst => (PayloadBase::Network, 16, 4),
            Load::Ipv6Src => (PayloadBase::Network, 8, 16),
            Load::Ipv6Dst => (PayloadBase::Network, 24, 16),
            Load::SrcPort => (PayloadBase::Transport, 0, 2),
            Load::DstPort => (PayloadBase::Transport, 2, 2),
        };
        Expr::Payload { base, offset, len, dreg }
    }

    /// Goes on if any of these bits is set in the register (which is changed).
    pub fn any_bit(reg: Reg, bits: u32) -> [Self; 2] {
        [
            Expr::Bitwise { reg, mask: bits.to_ne_bytes().to_vec(), xor: vec![0; 4] },
            Expr::Cmp(CmpOp::Neq, reg, vec![0; 4]),
        ]
    }

    /// Goes on in new flows only.
    pub fn ct_new() -> Vec<Self> {
        let [mask, cmp] = Self::any_bit(Reg(0), CT_STATE_NEW);
        vec![Expr::Ct(CtKey::State, Reg(0)), mask, cmp]
    }

    /// Goes on in flows whose destination is translated.
    pub fn ct_dnat() -> Vec<Self> {
        let [mask, cmp] = Self::any_bit(Reg(0), CT_STATUS_DNAT);
        vec![Expr::Ct(CtKey::Status, Reg(0)), mask, cmp]
    }

    /// Goes on if the address is (or is not) one of this machine's.
    pub fn address_is_local(which: Fib, local: bool) -> Vec<Self> {
        let op = if local { CmpOp::Eq } else { CmpOp::Neq };
        vec![Expr::Fib(which, Reg(0)), Expr::Cmp(op, Reg(0), RTN_LOCAL.to_ne_bytes().to_vec())]
    }

    /// Goes on if the packet came in (or did not) by the device of this name.
    pub fn iif_name(op: CmpOp, name: &str) -> Vec<Self> {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        vec![Expr::Meta(MetaKey::IifName, Reg(0)), Expr::Cmp(op, Reg(0), bytes)]
    }

    /// Goes on if the packet goes out (or does not) by the device of this name.
    pub fn oif_name(op: CmpOp, name: &str) -> Vec<Self> {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        vec![Expr::Meta(MetaKey::OifName, Reg(0)), Expr::Cmp(op, Reg(0), bytes)]
    }

    /// Goes on if a header's address is (or is not) inside a range.
    pub fn in_net(field: Load, op: CmpOp, net: ipnet::IpNet) -> Vec<Self> {
        let net = net.trunc();
        let (addr, mask) = match net {
            ipnet::IpNet::V4(n) => (n.addr().octets().to_vec(), n.netmask().octets().to_vec()),
            ipnet::IpNet::V6(n) => (n.addr().octets().to_vec(), n.netmask().octets().to_vec()),
        };
        if net.prefix_len() == net.max_prefix_len() {
            return vec![Expr::load(field, Reg(0)), Expr::Cmp(op, Reg(0), addr)];
        }
        let xor = vec![0; addr.len()];
        vec![Expr::load(field, Reg(0)), Expr::Bitwise { reg: Reg(0), mask, xor }, Expr::Cmp(op, Reg(0), addr)]
    }
}
