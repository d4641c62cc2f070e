//! cgroup v1: a hierarchy a controller, each with files of its own (Documentation/admin-guide/cgroup-v1/).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Hierarchy, write};
use crate::cri::Resources;

/// Controllers that a v1 hierarchy can carry.
pub(super) const CONTROLLERS: [&str; 14] = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio",
    "perf_event", "rdma", "misc",
];

/// Makes the group; in `cpuset` every level starts with its parent's processors and memory nodes.
pub(super) fn create(hierarchy: &Hierarchy, path: &str) -> io::Result<()> {
    let cpuset = hierarchy.controllers.iter().any(|c| c == "cpuset");
    let mut dir = hierarchy.mount.clone();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let parent = dir.clone();
        dir.push(part);
        match fs::create_dir(&dir) {
            Ok(()) if cpuset => inherit_cpuset(&parent, &dir)?,
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(super::at(&dir, e)),
        }
    }
    Ok(())
}

fn inherit_cpuset(parent: &Path, dir: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let value = fs::read_to_string(parent.join(file))?;
        write(dir, file, value.trim())?;
    }
    Ok(())
}

/// Writes limits, each into the hierarchy of its controller.
pub(super) fn limit(dir: &dyn Fn(&str) -> Option<PathBuf>, r: &Resources) -> io::Result<()> {
    let put = |controller: &str, file: &str, value: String| match dir(controller) {
        Some(dir) => write(&dir, file, value),
        None => Err(io::Error::other(format!("cgroup controller {controller} is not mounted ({file})"))),
    };
    if let Some(shares) = r.cpu_shares {
        put("cpu", "cpu.shares", shares.max(2).to_string())?;
    }
    if let Some(period) = r.cpu_period_us {
        // The kernel refuses a period that the present quota does not fit; the quota then goes first.
        if put("cpu", "cpu.cfs_period_us", period.to_string()).is_err() {
            put("cpu", "cpu.cfs_quota_us", r.cpu_quota_us.unwrap_or(-1).to_string())?;
            put("cpu", "cpu.cfs_period_us", period.to_string())?;
        }
    }
    if let Some(quota) = r.cpu_quota_us {
        put("cpu", "cpu.cfs_quota_us", quota.to_string())?;
    }
    if let Some(limit) = r.memory_limit_bytes {
        limit_memory(dir, if limit <= 0 { -1 } else { limit })?;
    }
    if let Some(limit) = r.pids_limit {
        put("pids", "pids.max", if limit <= 0 { "max".into() } else { limit.to_string() })?;
    }
    if let Some(cpus) = r.cpuset_cpus.as_ref().filter(|cpus| !cpus.is_empty()) {
        put("cpuset", "cpuset.cpus", cpus.clone())?;
    }
    for (size, bytes) in &r.hugepages_bytes {
        match put("hugetlb", &format!("hugetlb.{size}.limit_in_bytes"), bytes.to_string()) {
            Err(_) if *bytes == 0 => {}
            other => other?,
        }
    }
    Ok(())
}

/// Memory and memory-with-swap get the same limit (no swap for containers); the kernel wants memory <= memory+swap at
/// every moment, so growing writes the sum first and shrinking last.
fn limit_memory(dir: &dyn Fn(&str) -> Option<PathBuf>, limit: i64) -> io::Result<()> {
    let dir = dir("memory").ok_or_else(|| io::Error::other("cgroup controller memory is not mounted"))?;
    let (memory, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    let value = limit.to_string();
    if !dir.join(both).exists() {
        return write(&dir, memory, &value);
    }
    if write(&dir, memory, &value).is_ok() {
        return write(&dir, both, &value);
    }
    write(&dir, both, &value)?;
    write(&dir, memory, &value)
}
