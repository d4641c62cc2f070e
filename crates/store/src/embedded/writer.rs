//! The writer: one thread that turns whatever is queued into one frame, makes it durable, and only then shows it.

use std::io;
use std::sync::Arc;
use std::thread;

use base::Revision;
use tokio::sync::{mpsc, oneshot};

use super::keeper::Keep;
use super::read::Place;
use super::{Drive, Pace, Running};
use super::segment::{self, Location, Segment};
use super::shared::{Shared, State, refused};
use crate::api::{CommitError, Committed, Event, KeyValue, OpenError, RangeError, Txn};
use crate::core::index::Item;
use crate::core::stage::{Found, Stage, Verdict, Write};
use crate::disk::DiskFile;
use crate::disk::format::{FRAME_HEAD_BYTES, FrameHead, HEADER_BYTES, Record, SegmentHeader, frame_span, segment_name};

/// Transactions that go into one frame at most.
const BATCH_JOBS: usize = 512;
/// A frame takes no further transaction once it has so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Room that the frame buffer keeps between batches.
const FRAME_KEEP_BYTES: usize = 256 * 1024;
const NEXT_UNFINISHED: &str = "next.tmp";

/// What the writer is asked to do, in the order of asking.
pub(super) enum Job {
    Commit { txn: Txn, reply: oneshot::Sender<Result<Committed, CommitError>> },
    Compact { to: Revision, reply: oneshot::Sender<Result<(), RangeError>> },
    Close { reply: oneshot::Sender<()> },
}

/// The segment that is appended to.
pub(super) struct Active {
    id: u32,
    salt: u32,
    file: Arc<dyn DiskFile>,
    at: u64,
    size: u64,
    /// Up to where a write that the disk refused may have left bytes.
    soiled: u64,
}

impl Active {
    pub(super) fn of(segment: &Segment) -> Self {
        let Segment { header, file, end, file_bytes, .. } = segment;
        Self { id: header.id, salt: header.salt, file: Arc::clone(file), at: *end, size: *file_bytes, soiled: 0 }
    }
}

/// An answer that waits for the frame.
enum Answer {
    Commit(oneshot::Sender<Result<Committed, CommitError>>, Outcome),
    Compact(oneshot::Sender<Result<(), RangeError>>, Result<(), RangeError>),
}

enum Outcome {
    Done(Result<Committed, CommitError>),
    /// A conflict with a pair that lies on disk.
    Conflict(Place),
}

