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

/// From the hierarchies of v1.
pub(super) fn read_v1(dir: &dyn Fn(&str) -> Option<PathBuf>) -> Usage {
    let stat = text(dir("memory"), "memory.stat");
    let memory = number(dir("memory"), "memory.usage_in_bytes");
    Usage {
        cpu_usage_ns: number(dir("cpuacct"), "cpuacct.usage"),
        memory_usage_bytes: memory,
        memory_working_set_bytes: memory.saturating_sub(field(&stat, "total_inactive_file")),
        memory_rss_bytes: field(&stat, "total_rss"),
        page_faults: field(&stat, "total_pgfault"),
        major_page_faults: field(&stat, "total_pgmajfault"),
        pids: number(dir("pids"), "pids.current"),
        ..Usage::default()
    }
}

/// From the one tree of v2.
pub(super) fn read_v2(dir: &Path) -> Usage {
    const NS_PER_US: u64 = 1000;
    let here = || Some(dir.to_owned());
    let stat = text(here(), "memory.stat");
    let memory = number(here(), "memory.current");
    Usage {
        cpu_usage_ns: field(&text(here(), "cpu.stat"), "usage_usec") * NS_PER_US,
        memory_usage_bytes: memory,
        memory_working_set_bytes: memory.saturating_sub(field(&stat, "inactive_file")),
        memory_rss_bytes: field(&stat, "anon"),
        page_faults: field(&stat, "pgfault"),
        major_page_faults: field(&stat, "pgmajfault"),
        pids: number(here(), "pids.current"),
        ..Usage::default()
    }
}
