//! Finding one's way in a layer that lies on other layers, without ever leaving them.
//!
//! The common case is one `openat2(RESOLVE_IN_ROOT)` in the layer's own directory. When a parent is not there, the path
//! is walked component by component through this layer and those below it, never letting the kernel follow a link.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{attrs, create, os};

/// Most symlinks followed in one path, as the kernel has it.
const MAX_LINKS: usize = 40;

/// What a name in this layer's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    None,
    Directory,
    Whiteout,
    Other,
}

/// What a path is in the layers below.
enum Lower {
    None,
    Directory(File),
    Link(Vec<u8>),
    Other(File, Vec<u8>),
}

/// A layer being written and the finished layers below it.
pub(crate) struct Tree {
    root: File,
    /// Top layer first.
    parents: Vec<File>,
    /// The last parent directory asked for: members come directory by directory.
    last: Option<(Vec<Vec<u8>>, File)>,
    implied: u64,
}

/// `/a//./b/../c` is [a, c]; nothing climbs above the root.
pub(crate) fn clean(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(name.to_vec()),
        }
    }
    parts
}

/// Looks at a name without following it.
pub(crate) fn existing(dir: BorrowedFd<'_>, base: &[u8]) -> io::Result<Existing> {
    let stat = match rustix::fs::statat(dir, os(base), AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Existing::None),
        other => other?,
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Existing::Directory,
        FileType::CharacterDevice if stat.st_rdev == 0 => Existing::Whiteout,
        _ => Existing::Other,
    })
}

/// Opens a directory by a single name, refusing links.
pub(crate) fn open_dir(dir: BorrowedFd<'_>, base: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(dir, os(base), flags, Mode::empty())?))
}

impl Tree {
    /// `root` is empty; it takes over the attributes of the root directory below it.
    pub(crate) fn new(root: File, parents: Vec<File>) -> io::Result<Tree> {
        if let Some(parent) = parents.first() {
            attrs::copy(parent, &root)?;
        }
        Ok(Tree { root, parents, last: None, implied: 0 })
    }

    /// The layer's own top directory.
    pub(crate) fn root(&self) -> &File {
        &self.root
    }

