//! Applies one layer archive to a directory of its own, in the form overlayfs wants its lower directories.
//!
//! Answers to the OCI image specification ("Image Layer Filesystem Changeset") and the kernel's overlayfs page: a
//! whiteout becomes character device 0/0, an opaque directory gets `trusted.overlay.opaque`. Laws:
//! 1. Nothing outside the layer's directory is ever created, changed or read, whatever names and links the archive holds.
//! 2. A path means what it means in the merged image: parents that the archive does not mention are looked up in the
//!    lower layers (symlinks followed, owner and mode taken over), hard links to lower files copy them up.
//! 3. Every byte of the archive passes through the reader, so that its digest can be checked afterwards.

mod attrs;
mod tree;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use tar::EntryType;

use super::tarstream::{Member, TarReader};
use attrs::Attributes;
pub(crate) use tree::clean;
use tree::{Existing, Tree};

/// Copy buffer for file contents.
const COPY_BYTES: usize = 64 * 1024;
const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a layer takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub bytes: u64,
    pub inodes: u64,
}

/// Unpacks `archive` into the empty directory `root`, on top of `parents` (top layer first).
pub(crate) fn unpack(archive: impl Read, root: File, parents: Vec<File>) -> io::Result<Unpacked> {
    let mut unpacker = Unpacker { tree: Tree::new(root, parents)?, total: Unpacked::default(), dir_times: Vec::new() };
    let mut tar = TarReader::new(archive);
    let mut buffer = vec![0; COPY_BYTES];
    while let Some(member) = tar.advance()? {
        let name = || String::from_utf8_lossy(&member.path).into_owned();
        unpacker.apply(&member, &mut tar, &mut buffer).map_err(|e| named(&name(), e))?;
    }
    unpacker.finish()?;
    io::copy(tar.source(), &mut io::sink())?;
    Ok(unpacker.total)
}

fn named(name: &str, e: io::Error) -> io::Error {
    // A failing source is not the member's fault.
    match e.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::StorageFull => e,
        kind => io::Error::new(kind, format!("failed to unpack {name:?}: {e}")),
    }
}

struct Unpacker {
    tree: Tree,
    total: Unpacked,
    /// Directory times are set last: filling a directory changes them.
    dir_times: Vec<(Vec<u8>, (i64, u32))>,
}

