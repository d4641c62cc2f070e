//! nftables over netlink (include/uapi/linux/netfilter/nf_tables.h): a transaction is a list of operations on tables, chains,
//! sets, elements and rules, sent as one datagram, accepted whole or refused whole.

mod encode;
mod expr;
mod list;
mod model;

use std::time::Instant;

use crate::NetError;
use crate::netlink::{Protocol, Socket};

pub use expr::{
    CmpOp, CtKey, DynsetOp, Expr, Fib, LimitUnit, Load, MetaKey, NatKind, NatTarget, PayloadBase, Reg, Reject, SetRef, Target,
};
pub use list::{Listing, RuleInfo, list, list_elements, policy};
pub use model::{BaseChain, Chain, ChainKind, DataType, Element, Family, Hook, Op, Rule, Set, SetValue, Value, Verdict};

/// How often a transaction is sent again when the kernel says that another writer came between.
const APPLY_TRIES: usize = 4;

/// Operations that take effect together or not at all, on one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The table's family.
    pub family: Family,
    /// The table's name.
    pub table: String,
    /// What to do, in order.
    pub ops: Vec<Op>,
}

impl Transaction {
    /// An empty transaction on a table.
    pub fn new(family: Family, table: impl Into<String>) -> Self {
        Self { family, table: table.into(), ops: Vec::new() }
    }

    /// Appends an operation.
    pub fn push(&mut self, op: Op) -> &mut Self {
        self.ops.push(op);
        self
    }
}

/// What an applied transaction cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Operations sent.
    pub ops: usize,
    /// Bytes of the datagram.
    pub bytes: usize,
    /// Time from encoding to the kernel's answer.
    pub took: std::time::Duration,
}

/// Applies a transaction in the calling thread's network namespace.
pub fn apply(transaction: &Transaction) -> Result<Applied, NetError> {
    apply_all(std::slice::from_ref(transaction))
}

/// Applies the transactions of several tables as one.
pub fn apply_all(transactions: &[Transaction]) -> Result<Applied, NetError> {
    let begun = Instant::now();
    let ops = transactions.iter().map(|t| t.ops.len()).sum();
    if ops == 0 {
        return Ok(Applied { ops, bytes: 0, took: begun.elapsed() });
    }
    let mut socket = Socket::open(Protocol::Netfilter)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let batch = encode::batch(&mut socket, transactions)?;
        socket.raise_buffers(batch.bytes().len());
        socket.send("send nftables transaction", batch.bytes())?;
        let Some((seq, error)) = socket.batch_answer("apply nftables transaction", batch.first, batch.last)? else {
            return Ok(Applied { ops, bytes: batch.bytes().len(), took: begun.elapsed() });
        };
        if tries < APPLY_TRIES && error.class() == crate::Retry::Later {
            socket.drain();
            continue;
        }
        return Err(batch.explain(seq, error));
    }
}

#[cfg(test)]
mod tests;
