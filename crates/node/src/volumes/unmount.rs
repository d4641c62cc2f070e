//! The end of a pod's directory: what is mounted below it first, then the tree; never through a mount.

use nix::mount::{MntFlags, umount2};
use std::fs;
use std::path::{Path, PathBuf};

/// Undoes the octal escapes of `/proc/self/mountinfo`.
fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let bytes = field.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let octal = (bytes[i] == b'\\').then(|| field.get(i + 1..i + 4)).flatten().and_then(|o| u8::from_str_radix(o, 8).ok());
        match octal {
            Some(b) => {
                out.push(b);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Mount points at or below a directory, deepest (and newest) first.
fn mounts_below(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("read mountinfo: {e}"))?;
    let points = table.lines().filter_map(|l| l.split(' ').nth(4)).map(|f| PathBuf::from(unescape(f)));
    let mut below: Vec<PathBuf> = points.filter(|p| p.starts_with(dir)).collect();
    below.reverse();
    below.sort_by_key(|p| std::cmp::Reverse(p.components().count()));
    Ok(below)
}

/// Whether something is mounted exactly there.
pub(super) fn is_mount(path: &Path) -> bool {
    mounts_below(path).is_ok_and(|m| m.iter().any(|p| p == path))
}

/// Unmounts everything below and removes the tree. What is gone already is success.
pub(super) fn remove_tree(dir: &Path) -> Result<(), String> {
    for point in mounts_below(dir)? {
        umount2(&point, MntFlags::MNT_DETACH).map_err(|e| format!("unmount {}: {e}", point.display()))?;
    }
    if let Some(left) = mounts_below(dir)?.first() {
        return Err(format!("{} is still mounted", left.display()));
    }
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("remove {}: {e}", dir.display())),
        _ => Ok(()),
    }
}
