//! Reading a segment frame by frame, through a small window, and telling its end from a torn tail from damage.

use std::io;

use super::DiskFile;
use super::format::{FRAME_ALIGN, FRAME_HEAD_BYTES, FrameHead, HEADER_BYTES, Record, SegmentHeader};

/// How much is read at a time (a frame that is longer is read whole).
const WINDOW_BYTES: usize = 256 * 1024;

/// Reads the header of a segment; the inner error says what is wrong with its bytes.
pub(crate) fn read_header(file: &dyn DiskFile) -> io::Result<Result<SegmentHeader, &'static str>> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_at(&mut bytes, 0) {
        Ok(()) => Ok(SegmentHeader::decode(&bytes)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(Err("the segment header is cut off")),
        Err(e) => Err(e),
    }
}

/// What stands at a place of the log.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A whole frame.
    Frame { offset: u64, head: FrameHead, body: &'a [u8] },
    /// Zeros or the end of the file.
    End { offset: u64 },
    /// Something else.
    Damage { offset: u64, what: &'static str },
}

/// A cursor over the frames of one segment.
pub(crate) struct Scanner<'f> {
    file: &'f dyn DiskFile,
    salt: u32,
    limit: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'f> Scanner<'f> {
    /// A scan of `[from, limit)`; `from` is where a frame begins.
    pub(crate) fn new(file: &'f dyn DiskFile, salt: u32, from: u64, limit: u64) -> Self {
        Self { file, salt, limit, at: from, window: Vec::new(), window_at: 0 }
    }

    /// The next frame or what stands in its place.
    pub(crate) fn next(&mut self) -> io::Result<Step<'_>> {
        let offset = self.at;
        if self.limit.saturating_sub(offset) < FRAME_HEAD_BYTES as u64 {
            return Ok(Step::End { offset });
        }
        self.fill(offset, FRAME_HEAD_BYTES)?;
        let start = (offset - self.window_at) as usize;
        let bytes = &self.window[start..start + FRAME_HEAD_BYTES];
        if bytes.iter().all(|b| *b == 0) {
            return Ok(Step::End { offset });
        }
        let Some(head) = FrameHead::decode(bytes, self.salt) else {
            return Ok(Step::Damage { offset, what: "the checksum of a batch head does not match" });
        };
        let whole = FRAME_HEAD_BYTES + head.body_bytes as usize;
        if self.limit - offset < whole as u64 {
            return Ok(Step::Damage { offset, what: "a batch is cut off" });
        }
        self.fill(offset, whole)?;
        let start = (offset - self.window_at) as usize;
        let body = &self.window[start + FRAME_HEAD_BYTES..start + whole];
        if crc32fast::hash(body) != head.body_crc {
            return Ok(Step::Damage { offset, what: "the checksum of a batch does not match" });
        }
        self.at = offset + head.span();
        Ok(Step::Frame { offset, head, body })
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        if offset >= self.window_at && offset + len as u64 <= self.window_at + self.window.len() as u64 {
            return Ok(());
        }
        let len = (len.max(WINDOW_BYTES) as u64).min(self.limit - offset) as usize;
        self.window.resize(len, 0);
        self.window_at = offset;
        self.file.read_at(&mut self.window, offset)
    }

    /// Looks behind a damaged place for a frame that is whole: if there is one, the damage is no torn tail, because a
    /// batch is begun only when the one before it is durable.
    pub(crate) fn frame_after(&mut self, damage: u64) -> io::Result<Option<u64>> {
        let mut at = damage + FRAME_ALIGN;
        while at + FRAME_HEAD_BYTES as u64 <= self.limit {
            self.fill(at, FRAME_HEAD_BYTES)?;
            let start = (at - self.window_at) as usize;
            if FrameHead::decode(&self.window[start..], self.salt).is_some() {
                return Ok(Some(at));
            }
            at += FRAME_ALIGN;
        }
        Ok(None)
    }

    /// The end of the last byte at or after `from` that is not zero.
    pub(crate) fn written_end(&mut self, from: u64) -> io::Result<u64> {
        let (mut at, mut end) = (from, from);
        while at < self.limit {
            self.fill(at, 1)?;
            let start = (at - self.window_at) as usize;
            let chunk = &self.window[start..];
            if let Some(last) = chunk.iter().rposition(|b| *b != 0) {
                end = at + last as u64 + 1;
            }
            at += chunk.len() as u64;
        }
        Ok(end)
    }
}

/// The records of a frame's body with their offsets in it.
pub(crate) fn records(body: &[u8]) -> impl Iterator<Item = (usize, Result<Record<'_>, &'static str>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= body.len() {
            return None;
        }
        let offset = at;
        let record = Record::decode(&body[offset..]);
        at = record.as_ref().map_or(body.len(), |r| offset + r.encoded_bytes());
        Some((offset, record))
    })
}
