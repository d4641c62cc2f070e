//! The nouns of nftables: families, chains, sets, elements, rules and the operations on them.

use super::Expr;

/// An address family of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ip => 2,
            Family::Ip6 => 10,
        }
    }
}

/// What a base chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Accept, drop, reject.
    Filter,
    /// Address translation: sees the first packet of each flow.
    Nat,
    /// Rewrites marks of local packets, then routes again.
    Route,
}

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To a local process.
    Input,
    /// Through the machine.
    Forward,
    /// From a local process.
    Output,
    /// After routing.
    Postrouting,
}

/// The hook of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain {
    /// What for.
    pub kind: ChainKind,
    /// Where.
    pub hook: Hook,
    /// In which order among others at the hook.
    pub priority: i32,
}

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Its hook; `None`: only jumped to.
    pub base: Option<BaseChain>,
    /// Shown by listings.
    pub comment: Option<String>,
}

/// The type of one field of a key or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    /// IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
    /// Transport protocol number.
    Proto,
    /// Port.
    Port,
    /// A packet mark (host order).
    Mark,
    /// A number of four bytes (host order).
    Integer,
    /// A device name, padded to 16 bytes.
    IfName,
}

impl DataType {
    pub(super) fn id(self) -> u32 {
        match self {
            DataType::Integer => 4,
            DataType::Ipv4 => 7,
            DataType::Ipv6 => 8,
            DataType::Proto => 12,
            DataType::Port => 13,
            DataType::Mark => 19,
            DataType::IfName => 41,
        }
    }

    /// Bytes of a bare value.
    pub fn len(self) -> usize {
        match self {
            DataType::Proto => 1,
            DataType::Port => 2,
            DataType::Integer | DataType::Mark | DataType::Ipv4 => 4,
            DataType::Ipv6 | DataType::IfName => 16,
        }
    }

    /// Never: every type has a length.
    pub fn is_empty(self) -> bool {
        false
    }
}

/// What a set maps its keys to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// Nothing: a set.
    None,
    /// Verdicts: a verdict map.
    Verdict,
    /// Data: a map.
    Data(Vec<DataType>),
}

/// A set, map or verdict map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// The fields of its keys.
    pub key: Vec<DataType>,
    /// What the keys lead to.
    pub value: SetValue,
    /// Elements expire after so many milliseconds (and may be added by rules).
    pub timeout_ms: Option<u64>,
    /// At most so many elements.
    pub size: Option<u32>,
    /// Keys are the bounds of intervals.
    pub interval: bool,
}

impl Set {
    /// A set of keys.
    pub fn keys(name: impl Into<String>, key: &[DataType]) -> Self {
        Self { name: name.into(), key: key.to_vec(), value: SetValue::None, timeout_ms: None, size: None, interval: false }
    }

    /// A map from keys to verdicts.
    pub fn verdicts(name: impl Into<String>, key: &[DataType]) -> Self {
        Self { value: SetValue::Verdict, ..Self::keys(name, key) }
    }

    /// A map from keys to data.
    pub fn map(name: impl Into<String>, key: &[DataType], value: &[DataType]) -> Self {
        Self { value: SetValue::Data(value.to_vec()), ..Self::keys(name, key) }
    }
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on past this hook's chain.
    Accept,
    /// Disappears.
    Drop,
    /// Back to the calling chain.
    Return,
    /// Into a chain, and back after it.
    Jump(String),
    /// Into a chain, not back.
    Goto(String),
}

/// The value of a map's element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a verdict map.
    Verdict(Verdict),
    /// Of a map: each field padded to four bytes when there are several.
    Data(Vec<u8>),
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key: each field padded to four bytes when there are several.
    pub key: Vec<u8>,
    /// The value, in maps.
    pub value: Option<Value>,
    /// The key is the first one after an interval.
    pub interval_end: bool,
    /// Shown by listings.
    pub comment: Option<String>,
}

impl Element {
    /// A bare key.
    pub fn key(key: Vec<u8>) -> Self {
        Self { key, value: None, interval_end: false, comment: None }
    }

    /// A key that leads to a verdict.
    pub fn verdict(key: Vec<u8>, verdict: Verdict) -> Self {
        Self { value: Some(Value::Verdict(verdict)), ..Self::key(key) }
    }

    /// A key that leads to data.
    pub fn data(key: Vec<u8>, data: Vec<u8>) -> Self {
        Self { value: Some(Value::Data(data)), ..Self::key(key) }
    }

    /// With a comment.
    #[must_use]
    pub fn with_comment(self, comment: impl Into<String>) -> Self {
        Self { comment: Some(comment.into()), ..self }
    }
}

/// A rule at the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of which chain.
    pub chain: String,
    /// What it does, in order.
    pub exprs: Vec<Expr>,
    /// Shown by listings.
    pub comment: Option<String>,
}

/// One change of the transaction's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Makes the table, if it is not there.
    AddTable,
    /// Deletes the table with all that is in it.
    DeleteTable,
    /// Makes a chain, if it is not there.
    AddChain(Chain),
    /// Deletes all rules of a chain.
    FlushChain(String),
    /// Deletes an empty chain that nothing refers to.
    DeleteChain(String),
    /// Makes a set, if it is not there.
    AddSet(Set),
    /// Deletes all elements of a set.
    FlushSet(String),
    /// Deletes a set that nothing refers to.
    DeleteSet(String),
    /// Adds elements to a set.
    AddElements(String, Vec<Element>),
    /// Deletes elements of a set.
    DeleteElements(String, Vec<Element>),
    /// Appends a rule to a chain.
    AddRule(Rule),
}
