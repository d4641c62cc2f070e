//! Opening: checks the format stamp, reads the segments in order into the key index, and tells a torn tail (a batch that
//! was never acknowledged; removed) from damage to acknowledged bytes (refused, with file and offset).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base::Revision;

use super::Options;
use super::segment::{self, FIRST_SEGMENT_BYTES, Location, Segment};
use super::shared::State;
use super::writer::Active;
use crate::api::OpenError;
use crate::core::index::{Item, KeyIndex};
use crate::core::ring::Ring;
use crate::disk::format::{
    FORMAT, FORMAT_FILE, FORMAT_WORDS, FRAME_HEAD_BYTES, FrameHead, HEADER_BYTES, Kind, Record, SegmentHeader, segment_id,
    segment_name,
};
use crate::disk::scan::{Scanner, Step, read_header, records};
use crate::disk::{Disk, DiskFile};

/// What opening found.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) active: Active,
    pub(super) torn_bytes: u64,
}

/// Files with this ending are unfinished work of a process that died; they are removed.
pub(super) const UNFINISHED: &str = ".tmp";
const FORMAT_UNFINISHED: &str = "FORMAT.tmp";
const FIRST_UNFINISHED: &str = "first.tmp";
const TAIL_ZEROS_BYTES: usize = 64 * 1024;

pub(super) fn recover(disk: &dyn Disk, options: &Options) -> Result<Recovered, OpenError> {
    let names = disk.list().map_err(|e| failed(disk, "", e))?;
    let has_segments = names.iter().any(|name| segment_id(name).is_some());
    check_format(disk, &names, has_segments)?;
    for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
        disk.remove(name).map_err(|e| failed(disk, name, e))?;
    }
    if !has_segments {
        create_first(disk, options)?;
    }
    let mut load = Load {
        disk,
        state: State {
            index: KeyIndex::new(),
            segments: BTreeMap::new(),
            ring: Ring::new(Revision::ZERO, options.ring_events, options.ring_bytes),
            visible: Revision::ZERO,
            compacted: Revision::ZERO,
        },
        torn_bytes: 0,
    };
    load.segments()?;
    load.finish(options)
}

fn check_format(disk: &dyn Disk, names: &[String], has_segments: bool) -> Result<(), OpenError> {
    let not_a_store = |what: &str| OpenError::NotAStore { dir: disk.path(), what: what.into() };
    if !names.iter().any(|name| name == FORMAT_FILE) {
        if has_segments {
            return Err(not_a_store("it has log segments but no FORMAT file"));
        }
        return write_format(disk).map_err(|e| failed(disk, FORMAT_FILE, e));
    }
    let read = || {
        let file = disk.open(FORMAT_FILE)?;
        let mut text = vec![0; file.len()?.min(256) as usize];
        file.read_at(&mut text, 0)?;
        Ok(text)
    };
    let text = read().map_err(|e| failed(disk, FORMAT_FILE, e))?;
    let text = String::from_utf8_lossy(&text);
    let found = text.strip_prefix(FORMAT_WORDS).and_then(|n| n.trim_end().parse::<u32>().ok());
    match found {
        Some(found) if found > FORMAT => Err(OpenError::Newer { dir: disk.path(), found, supported: FORMAT }),
        Some(0) | None => Err(not_a_store("its FORMAT file says nothing that a store would say")),
        Some(_) => Ok(()),
    }
}

fn write_format(disk: &dyn Disk) -> io::Result<()> {
    let file = disk.create(FORMAT_UNFINISHED)?;
    file.write_at(format!("{FORMAT_WORDS}{FORMAT}\n").as_bytes(), 0)?;
    file.sync()?;
    disk.rename(FORMAT_UNFINISHED, FORMAT_FILE)?;
    disk.sync_dir()
}

fn create_first(disk: &dyn Disk, options: &Options) -> Result<(), OpenError> {
    let header = SegmentHeader {
        id: 1,
        covers_to: 1,
        salt: segment::fresh_salt(),
        base: options.begin,
        compacted: options.begin,
    };
    let bytes = FIRST_SEGMENT_BYTES.min(options.segment_bytes);
    let create = || {
        let file = segment::reserve(disk, FIRST_UNFINISHED, bytes, || false)?;
        segment::install(disk, file.as_ref(), FIRST_UNFINISHED, &header, &segment_name(1))
    };
    create().map_err(|e| failed(disk, &segment_name(1), e))
}

