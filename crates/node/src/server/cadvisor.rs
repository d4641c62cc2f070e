//! `/metrics/cadvisor`: what pods and containers use, under the names and labels that cAdvisor gives (docs: "Node metrics
//! data"), for the parts of its default set that the kernel tells.

use super::Server;
use super::answer::{self, Answer};
use pods::plan::resources;
use pods::{ContainerView, roster};
use runtime::cri::Usage;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// Families in the order of their names, each with its kind, its help and its rows.
#[derive(Default)]
struct Page(BTreeMap<&'static str, (&'static str, &'static str, String)>);

/// The labels of everything that is told of one container, pod or machine.
struct Labels(String);

impl Labels {
    fn with(&self, more: &[(&str, &str)]) -> String {
        let mut out = self.0.clone();
        for (k, v) in more {
            let _ = write!(out, ",{k}=\"{v}\"");
        }
        out
    }
}

impl Page {
    fn row(&mut self, family: (&'static str, &'static str, &'static str), labels: &str, value: impl Display, ms: i64) {
        let (name, kind, help) = family;
        let rows = &mut self.0.entry(name).or_insert_with(|| (kind, help, String::new())).2;
        let _ = writeln!(rows, "{name}{{{labels}}} {value} {ms}");
    }

    fn text(self) -> String {
        let mut out = String::new();
        for (name, (kind, help, rows)) in self.0 {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{rows}");
        }
        out
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

type Family = (&'static str, &'static str, &'static str);

/// Gauges and counters that are one number of the usage.
const PLAIN: &[(Family, fn(&Usage) -> u64)] = &[
    (("container_cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals."), |u| u.periods),
    (("container_cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals."), |u| u.throttled_periods),
    (("container_memory_cache", "gauge", "Number of bytes of page cache memory."), |u| u.memory_cache_bytes),
    (("container_memory_failcnt", "counter", "Number of memory usage hits limits"), |u| u.memory_failures),
    (("container_memory_kernel_usage", "gauge", "Size of kernel memory allocated in bytes."), |u| u.memory_kernel_bytes),
    (("container_memory_mapped_file", "gauge", "Size of memory mapped files in bytes."), |u| u.memory_mapped_bytes),
    (("container_memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes"), |u| u.memory_max_bytes),
    (("container_memory_rss", "gauge", "Size of RSS in bytes."), |u| u.memory_rss_bytes),
    (("container_memory_swap", "gauge", "Container swap usage in bytes."), |u| u.memory_swap_bytes),
    (("container_memory_total_active_file_bytes", "gauge", "Current total active file in bytes."), |u| u.memory_active_file_bytes),
    (("container_memory_total_inactive_file_bytes", "gauge", "Current total inactive file in bytes."), |u| u.memory_inactive_file_bytes),
    (("container_memory_usage_bytes", "gauge", "Current memory usage in bytes, including all memory regardless of when it was accessed"), |u| u.memory_usage_bytes),
    (("container_memory_working_set_bytes", "gauge", "Current working set in bytes."), |u| u.memory_working_set_bytes),
    (("container_oom_events_total", "counter", "Count of out of memory events observed for the container"), |u| u.oom_kills),
    (("container_processes", "gauge", "Number of processes running inside the container."), |u| u.processes),
    (("container_threads", "gauge", "Number of threads running inside the container"), |u| u.pids),
];

/// Counters of CPU time.
const TIMES: &[(Family, fn(&Usage) -> u64)] = &[
    (("container_cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled."), |u| u.throttled_ns),
    (("container_cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds."), |u| u.cpu_system_ns),
    (("container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds."), |u| u.cpu_user_ns),
];

const RECEIVED: [Family; 4] = [
    ("container_network_receive_bytes_total", "counter", "Cumulative count of bytes received"),
    ("container_network_receive_packets_total", "counter", "Cumulative count of packets received"),
    ("container_network_receive_errors_total", "counter", "Cumulative count of errors encountered while receiving"),
    ("container_network_receive_packets_dropped_total", "counter", "Cumulative count of packets dropped while receiving"),
];
const SENT: [Family; 4] = [
    ("container_network_transmit_bytes_total", "counter", "Cumulative count of bytes transmitted"),
    ("container_network_transmit_packets_total", "counter", "Cumulative count of packets transmitted"),
    ("container_network_transmit_errors_total", "counter", "Cumulative count of errors encountered while transmitting"),
    ("container_network_transmit_packets_dropped_total", "counter", "Cumulative count of packets dropped while transmitting"),
];

fn usage(page: &mut Page, labels: &Labels, u: &Usage, ms: i64) {
    for (family, of) in PLAIN {
        page.row(*family, &labels.0, of(u), ms);
    }
    for (family, of) in TIMES {
        page.row(*family, &labels.0, seconds(of(u)), ms);
    }
    let cpu = ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.");
    page.row(cpu, &labels.with(&[("cpu", "total")]), seconds(u.cpu_usage_ns), ms);
    let faults = ("container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.");
    for (kind, n) in [("pgfault", u.page_faults), ("pgmajfault", u.major_page_faults)] {
        page.row(faults, &labels.with(&[("failure_type", kind), ("scope", "container")]), n, ms);
    }
    for i in &u.interfaces {
        let labels = labels.with(&[("interface", &i.name)]);
        for (families, counts) in [(&RECEIVED, &i.received), (&SENT, &i.sent)] {
            families.iter().zip(counts).for_each(|(f, n)| page.row(*f, &labels, n, ms));
        }
    }
    let seen = ("container_last_seen", "gauge", "Last time a container was seen by the exporter");
    page.row(seen, &labels.0, ms / 1000, ms);
}

#[allow(clippy::cast_precision_loss)]
fn container(page: &mut Page, labels: &Labels, c: &ContainerView, limits: &pods::plan::Limits, u: &Usage, ms: i64) {
    usage(page, labels, u, ms);
    let used = ("container_fs_usage_bytes", "gauge", "Number of bytes that are consumed by the container on this filesystem.");
    page.row(used, &labels.with(&[("device", "overlay")]), u.rootfs_used_bytes, ms);
    let started = ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.");
    page.row(started, &labels.0, c.started_at.map_or(0, |t| t.as_second()), ms);
    let shares = ("container_spec_cpu_shares", "gauge", "CPU share of the container.");
    page.row(shares, &labels.0, limits.cpu_shares.unwrap_or(2), ms);
    let memory = ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.");
    page.row(memory, &labels.0, limits.memory_bytes.unwrap_or(0), ms);
    if let (Some(quota), Some(period)) = (limits.cpu_quota_us, limits.cpu_period_us) {
        page.row(("container_spec_cpu_quota", "gauge", "CPU quota of the container."), &labels.0, quota, ms);
        page.row(("container_spec_cpu_period", "gauge", "CPU period of the container."), &labels.0, period, ms);
    }
}

fn machine(page: &mut Page, server: &Server, ms: i64) {
    let m = crate::machine::read(&server.hands.config.root_dir);
    let labels = format!("boot_id=\"{}\",machine_id=\"{}\",system_uuid=\"{}\"", m.boot_id, m.machine_id, m.system_uuid);
    page.row(("machine_cpu_cores", "gauge", "Number of logical CPU cores."), &labels, m.cpus, ms);
    page.row(("machine_memory_bytes", "gauge", "Amount of memory installed on the machine."), &labels, m.memory_bytes, ms);
    page.row(("machine_swap_bytes", "gauge", "Amount of swap memory available on the machine."), &labels, m.swap_bytes, ms);
    page.row(("machine_scrape_error", "gauge", "1 if there was an error while getting machine metrics, 0 otherwise."), "", 0, ms);
    page.row(("container_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise"), "", 0, ms);
    let version = ("cadvisor_version_info", "gauge", "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.");
    let labels = format!("cadvisorRevision=\"\",cadvisorVersion=\"\",dockerVersion=\"\",kernelVersion=\"{}\",osVersion=\"{}\"", m.kernel_version, m.os_image);
    page.row(version, &labels, 1, ms);
}

/// Answers the page.
pub(super) async fn answer(server: &Server) -> Answer {
    let ms = server.hands.clock.now().as_millisecond();
    let mut page = Page::default();
    machine(&mut page, server, ms);
    for (seen, list) in super::stats::usages(server).await {
        let (namespace, pod) = (roster::namespace(&seen.pod), roster::name(&seen.pod));
        let group = format!("/{}", resources::cgroup_parent(&seen.pod));
        let labels = |id: &str, container: &str, image: &str, name: &str| {
            Labels(format!("container=\"{container}\",id=\"{id}\",image=\"{image}\",name=\"{name}\",namespace=\"{namespace}\",pod=\"{pod}\""))
        };
        if let Some(sandbox) = seen.view.ready_sandbox()
            && let Ok(u) = server.hands.runtime.sandbox_usage(&sandbox.id).await
        {
            usage(&mut page, &labels(&group, "", "", ""), &u, ms);
        }
        for (c, u) in &list {
            let Some((_, spec)) = roster::find(&seen.pod, &c.name) else { continue };
            let limits = resources::container(&seen.pod, &spec, &server.hands.facts);
            container(&mut page, &labels(&format!("{group}/{}", c.id), &c.name, &c.image, &c.id), c, &limits, u, ms);
        }
    }
    Ok(answer::metrics(page.text()))
}
