//! A container's root file system: an overlay of the image's layers with one writable layer on top.
//!
//! Answers to the kernel's overlayfs page. The writable layer is mounted `volatile`: it does not outlive the node's
//! boot (the kubelet makes a new container then), so syncing it would buy nothing and make every unmount slow.
//! Mount options have a page as their limit, so layers are given one by one (`lowerdir+`, Linux 6.5) or, on older
//! kernels, as short `/proc/self/fd/N` paths.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_bind, mount_remount, move_mount, unmount,
};

use super::digest::Digest;
use super::manifest::ImageConfig;
use super::{ImageError, ImageStore, children};

/// Where a container's root file system is, and what its image says about starting it.
#[derive(Clone, Debug)]
pub struct Rootfs {
    /// Unpacked layers, top first, as overlayfs wants them.
    pub lowerdirs: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
    /// The mount point.
    pub merged: PathBuf,
    pub image_config: ImageConfig,
}

/// What a container has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WritableUsage {
    pub bytes: u64,
    pub inodes: u64,
}

/// Longest string that `fsconfig` takes.
const FSCONFIG_MAX_BYTES: usize = 255;

impl ImageStore {
    /// Makes the directories of a container's root file system; nothing is mounted yet. Idempotent.
    pub fn prepare_rootfs(&self, image_id: &str, container_id: &str) -> Result<Rootfs, ImageError> {
        let dir = self.rootfs_dir(container_id)?;
        self.refresh()?;
        let (chain, image_config) = {
            let mut state = self.state();
            let id = state.index.resolve(image_id)?;
            let record = id.and_then(|id| state.index.images.get(&id));
            let record = record.ok_or_else(|| ImageError::NotFound { what: format!("image {image_id:?}") })?;
            let (chain, config) = (record.chain.clone(), record.config.clone());
            state.containers.insert(container_id.to_owned(), chain.clone());
            (chain, config)
        };
        let made = self.make_dirs(&dir, &chain);
        if made.is_err() {
            self.state().containers.remove(container_id);
        }
        made?;
        let mut lowerdirs: Vec<PathBuf> = chain.iter().rev().map(|c| self.layer_dir(c)).collect();
        if lowerdirs.is_empty() {
            lowerdirs.push(self.empty_layer()?); // an image from scratch: overlayfs wants at least one
        }
        Ok(rootfs_at(&dir, lowerdirs, image_config))
    }

    /// Unmounts and deletes a container's root file system. Idempotent.
    pub fn remove_rootfs(&self, container_id: &str) -> Result<(), ImageError> {
        let dir = self.rootfs_dir(container_id)?;
        detach(&dir.join("merged"))?;
        self.discard(&dir)?;
        let orphaned = {
            let mut state = self.state();
            let chain = state.containers.remove(container_id).unwrap_or_default();
            let images = state.index.used_layers();
            chain.iter().any(|c| !images.contains(c))
        };
        if orphaned { self.collect() } else { Ok(()) }
    }

    /// Mounts an image's files at `target` for reading, without running or gaining anything from them (KEP-4639).
    pub fn mount_volume(&self, reference: &str, key: &str, target: &Path) -> Result<(), ImageError> {
        let status = self.image_status(reference).map_err(|e| ImageError::NotFound { what: format!("image {reference:?}: {e}") })?;
        let id = status.ok_or_else(|| ImageError::NotFound { what: format!("image {reference:?}") })?.id;
        let rootfs = self.prepare_rootfs(&id, key)?;
        let doing = || ImageError::io(format!("mount image {reference} at {}", target.display()));
        detach(&rootfs.merged)?;
        rootfs.mount().map_err(doing())?;
        let bound = mount_bind(&rootfs.merged, target).and_then(|()| {
            let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOEXEC | MountFlags::NOSUID | MountFlags::NODEV;
            mount_remount(target, flags, "")
        });
        bound.map_err(|e| doing()(e.into()))
    }

    /// Lets go of the images that were mounted under keys with this beginning.
    pub fn unmount_volumes(&self, prefix: &str) -> Result<(), ImageError> {
        let keys: Vec<String> = self.rootfs_ids().into_iter().filter(|k| k.starts_with(prefix)).collect();
        keys.iter().try_for_each(|k| self.remove_rootfs(k))
    }

    /// Containers that have a root file system here.
    pub fn rootfs_ids(&self) -> Vec<String> {
        self.state().containers.keys().cloned().collect()
    }

    /// What a container has written. Walks its writable layer.
    pub fn rootfs_usage(&self, container_id: &str) -> Result<WritableUsage, ImageError> {
        let upper = self.rootfs_dir(container_id)?.join("upper");
        usage(&upper).map_err(ImageError::io(format!("measure {}", upper.display())))
    }

    /// Bytes and inodes of all layers and all writable layers.
    pub fn fs_usage(&self) -> Result<WritableUsage, ImageError> {
        let (index, containers) = {
            let state = self.state();
            (state.index.clone(), state.containers.keys().cloned().collect::<Vec<_>>())
        };
        let mut total = WritableUsage::default();
        for layer in index.layers.values() {
            total.bytes += layer.bytes;
            total.inodes += layer.inodes;
        }
        for id in containers {
            let one = self.rootfs_usage(&id)?;
            total.bytes += one.bytes;
            total.inodes += one.inodes;
        }
        Ok(total)
    }

