//! What pods and the node use, and `/metrics/resource` (docs: "Node metrics data").

use super::Server;
use super::answer::{self, Answer};
use crate::pod_task::Seen;
use pods::{ContainerView, roster};
use runtime::cri::Usage;
use std::fmt::Write as _;

pub(super) type Used = (Seen, Vec<(ContainerView, Usage)>);

pub(super) async fn usages(server: &Server) -> Vec<Used> {
    let pods: Vec<Seen> = server.pods.read().values().map(|h| h.seen.read().clone()).collect();
    let mut out = Vec::new();
    for seen in pods {
        let mut containers = Vec::new();
        for c in seen.view.running() {
            if let Ok(u) = server.hands.runtime.container_usage(&c.id).await {
                containers.push((c.clone(), u));
            }
        }
        out.push((seen, containers));
    }
    out
}

pub(super) fn sum(list: &[(ContainerView, Usage)]) -> Usage {
    let mut all = Usage::default();
    for (_, u) in list {
        all.cpu_usage_ns += u.cpu_usage_ns;
        all.memory_usage_bytes += u.memory_usage_bytes;
        all.memory_working_set_bytes += u.memory_working_set_bytes;
        all.memory_rss_bytes += u.memory_rss_bytes;
        all.page_faults += u.page_faults;
        all.major_page_faults += u.major_page_faults;
        all.pids += u.pids;
    }
    all
}

/// CPU time of the whole node, in nanoseconds.
pub(super) fn node_cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal, in hundredths of a second.
    let busy: u64 = fields.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4) && *i < 8).map(|(_, n)| n).sum();
    busy * 10_000_000
}

pub(super) fn node_working_set(server: &Server) -> (i64, i64) {
    let available = crate::machine::signals(&server.hands.config.root_dir).memory_available_bytes;
    ((server.hands.facts.memory_bytes - available).max(0), available)
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

pub(crate) async fn resource(server: &Server) -> Answer {
    let ms = server.hands.clock.now().as_millisecond();
    let used = usages(server).await;
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: Vec<(String, String)>| {
        let _ = writeln!(out, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(out, "{name}{labels} {value} {ms}");
        }
    };
    let of_container = |f: &dyn Fn(&ContainerView, &Usage) -> String| -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for (seen, list) in &used {
            let (namespace, pod) = (roster::namespace(&seen.pod), roster::name(&seen.pod));
            for (c, u) in list {
                rows.push((format!("{{container=\"{}\",namespace=\"{namespace}\",pod=\"{pod}\"}}", c.name), f(c, u)));
            }
        }
        rows
    };
    let of_pod = |f: &dyn Fn(&Usage) -> String| -> Vec<(String, String)> {
        let labels = |s: &Seen| format!("{{namespace=\"{}\",pod=\"{}\"}}", roster::namespace(&s.pod), roster::name(&s.pod));
        used.iter().filter(|(_, l)| !l.is_empty()).map(|(s, l)| (labels(s), f(&sum(l)))).collect()
    };
    let working = |u: &Usage| u.memory_working_set_bytes.to_string();
    let cpu = |u: &Usage| seconds(u.cpu_usage_ns).to_string();
    let start = |c: &ContainerView| c.started_at.map_or(0.0, |t| t.as_millisecond() as f64 / 1e3).to_string();
    family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container in core-seconds", of_container(&|_, u| cpu(u)));
    family("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes", of_container(&|_, u| working(u)));
    family("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds", of_container(&|c, _| start(c)));
    let node_cpu = seconds(node_cpu_ns()).to_string();
    family("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds", vec![(String::new(), node_cpu)]);
    let node_memory = node_working_set(server).0.to_string();
    family("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes", vec![(String::new(), node_memory)]);
    family("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds", of_pod(&|u| cpu(u)));
    family("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes", of_pod(&|u| working(u)));
    family("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise", vec![(String::new(), "0".into())]);
    Ok(answer::metrics(out))
}
