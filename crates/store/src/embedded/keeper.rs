//! The keeper: a thread beside the writer that reserves the next segment before it is needed, and rewrites segments that
//! compaction has worn out, in place and in order (the file of the first takes the place of a whole run).

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use base::Revision;
use parking_lot::Mutex;

use super::Drive;
use super::segment::{self, Location, Segment};
use super::shared::{Shared, State};
use crate::api::OpenError;
use crate::core::reclaim::{Run, Wear, plan};
use crate::disk::DiskFile;
use crate::disk::format::{
    FRAME_HEAD_BYTES, FrameHead, HEADER_BYTES, Kind, Record, SegmentHeader, frame_span, segment_name,
};
use crate::disk::scan::{Scanner, Step, records};

const SPARE_UNFINISHED: &str = "spare.tmp";
const REWRITE_UNFINISHED: &str = "rewrite.tmp";
/// Wishes that may wait; one of each kind is enough, so that a full queue loses nothing.
const QUEUE_WISHES: usize = 4;

enum Wish {
    Reserve,
    Reclaim,
}

/// A reserved file that waits to become a segment.
pub(super) struct Spare {
    pub(super) name: &'static str,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) bytes: u64,
}

/// The writer's end of the keeper.
pub(super) struct Keep {
    spare: Arc<Mutex<Slot>>,
    doer: Doer,
}

/// Who fulfils wishes.
enum Doer {
    Thread { wishes: SyncSender<Wish>, thread: JoinHandle<()> },
    /// The writer itself, at once.
    Caller(Arc<Shared>),
}

enum Slot {
    Empty,
    Asked,
    /// Reserving failed; the writer tries when it must, and the keeper again after that.
    Failed,
    Full(Spare),
}

impl Keep {
    /// The reserved file, if it is ready.
    pub(super) fn take_spare(&self) -> Option<Spare> {
        let mut slot = self.spare.lock();
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Full(spare) => Some(spare),
            Slot::Failed => None,
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Asks for a reserved file unless there is one or one was asked for.
    pub(super) fn reserve(&self) {
        let mut slot = self.spare.lock();
        if !matches!(*slot, Slot::Empty) {
            return;
        }
        match &self.doer {
            Doer::Thread { wishes, .. } => {
                if wishes.try_send(Wish::Reserve).is_ok() {
                    *slot = Slot::Asked;
                }
            }
            Doer::Caller(shared) => {
                drop(slot);
                fulfil(&Wish::Reserve, shared, &self.spare);
            }
        }
    }

    /// Asks to free what compaction made dead. A full queue holds the same wish already, or the next compaction will.
    pub(super) fn reclaim(&self) {
        match &self.doer {
            Doer::Thread { wishes, .. } => drop(wishes.try_send(Wish::Reclaim)),
            Doer::Caller(shared) => fulfil(&Wish::Reclaim, shared, &self.spare),
        }
    }

    /// Waits until it has ended; what it was at, it breaks off where that leaves nothing half-done.
    pub(super) fn stop(self) {
        if let Doer::Thread { wishes, thread } = self.doer {
            drop(wishes);
            // A thread that panicked has told so itself.
            let _ = thread.join();
        }
    }
}

/// Starts the thread, if there is to be one.
pub(super) fn start(shared: Arc<Shared>) -> Result<Keep, OpenError> {
    let spare = Arc::new(Mutex::new(Slot::Empty));
    if matches!(shared.options.drive, Drive::Task(_)) {
        return Ok(Keep { spare, doer: Doer::Caller(shared) });
    }
    let (wishes, queue) = sync_channel(QUEUE_WISHES);
    let slot = Arc::clone(&spare);
    let path = shared.disk.path();
    let thread = thread::Builder::new().name("store-keeper".into());
    let thread = thread.spawn(move || run(&shared, &queue, &slot)).map_err(|source| OpenError::Io { path, source })?;
    Ok(Keep { spare, doer: Doer::Thread { wishes, thread } })
}

fn run(shared: &Shared, queue: &Receiver<Wish>, slot: &Mutex<Slot>) {
    while let Ok(wish) = queue.recv() {
        fulfil(&wish, shared, slot);
    }
}

fn fulfil(wish: &Wish, shared: &Shared, slot: &Mutex<Slot>) {
    if shared.is_stopping() {
        return;
    }
    match wish {
        Wish::Reserve => reserve(shared, slot),
        Wish::Reclaim => {
            let result = reclaim(shared);
            *shared.reclaim_error.lock() = result.err().map(|e| e.to_string());
        }
    }
}

/// Failing is no harm: the writer tries itself when it needs the segment, and tells its callers.
fn reserve(shared: &Shared, slot: &Mutex<Slot>) {
    let bytes = shared.options.segment_bytes;
    let file = segment::reserve(shared.disk.as_ref(), SPARE_UNFINISHED, bytes, || shared.is_stopping());
    *slot.lock() = file.map_or(Slot::Failed, |file| Slot::Full(Spare { name: SPARE_UNFINISHED, file, bytes }));
}

/// Rewrites worn runs until none is worth it. One at a time: who comes second finds the work done.
pub(super) fn reclaim(shared: &Shared) -> io::Result<()> {
    let _alone = shared.rewriting.lock();
    while !shared.is_stopping() {
        let (run, sources, compacted) = {
            let state = shared.state.read();
            let mut sealed: Vec<Wear> = state.segments.values().map(|s| s.wear).collect();
            sealed.pop();
            let Some(run) = plan(&sealed, shared.options.segment_bytes) else { return Ok(()) };
            let sources: Vec<Source> = run.ids.iter().map(|id| Source::of(&state.segments[id])).collect();
            (run, sources, state.compacted)
        };
        rewrite(shared, &run, &sources, compacted)?;
    }
    Ok(())
}

/// A segment that is being rewritten.
struct Source {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl Source {
    fn of(segment: &Segment) -> Self {
        Self { header: segment.header, file: Arc::clone(&segment.file), end: segment.end }
    }
}

/// The new file while it is written.
struct Target<'s> {
    shared: &'s Shared,
    drop_tombstones: bool,
    segment: Segment,
    moved: Vec<Moved>,
    kept_bytes: u64,
    body: Vec<u8>,
}

struct Moved {
    key: Vec<u8>,
    revision: Revision,
    at: Location,
    put: bool,
}

fn rewrite(shared: &Shared, run: &Run, sources: &[Source], compacted: Revision) -> io::Result<()> {
    let disk = shared.disk.as_ref();
    let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(()) };
    let header = SegmentHeader {
        id: first.header.id,
        covers_to: last.header.covers_to,
        salt: segment::fresh_salt(),
        base: first.header.base,
        compacted,
    };
    let name = segment_name(header.id);
    let file = disk.create(REWRITE_UNFINISHED)?;
    let mut target = Target {
        shared,
        drop_tombstones: run.drop_tombstones,
        segment: Segment::new(header, name.clone(), file, 0),
        moved: Vec::new(),
        kept_bytes: 0,
        body: Vec::new(),
    };
    let copied = sources.iter().try_for_each(|source| target.copy(source));
    let installed = copied.and_then(|()| {
        target.segment.file_bytes = target.segment.end;
        segment::install(disk, target.segment.file.as_ref(), REWRITE_UNFINISHED, &header, &name)
    });
    if let Err(error) = installed {
        // Either nothing has changed, or the whole new file stands in the old one's place on disk and both are valid:
        // the old files are still open here, and a later start reads the new one.
        let _ = disk.remove(REWRITE_UNFINISHED);
        return Err(error);
    }
    target.swap(&mut shared.state.write(), &run.ids);
    for id in &run.ids[1..] {
        disk.remove(&segment_name(*id))?;
    }
    disk.sync_dir()
}