struct Load<'d> {
    disk: &'d dyn Disk,
    state: State,
    torn_bytes: u64,
}

impl Load<'_> {
    /// Reads all segments, oldest first.
    fn segments(&mut self) -> Result<(), OpenError> {
        let names = self.disk.list().map_err(|e| failed(self.disk, "", e))?;
        let mut ids: Vec<u32> = names.iter().filter_map(|name| segment_id(name)).collect();
        ids.sort_unstable();
        let last = ids.last().copied().unwrap_or_default();
        let (mut covered, mut gaps) = (0, Vec::new());
        for id in ids {
            let name = segment_name(id);
            if id <= covered {
                // A rewrite took its place and was interrupted before it could remove it.
                self.disk.remove(&name).map_err(|e| failed(self.disk, &name, e))?;
                continue;
            }
            let file = self.disk.open(&name).map_err(|e| failed(self.disk, &name, e))?;
            let header = read_header(file.as_ref()).map_err(|e| failed(self.disk, &name, e))?;
            if header.is_err() && id == last && covered > 0 && is_blank(file.as_ref()).map_err(|e| failed(self.disk, &name, e))? {
                // A disk that lost all that was written to it: what is before it is a whole prefix of the history.
                self.disk.remove(&name).map_err(|e| failed(self.disk, &name, e))?;
                continue;
            }
            let header = header.map_err(|what| corrupt(self.disk, &name, 0, what))?;
            if header.id != id {
                return Err(corrupt(self.disk, &name, 0, "the file has the number of another segment"));
            }
            if id != covered + 1 {
                let what = format!("the segment before it, {}, is missing", segment_name(covered + 1));
                return Err(corrupt(self.disk, &name, 0, &what));
            }
            if covered > 0 && header.base > self.state.visible {
                gaps.push((name.clone(), self.state.visible, header.base));
            }
            covered = header.covers_to;
            self.segment(header, name, file, id == last)?;
        }
        // A segment begins where the one before it ended, unless that was rewritten without what is compacted, as a record
        // behind them may say.
        match gaps.into_iter().find(|(_, _, begins)| *begins > self.state.compacted) {
            Some((name, ended, begins)) => {
                let what = format!("the segment before it ends at revision {ended} instead of {begins}");
                Err(corrupt(self.disk, &name, 0, &what))
            }
            None => Ok(()),
        }
    }

    fn segment(
        &mut self,
        header: SegmentHeader,
        name: String,
        file: Arc<dyn DiskFile>,
        last: bool,
    ) -> Result<(), OpenError> {
        let told = |e| failed(self.disk, &name, e);
        let len = file.len().map_err(told)?;
        if header.base < self.state.visible {
            return Err(corrupt(self.disk, &name, 0, "its revisions begin before those of the segment before it end"));
        }
        self.state.visible = header.base;
        self.state.compacted = self.state.compacted.max(header.compacted);
        self.state.segments.insert(header.id, Segment::new(header, name.clone(), Arc::clone(&file), len));
        let mut scanner = Scanner::new(file.as_ref(), header.salt, HEADER_BYTES as u64, len);
        let (offset, damage) = loop {
            match scanner.next().map_err(|e| failed(self.disk, &name, e))? {
                Step::Frame { offset, head, body } => {
                    load_frame(&mut self.state, header.id, offset, &head, body)
                        .map_err(|(at, what)| corrupt(self.disk, &name, at, what))?;
                    let segment = self.state.segments.get_mut(&header.id).expect("it was inserted above");
                    segment.note_frame(head.base, offset, head.span());
                }
                Step::End { offset } => break (offset, None),
                Step::Damage { offset, what } => break (offset, Some(what)),
            }
        };
        let written = scanner.written_end(offset).map_err(|e| failed(self.disk, &name, e))?;
        if written == offset && damage.is_none() {
            return Ok(());
        }
        let what = damage.unwrap_or("bytes follow the last batch");
        if !last {
            return Err(corrupt(self.disk, &name, offset, what));
        }
        if let Some(later) = scanner.frame_after(offset).map_err(|e| failed(self.disk, &name, e))? {
            let what = format!("{what}, and a whole batch follows it at offset {later}");
            return Err(corrupt(self.disk, &name, offset, &what));
        }
        self.torn_bytes = written - offset;
        blank(file.as_ref(), offset, written).map_err(|e| failed(self.disk, &name, e))
    }

    fn finish(mut self, options: &Options) -> Result<Recovered, OpenError> {
        let state = &mut self.state;
        state.compact(state.compacted);
        state.ring = Ring::new(state.visible, options.ring_events, options.ring_bytes);
        let newest = state.segments.values().next_back().expect("a store has a first segment");
        // What was read may still be only in the page cache of a killed process: make it durable before showing it.
        newest.file.sync().map_err(|e| failed(self.disk, &newest.name, e))?;
        self.disk.sync_dir().map_err(|e| failed(self.disk, "", e))?;
        let active = Active::of(newest);
        Ok(Recovered { state: self.state, active, torn_bytes: self.torn_bytes })
    }
}

