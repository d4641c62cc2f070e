//! Network namespaces: made on a thread of their own, kept alive by a bind mount of `/proc/thread-self/ns/net`, entered by
//! short-lived threads only (network_namespaces(7), setns(2)). No fork: the process has many threads.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, statfs};

use crate::link::{self, Rtnl};
use crate::{NetError, sysctl};

const NAMESPACE_STACK_BYTES: usize = 256 << 10;

/// An open handle of a network namespace.
#[derive(Debug)]
pub struct NetNs {
    path: PathBuf,
    file: File,
}

impl NetNs {
    /// Makes a namespace and mounts it at `path` (parents are made too), its loopback up. An existing one is opened.
    pub fn create(path: &Path) -> Result<Self, NetError> {
        if is_namespace(path) {
            return Self::open(path);
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| NetError::file("create directory", parent, e))?;
        }
        OpenOptions::new().create(true).append(true).open(path).map_err(|e| NetError::file("create", path, e))?;
        let made = on_thread(|| make_here(path))?;
        if let Err(e) = made {
            // Leave nothing half-made: the file alone is no namespace.
            let _ = umount2(path, MntFlags::MNT_DETACH);
            let _ = fs::remove_file(path);
            return Err(e);
        }
        Self::open(path)
    }

    /// Opens the namespace mounted at `path` (or any `/proc/PID/ns/net`).
    pub fn open(path: &Path) -> Result<Self, NetError> {
        if !is_namespace(path) {
            let source = if path.exists() { Errno::EINVAL } else { Errno::ENOENT };
            return Err(NetError::file("open network namespace", path, source));
        }
        let file = File::open(path).map_err(|e| NetError::file("open", path, e))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Unmounts and removes the namespace at `path`; nothing there is success. Links inside die with the last process.
    pub fn delete(path: &Path) -> Result<(), NetError> {
        loop {
            match umount2(path, MntFlags::MNT_DETACH) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENOENT) => break,
                Err(e) => return Err(NetError::file("unmount", path, e)),
            }
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(NetError::file("remove", path, e)),
            _ => Ok(()),
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `f` on a thread inside this namespace and returns what it returns.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, NetError> {
        on_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|e| NetError::file("enter network namespace", &self.path, e))?;
            Ok(f())
        })?
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether a namespace is mounted at `path`.
pub fn is_namespace(path: &Path) -> bool {
    statfs(path).is_ok_and(|s| s.filesystem_type() == NSFS_MAGIC)
}

fn make_here(path: &Path) -> Result<(), NetError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| NetError::system("make a network namespace", e))?;
    mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|e| NetError::file("mount network namespace at", path, e))?;
    harden();
    let mut rtnl = Rtnl::open()?;
    rtnl.set_up(link::LOOPBACK_INDEX)
}

/// Pods are no routers and take no routing advice from neighbours.
fn harden() {
    for name in ["ipv4/conf/%/accept_redirects", "ipv6/conf/%/accept_redirects", "ipv6/conf/%/accept_ra"] {
        for scope in ["all", "default"] {
            // A kernel without IPv6 has no such file.
            let _ = sysctl::set(&name.replace('%', scope), "0");
        }
    }
}

fn on_thread<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T, NetError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("netns".into())
            .stack_size(NAMESPACE_STACK_BYTES)
            .spawn_scoped(scope, f)
            .map_err(|e| NetError::System { op: "start a namespace thread", source: e })?
            .join()
            .map_err(|_| NetError::ThreadPanicked)
    })
}

