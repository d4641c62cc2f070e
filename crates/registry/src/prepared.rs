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
    /// What was encoded, where the store has it sealed.
    plain: Option<Vec<u8>>,
}

impl Prepared {
    /// A companion, and where its entry will arrive.
    pub fn new(resource: Resource, object: Object, plain: Option<Vec<u8>>) -> (Arc<Self>, oneshot::Receiver<Arc<Entry>>) {
        let (tx, rx) = oneshot::channel();
        (Arc::new(Self { object: Mutex::new(Some((resource, object))), done: Mutex::new(Some(tx)), plain }), rx)
    }

    /// The object, once.
    pub fn take(&self) -> Option<(Resource, Object)> {
        self.object.lock().take()
    }

    /// What was encoded, where the store has it sealed.
    pub fn plain(&self) -> Option<&[u8]> {
        self.plain.as_deref()
    }

    /// Tells the writer. It may have gone; that is its own affair.
    pub fn finish(&self, entry: Arc<Entry>) {
        if let Some(tx) = self.done.lock().take() {
            let _ = tx.send(entry);
        }
    }
}
