//! What the writer, the keeper, the readers and the feeds share: the durable state of the store behind one lock that is
//! never held over I/O.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::Revision;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use super::segment::{Location, Segment};
use super::{Options, Stats};
use crate::api::{CommitError, RangeError};
use crate::core::index::{Item, KeyIndex};
use crate::core::ring::Ring;
use crate::disk::Disk;

/// The durable history, as readers may see it.
pub(super) struct State {
    pub(super) index: KeyIndex<Location>,
    pub(super) segments: BTreeMap<u32, Segment>,
    pub(super) ring: Ring,
    pub(super) visible: Revision,
    pub(super) compacted: Revision,
}

impl State {
    /// Forgets what compaction to a revision makes unreadable, and books it on the segments that hold it.
    pub(super) fn compact(&mut self, to: Revision) {
        let Self { index, segments, compacted, .. } = self;
        *compacted = to.max(*compacted);
        index.compact(*compacted, |item| {
            if let Some(segment) = segments.get_mut(&item.at.segment) {
                segment.wear.live_bytes -= u64::from(item.at.bytes);
                segment.wear.dead_puts += u64::from(!item.is_tombstone());
            }
        });
    }

    /// Adds a durable record to the index and books it on its segment.
    pub(super) fn insert(&mut self, key: &[u8], item: Item<Location>) {
        if let Some(segment) = self.segments.get_mut(&item.at.segment) {
            segment.wear.live_bytes += u64::from(item.at.bytes);
        }
        self.index.insert(key, item);
    }
}

/// One for an engine.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: Options,
    pub(super) state: RwLock<State>,
    /// Wakes feeds; carries the newest durable revision.
    pub(super) progress: watch::Sender<Revision>,
    /// Held while segments are rewritten.
    pub(super) rewriting: Mutex<()>,
    pub(super) reclaim_error: Mutex<Option<String>>,
    closed: AtomicBool,
    stopping: AtomicBool,
    torn_bytes: u64,
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, options: Options, state: State, torn_bytes: u64) -> Self {
        let progress = watch::Sender::new(state.visible);
        Self {
            disk,
            options,
            state: RwLock::new(state),
            progress,
            rewriting: Mutex::new(()),
            reclaim_error: Mutex::new(None),
            closed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            torn_bytes,
        }
    }

    pub(super) fn visible(&self) -> Revision {
        *self.progress.borrow()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends all feeds (once they have delivered everything) and refuses reads.
    pub(super) fn close(&self) {
        self.stop_keeper();
        self.closed.store(true, Ordering::Release);
        self.progress.send_modify(|_| {});
    }

    pub(super) fn stop_keeper(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The store cannot go on. Returns only if the port does (in tests); then everything says `Closed`.
    pub(super) fn fatal(&self, line: &str) {
        self.close();
        (self.options.on_fatal)(line);
    }

    /// The state for a reader, unless the store is closed.
    pub(super) fn open_state(&self) -> Result<RwLockReadGuard<'_, State>, RangeError> {
        if self.is_closed() { Err(RangeError::Closed) } else { Ok(self.state.read()) }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            segments: self.state.read().segments.len(),
            torn_bytes: self.torn_bytes,
            reclaim_error: self.reclaim_error.lock().clone(),
        }
    }
}

/// Whether the disk refused before anything changed, in words for the client; `None` if its state is unknown.
pub(super) fn refused(error: &io::Error) -> Option<CommitError> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(CommitError::NoSpace(error.to_string())),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            Some(CommitError::ReadOnly(error.to_string()))
        }
        _ => None,
    }
}