/// Takes the records of a frame into the state; an error says where in the file and what.
fn load_frame(
    state: &mut State,
    segment: u32,
    frame: u64,
    head: &FrameHead,
    body: &[u8],
) -> Result<(), (u64, &'static str)> {
    let mut count = 0;
    for (at, record) in records(body) {
        count += 1;
        let offset = frame + (FRAME_HEAD_BYTES + at) as u64;
        let record = record.map_err(|what| (offset, what))?;
        load_record(state, segment, offset, &record).map_err(|what| (offset, what))?;
    }
    if count != head.records {
        return Err((frame, "a batch has not as many records as it says"));
    }
    state.visible = state.visible.max(head.base);
    Ok(())
}

fn load_record(state: &mut State, segment: u32, offset: u64, record: &Record<'_>) -> Result<(), &'static str> {
    let bytes = record.encoded_bytes() as u32;
    if let Some(segment) = state.segments.get_mut(&segment) {
        segment.wear.total_bytes += u64::from(bytes);
    }
    if record.kind == Kind::Compact {
        state.compacted = state.compacted.max(record.revision);
        return Ok(());
    }
    if record.revision < state.visible || (record.kind == Kind::Put) == (record.version == 0) {
        return Err("a record out of order");
    }
    state.visible = record.revision;
    let at = Location { segment, offset: offset as u32, bytes };
    let Record { revision, created, version, key, .. } = *record;
    state.insert(key, Item { revision, created, version, at });
    Ok(())
}

/// Whether nothing but zeros is in a file.
fn is_blank(file: &dyn DiskFile) -> io::Result<bool> {
    let len = file.len()?;
    let mut bytes = vec![0; TAIL_ZEROS_BYTES];
    let mut at = 0;
    while at < len {
        let part = &mut bytes[..(len - at).min(TAIL_ZEROS_BYTES as u64) as usize];
        file.read_at(part, at)?;
        if part.iter().any(|b| *b != 0) {
            return Ok(false);
        }
        at += part.len() as u64;
    }
    Ok(true)
}

fn blank(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; TAIL_ZEROS_BYTES];
    let mut at = from;
    while at < to {
        let len = (to - at).min(zeros.len() as u64) as usize;
        file.write_at(&zeros[..len], at)?;
        at += len as u64;
    }
    file.sync()
}

fn failed(disk: &dyn Disk, name: &str, source: io::Error) -> OpenError {
    crate::disk::refusal(&path_of(disk, name), source)
}

fn corrupt(disk: &dyn Disk, name: &str, offset: u64, what: &str) -> OpenError {
    OpenError::Corrupt { file: path_of(disk, name), offset, what: what.into() }
}

fn path_of(disk: &dyn Disk, name: &str) -> PathBuf {
    if name.is_empty() { disk.path() } else { disk.path().join(name) }
}
