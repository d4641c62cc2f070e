//! The container's file system: sources opened on the host, the overlay mounted, the root changed, volumes attached
//! (Documentation/filesystems/overlayfs.rst, shared subtrees; Kubernetes `mountPropagation`, `recursiveReadOnly`).

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, setns, unshare as unshare_flags};

use super::{Init, InitError, doing, during_init, paths};
use crate::container::cgroup::{Cgroup, Layout};
use crate::container::sys::{self, MountAttr};
use crate::cri::Propagation;

/// Detached mounts and host facts, gathered while the host's tree is still in sight.
#[derive(Default)]
pub(super) struct Sources {
    /// In the order of `spec.binds`; true when it is a directory.
    binds: Vec<(OwnedFd, bool)>,
    /// The container's own groups, for its `/sys/fs/cgroup`: name and mount.
    pub(super) cgroups: Vec<(String, OwnedFd)>,
    pub(super) shm: Option<OwnedFd>,
    pub(super) mqueue: Option<OwnedFd>,
    root: Option<OwnedFd>,
}

/// A mount namespace (and cgroup namespace) of the container's own; it starts as a copy of the host's.
pub(super) fn unshare(init: &mut Init) -> Result<(), InitError> {
    let mut flags = CloneFlags::CLONE_NEWNS;
    if !init.spec.privileged || matches!(Layout::of_this_machine(), Layout::V2(_)) {
        flags |= CloneFlags::CLONE_NEWCGROUP;
    }
    unshare_flags(flags).map_err(doing("error creating mount namespace"))
}

/// Opens everything that comes from the host. Copies keep the peer group of their source, so propagation to and from the
/// host survives; the tree that stays behind is made private.
pub(super) fn open_sources(init: &mut Init) -> Result<(), InitError> {
    for bind in &init.spec.binds {
        let source = &bind.host_path;
        let fail = |e: std::io::Error| mount_error(source, &bind.container_path, &e);
        let meta = fs::metadata(source).map_err(|e| fail(stat_error(source, &e)))?;
        let directory = meta.is_dir();
        let tree = sys::open_tree(source, true).map_err(fail)?;
        let propagation = match bind.propagation {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::HostToContainer => libc::MS_SLAVE,
            Propagation::Bidirectional => libc::MS_SHARED,
        };
        let set = if bind.readonly || bind.recursive_readonly { libc::MOUNT_ATTR_RDONLY } else { 0 };
        let everywhere = MountAttr { propagation, set: if bind.recursive_readonly { set } else { 0 }, ..MountAttr::default() };
        sys::mount_setattr(&tree, true, everywhere).map_err(fail)?;
        if set != 0 && !bind.recursive_readonly {
            sys::mount_setattr(&tree, false, MountAttr { set, ..MountAttr::default() }).map_err(fail)?;
        }
        init.sources.binds.push((tree, directory));
    }
    open_cgroups(init);
    if init.spec.host_ipc {
        init.sources.shm = sys::open_tree(Path::new("/dev/shm"), true).ok();
        init.sources.mqueue = sys::open_tree(Path::new("/dev/mqueue"), false).ok();
    } else if let Some(holder) = init.shm.take() {
        init.sources.shm = Some(pod_shm(&holder).map_err(doing("error opening the pod's /dev/shm"))?);
    }
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(doing("error making / private"))
}

/// v1 shows the container its own group of every hierarchy; v2 is mounted anew inside the cgroup namespace.
fn open_cgroups(init: &mut Init) {
    let Layout::V1 { .. } = Layout::of_this_machine() else { return };
    let path = if init.spec.privileged { String::new() } else { Cgroup::at(&init.spec.cgroup.path).path };
    for (mount, name) in Layout::of_this_machine().shown() {
        if let Ok(tree) = sys::open_tree(&mount.join(&path), false) {
            init.sources.cgroups.push((name, tree));
        }
    }
}

/// The pod's shared memory is the root of a tiny mount namespace that the shim keeps: step in, copy it, step back.
fn pod_shm(holder: &OwnedFd) -> std::io::Result<OwnedFd> {
    let here = fs::File::open("/proc/self/ns/mnt")?;
    setns(holder, CloneFlags::CLONE_NEWNS)?;
    let tree = sys::open_tree(Path::new("/"), false);
    setns(here, CloneFlags::CLONE_NEWNS)?;
    tree
}

