//! What is asked of the store and what it answers: transactions, ranges, watches, and the key-value pair with the three
//! counters that etcd keeps for it (create revision, mod revision, version).

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::Revision;
use bytes::Bytes;

/// The decoded form of a value, opaque here: handed through to the event in this process; absent after a restart, for a
/// feed that fell behind the recent events, and with etcd (the reader then decodes the bytes itself).
pub type Companion = Arc<dyn Any + Send + Sync>;

/// A key with its value and history counters, as of some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision at which the key last came into being.
    pub create_revision: Revision,
    /// The revision of this value.
    pub mod_revision: Revision,
    /// How many times the key was written since it came into being; 1 at creation.
    pub version: u64,
}

/// What a transaction demands of a key before it touches it, by the key's mod revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists and was last written at this revision.
    At(Revision),
    /// Anything.
    Any,
}

/// What happens to one key.
#[derive(Clone)]
pub enum Op {
    /// Write the value.
    Put {
        /// The bytes to keep.
        value: Bytes,
        /// Their decoded form, for events in this process.
        companion: Option<Companion>,
        /// After about this long without another write etcd removes the key by itself (a lease); the embedded engine keeps it.
        lives: Option<Duration>,
    },
    /// Remove the key; removing an absent key changes nothing and is no error.
    Delete,
    /// Only hold the expectation; change nothing.
    Check,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { value, .. } => write!(f, "Put({} bytes)", value.len()),
            Self::Delete => f.write_str("Delete"),
            Self::Check => f.write_str("Check"),
        }
    }
}

/// One key's part in a transaction.
#[derive(Clone, Debug)]
pub struct TxnOp {
    /// The key.
    pub key: Bytes,
    /// What must hold of it.
    pub expect: Expect,
    /// What happens to it.
    pub op: Op,
}

/// All or nothing, at one revision. A key may occur once only (etcd's rule).
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// Usually one.
    pub ops: Vec<TxnOp>,
}

impl Txn {
    /// A transaction that writes one key.
    #[must_use]
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>, expect: Expect) -> Self {
        Self::default().and_put(key, value, expect, None)
    }

    /// A transaction that removes one key.
    #[must_use]
    pub fn delete(key: impl Into<Bytes>, expect: Expect) -> Self {
        Self::default().and(key, expect, Op::Delete)
    }

    /// The same, and a write of another key.
    #[must_use]
    pub fn and_put(
        self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        expect: Expect,
        companion: Option<Companion>,
    ) -> Self {
        self.and(key, expect, Op::Put { value: value.into(), companion, lives: None })
    }

    /// The same, with everything that it writes living only so long.
    #[must_use]
    pub fn living(mut self, long: Option<Duration>) -> Self {
        for op in &mut self.ops {
            if let Op::Put { lives, .. } = &mut op.op {
                *lives = long;
            }
        }
        self
    }

    /// The same, and another operation.
    #[must_use]
    pub fn and(mut self, key: impl Into<Bytes>, expect: Expect, op: Op) -> Self {
        self.ops.push(TxnOp { key: key.into(), expect, op });
        self
    }

    /// The bytes of its keys and values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let value = |op: &Op| if let Op::Put { value, .. } = op { value.len() } else { 0 };
        self.ops.iter().map(|o| o.key.len() + value(&o.op)).sum()
    }
}

/// A transaction that went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The revision of everything that it wrote; the current one when it changed nothing.
    pub revision: Revision,
    /// Whether anything changed (a delete of an absent key, or checks alone, take no revision).
    pub changed: bool,
}

/// The keys in `[start, end)`, as of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// The first key.
    pub start: Bytes,
    /// One past the last key; empty means "to the end of all keys".
    pub end: Bytes,
    /// The revision to look at; `None` is now, and then the answer is linearizable.
    pub at: Option<Revision>,
    /// At most so many pairs; 0 is no limit.
    pub limit: usize,
    /// Leave the values out (`value` is empty) where only keys and counters matter.
    pub keys_only: bool,
}

impl RangeRequest {
    /// Everything whose key begins with `prefix`, now, without limit.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = prefix_end(&start);
        Self { start, end, at: None, limit: 0, keys_only: false }
    }
}

/// What a range found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeResult {
    /// The pairs in key order.
    pub kvs: Vec<KeyValue>,
    /// The revision that the answer shows.
    pub revision: Revision,
    /// Whether the limit cut the answer.
    pub more: bool,
    /// How many keys the range holds in all, without the limit.
    pub count: u64,
}

/// A feed of everything that happens to the keys in `[start, end)` from a revision on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    /// The first revision of interest, inclusive; `Revision::ZERO` is "what comes next".
    pub from: Revision,
    /// The first key.
    pub start: Bytes,
    /// One past the last key; empty means "to the end of all keys".
    pub end: Bytes,
    /// Fill in `Event::previous` (costs a read an event).
    pub previous: bool,
}

impl WatchRequest {
    /// Everything whose key begins with `prefix`, from a revision on, without previous values.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>, from: Revision) -> Self {
        let start = prefix.into();
        let end = prefix_end(&start);
        Self { from, start, end, previous: false }
    }
}

/// The smallest key after all keys that begin with `prefix`; empty if there is none.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end.into()
}
