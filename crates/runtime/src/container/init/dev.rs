//! What stands in a container's `/dev`: the usual nodes and links, and the devices it asked for (privileged: the node's).

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{Init, InitError, doing, paths};
use crate::container::spec::DeviceNode;
use crate::container::sys;

/// Name, major, minor of the character devices that every container has.
const NODES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links below `/dev` and where they lead.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Makes nodes and links.
pub(super) fn populate(init: &mut Init) -> Result<(), InitError> {
    sys::umask(0);
    for (name, major, minor) in NODES {
        let node = DeviceNode { path: Path::new("/dev").join(name), major, minor, mode: 0o666, ..DeviceNode::default() };
        make(&node).map_err(doing(format!("error creating device {}", node.path.display())))?;
    }
    for (name, target) in LINKS {
        let link = Path::new("/dev").join(name);
        let _ = fs::remove_file(&link);
        symlink(target, &link).map_err(doing(format!("error creating link {}", link.display())))?;
    }
    for node in &init.spec.devices {
        make(node).map_err(doing(format!("error creating device {}", node.path.display())))?;
    }
    sys::umask(0o022);
    Ok(())
}

fn make(node: &DeviceNode) -> io::Result<()> {
    if let Some(parent) = node.path.parent() {
        paths::ensure_dir(parent)?;
    }
    let kind = if node.block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    match mknod(&node.path, kind, Mode::from_bits_truncate(node.mode), makedev(node.major, node.minor)) {
        Err(nix::errno::Errno::EEXIST) => return Ok(()),
        other => other?,
    }
    if node.uid != 0 || node.gid != 0 {
        std::os::unix::fs::chown(&node.path, Some(node.uid), Some(node.gid))?;
    }
    Ok(())
}