impl Target<'_> {
    fn copy(&mut self, source: &Source) -> io::Result<()> {
        let Source { header, file, end } = source;
        let mut scanner = Scanner::new(file.as_ref(), header.salt, HEADER_BYTES as u64, *end);
        loop {
            match scanner.next()? {
                Step::Frame { head, body, .. } => self.frame(header.id, head.base, body)?,
                Step::End { .. } => return Ok(()),
                Step::Damage { offset, what } => {
                    let path = self.shared.disk.path().join(segment_name(header.id));
                    let line = format!("{}: corrupt at offset {offset}: {what}", path.display());
                    self.shared.fatal(&line);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, line));
                }
            }
        }
    }

    /// Copies what lives of one frame.
    fn frame(&mut self, source: u32, base: Revision, body: &[u8]) -> io::Result<()> {
        self.body.clear();
        self.body.resize(FRAME_HEAD_BYTES, 0);
        let mut count = 0;
        let state = self.shared.state.read();
        for (at, record) in records(body) {
            let record = record.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
            if self.keeps(&state, source, &record) {
                self.body.extend_from_slice(&body[at..at + record.encoded_bytes()]);
                count += 1;
            }
        }
        drop(state);
        if count == 0 {
            return Ok(());
        }
        let body_bytes = self.body.len() - FRAME_HEAD_BYTES;
        let body_crc = crc32fast::hash(&self.body[FRAME_HEAD_BYTES..]);
        let head = FrameHead { body_bytes: body_bytes as u32, records: count, body_crc, base };
        self.body[..FRAME_HEAD_BYTES].copy_from_slice(&head.encode(self.segment.header.salt));
        let span = frame_span(body_bytes);
        self.body.resize(span as usize, 0);
        self.segment.file.write_at(&self.body, self.segment.end)?;
        self.segment.wear.total_bytes += body_bytes as u64;
        self.segment.note_frame(base, self.segment.end, span);
        Ok(())
    }

    fn keeps(&mut self, state: &State, source: u32, record: &Record<'_>) -> bool {
        if record.kind == Kind::Compact {
            return false;
        }
        let known = state.index.exactly(record.key, record.revision);
        let bytes = record.encoded_bytes() as u32;
        if known.is_some_and(|item| item.at.segment == source) {
            let offset = self.segment.end as u32 + self.body.len() as u32;
            let at = Location { segment: self.segment.header.id, offset, bytes };
            let put = record.kind == Kind::Put;
            self.moved.push(Moved { key: record.key.to_vec(), revision: record.revision, at, put });
            return true;
        }
        let needed = record.kind == Kind::Delete && !self.drop_tombstones;
        self.kept_bytes += if needed { u64::from(bytes) } else { 0 };
        needed
    }

    /// Puts the new segment in the place of the run. What was compacted away meanwhile is dead in it from the start.
    fn swap(self, state: &mut State, ids: &[u32]) {
        let Self { mut segment, moved, kept_bytes, .. } = self;
        segment.wear.kept_bytes = kept_bytes;
        for Moved { key, revision, at, put } in moved {
            if state.index.relocate(&key, revision, at) {
                segment.wear.live_bytes += u64::from(at.bytes);
            } else {
                segment.wear.dead_puts += u64::from(put);
            }
        }
        for id in ids {
            state.segments.remove(id);
        }
        state.segments.insert(segment.header.id, segment);
    }
}
