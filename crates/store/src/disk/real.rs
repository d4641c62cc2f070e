//! The disk port over a directory: `pread`, `pwrite`, `fdatasync`, an exclusive `flock` with the holder's pid in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};
use crate::api::OpenError;

/// The file that is locked while a process uses the directory; it holds that process's id.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// Only this user may enter: the values include secrets.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory that this process holds exclusively.
pub struct RealDisk {
    dir: PathBuf,
    lock: Mutex<Option<File>>,
}

impl RealDisk {
    /// Makes the directory if need be and takes its lock.
    ///
    /// # Errors
    /// It cannot be made or written, or another process holds it.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let told = |source| refusal(dir, source);
        fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(told)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(FILE_MODE)
            .open(dir.join(LOCK_FILE))
            .map_err(told)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(told)?;
                return Err(OpenError::Locked { dir: dir.into(), pid: pid.trim().into() });
            }
            Err(TryLockError::Error(source)) => return Err(told(source)),
        }
        let note = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(told)?;
        Ok(Self { dir: dir.into(), lock: Mutex::new(Some(file)) })
    }
}

/// Sorts a file system's refusal into what a person can do about it.
pub(crate) fn refusal(path: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly { dir: path.into(), source }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::NoSpace { dir: path.into(), source },
        _ => OpenError::Io { path: path.into(), source },
    }
}

impl Disk for RealDisk {
    fn path(&self) -> PathBuf {
        self.dir.clone()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.dir)?.map(|entry| entry.map(|e| e.file_name().into_string().ok()));
        let names: Vec<String> = names.filter_map(Result::transpose).collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter(|name| name != LOCK_FILE).collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        Ok(Arc::new(RealFile(options.open(self.dir.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn release(&self) {
        drop(self.lock.lock().take());
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
