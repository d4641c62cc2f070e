//! What a control group has used, from either kind of files. The working set is usage minus inactive file pages, as the
//! kubelet's metrics define it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cri::Usage;

/// The number after `name ` at the start of a line; 0 when there is none.
pub(super) fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn number(dir: Option<PathBuf>, file: &str) -> u64 {
    dir.and_then(|dir| fs::read_to_string(dir.join(file)).ok()).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn text(dir: Option<PathBuf>, file: &str) -> String {
    dir.and_then(|dir| fs::read_to_string(dir.join(file)).ok()).unwrap_or_default()
}

fn lines(dir: Option<PathBuf>, file: &str) -> u64 {
    text(dir, file).lines().count() as u64
}

/// From the hierarchies of v1.
pub(super) fn read_v1(dir: &dyn Fn(&str) -> Option<PathBuf>) -> Usage {
    /// `cpuacct.stat` counts in hundredths of a second.
    const NS_PER_TICK: u64 = 10_000_000;
    let (stat, cpu, ticks) = (text(dir("memory"), "memory.stat"), text(dir("cpu"), "cpu.stat"), text(dir("cpuacct"), "cpuacct.stat"));
    let memory = number(dir("memory"), "memory.usage_in_bytes");
    Usage {
        cpu_usage_ns: number(dir("cpuacct"), "cpuacct.usage"),
        cpu_user_ns: field(&ticks, "user") * NS_PER_TICK,
        cpu_system_ns: field(&ticks, "system") * NS_PER_TICK,
        periods: field(&cpu, "nr_periods"),
        throttled_periods: field(&cpu, "nr_throttled"),
        throttled_ns: field(&cpu, "throttled_time"),
        memory_usage_bytes: memory,
        memory_working_set_bytes: memory.saturating_sub(field(&stat, "total_inactive_file")),
        memory_rss_bytes: field(&stat, "total_rss"),
        memory_cache_bytes: field(&stat, "total_cache"),
        memory_swap_bytes: field(&stat, "total_swap"),
        memory_mapped_bytes: field(&stat, "total_mapped_file"),
        memory_active_file_bytes: field(&stat, "total_active_file"),
        memory_inactive_file_bytes: field(&stat, "total_inactive_file"),
        memory_kernel_bytes: number(dir("memory"), "memory.kmem.usage_in_bytes"),
        memory_max_bytes: number(dir("memory"), "memory.max_usage_in_bytes"),
        memory_failures: number(dir("memory"), "memory.failcnt"),
        oom_kills: field(&text(dir("memory"), "memory.oom_control"), "oom_kill"),
        page_faults: field(&stat, "total_pgfault"),
        major_page_faults: field(&stat, "total_pgmajfault"),
        pids: number(dir("pids"), "pids.current"),
        processes: lines(dir("pids"), "cgroup.procs"),
        ..Usage::default()
    }
}

/// From the one tree of v2.
pub(super) fn read_v2(dir: &Path) -> Usage {
    const NS_PER_US: u64 = 1000;
    let here = || Some(dir.to_owned());
    let (stat, cpu, events) = (text(here(), "memory.stat"), text(here(), "cpu.stat"), text(here(), "memory.events"));
    let memory = number(here(), "memory.current");
    Usage {
        cpu_usage_ns: field(&cpu, "usage_usec") * NS_PER_US,
        cpu_user_ns: field(&cpu, "user_usec") * NS_PER_US,
        cpu_system_ns: field(&cpu, "system_usec") * NS_PER_US,
        periods: field(&cpu, "nr_periods"),
        throttled_periods: field(&cpu, "nr_throttled"),
        throttled_ns: field(&cpu, "throttled_usec") * NS_PER_US,
        memory_usage_bytes: memory,
        memory_working_set_bytes: memory.saturating_sub(field(&stat, "inactive_file")),
        memory_rss_bytes: field(&stat, "anon"),
        memory_cache_bytes: field(&stat, "file"),
        memory_swap_bytes: number(here(), "memory.swap.current"),
        memory_mapped_bytes: field(&stat, "file_mapped"),
        memory_active_file_bytes: field(&stat, "active_file"),
        memory_inactive_file_bytes: field(&stat, "inactive_file"),
        memory_kernel_bytes: field(&stat, "kernel"),
        memory_max_bytes: number(here(), "memory.peak"),
        memory_failures: field(&events, "max"),
        oom_kills: field(&events, "oom_kill"),
        page_faults: field(&stat, "pgfault"),
        major_page_faults: field(&stat, "pgmajfault"),
        pids: number(here(), "pids.current"),
        processes: lines(here(), "cgroup.procs"),
        ..Usage::default()
    }
}
