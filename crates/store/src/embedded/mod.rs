//! The embedded engine: a segmented, checksummed, group-committed log; the key index in memory, the values on disk.
//!
//! ```text
//!  commit() ─► bounded queue ─► writer thread: stage ─► one frame ─► fdatasync ─► index, ring ─► answers, feeds
//!  range(), get() ─► index (read lock) ─► pread      keeper thread: reserves segments, rewrites worn ones
//! ```
//! Laws: (1) an answer is given only after the sync of what it speaks of; (2) readers see durable revisions only;
//! (3) one frame is begun only when the one before it is durable, so that only the last can be torn; (4) a failed sync
//! ends the process: what the disk holds then is unknown, and only a restart can read it again.

mod feed;
mod keeper;
mod read;
mod recover;
mod segment;
mod shared;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use base::Revision;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::api::{
    CommitError, Committed, Engine, Feed, FeedError, Fut, KeyValue, OpenError, RangeError, RangeRequest, RangeResult,
    Txn, WatchRequest,
};
use crate::disk::{Disk, RealDisk};
use shared::Shared;
use writer::{Job, Writer};

/// Transactions that may wait for the writer; more wait at their callers.
pub const QUEUE_JOBS: usize = 1024;

/// Called with one clear line when the store cannot go on (a failed sync, damaged bytes).
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Awaited before each batch is written: the slowness of a simulated disk.
pub type Pace = Arc<dyn Fn() -> Fut<'static, ()> + Send + Sync>;

/// Who carries out the writer's and the keeper's work.
#[derive(Clone, Default)]
pub enum Drive {
    /// A thread each.
    #[default]
    Threads,
    /// One task of the async runtime in which the store is opened. On a single-threaded runtime with virtual time
    /// everything then happens in an order that follows from the inputs: the simulator's way.
    Task(Pace),
}

/// How to open the embedded engine.
#[derive(Clone)]
pub struct Options {
    /// What ends the process; the default prints the line to standard error and aborts.
    pub on_fatal: OnFatal,
    /// Length of a log segment.
    pub segment_bytes: u64,
    /// Recent events kept in memory for feeds.
    pub ring_events: usize,
    /// And the most bytes of values among them.
    pub ring_bytes: usize,
    /// Who does the work.
    pub drive: Drive,
    /// The revision that the history of an empty directory begins behind: what came before counts as compacted away.
    pub begin: Revision,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            on_fatal: Arc::new(|line| {
                eprintln!("timonel: store: {line}; the process ends so that nothing false is said, restart it");
                std::process::abort();
            }),
            segment_bytes: segment::SEGMENT_BYTES,
            ring_events: segment::RING_EVENTS,
            ring_bytes: segment::RING_BYTES,
            drive: Drive::default(),
            begin: Revision::ZERO,
        }
    }
}

/// The embedded engine over one data directory.
pub struct Embedded {
    shared: Arc<Shared>,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<Running>>,
}

/// The writer at work.
enum Running {
    Thread(JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

/// What opening found and the engine does, for logs and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Log segments.
    pub segments: usize,
    /// Bytes of a batch that was cut off by a crash and never acknowledged, removed at opening.
    pub torn_bytes: u64,
    /// Why the last attempt to free disk space failed, if it did.
    pub reclaim_error: Option<String>,
}

impl Embedded {
    /// Opens (or makes) the store in a directory and takes its lock.
    ///
    /// # Errors
    /// See `OpenError`: every text says what to do.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk::open(&dir.into())?), options)
    }

    /// Opens the store on a disk.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let recovered = recover::recover(disk.as_ref(), &options)?;
        let shared = Arc::new(Shared::new(disk, options, recovered.state, recovered.torn_bytes));
        let (tx, rx) = mpsc::channel(QUEUE_JOBS);
        let keep = keeper::start(Arc::clone(&shared))?;
        let writer = Writer::new(Arc::clone(&shared), keep, recovered.active).start(rx)?;
        Ok(Self { shared, jobs: Mutex::new(Some(tx)), writer: Mutex::new(Some(writer)) })
    }

    /// Figures about the files.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn sender(&self) -> Option<mpsc::Sender<Job>> {
        self.jobs.lock().clone()
    }

    async fn submit<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.sender()?.send(job(reply)).await.ok()?;
        answer.await.ok()
    }
}

impl Engine for Embedded {
    fn commit(&self, txn: Txn) -> Fut<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            self.submit(|reply| Job::Commit { txn, reply }).await.unwrap_or(Err(CommitError::Closed))
        })
    }

    fn get(&self, key: Bytes, at: Option<Revision>) -> Fut<'_, Result<Option<KeyValue>, RangeError>> {
        Box::pin(async move { self.shared.get(&key, at) })
    }

    fn range(&self, request: RangeRequest) -> Fut<'_, Result<RangeResult, RangeError>> {
        Box::pin(async move { self.shared.range(&request) })
    }

    fn watch(&self, request: WatchRequest) -> Result<Box<dyn Feed>, FeedError> {
        feed::open(&self.shared, request)
    }

    fn compact(&self, to: Revision) -> Fut<'_, Result<(), RangeError>> {
        Box::pin(async move {
            self.submit(|reply| Job::Compact { to, reply }).await.unwrap_or(Err(RangeError::Closed))
        })
    }

    fn revision(&self) -> Revision {
        self.shared.visible()
    }

    fn latest(&self) -> Fut<'_, Result<Revision, RangeError>> {
        Box::pin(async move { self.shared.open_state().map(|state| state.visible) })
    }

    fn compacted(&self) -> Revision {
        self.shared.state.read().compacted
    }

    fn size_bytes(&self) -> u64 {
        self.shared.state.read().segments.values().map(|s| s.file_bytes).sum()
    }

    fn close(&self) -> Fut<'_, ()> {
        Box::pin(async move {
            let sender = self.jobs.lock().take();
            let Some(sender) = sender else { return };
            let (reply, done) = oneshot::channel();
            if sender.send(Job::Close { reply }).await.is_ok() {
                // An error means that the writer is gone already.
                let _ = done.await;
            }
            self.shared.close();
            self.shared.disk.release();
        })
    }
}

impl Drop for Embedded {
    /// Lets a writer's thread finish what is queued, and waits for it: no thread outlives the engine.
    fn drop(&mut self) {
        drop(self.jobs.get_mut().take());
        self.shared.stop_keeper();
        match self.writer.get_mut().take() {
            // A thread that panicked has told so itself.
            Some(Running::Thread(thread)) => drop(thread.join()),
            // Nobody can wait for a task here: what is queued is cut off, as by a crash.
            Some(Running::Task(task)) => task.abort(),
            None => {}
        }
        self.shared.close();
        self.shared.disk.release();
    }
}
