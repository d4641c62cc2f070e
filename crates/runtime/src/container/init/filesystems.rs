//! The kernel's file systems inside a container: `/proc`, `/sys`, `/dev`, terminals, message queues, shared memory,
//! cgroups; and the parts of them that are hidden or read-only (Kubernetes `procMount`).

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::MsFlags;

use super::{Init, InitError, during_init, paths, plain, rootfs};
use crate::container::cgroup::Layout;
use crate::container::sys::{self, MountAttr};

const NO_SUID_EXEC_DEV: libc::c_ulong = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;

fn fresh(kind: &str, target: &str, flags: libc::c_ulong, data: &str) -> Result<(), InitError> {
    let path = Path::new(target);
    paths::ensure_dir(path).and_then(|()| sys::mount_fs(kind, kind, path, flags, data)).map_err(|e| failed(kind, target, &e))
}

fn failed(kind: &str, target: &str, error: &io::Error) -> InitError {
    during_init(format!("error mounting {kind:?} to rootfs at {target:?}: {}", plain(&error.to_string())))
}

/// Mounts them all. `/sys` is read-only unless privileged; with the node's network it shows the node's devices.
pub(super) fn mount(init: &mut Init) -> Result<(), InitError> {
    let read_only = if init.spec.privileged { 0 } else { libc::MS_RDONLY };
    fresh("proc", "/proc", NO_SUID_EXEC_DEV, "")?;
    fresh("tmpfs", "/dev", libc::MS_NOSUID | libc::MS_STRICTATIME, "mode=755,size=65536k")?;
    fresh("devpts", "/dev/pts", libc::MS_NOSUID | libc::MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    match init.sources.mqueue.take() {
        Some(tree) => {
            rootfs::attach_on_dir(&tree, Path::new("/dev/mqueue")).map_err(|e| failed("mqueue", "/dev/mqueue", &e))?;
        }
        None => fresh("mqueue", "/dev/mqueue", NO_SUID_EXEC_DEV, "")?,
    }
    match init.sources.shm.take() {
        Some(tree) => rootfs::attach_on_dir(&tree, Path::new("/dev/shm")).map_err(|e| failed("shm", "/dev/shm", &e))?,
        None => fresh("tmpfs", "/dev/shm", NO_SUID_EXEC_DEV, "mode=1777,size=65536k")?,
    }
    fresh("sysfs", "/sys", NO_SUID_EXEC_DEV | read_only, "")?;
    cgroups(init, read_only)
}

fn cgroups(init: &mut Init, read_only: libc::c_ulong) -> Result<(), InitError> {
    const TARGET: &str = "/sys/fs/cgroup";
    if let Layout::V2(_) = Layout::of_this_machine() {
        return fresh("cgroup2", TARGET, NO_SUID_EXEC_DEV | read_only, "");
    }
    if !Path::new(TARGET).is_dir() {
        return Ok(());
    }
    fresh("tmpfs", TARGET, NO_SUID_EXEC_DEV, "mode=755")?;
    let set = if read_only != 0 { libc::MOUNT_ATTR_RDONLY } else { 0 };
    for (name, tree) in std::mem::take(&mut init.sources.cgroups) {
        let attr = MountAttr { set, ..MountAttr::default() };
        sys::mount_setattr(&tree, false, attr)
            .and_then(|()| rootfs::attach_on_dir(&tree, &Path::new(TARGET).join(&name)))
            .map_err(|e| failed("cgroup", TARGET, &e))?;
        // `cpu,cpuacct` is also found as `cpu` and as `cpuacct`.
        for alias in name.split(',').filter(|alias| *alias != name) {
            let _ = std::os::unix::fs::symlink(&name, Path::new(TARGET).join(alias));
        }
    }
    if read_only != 0 {
        remount_read_only(Path::new(TARGET)).map_err(|e| failed("cgroup", TARGET, &e))?;
    }
    Ok(())
}

fn remount_read_only(target: &Path) -> io::Result<()> {
    let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    sys::mount_setattr(&paths::handle(target)?, false, attr)
}

/// Hides what leaks the host and freezes what would change it.
pub(super) fn mask(init: &mut Init) -> Result<(), InitError> {
    let mut empty: Option<&str> = None;
    for path in &init.spec.masked_paths {
        let Ok(meta) = fs::metadata(path) else { continue };
        let result = match (meta.is_dir(), empty) {
            (false, _) => bind(Path::new("/dev/null"), Path::new(path)),
            (true, Some(first)) => bind(Path::new(first), Path::new(path)),
            (true, None) => {
                empty = Some(path);
                sys::mount_fs("tmpfs", "tmpfs", Path::new(path), libc::MS_RDONLY, "nr_inodes=2,size=4k")
            }
        };
        result.map_err(|e| during_init(format!("can't mask path {path:?}: {}", plain(&e.to_string()))))?;
    }
    for path in &init.spec.readonly_paths {
        let path = Path::new(path);
        if path.exists() {
            bind(path, path).and_then(|()| remount_read_only(path)).map_err(|e| {
                during_init(format!("can't make {:?} read-only: {}", path.display().to_string(), plain(&e.to_string())))
            })?;
        }
    }
    Ok(())
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    nix::mount::mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
    Ok(())
}
