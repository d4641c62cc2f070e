//! What a feed hands out: events in whole revisions.

use std::fmt;

use base::Revision;
use bytes::Bytes;

use super::request::{Companion, KeyValue};

/// One key's change.
#[derive(Clone)]
pub struct Event {
    /// The revision at which it happened.
    pub revision: Revision,
    /// The key.
    pub key: Bytes,
    /// The pair as written; `None` if the key was deleted.
    pub put: Option<KeyValue>,
    /// The pair before, if it was asked for, existed, and is not compacted away.
    pub previous: Option<KeyValue>,
    /// The decoded form that the writer of this very process gave.
    pub companion: Option<Companion>,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.put.is_some() { "put" } else { "delete" };
        write!(f, "{verb} {}@{}", self.key.escape_ascii(), self.revision)
    }
}

/// Whole revisions, in order. A batch without events says that nothing happened in the range up to its revision: so a
/// feed tells how far it has seen (etcd's progress notification).
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Everything of the range up to here was delivered, with this batch.
    pub revision: Revision,
    /// The changes, ordered by revision; those of one transaction in its order.
    pub events: Vec<Event>,
}
