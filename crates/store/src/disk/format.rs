//! The bytes of the log: segment header, batch frame, record. All integers little-endian, all checksums CRC-32 (IEEE).
//! The drawing is in docs/store-format.md; a change here is a new `FORMAT` and a new paragraph there.

use base::Revision;

use crate::core::stage::Write;

/// The newest format that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// The file that says which format the directory has, in words.
pub(crate) const FORMAT_FILE: &str = "FORMAT";
/// What stands before the number in it.
pub(crate) const FORMAT_WORDS: &str = "timonel-store format ";

/// Length of a segment header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Length of a frame's head.
pub(crate) const FRAME_HEAD_BYTES: usize = 32;
/// Frames begin at multiples of this.
pub(crate) const FRAME_ALIGN: u64 = 8;
/// Length of a record before its key.
pub(crate) const RECORD_HEAD_BYTES: usize = 36;

const SEGMENT_MAGIC: [u8; 8] = *b"TIMSTORE";
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"BTCH");
const LOG_SUFFIX: &str = ".log";

/// The name of a segment's file.
pub(crate) fn segment_name(id: u32) -> String {
    format!("{id:010}{LOG_SUFFIX}")
}

/// The segment number in a file name, if it is a segment's.
pub(crate) fn segment_id(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(LOG_SUFFIX)?;
    (digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The head of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Its number; segments are read in this order.
    pub(crate) id: u32,
    /// The last number that it replaces: a rewrite of 3, 4 and 5 is file 3 and covers to 5.
    pub(crate) covers_to: u32,
    /// Goes into the checksum of frame heads, so that no stored value can pass for a frame.
    pub(crate) salt: u32,
    /// The newest revision before it.
    pub(crate) base: Revision,
    /// The revision of the last compaction when it was begun.
    pub(crate) compacted: Revision,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.id.to_le_bytes());
        out[16..20].copy_from_slice(&self.covers_to.to_le_bytes());
        out[20..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.base.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.compacted.0.to_le_bytes());
        let crc = crc32fast::hash(&out[..HEADER_BYTES - 4]);
        out[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        if bytes[..8] != SEGMENT_MAGIC {
            return Err("this is no segment of a store");
        }
        if crc32fast::hash(&bytes[..HEADER_BYTES - 4]) != u32_at(bytes, HEADER_BYTES - 4) {
            return Err("the checksum of the segment header does not match");
        }
        Ok(Self {
            id: u32_at(bytes, 12),
            covers_to: u32_at(bytes, 16),
            salt: u32_at(bytes, 20),
            base: Revision(u64_at(bytes, 24)),
            compacted: Revision(u64_at(bytes, 32)),
        })
    }
}

/// The head of a frame: one group commit, whose records are all there or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Bytes of records that follow.
    pub(crate) body_bytes: u32,
    /// How many records they are.
    pub(crate) records: u32,
    /// Checksum of the records.
    pub(crate) body_crc: u32,
    /// The newest revision before the frame.
    pub(crate) base: Revision,
}

impl FrameHead {
    pub(crate) fn encode(&self, salt: u32) -> [u8; FRAME_HEAD_BYTES] {
        let mut out = [0; FRAME_HEAD_BYTES];
        out[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[8..12].copy_from_slice(&self.records.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.base.0.to_le_bytes());
        let crc = salted(salt, &out[..FRAME_HEAD_BYTES - 4]);
        out[FRAME_HEAD_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes a head whose checksum holds; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEAD_BYTES)?;
        let whole =
            u32_at(bytes, 0) == FRAME_MAGIC && salted(salt, &bytes[..FRAME_HEAD_BYTES - 4]) == u32_at(bytes, 28);
        whole.then(|| Self {
            body_bytes: u32_at(bytes, 4),
            records: u32_at(bytes, 8),
            body_crc: u32_at(bytes, 12),
            base: Revision(u64_at(bytes, 16)),
        })
    }

    /// Head and body together, rounded up to where the next frame begins.
    pub(crate) fn span(&self) -> u64 {
        frame_span(self.body_bytes as usize)
    }
}

/// The room that a frame with such a body takes.
pub(crate) fn frame_span(body_bytes: usize) -> u64 {
    ((FRAME_HEAD_BYTES + body_bytes) as u64).next_multiple_of(FRAME_ALIGN)
}

fn salted(salt: u32, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(salt);
    crc.update(bytes);
    crc.finalize()
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key was written.
    Put,
    /// A key was deleted.
    Delete,
    /// History up to the record's revision was compacted; no key.
    Compact,
}

/// One record, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) revision: Revision,
    pub(crate) created: Revision,
    pub(crate) version: u32,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record of a staged write.
    pub(crate) fn of(write: &'a Write) -> Self {
        Self {
            kind: if write.value.is_some() { Kind::Put } else { Kind::Delete },
            revision: write.revision,
            created: write.created,
            version: write.version,
            key: &write.key,
            value: write.value.as_deref().unwrap_or_default(),
        }
    }

    /// The record of a compaction.
    pub(crate) const fn compact(to: Revision) -> Self {
        Self { kind: Kind::Compact, revision: to, created: Revision::ZERO, version: 0, key: b"", value: b"" }
    }

    /// Its length on disk.
    pub(crate) const fn encoded_bytes(&self) -> usize {
        RECORD_HEAD_BYTES + self.key.len() + self.value.len()
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
        // Lengths and counters fit: a transaction is bounded far below 4 GiB.
        out.extend_from_slice(&(self.key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.value.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.revision.0.to_le_bytes());
        out.extend_from_slice(&self.created.0.to_le_bytes());
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.value);
        let crc = crc32fast::hash(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Decodes the record at the beginning of `bytes`.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let head = bytes.get(..RECORD_HEAD_BYTES).ok_or("a record is cut off")?;
        let key_end = RECORD_HEAD_BYTES + u32_at(head, 8) as usize;
        let end = key_end + u32_at(head, 12) as usize;
        let whole = bytes.get(..end).ok_or("a record is cut off")?;
        if crc32fast::hash(&whole[4..]) != u32_at(whole, 0) {
            return Err("the checksum of a record does not match");
        }
        let kind = match head[4] {
            0 => Kind::Put,
            1 => Kind::Delete,
            2 => Kind::Compact,
            _ => return Err("a record of unknown kind"),
        };
        Ok(Self {
            kind,
            version: u32_at(head, 16),
            revision: Revision(u64_at(head, 20)),
            created: Revision(u64_at(head, 28)),
            key: &whole[RECORD_HEAD_BYTES..key_end],
            value: &whole[key_end..],
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
