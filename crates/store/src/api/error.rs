//! Why the store refuses: one enum for each thing that can be asked of it.

use std::io;
use std::path::PathBuf;

use base::Revision;
use bytes::Bytes;
use thiserror::Error;

use super::request::KeyValue;

/// Why a transaction did not go through. Nothing of it was written unless it says `Unknown`.
#[derive(Debug, Error)]
pub enum CommitError {
    /// An expectation does not hold; `found` is what the key holds instead.
    #[error("the key was changed by another writer")]
    Conflict {
        /// The key whose expectation failed (the first in the transaction's order).
        key: Bytes,
        /// What it holds; `None` if it does not exist.
        found: Option<Box<KeyValue>>,
    },
    /// One key twice in a transaction.
    #[error("one key occurs twice in a transaction: {}", .0.escape_ascii())]
    DuplicateKey(Bytes),
    /// More bytes or operations than a transaction may have.
    #[error("request is too large")]
    TooLarge,
    /// The disk (or the quota) is full.
    #[error("no space left for the store: {0}")]
    NoSpace(String),
    /// The store's files cannot be written.
    #[error("the store cannot be written: {0}")]
    ReadOnly(String),
    /// The store was closed, or is going down after a fatal error.
    #[error("the store is closed")]
    Closed,
    /// The engine cannot be reached; nothing was sent.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The connection broke while the answer was awaited: it may or may not have been committed (etcd only).
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(String),
}

/// Why a range (or get) has no answer.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum RangeError {
    /// The revision asked for is compacted away; the oldest readable one is given.
    #[error("required revision has been compacted")]
    Compacted {
        /// The revision of the last compaction: this one and later can be read.
        compacted: Revision,
    },
    /// The revision asked for has not happened yet.
    #[error("required revision is a future revision")]
    Future {
        /// The newest revision.
        current: Revision,
    },
    /// Bytes on disk do not have the checksum that they were written with.
    #[error("{file}: offset {offset}: {what}")]
    Corrupt {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Reading failed.
    #[error("the store cannot be read: {0}")]
    Io(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The engine cannot be reached.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a feed ends.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum FeedError {
    /// The next revision of the feed is compacted away: list again and watch from there.
    #[error("required revision has been compacted")]
    Compacted {
        /// The revision of the last compaction: feeds from the one after it on are complete.
        compacted: Revision,
    },
    /// History could not be read back.
    #[error(transparent)]
    Read(RangeError),
    /// The store was closed and everything committed was delivered.
    #[error("the store is closed")]
    Closed,
    /// The engine cannot be reached; a new watch from the next revision loses nothing.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a data directory cannot be opened. Every text names the path and what a person can do.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("{} is in use by process {pid}: stop it first, or use another data directory", dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The holder's process id as the lock file says it.
        pid: String,
    },
    /// Written by a newer version of this program.
    #[error("{} was written by a newer version (store format {found}, this program reads up to {supported}): \
             use that version or newer", dir.display())]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// The format version found.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// The directory holds something that is not a store.
    #[error("{}: {what}", dir.display())]
    NotAStore {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
    /// The directory cannot be written.
    #[error("{} cannot be written ({source}): make it writable for this user, or use another data directory", dir.display())]
    ReadOnly {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room for the first log segment.
    #[error("{}: no space left on the disk for the store ({source})", dir.display())]
    NoSpace {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Acknowledged bytes are damaged.
    #[error("{}: corrupt at offset {offset}: {what}; restore the data directory from a backup", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Any other failure of the file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
