//! One file of the log as the running engine knows it, and how a new one is reserved.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use base::Revision;

use crate::core::reclaim::Wear;
use crate::disk::format::{HEADER_BYTES, SegmentHeader};
use crate::disk::{Disk, DiskFile};

/// Length of a log segment: reserved (zeroed) ahead, so that a commit's sync writes data and no file-system metadata.
pub(super) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// The first segment of a new store is short, so that an empty start is quick.
pub(super) const FIRST_SEGMENT_BYTES: u64 = 1024 * 1024;
/// Recent events kept for feeds.
pub(super) const RING_EVENTS: usize = 4096;
/// Bytes of them.
pub(super) const RING_BYTES: usize = 4 * 1024 * 1024;
/// Zeros are written and synced in pieces of this size, so that commits get their turn between.
const RESERVE_CHUNK_BYTES: usize = 256 * 1024;
/// Distance of the entries in the table that finds a revision's place in a segment.
const MARK_BYTES: u64 = 64 * 1024;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) bytes: u32,
}

/// A segment in use.
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    /// Length of the file.
    pub(super) file_bytes: u64,
    /// The end of the last durable frame.
    pub(super) end: u64,
    /// Base revisions of some frames, with their offsets.
    pub(super) marks: Vec<(Revision, u64)>,
    /// How worn it is.
    pub(super) wear: Wear,
}

impl Segment {
    pub(super) fn new(header: SegmentHeader, name: String, file: Arc<dyn DiskFile>, file_bytes: u64) -> Self {
        let wear = Wear { id: header.id, total_bytes: 0, live_bytes: 0, kept_bytes: 0, dead_puts: 0 };
        Self { header, name, file, file_bytes, end: HEADER_BYTES as u64, marks: Vec::new(), wear }
    }

    /// Notes a frame that was appended or read, and moves the end behind it.
    pub(super) fn note_frame(&mut self, base: Revision, offset: u64, span: u64) {
        if self.marks.last().is_none_or(|(_, last)| offset >= last + MARK_BYTES) {
            self.marks.push((base, offset));
        }
        self.end = offset + span;
    }

    /// Where to begin reading for revisions after `base`.
    pub(super) fn seek(&self, base: Revision) -> u64 {
        let n = self.marks.partition_point(|(b, _)| *b <= base);
        n.checked_sub(1).map_or(HEADER_BYTES as u64, |n| self.marks[n].1)
    }
}

/// A number that no client can know (it keeps stored values from passing for frames).
pub(super) fn fresh_salt() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// Creates a file full of zeros, durable but for its name; a failure leaves no file behind.
pub(super) fn reserve(
    disk: &dyn Disk,
    name: &str,
    bytes: u64,
    stop: impl Fn() -> bool,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(name)?;
    let zeros = vec![0; RESERVE_CHUNK_BYTES.min(bytes as usize)];
    let fill = || -> io::Result<()> {
        let mut at = 0;
        while at < bytes {
            if stop() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = (bytes - at).min(zeros.len() as u64) as usize;
            file.write_at(&zeros[..len], at)?;
            file.sync()?;
            at += len as u64;
        }
        Ok(())
    };
    fill().inspect_err(|_| {
        // The file is of no use; if it cannot be removed either, the next start does.
        let _ = disk.remove(name);
    })?;
    Ok(file)
}

/// Makes a reserved file the segment that its header says: durable, name included.
pub(super) fn install(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    reserved: &str,
    header: &SegmentHeader,
    name: &str,
) -> io::Result<()> {
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    disk.rename(reserved, name)?;
    disk.sync_dir()
}