    fn rootfs_dir(&self, container_id: &str) -> Result<PathBuf, ImageError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if container_id.is_empty() || container_id.starts_with('.') || !container_id.bytes().all(plain) {
            return Err(ImageError::Malformed { what: "container id", why: format!("{container_id:?}") });
        }
        Ok(self.dir().join("rootfs").join(container_id))
    }

    fn make_dirs(&self, dir: &Path, chain: &[Digest]) -> Result<(), ImageError> {
        let doing = || ImageError::io(format!("create {}", dir.display()));
        for sub in ["upper", "work", "merged"] {
            fs::create_dir_all(dir.join(sub)).map_err(doing())?;
        }
        // The overlay's root directory is the upper one: it looks as the image's root does.
        if let Some(top) = chain.last() {
            copy_owner_and_mode(&self.layer_dir(top), &dir.join("upper")).map_err(doing())?;
        }
        let json = serde_json::to_vec(chain)
            .map_err(|e| ImageError::Malformed { what: "layers.json", why: e.to_string() })?;
        fs::write(dir.join("layers.json"), json).map_err(doing())
    }

    fn empty_layer(&self) -> Result<PathBuf, ImageError> {
        let path = self.dir().join("empty");
        fs::create_dir_all(&path).map_err(ImageError::io(format!("create {}", path.display())))?;
        Ok(path)
    }
}

fn rootfs_at(dir: &Path, lowerdirs: Vec<PathBuf>, image_config: ImageConfig) -> Rootfs {
    Rootfs { lowerdirs, upper: dir.join("upper"), work: dir.join("work"), merged: dir.join("merged"), image_config }
}

fn copy_owner_and_mode(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let meta = fs::metadata(from)?;
    chown(to, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(to, meta.permissions())
}

/// Which layers the containers of an earlier process stand on.
pub(crate) fn load_users(dir: &Path) -> Result<BTreeMap<String, Vec<Digest>>, ImageError> {
    let mut users = BTreeMap::new();
    for path in children(&dir.join("rootfs"))? {
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Torn by a power cut: then the container is gone too, and only its directory is left to remove.
        let json = fs::read(path.join("layers.json")).unwrap_or_default();
        users.insert(id, serde_json::from_slice(&json).unwrap_or_default());
    }
    Ok(users)
}

impl Rootfs {
    /// Mounts the overlay at `merged`, visible in the caller's mount namespace.
    pub fn mount(&self) -> io::Result<()> {
        match self.detached_mount() {
            Ok(tree) => {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                Ok(move_mount(&tree, "", CWD, &self.merged, flags)?)
            }
            Err(Errno::NOSYS | Errno::INVAL | Errno::NAMETOOLONG) => self.mount_by_fds(),
            Err(e) => Err(e.into()),
        }
    }

    /// The overlay as a mount that is attached nowhere yet: `move_mount` it where it is wanted (Linux 6.5).
    pub fn detached_mount(&self) -> rustix::io::Result<OwnedFd> {
        let longest = self.lowerdirs.iter().chain([&self.upper, &self.work]).map(|p| p.as_os_str().len()).max();
        if longest > Some(FSCONFIG_MAX_BYTES) {
            return Err(Errno::NAMETOOLONG);
        }
        let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&overlay, "source", "overlay")?;
        for lower in &self.lowerdirs {
            fsconfig_set_string(&overlay, "lowerdir+", lower)?;
        }
        fsconfig_set_string(&overlay, "upperdir", &self.upper)?;
        fsconfig_set_string(&overlay, "workdir", &self.work)?;
        fsconfig_set_flag(&overlay, "volatile")?;
        fsconfig_create(&overlay)?;
        fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    }

    pub(super) fn mount_by_fds(&self) -> io::Result<()> {
        let open = |path: &PathBuf| -> io::Result<OwnedFd> {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(rustix::fs::open(path, flags, Mode::empty())?)
        };
        let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
        let lower = self.lowerdirs.iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let (upper, work) = (open(&self.upper)?, open(&self.work)?);
        let lowers: Vec<String> = lower.iter().map(name).collect();
        let plain = format!("lowerdir={},upperdir={},workdir={}", lowers.join(":"), name(&upper), name(&work));
        for options in [format!("{plain},volatile"), plain] {
            let data = CString::new(options).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            match mount("overlay", &self.merged, "overlay", MountFlags::empty(), Some(data.as_c_str())) {
                Err(Errno::INVAL) => {} // before Linux 5.10 there is no `volatile`
                other => return Ok(other?),
            }
        }
        Err(Errno::INVAL.into())
    }

    /// Unmounts `merged` if it is mounted, even if something is still open in it.
    pub fn unmount(&self) -> io::Result<()> {
        unmount_all(&self.merged)
    }
}

fn detach(merged: &Path) -> Result<(), ImageError> {
    unmount_all(merged).map_err(ImageError::io(format!("unmount {}", merged.display())))
}

fn unmount_all(merged: &Path) -> io::Result<()> {
    loop {
        match unmount(merged, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

fn usage(dir: &Path) -> io::Result<WritableUsage> {
    let mut total = WritableUsage::default();
    let mut linked = HashSet::new();
    match File::open(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => walk(other?.as_fd(), &mut total, &mut linked)?,
    }
    Ok(total)
}

/// Never follows a link and never leaves the tree, while its owner may be changing it.
fn walk(dir: BorrowedFd<'_>, total: &mut WritableUsage, linked: &mut HashSet<u64>) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_dir && stat.st_nlink > 1 && !linked.insert(stat.st_ino) {
            continue;
        }
        total.bytes += stat.st_blocks as u64 * 512;
        total.inodes += 1;
        if is_dir {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let name = std::ffi::OsStr::from_bytes(name.to_bytes());
            match rustix::fs::openat(dir, name, flags, Mode::empty()) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                other => walk(other?.as_fd(), total, linked)?,
            }
        }
    }
    Ok(())
}
