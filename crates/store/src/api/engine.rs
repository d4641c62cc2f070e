//! The port that every engine implements. Object-safe: the registry holds an `Arc<dyn Engine>`.

use std::pin::Pin;

use base::Revision;
use bytes::Bytes;

use super::error::{CommitError, FeedError, RangeError};
use super::event::Batch;
use super::request::{Committed, KeyValue, RangeRequest, RangeResult, Txn, WatchRequest};

/// A boxed future, so that the traits stay object-safe.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One ordered history of byte keys and values.
pub trait Engine: Send + Sync {
    /// Commits all or nothing at one new revision; resolves only once it is durable and its events can be fed. Dropping
    /// the future does not take back what was queued.
    fn commit(&self, txn: Txn) -> Fut<'_, Result<Committed, CommitError>>;

    /// The pair at a key, now or as of a revision.
    fn get(&self, key: Bytes, at: Option<Revision>) -> Fut<'_, Result<Option<KeyValue>, RangeError>>;

    /// The pairs of a key range, now or as of a revision.
    fn range(&self, request: RangeRequest) -> Fut<'_, Result<RangeResult, RangeError>>;

    /// A feed from a revision on: ordered, complete, nothing twice; refused if `from` is compacted away.
    fn watch(&self, request: WatchRequest) -> Result<Box<dyn Feed>, FeedError>;

    /// Forgets what was overwritten or deleted at or before `to`. Reads at `to` itself and later stay possible, as do
    /// feeds from the revision after it.
    fn compact(&self, to: Revision) -> Fut<'_, Result<(), RangeError>>;

    /// The newest revision that this process knows to be durable (with etcd other servers may be ahead).
    fn revision(&self) -> Revision;

    /// The newest durable revision of the whole cluster: a feed that has seen it makes a consistent list possible.
    fn latest(&self) -> Fut<'_, Result<Revision, RangeError>>;

    /// The revision of the last compaction.
    fn compacted(&self) -> Revision;

    /// The bytes that the store takes on disk.
    fn size_bytes(&self) -> u64;

    /// Whether a key that was written with a lifetime goes by itself.
    fn expires(&self) -> bool {
        false
    }

    /// Finishes what is queued, ends all feeds, and releases the files; later calls say `Closed`.
    fn close(&self) -> Fut<'_, ()>;
}

/// A cursor over history. It holds no events itself: a feed that lags re-reads the log, so that a slow reader costs no
/// memory. Dropping it ends it. To resume elsewhere, watch from the revision after the last batch's.
pub trait Feed: Send {
    /// Waits for history to move on and returns what happened since the last call. Cancel-safe.
    fn next(&mut self) -> Fut<'_, Result<Batch, FeedError>>;

    /// The next revision that it will deliver.
    fn position(&self) -> Revision;
}
