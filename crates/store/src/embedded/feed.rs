//! Feeds: a cursor that takes from the recent events when it keeps up and re-reads the log when it does not.

use std::sync::Arc;

use base::Revision;
use bytes::Bytes;
use tokio::sync::watch;

use super::read::{io_error, pair};
use super::segment::Location;
use super::shared::{Shared, State};
use crate::api::{Batch, Event, Feed, FeedError, Fut, KeyValue, RangeError, WatchRequest};
use crate::core::index::Item;
use crate::disk::DiskFile;
use crate::disk::format::{Kind, Record};
use crate::disk::scan::{Scanner, Step, records};

/// A batch ends at the first whole revision after so many events.
const BATCH_EVENTS: usize = 1024;
/// A batch that is read back from the log ends at the first whole frame after so many bytes.
const HISTORY_BYTES: u64 = 1024 * 1024;

struct EmbeddedFeed {
    shared: Arc<Shared>,
    request: WatchRequest,
    next: Revision,
    progress: watch::Receiver<Revision>,
}

/// A part of the log to read back, with a hold on its file.
struct Stretch {
    file: Arc<dyn DiskFile>,
    name: String,
    salt: u32,
    from: u64,
    end: u64,
}

enum Look {
    Ready(Batch),
    /// What fell out of the recent events.
    History { stretches: Vec<Stretch>, until: Revision },
    Nothing,
}

pub(super) fn open(shared: &Arc<Shared>, request: WatchRequest) -> Result<Box<dyn Feed>, FeedError> {
    // Subscribed before the state is looked at, so that nothing falls between.
    let progress = shared.progress.subscribe();
    let state = shared.open_state().map_err(|_| FeedError::Closed)?;
    let next = if request.from == Revision::ZERO { state.visible.next() } else { request.from };
    if next <= state.compacted {
        return Err(FeedError::Compacted { compacted: state.compacted });
    }
    drop(state);
    Ok(Box::new(EmbeddedFeed { shared: Arc::clone(shared), request, next, progress }))
}

impl Feed for EmbeddedFeed {
    fn next(&mut self) -> Fut<'_, Result<Batch, FeedError>> {
        Box::pin(async move {
            loop {
                // Marked before looking: progress that is made while looking wakes the next wait at once.
                self.progress.borrow_and_update();
                let closed = self.shared.is_closed();
                let batch = match self.look()? {
                    Look::Ready(batch) => batch,
                    Look::History { stretches, until } => self.read_back(&stretches, until)?,
                    Look::Nothing if closed => return Err(FeedError::Closed),
                    Look::Nothing => {
                        // The sender lives in `shared`, which this feed holds.
                        let _ = self.progress.changed().await;
                        continue;
                    }
                };
                self.next = batch.revision.next();
                return Ok(self.with_previous(batch)?);
            }
        })
    }

    fn position(&self) -> Revision {
        self.next
    }
}

impl EmbeddedFeed {
    fn look(&self) -> Result<Look, FeedError> {
        let state = self.shared.state.read();
        if self.next > state.visible {
            return Ok(Look::Nothing);
        }
        if let Some(recent) = state.ring.since(self.next) {
            return Ok(Look::Ready(self.take(recent, state.visible)));
        }
        if self.next <= state.compacted {
            return Err(FeedError::Compacted { compacted: state.compacted });
        }
        Ok(Look::History { stretches: state.stretches(self.next), until: state.ring.complete_after() })
    }

    fn take<'a>(&self, recent: impl Iterator<Item = &'a Event>, visible: Revision) -> Batch {
        let mut batch = Batch { revision: visible, events: Vec::new() };
        for event in recent {
            let last = batch.events.last().map(|e: &Event| e.revision);
            if batch.events.len() >= BATCH_EVENTS && last.is_some_and(|last| last < event.revision) {
                batch.revision = last.unwrap_or(visible);
                break;
            }
            if self.wants(&event.key) {
                batch.events.push(event.clone());
            }
        }
        batch
    }

    fn wants(&self, key: &[u8]) -> bool {
        key >= &self.request.start[..] && (self.request.end.is_empty() || key < &self.request.end[..])
    }

    /// Reads whole frames back from the log until enough is read.
    fn read_back(&self, stretches: &[Stretch], until: Revision) -> Result<Batch, FeedError> {
        let mut batch = Batch { revision: Revision(self.next.0 - 1), events: Vec::new() };
        let mut read = 0;
        for Stretch { file, name, salt, from, end } in stretches {
            let mut scanner = Scanner::new(file.as_ref(), *salt, *from, *end);
            loop {
                match scanner.next().map_err(|e| FeedError::Read(io_error(name, &e)))? {
                    Step::Frame { head, body, .. } => {
                        read += head.span();
                        for (_, record) in records(body) {
                            let record = record.map_err(|what| self.damaged(name, 0, what))?;
                            if record.kind != Kind::Compact && record.revision > until {
                                batch.revision = until;
                                return Ok(batch);
                            }
                            self.take_record(&record, &mut batch);
                        }
                    }
                    Step::End { .. } => break,
                    Step::Damage { offset, what } => return Err(self.damaged(name, offset, what)),
                }
                if read >= HISTORY_BYTES || batch.events.len() >= BATCH_EVENTS {
                    // A page of nothing but older records must not look like no progress: read on then.
                    if batch.revision >= self.next {
                        return Ok(batch);
                    }
                }
            }
        }
        batch.revision = until;
        Ok(batch)
    }

    fn take_record(&self, record: &Record<'_>, batch: &mut Batch) {
        if record.kind == Kind::Compact || record.revision < self.next {
            return;
        }
        batch.revision = record.revision;
        if !self.wants(record.key) {
            return;
        }
        let key = Bytes::copy_from_slice(record.key);
        let item = Item { revision: record.revision, created: record.created, version: record.version, at: () };
        let put =
            (record.kind == Kind::Put).then(|| pair(key.clone(), Bytes::copy_from_slice(record.value), &item));
        batch.events.push(Event { revision: record.revision, key, put, previous: None, companion: None });
    }

    fn damaged(&self, name: &str, offset: u64, what: &str) -> FeedError {
        self.shared.fatal(&format!("{}: corrupt at offset {offset}: {what}", self.shared.disk.path().join(name).display()));
        FeedError::Read(RangeError::Corrupt { file: name.into(), offset, what: what.into() })
    }

    fn with_previous(&self, mut batch: Batch) -> Result<Batch, FeedError> {
        if self.request.previous {
            for event in &mut batch.events {
                event.previous = self.previous(event)?;
            }
        }
        Ok(batch)
    }

    fn previous(&self, event: &Event) -> Result<Option<KeyValue>, FeedError> {
        let place = {
            let state = self.shared.state.read();
            let before = Revision(event.revision.0.saturating_sub(1));
            let item: Option<&Item<Location>> = state.index.at(&event.key, before);
            item.map(|item| state.place(item))
        };
        place.map(|place| self.shared.load(&place).map_err(FeedError::Read)).transpose()
    }
}

impl State {
    /// The parts of the log that hold a revision and all later ones.
    fn stretches(&self, from: Revision) -> Vec<Stretch> {
        let base = Revision(from.0.saturating_sub(1));
        let first = self.segments.values().rev().find(|s| s.header.base <= base).map_or(0, |s| s.header.id);
        let stretch = |segment: &super::segment::Segment| Stretch {
            file: Arc::clone(&segment.file),
            name: segment.name.clone(),
            salt: segment.header.salt,
            from: segment.seek(base),
            end: segment.end,
        };
        self.segments.range(first..).map(|(_, segment)| stretch(segment)).collect()
    }
}
