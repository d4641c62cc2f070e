//! Owner, mode, extended attributes and times of unpacked files, and overlayfs' own marks.
//!
//! Answers to overlayfs ("whiteouts and opaque directories") and capabilities(7): the owner is set before the
//! attributes and the mode, because chown clears set-id bits and `security.capability`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::os;
use crate::image::tarstream::Member;

const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// What is set on a file beside its contents.
pub(crate) struct Attributes<'a> {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
    xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl Attributes<'_> {
    /// The attributes that a member asks for.
    pub(crate) fn of(member: &Member) -> Attributes<'_> {
        Attributes {
            mode: member.mode,
            owner: (member.uid, member.gid),
            mtime: member.mtime,
            xattrs: &member.xattrs,
        }
    }

    /// Sets owner, extended attributes and mode of an open file or directory.
    pub(crate) fn apply_to_file(&self, file: &File) -> io::Result<()> {
        rustix::fs::fchown(file, Some(uid(self.owner.0)), Some(gid(self.owner.1)))?;
        for (name, value) in self.xattrs.iter().filter(|(name, _)| allowed(name)) {
            ignore_unsupported(rustix::fs::fsetxattr(file, os(name), value, XattrFlags::empty()))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))?;
        Ok(())
    }

    /// Sets everything on a name that must not be opened (symlinks, devices, pipes).
    pub(crate) fn apply_to_name(&self, dir: BorrowedFd<'_>, base: &[u8], has_mode: bool) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(dir, os(base), Some(uid(self.owner.0)), Some(gid(self.owner.1)), flags)?;
        for (name, value) in self.xattrs.iter().filter(|(name, _)| allowed(name)) {
            let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
            path.extend_from_slice(base);
            ignore_unsupported(rustix::fs::lsetxattr(os(&path), os(name), value, XattrFlags::empty()))?;
        }
        if has_mode {
            // Just made by us in a private directory: the name is no symlink.
            rustix::fs::chmodat(dir, os(base), Mode::from_raw_mode(self.mode), AtFlags::empty())?;
        }
        rustix::fs::utimensat(dir, os(base), &times(self.mtime), flags)?;
        Ok(())
    }
}

fn uid(raw: u32) -> Uid {
    Uid::from_raw(raw)
}

fn gid(raw: u32) -> Gid {
    Gid::from_raw(raw)
}

/// Images may not speak to overlayfs: its marks would redirect or hide other layers.
fn allowed(name: &[u8]) -> bool {
    !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay.")
}

fn ignore_unsupported(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::NOTSUP) => Ok(()),
        other => Ok(other?),
    }
}

fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let mtime = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    Timestamps { last_access: mtime, last_modification: mtime }
}

/// Sets access and modification time.
pub(crate) fn set_times(file: BorrowedFd<'_>, mtime: (i64, u32)) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &times(mtime))?)
}

/// Marks a directory so that nothing of lower layers shows in it.
pub(crate) fn set_opaque(dir: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(dir, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
}

/// Whether `set_opaque` was called on the directory.
pub(crate) fn is_opaque(dir: BorrowedFd<'_>) -> bool {
    let mut value = [0u8; 4];
    matches!(rustix::fs::fgetxattr(dir, OPAQUE_XATTR, &mut value[..]), Ok(n) if value[..n] == *b"y")
}

/// Hides a name of the lower layers.
pub(crate) fn make_whiteout(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::mknodat(dir, os(name), FileType::CharacterDevice, Mode::empty(), 0)?)
}

/// Takes over owner, mode, attributes and modification time of `from` (a lower layer's file or directory).
pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    rustix::fs::fchown(to, Some(uid(stat.st_uid)), Some(gid(stat.st_gid)))?;
    copy_xattrs(from, to)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let mtime = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 };
    rustix::fs::futimens(to, &Timestamps { last_access: omit, last_modification: mtime })?;
    Ok(())
}

/// Largest list of attribute names and largest value that the kernel has.
const XATTR_MAX_BYTES: usize = 64 * 1024;

fn copy_xattrs(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0u8; XATTR_MAX_BYTES];
    let length = match rustix::fs::flistxattr(from.as_fd(), &mut names[..]) {
        Err(Errno::NOTSUP) => 0,
        other => other?,
    };
    let mut value = vec![0u8; if length == 0 { 0 } else { XATTR_MAX_BYTES }];
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty() && allowed(n)) {
        let n = rustix::fs::fgetxattr(from.as_fd(), os(name), &mut value[..])?;
        ignore_unsupported(rustix::fs::fsetxattr(to, os(name), &value[..n], XattrFlags::empty()))?;
    }
    Ok(())
}
