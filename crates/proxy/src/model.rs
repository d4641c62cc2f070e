//! The ruleset as a value: tables of chains and sets, in stable order, in nftables' own words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::flows::UdpFlows;

/// The name of the table, of both families: the one that the KEP gives it.
pub const TABLE: &str = "kube-proxy";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }
    /// The family of a range.
    #[must_use]
    pub fn of_net(net: &IpNet) -> Self {
        Self::of(net.addr())
    }
}

/// A transport protocol of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// Reads the API's word; absent means TCP.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }
    /// nftables' word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
    /// The IANA number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// The type of one field of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// An address of the table's family.
    Address,
    Protocol,
    Port,
}

/// One field of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Address(IpAddr),
    Protocol(Protocol),
    Port(u16),
}

/// The key of an element.
pub type Key = Vec<Field>;

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Drop,
    Return,
    Goto(String),
    Jump(String),
}

/// An element's value and comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `None` in plain sets.
    pub verdict: Option<Verdict>,
    /// For people who look at the ruleset.
    pub comment: Option<String>,
}

/// What kind of set it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Plain,
    VerdictMap,
    /// Filled by rules; elements go after so many seconds.
    Affinity { timeout_s: u32 },
}

/// A set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub kind: SetKind,
    pub key: Vec<FieldType>,
    pub comment: Option<&'static str>,
    pub elements: BTreeMap<Key, Entry>,
}

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// The hook of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// A nat chain; otherwise a filter chain.
    pub nat: bool,
    pub hook: Hook,
    pub priority: i32,
}

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Destination,
}

/// What a lookup's key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Source,
    Destination,
    Protocol,
    DestinationPort,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stmt {
    /// Goes on in new flows.
    CtNew,
    /// Goes on in flows whose destination was translated.
    CtDnat,
    /// Goes on if the address is in the range (or not).
    Net { side: Side, net: IpNet, negate: bool },
    /// Goes on if the address is this machine's (or not).
    Local { side: Side, negate: bool },
    /// Goes on if the key is in the set.
    In { key: Vec<Part>, set: String },
    /// Does what the map says for the key; goes on if it says nothing.
    Vmap { key: Vec<Part>, map: String },
    /// Marks the packet for masquerading.
    MarkSet,
    /// Goes on if the packet is marked.
    Marked,
    /// Takes the mark away.
    MarkClear,
    /// Remembers the client in an affinity set, from now.
    Remember { set: String },
    /// Leads to one of the endpoints, at random.
    Dnat { protocol: Protocol, to: Vec<(IpAddr, u16)> },
    /// Goes to one of the chains, at random.
    RandomGoto(Vec<String>),
    /// Refuses TCP with a reset: unlike ICMP, the kernel does not ration it, so every client is told at once.
    Reset,
    /// Refuses with ICMP port unreachable.
    Reject,
    Masquerade,
    Verdict(Verdict),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub stmts: Vec<Stmt>,
    pub comment: Option<&'static str>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

/// All of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub sets: BTreeMap<String, Set>,
    pub chains: BTreeMap<String, Chain>,
}

/// Everything that the kernel should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub tables: BTreeMap<Family, Table>,
    /// Where UDP flows may lead, to find those that must be forgotten.
    pub udp: UdpFlows,
}
