//! What a writer hands through the store to the image: its own decoded object, so that nothing is decoded twice, and the
//! way back for the entry that came of it.

use cache::Entry;
use kinds::{Object, Resource};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The companion of one write.
pub struct Prepared {
    object: Mutex<Option<(Resource, Object)>>,
    done: Mutex<Option<oneshot::Sender<Arc<Entry>>>>,
}

impl Prepared {
    /// A companion, and where its entry will arrive.
    pub fn new(resource: Resource, object: Object) -> (Arc<Self>, oneshot::Receiver<Arc<Entry>>) {
        let (tx, rx) = oneshot::channel();
        (Arc::new(Self { object: Mutex::new(Some((resource, object))), done: Mutex::new(Some(tx)) }), rx)
    }

    /// The object, once.
    pub fn take(&self) -> Option<(Resource, Object)> {
        self.object.lock().take()
    }

    /// Tells the writer. It may have gone; that is its own affair.
    pub fn finish(&self, entry: Arc<Entry>) {
        if let Some(tx) = self.done.lock().take() {
            let _ = tx.send(entry);
        }
    }
}
