//! The store: one ordered, revisioned history of byte keys and values with compare-and-swap transactions, ranges at a
//! revision, watches from a revision and compaction; the semantics of etcd's key-value API, on which Kubernetes'
//! resourceVersion rests. It knows no Kubernetes kind. The format on disk is described in docs/store-format.md.

mod api;
mod core;
pub mod etcd;
pub mod disk;
pub mod embedded;

pub use api::{
    Batch, CommitError, Committed, Companion, Engine, Event, Expect, Feed, FeedError, Fut, KeyValue, Op, OpenError,
    RangeError, RangeRequest, RangeResult, Txn, TxnOp, WatchRequest,
};
pub use base::Revision;
pub use disk::{Disk, DiskFile, MemoryDisk, RealDisk};
pub use embedded::{Drive, Embedded, Options, Pace};
pub use etcd::{ConnectError, Etcd, EtcdOptions};
