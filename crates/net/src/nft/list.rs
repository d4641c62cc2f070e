//! What is in a table now.

use std::collections::BTreeMap;

use super::encode::SUBSYSTEM;
use super::model::{Element, Family, Value, Verdict};
use crate::NetError;
use crate::netlink::{Attrs, Message, Protocol, Socket, Writer, be_u32, be_u64, text};

const GETTABLE: u16 = SUBSYSTEM | 1;
const GETCHAIN: u16 = SUBSYSTEM | 4;
const GETRULE: u16 = SUBSYSTEM | 7;
const GETSET: u16 = SUBSYSTEM | 10;
const GETSETELEM: u16 = SUBSYSTEM | 13;
const SET_ANONYMOUS: u32 = 1;

/// A rule as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// The kernel's name for it.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
}

/// The contents of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The rules of each chain.
    pub chains: BTreeMap<String, Vec<RuleInfo>>,
    /// The names of its sets and maps.
    pub sets: Vec<String>,
}

fn attrs(m: Message<'_>) -> Option<&[u8]> {
    m.payload.get(4..)
}

fn name_in(m: Message<'_>, table: &str, table_attr: u16, name_attr: u16) -> Option<String> {
    let a = attrs(m)?;
    if Attrs::get(a, table_attr).map(text)? != table {
        return None;
    }
    Attrs::get(a, name_attr).map(text)
}

fn head(w: &mut Writer, family: Family) -> &mut Writer {
    w.raw(&[family.number(), 0, 0, 0])
}

/// Lists a table; `None` when there is no such table.
pub fn list(family: Family, table: &str) -> Result<Option<Listing>, NetError> {
    let mut s = Socket::open(Protocol::Netfilter)?;
    let fill = |w: &mut Writer| {
        head(w, family);
    };
    let tables = s.dump("list nftables tables", GETTABLE, fill, |m| attrs(m).and_then(|a| Attrs::get(a, 1)).map(text))?;
    if !tables.iter().any(|t| t == table) {
        return Ok(None);
    }
    let mut out = Listing::default();
    for name in s.dump("list nftables chains", GETCHAIN, fill, |m| name_in(m, table, 1, 3))? {
        out.chains.insert(name, Vec::new());
    }
    let rules = s.dump(
        "list nftables rules",
        GETRULE,
        |w| {
            head(w, family).str(1, table);
        },
        |m| {
            let chain = name_in(m, table, 1, 2)?;
            let a = attrs(m)?;
            let handle = Attrs::get(a, 3).and_then(be_u64)?;
            let comment = Attrs::get(a, 7).and_then(|u| u.get(2..)).map(text);
            Some((chain, RuleInfo { handle, comment }))
        },
    )?;
    for (chain, rule) in rules {
        out.chains.entry(chain).or_default().push(rule);
    }
    out.sets = s.dump(
        "list nftables sets",
        GETSET,
        |w| {
            head(w, family).str(1, table);
        },
        |m| {
            let flags = Attrs::get(attrs(m)?, 3).and_then(be_u32).unwrap_or(0);
            name_in(m, table, 1, 2).filter(|_| flags & SET_ANONYMOUS == 0)
        },
    )?;
    out.sets.sort();
    Ok(Some(out))
}

/// Lists the elements of a set.
pub fn list_elements(family: Family, table: &str, set: &str) -> Result<Vec<Element>, NetError> {
    let mut s = Socket::open(Protocol::Netfilter)?;
    let chunks = s.dump(
        "list nftables set elements",
        GETSETELEM,
        |w| {
            head(w, family).str(1, table).str(2, set);
        },
        |m| {
            let list = Attrs::get(attrs(m)?, 3)?;
            Some(Attrs(list).filter_map(|(_, e)| read_element(e)).collect::<Vec<_>>())
        },
    )?;
    Ok(chunks.into_iter().flatten().collect())
}

fn read_element(e: &[u8]) -> Option<Element> {
    let key = Attrs::get(Attrs::get(e, 1)?, 1)?.to_vec();
    let value = Attrs::get(e, 2).and_then(|d| {
        if let Some(v) = Attrs::get(d, 2) {
            return read_verdict(v).map(Value::Verdict);
        }
        Attrs::get(d, 1).map(|bytes| Value::Data(bytes.to_vec()))
    });
    let interval_end = Attrs::get(e, 3).and_then(be_u32).is_some_and(|f| f & 1 != 0);
    let comment = Attrs::get(e, 6).and_then(|u| u.get(2..)).map(text);
    Some(Element { key, value, interval_end, comment })
}

fn read_verdict(v: &[u8]) -> Option<Verdict> {
    let chain = || Attrs::get(v, 2).map(text);
    Some(match Attrs::get(v, 1).and_then(be_u32)? as i32 {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -3 => Verdict::Jump(chain()?),
        -4 => Verdict::Goto(chain()?),
        -5 => Verdict::Return,
        _ => return None,
    })
}

/// What a base chain does with packets that no rule decides; `None` when there is no such chain.
pub fn policy(family: Family, table: &str, chain: &str) -> Result<Option<Verdict>, NetError> {
    let mut s = Socket::open(Protocol::Netfilter)?;
    let found = s.dump(
        "list nftables chains",
        GETCHAIN,
        |w| {
            head(w, family);
        },
        |m| {
            name_in(m, table, 1, 3).filter(|name| name == chain)?;
            Attrs::get(attrs(m)?, 5).and_then(be_u32)
        },
    )?;
    Ok(found.first().map(|code| if *code == 0 { Verdict::Drop } else { Verdict::Accept }))
}