    /// Whether there are layers below.
    pub(crate) fn has_parents(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Directories that were made because something lies in them.
    pub(crate) fn implied(&self) -> u64 {
        self.implied
    }

    /// Opens the directory, making it and its parents as the layers below have them where they are missing.
    pub(crate) fn directory(&mut self, path: &[Vec<u8>]) -> io::Result<File> {
        if let Some((last, dir)) = &self.last
            && last == path
        {
            return dir.try_clone();
        }
        let dir = match self.find_directory(path)? {
            Some(dir) => dir,
            None => self.walk(path)?,
        };
        self.last = Some((path.to_vec(), dir.try_clone()?));
        Ok(dir)
    }

    /// Opens a directory that is wholly in this layer.
    pub(crate) fn find_directory(&self, path: &[Vec<u8>]) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let joined = if path.is_empty() { b".".to_vec() } else { path.join(&b'/') };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, os(&joined), flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::AGAIN | Errno::LOOP) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn walk(&mut self, path: &[Vec<u8>]) -> io::Result<File> {
        let mut todo: VecDeque<Vec<u8>> = path.iter().cloned().collect();
        // Directories from the root to where we stand, with their names.
        let mut stack: Vec<(Vec<u8>, File)> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    stack.pop();
                    continue;
                }
                _ => {}
            }
            let here = stack.last().map_or(&self.root, |(_, dir)| dir).try_clone()?;
            match self.step(&stack, &here, &name)? {
                Step::Into(dir) => stack.push((name, dir)),
                Step::Follow(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    if target.starts_with(b"/") {
                        stack.clear();
                    }
                    for part in target.rsplit(|b| *b == b'/') {
                        todo.push_front(part.to_vec());
                    }
                }
            }
        }
        match stack.pop() {
            Some((_, dir)) => Ok(dir),
            None => self.root.try_clone(),
        }
    }

    fn step(&mut self, stack: &[(Vec<u8>, File)], here: &File, name: &[u8]) -> io::Result<Step> {
        match existing(here.as_fd(), name)? {
            Existing::Directory => Ok(Step::Into(open_dir(here.as_fd(), name)?)),
            Existing::Whiteout => {
                rustix::fs::unlinkat(here, os(name), AtFlags::empty())?;
                let dir = self.imply(here, name, None)?;
                attrs::set_opaque(dir.as_fd())?;
                Ok(Step::Into(dir))
            }
            Existing::Other => match rustix::fs::readlinkat(here, os(name), Vec::new()) {
                Ok(target) => Ok(Step::Follow(target.into_bytes())),
                Err(Errno::INVAL) => Err(Errno::NOTDIR.into()),
                Err(e) => Err(e.into()),
            },
            Existing::None => {
                let hidden = stack.iter().any(|(_, dir)| attrs::is_opaque(dir.as_fd()));
                let at: Vec<&[u8]> = stack.iter().map(|(n, _)| n.as_slice()).chain([name]).collect();
                match if hidden { Lower::None } else { self.lower(&at)? } {
                    Lower::Link(target) => Ok(Step::Follow(target)),
                    Lower::Directory(like) => Ok(Step::Into(self.imply(here, name, Some(&like))?)),
                    Lower::None => Ok(Step::Into(self.imply(here, name, None)?)),
                    Lower::Other(..) => Err(Errno::NOTDIR.into()),
                }
            }
        }
    }

    fn imply(&mut self, here: &File, name: &[u8], like: Option<&File>) -> io::Result<File> {
        rustix::fs::mkdirat(here, os(name), Mode::from_raw_mode(0o755))?;
        let dir = open_dir(here.as_fd(), name)?;
        match like {
            Some(like) => attrs::copy(like, &dir)?,
            None => rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?,
        }
        self.implied += 1;
        Ok(dir)
    }

    /// What the layers below show at a path (whose parents are directories in the merged view).
    fn lower(&self, path: &[&[u8]]) -> io::Result<Lower> {
        for parent in &self.parents {
            match look(parent, path)? {
                Found::Below => {}
                Found::Hidden => return Ok(Lower::None),
                Found::Here(found) => return Ok(found),
            }
        }
        Ok(Lower::None)
    }

    /// Copies a lower file into this layer so that it can be linked to; returns its size.
    pub(crate) fn copy_up(&mut self, parent: &[Vec<u8>], into: &File, base: &[u8]) -> io::Result<u64> {
        // `into` is the resolved parent in this layer; its lower twin has the same resolved path.
        let resolved = self.resolved(into, parent)?;
        let path: Vec<&[u8]> = resolved.iter().map(Vec::as_slice).chain([base]).collect();
        match self.lower(&path)? {
            Lower::Other(dir, name) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let mut from = File::from(rustix::fs::openat(&dir, os(&name), flags, Mode::empty())?);
                if !from.metadata()?.is_file() {
                    return Err(Errno::PERM.into());
                }
                let mut to = create(into.as_fd(), base)?;
                let size = io::copy(&mut from, &mut to)?;
                attrs::copy(&from, &to)?;
                Ok(size)
            }
            Lower::Link(target) => {
                rustix::fs::symlinkat(os(&target), into, os(base))?;
                Ok(0)
            }
            Lower::Directory(_) => Err(Errno::PERM.into()),
            Lower::None => Err(Errno::NOENT.into()),
        }
    }

    /// The path of an open directory of this layer, relative to its root.
    fn resolved(&self, dir: &File, fallback: &[Vec<u8>]) -> io::Result<Vec<Vec<u8>>> {
        let of = |file: &File| -> io::Result<Vec<u8>> {
            use std::os::fd::AsRawFd;
            let link = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok(rustix::fs::readlink(link, Vec::new())?.into_bytes())
        };
        let (root, dir) = (of(&self.root)?, of(dir)?);
        Ok(dir.strip_prefix(root.as_slice()).map_or_else(|| fallback.to_vec(), clean))
    }

    /// Removes a file, link, device or whiteout of this layer.
    pub(crate) fn remove_file(&mut self, dir: &File, base: &[u8]) -> io::Result<()> {
        self.last = None;
        Ok(rustix::fs::unlinkat(dir, os(base), AtFlags::empty())?)
    }

    /// Removes a directory of this layer with everything in it.
    pub(crate) fn remove_tree(&mut self, dir: &File, base: &[u8]) -> io::Result<()> {
        self.last = None;
        remove_tree(dir.as_fd(), base)
    }
}

enum Step {
    Into(File),
    Follow(Vec<u8>),
}

enum Found {
    /// Nothing here, look in the next layer.
    Below,
    /// Whited out or covered: the layers below do not count.
    Hidden,
    Here(Lower),
}

/// Looks a path up in one finished layer.
fn look(layer: &File, path: &[&[u8]]) -> io::Result<Found> {
    let mut here = layer.try_clone()?;
    let mut opaque = false;
    for (i, name) in path.iter().enumerate() {
        match existing(here.as_fd(), name)? {
            Existing::None => return Ok(if opaque { Found::Hidden } else { Found::Below }),
            Existing::Whiteout => return Ok(Found::Hidden),
            Existing::Directory => {
                here = open_dir(here.as_fd(), name)?;
                opaque = opaque || attrs::is_opaque(here.as_fd());
            }
            Existing::Other if i + 1 < path.len() => return Ok(Found::Hidden),
            Existing::Other => {
                return Ok(Found::Here(match rustix::fs::readlinkat(&here, os(name), Vec::new()) {
                    Ok(target) => Lower::Link(target.into_bytes()),
                    Err(Errno::INVAL) => Lower::Other(here, name.to_vec()),
                    Err(e) => return Err(e.into()),
                }));
            }
        }
    }
    Ok(Found::Here(Lower::Directory(here)))
}

fn remove_tree(dir: BorrowedFd<'_>, base: &[u8]) -> io::Result<()> {
    let inner = open_dir(dir, base)?;
    let names: Vec<Vec<u8>> = rustix::fs::Dir::read_from(&inner)?
        .filter_map(Result::ok)
        .map(|e| e.file_name().to_bytes().to_vec())
        .filter(|n| n != b"." && n != b"..")
        .collect();
    for name in names {
        match existing(inner.as_fd(), &name)? {
            Existing::Directory => remove_tree(inner.as_fd(), &name)?,
            _ => rustix::fs::unlinkat(&inner, OsStr::from_bytes(&name), AtFlags::empty())?,
        }
    }
    Ok(rustix::fs::unlinkat(dir, os(base), AtFlags::REMOVEDIR)?)
}