enum Failure {
    /// Nothing changed; the callers are told why.
    Refused(CommitError),
    /// The state of the disk is unknown.
    Fatal(String),
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    keeper: Keep,
    active: Active,
    frame: Vec<u8>,
    offsets: Vec<u32>,
    records: u32,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, keeper: Keep, active: Active) -> Self {
        Self { shared, keeper, active, frame: Vec::new(), offsets: Vec::new(), records: 0 }
    }

    pub(super) fn start(self, jobs: mpsc::Receiver<Job>) -> Result<Running, OpenError> {
        let path = self.shared.disk.path();
        match self.shared.options.drive.clone() {
            Drive::Threads => {
                let thread = thread::Builder::new().name("store-writer".into());
                let thread = thread.spawn(move || self.run(jobs)).map_err(|source| OpenError::Io { path, source })?;
                Ok(Running::Thread(thread))
            }
            Drive::Task(pace) => Ok(Running::Task(tokio::spawn(self.run_as_task(jobs, pace)))),
        }
    }

    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut close = None;
        while close.is_none() && !self.shared.is_closed() {
            let Some(first) = jobs.blocking_recv() else { break };
            let batch = gather(first, &mut jobs, &mut close);
            self.batch(batch);
        }
        self.shared.close();
        // What is still under way into the queue must come out of it, or its caller waits forever: a dropped receiver
        // may miss a message whose sender already had its place. Dropping a job answers it with `Closed`.
        jobs.close();
        while jobs.blocking_recv().is_some() {}
        self.end(close);
    }

    /// The same, for a runtime whose time is virtual.
    async fn run_as_task(mut self, mut jobs: mpsc::Receiver<Job>, pace: Pace) {
        let mut close = None;
        while close.is_none() && !self.shared.is_closed() {
            let Some(first) = jobs.recv().await else { break };
            let batch = gather(first, &mut jobs, &mut close);
            pace().await;
            self.batch(batch);
        }
        self.shared.close();
        jobs.close();
        while jobs.recv().await.is_some() {}
        self.end(close);
    }

    fn end(self, close: Option<oneshot::Sender<()>>) {
        // The keeper must not touch the directory once it may belong to another process.
        self.keeper.stop();
        if let Some(reply) = close {
            // The caller may have gone.
            let _ = reply.send(());
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut stage = Stage::new(self.shared.visible());
        let mut compact = None;
        let answers = stage_jobs(&self.shared.state.read(), jobs, &mut stage, &mut compact);
        let outcome = if stage.writes().is_empty() && compact.is_none() {
            Ok(())
        } else {
            self.encode(&stage, compact);
            self.append().map(|offset| self.show(offset, stage, compact))
        };
        match outcome {
            Ok(()) => self.answer(answers),
            Err(Failure::Refused(error)) => refuse(answers, &error),
            Err(Failure::Fatal(line)) => {
                self.shared.fatal(&line);
                refuse(answers, &CommitError::Closed);
            }
        }
        self.tend(compact.is_some());
    }

    /// Builds the frame; notes where each write's record begins in it.
    fn encode(&mut self, stage: &Stage, compact: Option<Revision>) {
        self.frame.clear();
        self.frame.shrink_to(FRAME_KEEP_BYTES);
        self.frame.resize(FRAME_HEAD_BYTES, 0);
        self.offsets.clear();
        for write in stage.writes() {
            self.offsets.push(self.frame.len() as u32);
            Record::of(write).encode(&mut self.frame);
        }
        if let Some(to) = compact {
            Record::compact(to).encode(&mut self.frame);
        }
        self.records = self.offsets.len() as u32 + u32::from(compact.is_some());
    }

    /// Writes the frame where the log ends and syncs it; says where it lies.
    fn append(&mut self) -> Result<u64, Failure> {
        let body = self.frame.len() - FRAME_HEAD_BYTES;
        let span = frame_span(body);
        if self.active.at + span > self.active.size {
            self.roll(span)?;
        }
        let head = FrameHead {
            body_bytes: body as u32,
            records: self.records,
            body_crc: crc32fast::hash(&self.frame[FRAME_HEAD_BYTES..]),
            base: self.shared.visible(),
        };
        self.frame[..FRAME_HEAD_BYTES].copy_from_slice(&head.encode(self.active.salt));
        let active = &mut self.active;
        if let Err(error) = active.file.write_at(&self.frame, active.at) {
            active.soiled = active.soiled.max(active.at + span);
            return Err(failure("writing the log", &error));
        }
        active.file.sync().map_err(|e| Failure::Fatal(format!("the log could not be synced: {e}")))?;
        let offset = active.at;
        active.at += span;
        Ok(offset)
    }

    /// Goes on in a new segment that has room for the frame.
    fn roll(&mut self, span: u64) -> Result<(), Failure> {
        self.clean_tail()?;
        let needed = HEADER_BYTES as u64 + span;
        let size = self.shared.options.segment_bytes.max(needed);
        let disk = self.shared.disk.as_ref();
        let spare = self.keeper.take_spare().filter(|spare| spare.bytes >= needed);
        let (name, file, size) = match spare {
            Some(spare) => (spare.name, spare.file, spare.bytes),
            None => {
                let file = segment::reserve(disk, NEXT_UNFINISHED, size, || false)
                    .map_err(|e| failure("reserving a log segment", &e))?;
                (NEXT_UNFINISHED, file, size)
            }
        };
        let state = self.shared.state.read();
        let id = state.segments.values().next_back().map_or(0, |s| s.header.covers_to) + 1;
        let header = SegmentHeader {
            id,
            covers_to: id,
            salt: segment::fresh_salt(),
            base: state.visible,
            compacted: state.compacted,
        };
        drop(state);
        segment::install(disk, file.as_ref(), name, &header, &segment_name(id))
            .map_err(|e| Failure::Fatal(format!("a new log segment could not be made durable: {e}")))?;
        let segment = Segment::new(header, segment_name(id), file, size);
        self.active = Active::of(&segment);
        self.shared.state.write().segments.insert(id, segment);
        Ok(())
    }

    /// Removes what a refused write may have left, so that a sealed segment ends in zeros.
    fn clean_tail(&mut self) -> Result<(), Failure> {
        let active = &mut self.active;
        let end = active.soiled.min(active.size);
        if end > active.at {
            let zeros = vec![0; (end - active.at) as usize];
            active.file.write_at(&zeros, active.at).map_err(|e| failure("cleaning the log", &e))?;
            active.file.sync().map_err(|e| Failure::Fatal(format!("the log could not be synced: {e}")))?;
        }
        active.soiled = 0;
        Ok(())
    }

    /// Makes the durable frame visible: index, recent events, feeds.
    fn show(&self, frame: u64, stage: Stage, compact: Option<Revision>) {
        let id = self.active.id;
        let revision = stage.revision();
        let mut state = self.shared.state.write();
        let base = state.visible;
        if let Some(segment) = state.segments.get_mut(&id) {
            segment.note_frame(base, frame, self.active.at - frame);
            segment.wear.total_bytes += (self.frame.len() - FRAME_HEAD_BYTES) as u64;
        }
        for (write, offset) in stage.into_writes().into_iter().zip(&self.offsets) {
            let bytes = Record::of(&write).encoded_bytes() as u32;
            let at = Location { segment: id, offset: frame as u32 + offset, bytes };
            let Write { revision, created, version, .. } = write;
            state.insert(&write.key, Item { revision, created, version, at });
            state.ring.push(event(write));
        }
        if let Some(to) = compact {
            state.compact(to);
        }
        state.visible = revision;
        drop(state);
        self.shared.progress.send_replace(revision);
    }

    fn answer(&self, answers: Vec<Answer>) {
        for answer in answers {
            // A caller that has gone does not hear the answer; what it asked for is done all the same.
            match answer {
                Answer::Commit(reply, Outcome::Done(result)) => drop(reply.send(result)),
                Answer::Commit(reply, Outcome::Conflict(place)) => drop(reply.send(self.conflict(&place))),
                Answer::Compact(reply, result) => drop(reply.send(result)),
            }
        }
    }

    fn conflict(&self, place: &Place) -> Result<Committed, CommitError> {
        match self.shared.load(place) {
            Ok(found) => Err(CommitError::Conflict { key: found.key.clone(), found: Some(Box::new(found)) }),
            Err(error) => Err(CommitError::Unavailable(error.to_string())),
        }
    }

    /// Lets the keeper reserve the next segment in time, and free space after a compaction.
    fn tend(&self, compacted: bool) {
        if self.active.at * 2 > self.active.size {
            self.keeper.reserve();
        }
        if compacted {
            self.keeper.reclaim();
        }
    }
}