/// The words runc uses when a bind mount cannot be made.
fn mount_error(source: &Path, target: &Path, error: &std::io::Error) -> InitError {
    during_init(format!(
        "error mounting {:?} to rootfs at {:?}: {}",
        source.display().to_string(),
        target.display().to_string(),
        super::plain(&error.to_string())
    ))
}

fn stat_error(source: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::other(format!("stat {}: {}", source.display(), super::plain(&error.to_string())))
}

/// Mounts the overlay on its (host) directory, in this namespace only. Layers are named by descriptor: their real names
/// would not fit the one page that mount options have. `volatile`: the writable layer does not outlive the node's boot, so
/// syncing it would buy nothing.
pub(super) fn overlay(init: &mut Init) -> Result<(), InitError> {
    let root = &init.spec.root;
    let open = |path: &Path| paths::handle(path).map_err(doing(format!("error opening layer {}", path.display())));
    let layers = root.lowerdirs.iter().map(|dir| open(dir)).collect::<Result<Vec<_>, _>>()?;
    let (upper, work) = (open(&root.upper)?, open(&root.work)?);
    let lower: Vec<String> = layers.iter().map(|fd| paths::of_descriptor(fd).display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},volatile",
        lower.join(":"),
        paths::of_descriptor(&upper).display(),
        paths::of_descriptor(&work).display()
    );
    sys::mount_fs("overlay", "overlay", &root.merged, 0, &options)
        .map_err(doing(format!("error mounting overlay on {}", root.merged.display())))
}

/// Changes the root and lets go of the host's tree.
pub(super) fn pivot(init: &mut Init) -> Result<(), InitError> {
    let merged = &init.spec.root.merged;
    std::env::set_current_dir(merged).map_err(doing(format!("error changing to {}", merged.display())))?;
    init.sources.root = Some(paths::handle(Path::new(".")).map_err(doing("error opening the root"))?);
    nix::unistd::pivot_root(".", ".").map_err(doing("error pivoting the root"))?;
    nix::mount::umount2(".", MntFlags::MNT_DETACH).map_err(doing("error detaching the old root"))?;
    std::env::set_current_dir("/").map_err(doing("error changing to /"))
}

/// Puts the volumes where the container wants them, parents before children.
pub(super) fn attach(init: &mut Init) -> Result<(), InitError> {
    let sources = std::mem::take(&mut init.sources.binds);
    for (bind, (tree, directory)) in init.spec.binds.iter().zip(sources) {
        let target = Path::new("/").join(bind.container_path.strip_prefix("/").unwrap_or(&bind.container_path));
        let fail = |e: std::io::Error| mount_error(&bind.host_path, &target, &e);
        if directory { paths::ensure_dir(&target) } else { paths::ensure_file(&target) }.map_err(fail)?;
        let handle = paths::handle(&target).map_err(fail)?;
        if on_proc(&handle) && !MAY_REPLACE.iter().any(|path| target == Path::new(path)) {
            let reason = format!("{:?} cannot be mounted because it is inside /proc", target.display().to_string());
            return Err(fail(std::io::Error::other(reason)));
        }
        sys::move_mount(&tree, &handle).map_err(fail)?;
    }
    Ok(())
}

/// What volumes may cover in `/proc` (files that lxcfs and the like provide); anywhere else there, a link in the image could
/// make a volume stand for what the runtime itself writes or masks.
const MAY_REPLACE: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
];

fn on_proc(handle: &OwnedFd) -> bool {
    nix::sys::statfs::fstatfs(handle).is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC)
}

/// `readOnlyRootFilesystem`: after every mount point has been made.
pub(super) fn seal(init: &mut Init) -> Result<(), InitError> {
    let Some(root) = init.sources.root.take().filter(|_| init.spec.root.readonly) else { return Ok(()) };
    let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    sys::mount_setattr(&root, false, attr).map_err(doing("error making the root read-only"))
}

/// Attaches a detached mount on a directory that is made when it is missing.
pub(super) fn attach_on_dir(tree: &impl AsRawFd, target: &Path) -> std::io::Result<()> {
    paths::ensure_dir(target)?;
    sys::move_mount(tree, &paths::handle(target)?)
}
