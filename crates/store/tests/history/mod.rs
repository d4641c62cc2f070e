//! The model: everything that was ever committed, in a list; every answer is found by looking through it.

#![allow(dead_code, reason = "each test binary uses its part of the model")]

use std::sync::Arc;

use bytes::Bytes;
use store::{Committed, Event, Expect, KeyValue, Op, Options, Revision, Txn};

/// Small segments and few recent events, so that short histories roll, rewrite and read back.
pub(crate) fn options() -> Options {
    Options {
        on_fatal: Arc::new(|_| {}),
        segment_bytes: 2048,
        ring_events: 6,
        ring_bytes: 4096,
        ..Options::default()
    }
}

/// Runs a future to its end.
pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// The n-th key.
pub(crate) fn key(n: u8) -> Bytes {
    Bytes::from(format!("key-{n}"))
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: Revision,
    pub(crate) key: Bytes,
    pub(crate) put: Option<KeyValue>,
}

impl Change {
    pub(crate) fn of(event: &Event) -> Self {
        Self { revision: event.revision, key: event.key.clone(), put: event.put.clone() }
    }
}

/// Everything that ever happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    changes: Vec<Change>,
    pub(crate) compacted: Revision,
}

/// The conflict with what is there instead, or a key that occurs twice.
pub(crate) type Refusal = Option<(Bytes, Option<KeyValue>)>;

impl Model {
    pub(crate) fn revision(&self) -> Revision {
        self.changes.last().map_or(Revision::ZERO, |c| c.revision)
    }
    pub(crate) fn pair(&self, k: u8, at: Revision) -> Option<KeyValue> {
        self.find(&key(k), at)
    }

    fn find(&self, key: &Bytes, at: Revision) -> Option<KeyValue> {
        self.changes.iter().rev().find(|c| c.revision <= at && c.key == *key)?.put.clone()
    }

    pub(crate) fn commit(&mut self, txn: &Txn) -> Result<Committed, Refusal> {
        let newest = self.revision();
        for (n, op) in txn.ops.iter().enumerate() {
            if txn.ops[..n].iter().any(|o| o.key == op.key) {
                return Err(None);
            }
        }
        for op in &txn.ops {
            let there = self.find(&op.key, newest);
            let holds = match op.expect {
                Expect::Any => true,
                Expect::Absent => there.is_none(),
                Expect::At(revision) => there.as_ref().is_some_and(|kv| kv.mod_revision == revision),
            };
            if !holds {
                return Err(Some((op.key.clone(), there)));
            }
        }
        let revision = newest.next();
        let before = self.changes.len();
        for op in &txn.ops {
            let there = self.find(&op.key, newest);
            let put = match (&op.op, &there) {
                (Op::Put { value, .. }, there) => Some(KeyValue {
                    key: op.key.clone(),
                    value: value.clone(),
                    create_revision: there.as_ref().map_or(revision, |kv| kv.create_revision),
                    mod_revision: revision,
                    version: there.as_ref().map_or(1, |kv| kv.version + 1),
                }),
                (Op::Delete, Some(_)) => None,
                (Op::Delete | Op::Check, _) => continue,
            };
            self.changes.push(Change { revision, key: op.key.clone(), put });
        }
        let changed = self.changes.len() > before;
        Ok(Committed { revision: self.revision(), changed })
    }
    pub(crate) fn all(&self, at: Revision) -> Vec<KeyValue> {
        let mut keys: Vec<&Bytes> = self.changes.iter().map(|c| &c.key).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter().filter_map(|key| self.find(key, at)).collect()
    }
    pub(crate) fn changes(&self, from: Revision, to: Revision, start: &[u8], end: &[u8]) -> Vec<Change> {
        let wanted = |c: &&Change| {
            c.revision >= from && c.revision <= to && &c.key[..] >= start && (end.is_empty() || &c.key[..] < end)
        };
        self.changes.iter().filter(wanted).cloned().collect()
    }
}
