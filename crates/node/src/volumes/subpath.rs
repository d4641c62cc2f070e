//! Paths below a volume that must not lead out of it (CVE-2017-1002101): resolved by the kernel with the volume as root.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2};
use std::os::unix::fs::PermissionsExt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

fn below(root: &OwnedFd, path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    openat2(root.as_fd(), path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

fn real(of: &OwnedFd) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", of.as_raw_fd()))
}

/// The real path of `path` below `volume`; missing directories are made, with the volume's own mode, when `create` is
/// set.
pub(crate) fn resolve(volume: &Path, path: &str, create: bool) -> Result<PathBuf, String> {
    let why = |e: rustix::io::Errno| format!("failed to prepare subPath for volumeMount: {}/{path}: {e}", volume.display());
    let root = openat(CWD, volume, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(why)?;
    let mode = fstat(&root).map_err(why)?.st_mode & 0o7777;
    let mut done = PathBuf::new();
    for part in Path::new(path).components() {
        let Component::Normal(name) = part else { continue };
        let next = done.join(name);
        if create && below(&root, &next).is_err() {
            let parent = if done.as_os_str().is_empty() { Path::new(".") } else { &done };
            let parent = below(&root, parent).map_err(why)?;
            match mkdirat(&parent, name, Mode::from_raw_mode(0o750)) {
                Ok(()) => {
                    // Not in one step: the process' umask would take bits away.
                    let made = real(&below(&root, &next).map_err(why)?).map_err(|e| e.to_string())?;
                    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(mode)).map_err(|e| e.to_string())?;
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(e) => return Err(why(e)),
            }
        }
        done = next;
    }
    let target = if done.as_os_str().is_empty() { Path::new(".") } else { &done };
    let found = below(&root, target).map_err(why)?;
    real(&found).map_err(|e| format!("subPath {path}: {e}"))
}
