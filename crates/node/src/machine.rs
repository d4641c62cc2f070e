//! What the machine is and has, read from the kernel's files.

use pods::eviction::Signals;
use pods::facts::HostResolver;
use pods::node_status::Machine;
use rustix::fs::statvfs;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// `MemTotal` and the like, in bytes.
fn meminfo() -> BTreeMap<String, i64> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let row = |l: &str| {
        let (name, rest) = l.split_once(':')?;
        let n: i64 = rest.split_whitespace().next()?.parse().ok()?;
        Some((name.to_owned(), n * 1024))
    };
    text.lines().filter_map(row).collect()
}

fn cpus() -> i64 {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let n = text.lines().filter(|l| l.starts_with("processor")).count();
    i64::try_from(n.max(1)).unwrap_or(1)
}

fn os_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    pretty.map_or_else(|| "Linux".to_owned(), |v| v.trim_matches('"').to_owned())
}

fn hugepages() -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(kib) = name.strip_prefix("hugepages-").and_then(|n| n.strip_suffix("kB")).and_then(|n| n.parse::<i64>().ok()) else {
            continue;
        };
        let count: i64 = line(&format!("{}/nr_hugepages", entry.path().display())).parse().unwrap_or(0);
        let size = if kib % (1 << 20) == 0 { format!("{}Gi", kib >> 20) } else { format!("{}Mi", kib >> 10) };
        if kib >= 1024 {
            all.insert(size, count * kib * 1024);
        }
    }
    all
}

fn architecture() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}

fn bytes(blocks: u64, size: u64) -> i64 {
    i64::try_from(blocks.saturating_mul(size)).unwrap_or(i64::MAX)
}

/// The machine, with the file system that holds `dir`.
pub(crate) fn read(dir: &Path) -> Machine {
    let memory = meminfo();
    let uts = rustix::system::uname();
    let machine_id = line("/etc/machine-id");
    let uuid = line("/sys/class/dmi/id/product_uuid");
    Machine {
        cpus: cpus(),
        memory_bytes: memory.get("MemTotal").copied().unwrap_or(0),
        nodefs_bytes: statvfs(dir).map_or(0, |s| bytes(s.f_blocks, s.f_frsize)),
        hugepages_bytes: hugepages(),
        system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
        machine_id,
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        kernel_version: uts.release().to_string_lossy().into_owned(),
        os_image: os_name(),
        architecture: architecture(),
        swap_bytes: memory.get("SwapTotal").copied().unwrap_or(0),
    }
}

/// When the machine was booted.
pub(crate) fn started_at() -> Option<jiff::Timestamp> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let seconds = text.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()?;
    jiff::Timestamp::from_second(seconds).ok()
}

/// What is left of it now.
pub(crate) fn signals(dir: &Path) -> Signals {
    let (disk, memory) = (statvfs(dir).ok(), meminfo());
    let pids_max: i64 = line("/proc/sys/kernel/pid_max").parse().unwrap_or(4_194_304);
    let running = line("/proc/loadavg").split_whitespace().nth(3).and_then(|f| f.split('/').nth(1)?.parse().ok()).unwrap_or(0);
    Signals {
        memory_available_bytes: memory.get("MemAvailable").copied().unwrap_or(i64::MAX),
        memory_capacity_bytes: memory.get("MemTotal").copied().unwrap_or(0),
        nodefs_available_bytes: disk.as_ref().map_or(i64::MAX, |s| bytes(s.f_bavail, s.f_frsize)),
        nodefs_capacity_bytes: disk.as_ref().map_or(0, |s| bytes(s.f_blocks, s.f_frsize)),
        nodefs_inodes_free: disk.as_ref().map_or(i64::MAX, |s| bytes(s.f_favail, 1)),
        nodefs_inodes: disk.as_ref().map_or(0, |s| bytes(s.f_files, 1)),
        pids_available: pids_max - running,
        pids_max,
    }
}

/// The node's own `/etc/resolv.conf`.
pub(crate) fn resolver() -> HostResolver {
    let mut r = HostResolver::default();
    for l in fs::read_to_string("/etc/resolv.conf").unwrap_or_default().lines() {
        let mut words = l.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => r.nameservers.extend(words.next()),
            Some("search") => r.searches = words.filter(|w| w != ".").collect(),
            Some("options") => r.options.extend(words),
            _ => {}
        }
    }
    r
}