/// What is queued now, as far as it fits into one frame; a wish to close ends it.
fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>, close: &mut Option<oneshot::Sender<()>>) -> Vec<Job> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Close { reply } => {
                *close = Some(reply);
                break;
            }
            Job::Commit { ref txn, .. } => bytes += txn.size_bytes(),
            Job::Compact { .. } => {}
        }
        batch.push(job);
        let full = batch.len() >= BATCH_JOBS || bytes >= BATCH_BYTES;
        next = if full { None } else { jobs.try_recv().ok() };
    }
    batch
}

/// Judges the jobs in order; nothing changes yet.
fn stage_jobs(state: &State, jobs: Vec<Job>, stage: &mut Stage, compact: &mut Option<Revision>) -> Vec<Answer> {
    let judge = |job| match job {
        Job::Commit { txn, reply } => {
            let outcome = match stage.offer(&state.index, txn) {
                Verdict::Accepted { revision, changed } => Outcome::Done(Ok(Committed { revision, changed })),
                Verdict::Duplicate(key) => Outcome::Done(Err(CommitError::DuplicateKey(key))),
                Verdict::TooLarge => Outcome::Done(Err(CommitError::TooLarge)),
                Verdict::Conflict { key, found: Found::Absent } => {
                    Outcome::Done(Err(CommitError::Conflict { key, found: None }))
                }
                Verdict::Conflict { key, found: Found::Staged(kv) } => {
                    Outcome::Done(Err(CommitError::Conflict { key, found: Some(kv) }))
                }
                Verdict::Conflict { found: Found::Stored(item), .. } => Outcome::Conflict(state.place(&item)),
            };
            Some(Answer::Commit(reply, outcome))
        }
        Job::Compact { to, reply } => {
            let done = compact.unwrap_or(state.compacted);
            let result = if to <= done {
                Err(RangeError::Compacted { compacted: done })
            } else if to > stage.revision() {
                Err(RangeError::Future { current: stage.revision() })
            } else {
                *compact = Some(to);
                Ok(())
            };
            Some(Answer::Compact(reply, result))
        }
        Job::Close { .. } => None,
    };
    jobs.into_iter().filter_map(judge).collect()
}

fn event(write: Write) -> Event {
    let put: Option<KeyValue> = write.pair();
    Event { revision: write.revision, put, previous: None, companion: write.companion, key: write.key }
}

fn refuse(answers: Vec<Answer>, error: &CommitError) {
    for answer in answers {
        match answer {
            Answer::Commit(reply, _) => drop(reply.send(Err(copy(error)))),
            Answer::Compact(reply, _) => drop(reply.send(Err(RangeError::Unavailable(error.to_string())))),
        }
    }
}

fn copy(error: &CommitError) -> CommitError {
    match error {
        CommitError::NoSpace(why) => CommitError::NoSpace(why.clone()),
        CommitError::ReadOnly(why) => CommitError::ReadOnly(why.clone()),
        _ => CommitError::Closed,
    }
}

fn failure(what: &str, error: &io::Error) -> Failure {
    refused(error).map_or_else(|| Failure::Fatal(format!("{what} failed: {error}")), Failure::Refused)
}
