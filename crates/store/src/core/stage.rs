//! Staging: what a batch of transactions may do, judged against the key index and against what earlier transactions of
//! the same batch will have done by then. Nothing is applied here; the writer applies it once the batch is durable.

use std::collections::HashMap;

use base::Revision;
use bytes::Bytes;

use super::index::KeyIndex;
use crate::api::{Companion, Expect, KeyValue, Op, Txn};

/// The most operations that one transaction may have (etcd's default `--max-txn-ops`).
pub(crate) const TXN_OPS_MAX: usize = 128;
/// The most bytes of keys and values that one transaction may have (etcd's default `--max-request-bytes`).
pub(crate) const TXN_BYTES_MAX: usize = 1_572_864;

/// A change that was accepted into the batch.
pub(crate) struct Write {
    /// The key.
    pub(crate) key: Bytes,
    /// The value; `None` is a delete.
    pub(crate) value: Option<Bytes>,
    /// Its revision.
    pub(crate) revision: Revision,
    /// When the key came into being.
    pub(crate) created: Revision,
    /// Its version; 0 for a delete.
    pub(crate) version: u32,
    /// The writer's decoded form.
    pub(crate) companion: Option<Companion>,
}

impl Write {
    /// The pair that it leaves behind; `None` for a delete.
    pub(crate) fn pair(&self) -> Option<KeyValue> {
        self.value.as_ref().map(|value| KeyValue {
            key: self.key.clone(),
            value: value.clone(),
            create_revision: self.created,
            mod_revision: self.revision,
            version: u64::from(self.version),
        })
    }
}

/// What a key holds instead of what a transaction expected.
#[derive(Debug)]
pub(crate) enum Found<L> {
    /// Nothing.
    Absent,
    /// What an earlier transaction of this batch writes.
    Staged(Box<KeyValue>),
    /// What lies there since this revision.
    Stored(super::index::Item<L>),
}

/// The verdict on one transaction.
#[derive(Debug)]
pub(crate) enum Verdict<L> {
    /// It goes through.
    Accepted { revision: Revision, changed: bool },
    /// An expectation fails.
    Conflict { key: Bytes, found: Found<L> },
    /// A key occurs twice.
    Duplicate(Bytes),
    /// It is larger than a transaction may be.
    TooLarge,
}

/// A batch in the making.
pub(crate) struct Stage {
    revision: Revision,
    writes: Vec<Write>,
    newest: HashMap<Bytes, usize>,
}

struct Current {
    created: Revision,
    revision: Revision,
    version: u32,
}

impl Stage {
    /// An empty batch on top of the newest durable revision.
    pub(crate) fn new(revision: Revision) -> Self {
        Self { revision, writes: Vec::new(), newest: HashMap::new() }
    }

    /// The newest revision, this batch included.
    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    /// What the batch writes so far, in order.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The writes, the batch being done.
    pub(crate) fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// Judges a transaction and takes it into the batch if it may go through.
    pub(crate) fn offer<L: Copy>(&mut self, index: &KeyIndex<L>, txn: Txn) -> Verdict<L> {
        if txn.ops.len() > TXN_OPS_MAX || txn.size_bytes() > TXN_BYTES_MAX {
            return Verdict::TooLarge;
        }
        for (n, op) in txn.ops.iter().enumerate() {
            if txn.ops[..n].iter().any(|earlier| earlier.key == op.key) {
                return Verdict::Duplicate(op.key.clone());
            }
        }
        let mut changed = false;
        for op in &txn.ops {
            let current = self.current(index, &op.key);
            if !holds(op.expect, current.as_ref()) {
                return Verdict::Conflict { found: self.found(index, &op.key), key: op.key.clone() };
            }
            changed |= matches!(op.op, Op::Put { .. }) || (matches!(op.op, Op::Delete) && current.is_some());
        }
        if !changed {
            return Verdict::Accepted { revision: self.revision, changed };
        }
        self.revision = self.revision.next();
        for op in txn.ops {
            self.take(index, op.key, op.op);
        }
        Verdict::Accepted { revision: self.revision, changed }
    }

    fn take<L: Copy>(&mut self, index: &KeyIndex<L>, key: Bytes, op: Op) {
        let current = self.current(index, &key);
        let revision = self.revision;
        let write = match (op, current) {
            (Op::Put { value, companion, .. }, current) => {
                let (created, version) = current.map_or((revision, 1), |c| (c.created, c.version.saturating_add(1)));
                Write { key, value: Some(value), revision, created, version, companion }
            }
            (Op::Delete, Some(current)) => {
                Write { key, value: None, revision, created: current.created, version: 0, companion: None }
            }
            (Op::Delete, None) | (Op::Check, _) => return,
        };
        self.newest.insert(write.key.clone(), self.writes.len());
        self.writes.push(write);
    }

    fn current<L: Copy>(&self, index: &KeyIndex<L>, key: &[u8]) -> Option<Current> {
        if let Some(&n) = self.newest.get(key) {
            let w = &self.writes[n];
            let exists = w.value.is_some();
            return exists.then_some(Current { created: w.created, revision: w.revision, version: w.version });
        }
        index.head(key).map(|i| Current { created: i.created, revision: i.revision, version: i.version })
    }

    fn found<L: Copy>(&self, index: &KeyIndex<L>, key: &[u8]) -> Found<L> {
        match self.newest.get(key) {
            Some(&n) => self.writes[n].pair().map_or(Found::Absent, |kv| Found::Staged(Box::new(kv))),
            None => index.head(key).map_or(Found::Absent, |item| Found::Stored(*item)),
        }
    }
}

fn holds(expect: Expect, current: Option<&Current>) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => current.is_none(),
        Expect::At(revision) => current.is_some_and(|c| c.revision == revision),
    }
}
