//! The disk port: the few things that the engine asks of a file system, so that tests and the simulator can tear writes,
//! lose what was not synced, and fill the disk. `RealDisk` is a directory; `MemoryDisk` is memory with faults by seed.

pub(crate) mod format;
mod memory;
mod real;
pub(crate) mod scan;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use memory::{Faults, MemoryDisk};
pub use real::RealDisk;
pub(crate) use real::refusal;

/// A flat directory of files that one process owns.
pub trait Disk: Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> PathBuf;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates an empty file, replacing one of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file over another; durable after `sync_dir`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; durable after `sync_dir`.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Gives up the exclusive hold on the directory.
    fn release(&self);
}

/// A file that is read and written at offsets.
pub trait DiskFile: Send + Sync {
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// Fills the buffer from an offset; `UnexpectedEof` if the file ends before.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes at an offset, growing the file if need be.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the contents durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// Whether it holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
