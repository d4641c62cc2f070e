//! The fake network between a component and the API: open, paused (everything waits), or lost (calls fail after a while,
//! answers of calls under way are lost, and the source stands still until the connection is back).

use cache::{Batch, Interest, Snapshot, Source, Subscription};
use kinds::{Api, ApiError, DeleteOptions, Fut, Object, Patch, Resource, Revision, Target, WriteOptions};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// After this a caller gives up on an API that does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How the way stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    Paused,
    Lost,
}

/// One component's way to the API and back.
pub struct Gate {
    way: Mutex<Way>,
    /// Rings when it changes; who waits is woken in order.
    bell: Notify,
    /// What a component that lost its connection still sees.
    frozen: Mutex<Option<Snapshot>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { way: Mutex::new(Way::Open), bell: Notify::new(), frozen: Mutex::new(None) }
    }
}

impl Gate {
    /// Opens, pauses or cuts it; `now` is what the component saw last.
    pub fn set(&self, way: Way, now: Snapshot) {
        *self.frozen.lock() = (way == Way::Lost).then_some(now);
        *self.way.lock() = way;
        self.bell.notify_waiters();
    }
    /// How it stands.
    #[must_use]
    pub fn way(&self) -> Way {
        *self.way.lock()
    }
    async fn until_open(&self) {
        loop {
            let bell = self.bell.notified();
            if self.way() == Way::Open {
                return;
            }
            bell.await;
        }
    }
    async fn enter(&self) -> Result<(), ApiError> {
        match self.way() {
            Way::Open => Ok(()),
            Way::Paused => {
                self.until_open().await;
                Ok(())
            }
            Way::Lost => match tokio::time::timeout(CALL_TIMEOUT, self.until_open()).await {
                Ok(()) => Ok(()),
                Err(_) => Err(ApiError::unavailable("no route to host")),
            },
        }
    }
    async fn through<T>(&self, call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        self.enter().await?;
        let answer = call.await;
        // What happened, happened; but the caller never hears of it.
        if self.way() == Way::Lost {
            tokio::time::sleep(CALL_TIMEOUT).await;
            return Err(ApiError::unavailable("connection reset by peer"));
        }
        answer
    }
}

/// The API behind a gate.
pub struct GatedApi {
    /// The API itself.
    pub inner: Arc<dyn Api>,
    /// The way there.
    pub gate: Arc<Gate>,
}

impl Api for GatedApi {
    fn get(&self, t: Target) -> Fut<'_, Object> {
        Box::pin(self.gate.through(async move { self.inner.get(t).await }))
    }
    fn list(&self, r: Resource, namespace: String) -> Fut<'_, (Vec<Object>, Revision)> {
        Box::pin(self.gate.through(async move { self.inner.list(r, namespace).await }))
    }
    fn create(&self, t: Target, o: Object, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(self.gate.through(async move { self.inner.create(t, o, options).await }))
    }
    fn update(&self, t: Target, o: Object, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(self.gate.through(async move { self.inner.update(t, o, options).await }))
    }
    fn patch(&self, t: Target, p: Patch, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(self.gate.through(async move { self.inner.patch(t, p, options).await }))
    }
    fn delete(&self, t: Target, options: DeleteOptions) -> Fut<'_, Option<Object>> {
        Box::pin(self.gate.through(async move { self.inner.delete(t, options).await }))
    }
}

/// The source behind a gate.
pub struct GatedSource {
    /// The source itself.
    pub inner: Arc<dyn Source>,
    /// The way from there.
    pub gate: Arc<Gate>,
}

impl Source for GatedSource {
    fn snapshot(&self) -> Snapshot {
        self.gate.frozen.lock().clone().unwrap_or_else(|| self.inner.snapshot())
    }
    fn subscribe(&self, interest: Interest) -> Box<dyn Subscription> {
        let cursor = self.inner.subscribe(interest.clone());
        Box::new(Cursor { source: Arc::clone(&self.inner), gate: Arc::clone(&self.gate), interest, cursor, cut: false })
    }
}

struct Cursor {
    source: Arc<dyn Source>,
    gate: Arc<Gate>,
    interest: Interest,
    cursor: Box<dyn Subscription>,
    /// The connection was lost: what was missed is told as "look at everything".
    cut: bool,
}

impl Subscription for Cursor {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Batch>> + Send + '_>> {
        Box::pin(async move {
            loop {
                let bell = self.gate.bell.notified();
                let now = self.gate.way();
                if now != Way::Open {
                    self.cut |= now == Way::Lost;
                    bell.await;
                    continue;
                }
                if std::mem::take(&mut self.cut) {
                    self.cursor = self.source.subscribe(self.interest.clone());
                }
                tokio::select! {
                    biased;
                    () = bell => {}
                    batch = self.cursor.next() => return batch,
                }
            }
        })
    }
}
