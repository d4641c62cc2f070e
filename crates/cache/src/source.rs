//! The port through which shells read: a snapshot now, and a wake-up with what changed. In-process it is the registry's
//! own image; on another machine a client fills the same tables by list and watch. Readers cannot tell.

use crate::snapshot::{Change, Snapshot};
use kinds::Resource;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a subscriber wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    Everything,
    Only(Vec<Resource>),
}

/// What happened since the last batch.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The image that includes every change of this batch.
    pub snapshot: Snapshot,
    /// In order. Empty with `lagged` set.
    pub changes: Vec<Arc<Change>>,
    /// The subscriber was too slow (or this is the first batch): look at everything.
    pub lagged: bool,
}

/// A cursor over the changes.
pub trait Subscription: Send {
    /// Waits for the next batch. `None`: the source has shut down.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Batch>> + Send + '_>>;
}

/// Where snapshots and changes come from.
pub trait Source: Send + Sync {
    /// The newest image.
    fn snapshot(&self) -> Snapshot;
    /// A cursor that starts now; its first batch is `lagged` with the whole image.
    fn subscribe(&self, interest: Interest) -> Box<dyn Subscription>;
}