impl Unpacker {
    fn apply(&mut self, member: &Member, data: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
        if member.kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let components = tree::clean(&member.path);
        let Some((base, parent)) = components.split_last() else {
            return self.root_entry(member);
        };
        let dir = self.tree.directory(parent)?;
        if base.starts_with(WHITEOUT) {
            return self.whiteout(&dir, base);
        }
        let was = self.make_room(&dir, base, member.kind == EntryType::Directory)?;
        match member.kind {
            EntryType::Regular => self.regular(&dir, base, member, data, buffer)?,
            EntryType::Directory => self.directory(&dir, base, member, was)?,
            EntryType::Symlink => {
                rustix::fs::symlinkat(os(&member.link), &dir, os(base))?;
                Attributes::of(member).apply_to_name(dir.as_fd(), base, false)?;
            }
            EntryType::Link => return self.hard_link(&dir, base, member),
            EntryType::Char | EntryType::Block | EntryType::Fifo => self.special(&dir, base, member)?,
            other => {
                let why = format!("unhandled tar header type {}", char::from(other.as_byte()));
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
        }
        self.total.inodes += 1;
        Ok(())
    }

    /// `./`: attributes of the image's root directory.
    fn root_entry(&mut self, member: &Member) -> io::Result<()> {
        if member.kind == EntryType::Directory {
            Attributes::of(member).apply_to_file(self.tree.root())?;
            self.dir_times.push((Vec::new(), member.mtime));
        }
        Ok(())
    }

    fn whiteout(&mut self, dir: &File, base: &[u8]) -> io::Result<()> {
        if base == OPAQUE {
            return if self.tree.has_parents() { attrs::set_opaque(dir.as_fd()) } else { Ok(()) };
        }
        if base.starts_with(WHITEOUT_META) {
            return Ok(()); // aufs bookkeeping
        }
        let hidden = &base[WHITEOUT.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "invalid whiteout name"));
        }
        if !self.tree.has_parents() {
            return Ok(());
        }
        // A whiteout speaks of the layers below only: what this layer put there stays, but nothing shines through.
        match tree::existing(dir.as_fd(), hidden)? {
            Existing::Directory => attrs::set_opaque(tree::open_dir(dir.as_fd(), hidden)?.as_fd()),
            Existing::None => attrs::make_whiteout(dir.as_fd(), hidden),
            Existing::Whiteout | Existing::Other => Ok(()),
        }
    }

    /// Clears the name for a new entry; a directory stays when a directory comes.
    fn make_room(&mut self, dir: &File, base: &[u8], for_directory: bool) -> io::Result<Existing> {
        let was = tree::existing(dir.as_fd(), base)?;
        match was {
            Existing::None => {}
            Existing::Directory if for_directory => {}
            Existing::Directory => self.tree.remove_tree(dir, base)?,
            Existing::Whiteout | Existing::Other => self.tree.remove_file(dir, base)?,
        }
        Ok(was)
    }

    fn regular(
        &mut self,
        dir: &File,
        base: &[u8],
        member: &Member,
        data: &mut impl Read,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut file = create(dir.as_fd(), base)?;
        match &member.sparse {
            None => copy_exactly(data, &mut file, member.size, buffer)?,
            Some(map) => {
                for (offset, length) in map {
                    file.seek(SeekFrom::Start(*offset))?;
                    copy_exactly(data, &mut file, *length, buffer)?;
                }
                file.set_len(member.size)?;
            }
        }
        Attributes::of(member).apply_to_file(&file)?;
        attrs::set_times(file.as_fd(), member.mtime)?;
        self.total.bytes += member.sparse.as_ref().map_or(member.size, |m| m.iter().map(|(_, l)| l).sum());
        Ok(())
    }

    fn directory(&mut self, dir: &File, base: &[u8], member: &Member, was: Existing) -> io::Result<()> {
        if was != Existing::Directory {
            rustix::fs::mkdirat(dir, os(base), Mode::from_raw_mode(0o700))?;
        }
        let made = tree::open_dir(dir.as_fd(), base)?;
        Attributes::of(member).apply_to_file(&made)?;
        // Something of this layer hid the lower directory of that name: it stays hidden.
        if matches!(was, Existing::Whiteout | Existing::Other) && self.tree.has_parents() {
            attrs::set_opaque(made.as_fd())?;
        }
        self.dir_times.push((member.path.clone(), member.mtime));
        Ok(())
    }

    fn special(&mut self, dir: &File, base: &[u8], member: &Member) -> io::Result<()> {
        let kind = match member.kind {
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = match kind {
            FileType::Fifo => 0,
            _ => rustix::fs::makedev(member.device.0, member.device.1),
        };
        rustix::fs::mknodat(dir, os(base), kind, Mode::from_raw_mode(0o600), device)?;
        Attributes::of(member).apply_to_name(dir.as_fd(), base, true)
    }

    fn hard_link(&mut self, dir: &File, base: &[u8], member: &Member) -> io::Result<()> {
        let target = tree::clean(&member.link);
        let Some((target_base, target_parent)) = target.split_last() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "hard link to the root directory"));
        };
        let target_dir = self.tree.directory(target_parent)?;
        if tree::existing(target_dir.as_fd(), target_base)? == Existing::None {
            let copied = self.tree.copy_up(target_parent, &target_dir, target_base)?;
            self.total.bytes += copied;
            self.total.inodes += 1;
        }
        rustix::fs::linkat(&target_dir, os(target_base), dir, os(base), AtFlags::empty())?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        for (path, mtime) in std::mem::take(&mut self.dir_times) {
            // A directory that a later member replaced has no time to set.
            if let Some(dir) = self.tree.find_directory(&tree::clean(&path))? {
                attrs::set_times(dir.as_fd(), mtime)?;
            }
        }
        self.total.inodes += self.tree.implied();
        Ok(())
    }
}

fn os(name: &[u8]) -> &std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(name)
}

fn create(dir: BorrowedFd<'_>, base: &[u8]) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(dir, os(base), flags, Mode::from_raw_mode(0o600))?))
}

fn copy_exactly(from: &mut impl Read, to: &mut File, mut count: u64, buffer: &mut [u8]) -> io::Result<()> {
    while count > 0 {
        let most = buffer.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        let n = from.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF"));
        }
        to.write_all(&buffer[..n])?;
        count -= n as u64;
    }
    Ok(())
}
