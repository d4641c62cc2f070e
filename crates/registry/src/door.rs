//! A door that opens whenever the image has moved on. Whoever waits is woken in the order of waiting, so that in the
//! simulator the same inputs give the same history (tokio's watch channel wakes in random order).

use kinds::Revision;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// The door: the newest revision, and a bell.
#[derive(Default)]
pub(crate) struct Door {
    at: AtomicU64,
    bell: Notify,
}

/// One who waits at a door, and what they have seen.
pub(crate) struct Visitor {
    door: Arc<Door>,
    seen: Revision,
}

impl Door {
    /// The revision moves on.
    pub(crate) fn open(&self, at: Revision) {
        self.at.store(at.0, Ordering::Release);
        self.bell.notify_waiters();
    }
    fn now(&self) -> Revision {
        Revision(self.at.load(Ordering::Acquire))
    }
    /// Waits until the revision is at least that.
    pub(crate) async fn reached(&self, revision: Revision) {
        loop {
            // Made before looking: it hears every bell from here on.
            let bell = self.bell.notified();
            if self.now() >= revision {
                return;
            }
            bell.await;
        }
    }
    /// A visitor who has seen what is there now.
    pub(crate) fn visit(self: &Arc<Self>) -> Visitor {
        Visitor { door: Arc::clone(self), seen: self.now() }
    }
}

impl Visitor {
    /// What is there now has been seen.
    pub(crate) fn mark_unchanged(&mut self) {
        self.seen = self.door.now();
    }
    /// Waits until there is something that was not seen.
    pub(crate) async fn changed(&mut self) {
        loop {
            let bell = self.door.bell.notified();
            let now = self.door.now();
            if now != self.seen {
                self.seen = now;
                return;
            }
            bell.await;
        }
    }
}
