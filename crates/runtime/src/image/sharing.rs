//! One store, several processes: the node's, and a person's `timonel image import` beside it.
//!
//! One process owns the store: it alone deletes, and only while no guest is at work, since what a guest has unpacked is
//! nobody else's knowledge until it is committed. Whoever finds the store owned is a guest; one that outlives the owner
//! becomes the owner. The index file is changed under a lock of its own and read anew when another process replaced it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{FlockOperation, flock};

use super::index::Index;
use super::{ImageError, ImageStore, guard};

/// Which file the index was read from: it is replaced as a whole, so these change with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
    size: u64,
}

impl Stamp {
    /// Of the file as it is now; none when there is none.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        let m = fs::metadata(path).ok()?;
        Some(Stamp { inode: m.ino(), seconds: m.mtime(), nanoseconds: m.mtime_nsec(), size: m.size() })
    }
}

/// The locks of one process on the store. The kernel frees them with the process.
pub(crate) struct Sharing {
    /// Held exclusively by the owner.
    owner: File,
    /// Held by every guest for as long as it lives, and by the owner while it deletes.
    guests: File,
    owns: Mutex<bool>,
}

impl Sharing {
    /// Takes part: as the owner, or else as a guest.
    pub(crate) fn join(dir: &Path) -> Result<Sharing, ImageError> {
        let sharing = Sharing { owner: lock_file(dir, "owner.lock")?, guests: lock_file(dir, "guests.lock")?, owns: Mutex::new(false) };
        let owns = flock(&sharing.owner, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !owns {
            flock(&sharing.guests, FlockOperation::LockShared).map_err(|e| ImageError::io("lock the image store")(e.into()))?;
        }
        *guard(&sharing.owns) = owns;
        Ok(sharing)
    }

    /// The right to delete for as long as the answer lives, if this process has it now.
    pub(crate) fn alone(&self) -> Option<Alone<'_>> {
        // Not waited for: who has it may want what the caller holds.
        let mut owns = self.owns.try_lock().ok()?;
        if !*owns {
            flock(&self.owner, FlockOperation::NonBlockingLockExclusive).ok()?;
            *owns = true;
            // A guest no more: its own share would stand in the way.
            flock(&self.guests, FlockOperation::Unlock).ok()?;
        }
        flock(&self.guests, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Alone { sharing: self, _owns: owns })
    }
}

/// No other process works with the store.
pub(crate) struct Alone<'a> {
    sharing: &'a Sharing,
    _owns: MutexGuard<'a, bool>,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // Closing the file would free it too.
        let _ = flock(&self.sharing.guests, FlockOperation::Unlock);
    }
}

fn lock_file(dir: &Path, name: &str) -> Result<File, ImageError> {
    let path = dir.join(name);
    let file = File::options().create(true).append(true).open(&path);
    file.map_err(ImageError::io(format!("open {}", path.display())))
}

impl ImageStore {
    /// Holds the index file for a change; freed with the answer.
    pub(crate) fn lock_index(&self) -> Result<File, ImageError> {
        let file = lock_file(self.dir(), "index.lock")?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| ImageError::io("lock the image index")(e.into()))?;
        Ok(file)
    }

    /// Reads the index anew if another process has replaced it.
    pub(crate) fn refresh(&self) -> Result<(), ImageError> {
        let path = self.dir().join("index.json");
        let stamp = Stamp::of(&path);
        if self.state().stamp == stamp {
            return Ok(());
        }
        let mut index = Index::load(&path)?;
        let mut state = self.state();
        // Layers of images on their way are known here alone.
        for (chain, layer) in &state.index.layers {
            index.layers.entry(chain.clone()).or_insert(*layer);
        }
        state.index = Arc::new(index);
        state.stamp = stamp;
        Ok(())
    }
}
