//! Making and opening paths inside the (new) root. After the pivot the container's root is ours, so ordinary resolution
//! cannot leave it; only the last component decides between file and directory.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The object at a path, as something to mount on.
pub(super) fn handle(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)?.into())
}

/// Makes sure that there is a directory to mount on.
pub(super) fn ensure_dir(path: &Path) -> io::Result<()> {
    let path = resolve_dangling(path);
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Makes sure that there is a file to mount on.
pub(super) fn ensure_file(path: &Path) -> io::Result<()> {
    let path = resolve_dangling(path);
    if path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        ensure_dir(parent)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Follows links that point at nothing yet, so that their target is what gets made (`/var/run` -> `/run`).
fn resolve_dangling(path: &Path) -> PathBuf {
    const LINKS: usize = 16;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) if !path.exists() => {
                path = path.parent().unwrap_or(Path::new("/")).join(target);
            }
            _ => break,
        }
    }
    path
}

/// A short absolute name of an open object.
pub(super) fn of_descriptor(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
