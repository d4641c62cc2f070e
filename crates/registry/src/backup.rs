//! A backup of the store: every pair below `/registry/` as of one revision, in the form in which it is stored (sealed
//! values stay sealed), page by page, while writes go on. It is the same for every engine, so that a cluster moves
//! between them. Docs: "Operating etcd clusters for Kubernetes: Backing up an etcd cluster".
//!
//! ```text
//! pair   'P' | key bytes u32 | value bytes u32 | key | value      little-endian
//! end    'E' | pairs u64 | revision u64                           without it, the backup was cut off
//! ```

use crate::registry::Registry;
use base::Revision;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;
use store::{CommitError, Engine, Expect, RangeError, RangeRequest, Txn};

/// What Kubernetes keeps lies below it.
const PREFIX: &[u8] = b"/registry/";
/// Pairs read at a time.
const PAGE_PAIRS: usize = 500;
/// The most pairs in one transaction of a restore (etcd's default allows 128 operations).
const TXN_PAIRS: usize = 100;
/// And their bytes (etcd's default allows 1.5 MiB a request).
const TXN_BYTES: usize = 1 << 20;
/// Longer pairs are no part of a backup.
const PAIR_MAX_BYTES: usize = 64 << 20;
/// Revisions that a restored history begins behind the backup: nobody may meet a resource version a second time that the
/// lost part of the history had given out. The same as etcd's documents advise.
pub const REVISION_BUMP: u64 = 1_000_000_000;

/// The pages of a running backup, encoded.
pub struct Pages {
    engine: Arc<dyn Engine>,
    at: Option<Revision>,
    next: Option<Bytes>,
    pairs: u64,
}

impl Pages {
    /// A backup of that engine, as of the first page's revision.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, at: None, next: Some(Bytes::from_static(PREFIX)), pairs: 0 }
    }

    /// The next piece; `None` behind the end.
    ///
    /// # Errors
    /// The store cannot be read, or the backup took so long that its revision was compacted away.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RangeError> {
        let Some(start) = self.next.take() else { return Ok(None) };
        let whole = RangeRequest::prefix(PREFIX);
        let found = self.engine.range(RangeRequest { start, at: self.at, limit: PAGE_PAIRS, ..whole }).await?;
        let revision = *self.at.get_or_insert(found.revision);
        self.pairs += found.kvs.len() as u64;
        let mut out = BytesMut::new();
        for kv in &found.kvs {
            put_pair(&mut out, &kv.key, &kv.value);
        }
        match found.kvs.last().filter(|_| found.more) {
            Some(last) => self.next = Some([&last.key[..], b"\0"].concat().into()),
            None => {
                out.put_u8(b'E');
                out.put_u64_le(self.pairs);
                out.put_u64_le(revision.0);
            }
        }
        Ok(Some(out.freeze()))
    }
}

fn put_pair(out: &mut BytesMut, key: &[u8], value: &[u8]) {
    out.put_u8(b'P');
    out.put_u32_le(u32::try_from(key.len()).expect("the store takes no such keys"));
    out.put_u32_le(u32::try_from(value.len()).expect("the store takes no such values"));
    out.put_slice(key);
    out.put_slice(value);
}

/// What a backup says next.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A stored pair.
    Pair(Bytes, Bytes),
    /// The end: how many pairs there were, as of which revision.
    End { pairs: u64, revision: Revision },
}

/// Why bytes are no backup.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BackupError {
    /// Not our bytes.
    #[error("it is not a backup of a store, or it is damaged (at byte {0})")]
    Damaged(u64),
    /// Fewer or more pairs than its end says.
    #[error("it holds {found} pairs and says {said}")]
    Count { found: u64, said: u64 },
    /// The end is missing.
    #[error("it was cut off: its end is missing")]
    CutOff,
}

/// Takes a backup apart as its bytes come.
#[derive(Default)]
pub struct Reader {
    buffer: BytesMut,
    read: u64,
    pairs: u64,
    ended: bool,
}

impl Reader {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece; `None` when it needs more bytes.
    ///
    /// # Errors
    /// The bytes are not those of a backup.
    pub fn next(&mut self) -> Result<Option<Piece>, BackupError> {
        let damaged = Err(BackupError::Damaged(self.read));
        let Some(first) = self.buffer.first() else { return Ok(None) };
        match first {
            _ if self.ended => damaged,
            b'P' => self.pair(),
            b'E' if self.buffer.len() < 17 => Ok(None),
            b'E' => {
                let mut head = self.take(17);
                head.advance(1);
                let (said, revision) = (head.get_u64_le(), Revision(head.get_u64_le()));
                self.ended = true;
                if said != self.pairs {
                    return Err(BackupError::Count { found: self.pairs, said });
                }
                Ok(Some(Piece::End { pairs: said, revision }))
            }
            _ => damaged,
        }
    }

    fn pair(&mut self) -> Result<Option<Piece>, BackupError> {
        if self.buffer.len() < 9 {
            return Ok(None);
        }
        let mut head = &self.buffer[1..9];
        let (key, value) = (head.get_u32_le() as usize, head.get_u32_le() as usize);
        if key + value > PAIR_MAX_BYTES {
            return Err(BackupError::Damaged(self.read));
        }
        if self.buffer.len() < 9 + key + value {
            return Ok(None);
        }
        let at = self.read;
        self.take(9);
        let (key, value) = (self.take(key), self.take(value));
        if !key.starts_with(PREFIX) {
            return Err(BackupError::Damaged(at));
        }
        self.pairs += 1;
        Ok(Some(Piece::Pair(key, value)))
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        self.read += bytes as u64;
        self.buffer.split_to(bytes).freeze()
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// The end was not there.
    pub fn finish(&self) -> Result<(), BackupError> {
        if self.ended { Ok(()) } else { Err(BackupError::CutOff) }
    }
}

/// Writes pairs into an engine that has none of them.
pub struct Restore {
    engine: Arc<dyn Engine>,
    txn: Txn,
    bytes: usize,
}

impl Restore {
    /// Into that engine.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, txn: Txn::default(), bytes: 0 }
    }

    /// Whether the engine holds nothing of a cluster.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn is_free(&self) -> Result<bool, RangeError> {
        let request = RangeRequest { limit: 1, keys_only: true, ..RangeRequest::prefix(PREFIX) };
        Ok(self.engine.range(request).await?.kvs.is_empty())
    }

    /// One more pair.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn put(&mut self, key: Bytes, value: Bytes) -> Result<(), CommitError> {
        if self.txn.ops.len() >= TXN_PAIRS || self.bytes + key.len() + value.len() > TXN_BYTES {
            self.flush().await?;
        }
        self.bytes += key.len() + value.len();
        self.txn = std::mem::take(&mut self.txn).and_put(key, value, Expect::Absent, None);
        Ok(())
    }

    /// Commits what is still held.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn flush(&mut self) -> Result<(), CommitError> {
        self.bytes = 0;
        let txn = std::mem::take(&mut self.txn);
        if txn.ops.is_empty() {
            return Ok(());
        }
        self.engine.commit(txn).await.map(|_| ())
    }
}

impl Registry {
    /// A backup of everything stored, as of now.
    #[must_use]
    pub fn backup(&self) -> Pages {
        Pages::new(Arc::clone(&self.engine))
    }
}

#[cfg(test)]
mod tests;
