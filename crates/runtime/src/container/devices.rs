//! Devices of the node that containers may see: those asked for by path, or all of `/dev` for privileged ones.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::spec::DeviceNode;
use crate::cri::Device;

/// What is below `/dev` but is not a device of the node: a container has its own of these.
const NOT_DEVICES: [&str; 10] =
    ["pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev", "hugepages", "ptmx"];

/// How deep `/dev` is searched.
const MAX_DEPTH: usize = 8;

fn node(path: &Path, meta: &Metadata, permissions: &str) -> Option<DeviceNode> {
    let kind = meta.file_type();
    (kind.is_char_device() || kind.is_block_device()).then(|| DeviceNode {
        path: path.to_owned(),
        block: kind.is_block_device(),
        major: nix::sys::stat::major(meta.rdev()),
        minor: nix::sys::stat::minor(meta.rdev()),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        permissions: permissions.to_owned(),
    })
}

/// Devices asked for; a directory stands for all in it.
pub(super) fn requested(devices: &[Device]) -> io::Result<Vec<DeviceNode>> {
    let mut nodes = Vec::new();
    for device in devices {
        let meta = fs::metadata(&device.host_path)?;
        if meta.is_dir() {
            walk(&device.host_path, &device.container_path, &device.permissions, 0, &mut nodes);
        } else {
            let found = node(&device.container_path, &meta, &device.permissions);
            nodes.push(found.ok_or_else(|| io::Error::other("not a device node"))?);
        }
    }
    Ok(nodes)
}

/// Every device of the node.
pub(super) fn all() -> Vec<DeviceNode> {
    let mut nodes = Vec::new();
    walk(Path::new("/dev"), Path::new("/dev"), "rwm", 0, &mut nodes);
    nodes
}

fn walk(host: &Path, inside: &Path, permissions: &str, depth: usize, nodes: &mut Vec<DeviceNode>) {
    let Ok(entries) = fs::read_dir(host) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Ok(meta) = entry.metadata() else { continue };
        if NOT_DEVICES.iter().any(|skip| name == *skip) {
            continue;
        }
        if meta.is_dir() && depth < MAX_DEPTH {
            walk(&entry.path(), &inside.join(&name), permissions, depth + 1, nodes);
        } else {
            nodes.extend(node(&inside.join(&name), &meta, permissions));
        }
    }
}
