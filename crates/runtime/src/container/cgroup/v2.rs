//! cgroup v2: one tree, controllers switched on level by level (Documentation/admin-guide/cgroup-v2.rst).

use std::fs;
use std::io;
use std::path::Path;

use super::write;
use crate::cri::Resources;

/// Controllers that limits need, when the kernel offers them.
const WANTED: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// Makes the group and switches the controllers on for it at every level above.
pub(super) fn create(mount: &Path, path: &str) -> io::Result<()> {
    let mut dir = mount.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        enable_controllers(&dir);
        dir.push(part);
        match fs::create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(super::at(&dir, e)),
            _ => {}
        }
    }
    Ok(())
}

/// One write a controller: a controller that cannot be delegated here must not keep the others off.
fn enable_controllers(dir: &Path) {
    let offered = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    let file = dir.join("cgroup.subtree_control");
    let on = fs::read_to_string(&file).unwrap_or_default();
    for name in offered.split_whitespace().filter(|name| WANTED.contains(name)) {
        if !on.split_whitespace().any(|have| have == name) {
            let _ = fs::write(&file, format!("+{name}"));
        }
    }
}

/// Writes the limits that are given.
pub(super) fn limit(dir: &Path, r: &Resources) -> io::Result<()> {
    let or_max = |limit: i64| if limit <= 0 { "max".to_owned() } else { limit.to_string() };
    if let Some(shares) = r.cpu_shares {
        write(dir, "cpu.weight", weight(shares).to_string())?;
    }
    if r.cpu_quota_us.is_some() || r.cpu_period_us.is_some() {
        const DEFAULT_PERIOD_US: u64 = 100_000;
        let quota = or_max(r.cpu_quota_us.unwrap_or(-1));
        write(dir, "cpu.max", format!("{quota} {}", r.cpu_period_us.unwrap_or(DEFAULT_PERIOD_US)))?;
    }
    if let Some(limit) = r.memory_limit_bytes {
        write(dir, "memory.max", or_max(limit))?;
        if limit > 0 && dir.join("memory.swap.max").exists() {
            write(dir, "memory.swap.max", "0")?;
        }
    }
    if let Some(limit) = r.pids_limit {
        write(dir, "pids.max", or_max(limit))?;
    }
    if let Some(cpus) = r.cpuset_cpus.as_ref().filter(|cpus| !cpus.is_empty()) {
        write(dir, "cpuset.cpus", cpus)?;
    }
    for (size, bytes) in &r.hugepages_bytes {
        match write(dir, &format!("hugetlb.{size}.max"), bytes.to_string()) {
            Err(_) if *bytes == 0 => {}
            other => other?,
        }
    }
    Ok(())
}

/// v1 shares (2..=262144, 1024 usual) as a v2 weight (1..=10000, 100 usual): the curve on which 1024 is 100.
pub(super) fn weight(shares: u64) -> u64 {
    let exponent = (shares.clamp(2, 262_144) as f64).log2();
    let power = (exponent * exponent + 125.0 * exponent) / 612.0 - 7.0 / 34.0;
    (10f64.powf(power).ceil() as u64).clamp(1, 10_000)
}
