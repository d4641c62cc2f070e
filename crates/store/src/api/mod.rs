//! The seam between the registry and whatever keeps the history: an object-safe `Engine`, its requests and answers.
//! The vocabulary is that of etcd's `mvcc` (revision, create and mod revision, version, compaction), because Kubernetes'
//! resourceVersion is defined by it; the embedded engine and the etcd one both fit behind it.

mod engine;
mod error;
mod event;
mod request;

pub use engine::{Engine, Feed, Fut};
pub use error::{CommitError, FeedError, OpenError, RangeError};
pub use event::{Batch, Event};
pub use request::{Committed, Companion, Expect, KeyValue, Op, RangeRequest, RangeResult, Txn, TxnOp, WatchRequest};
