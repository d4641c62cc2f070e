//! What pods and the node use: `/stats/summary` and `/metrics/resource` (docs: "Node metrics data").

use super::Server;
use super::answer::{self, Answer};
use crate::pod_task::Seen;
use http::StatusCode;
use kinds::ApiError;
use pods::{ContainerView, roster};
use runtime::cri::Usage;
use serde_json::{Value, json};
use std::fmt::Write as _;

type Used = (Seen, Vec<(ContainerView, Usage)>);

async fn usages(server: &Server) -> Vec<Used> {
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

fn cpu(at: &str, ns: u64) -> Value {
    json!({"time": at, "usageCoreNanoSeconds": ns})
}

fn memory(at: &str, u: &Usage) -> Value {
    json!({
        "time": at,
        "usageBytes": u.memory_usage_bytes,
        "workingSetBytes": u.memory_working_set_bytes,
        "rssBytes": u.memory_rss_bytes,
        "pageFaults": u.page_faults,
        "majorPageFaults": u.major_page_faults,
    })
}

fn sum(list: &[(ContainerView, Usage)]) -> Usage {
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
fn node_cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal, in hundredths of a second.
    let busy: u64 = fields.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4) && *i < 8).map(|(_, n)| n).sum();
    busy * 10_000_000
}

fn node_working_set(server: &Server) -> (i64, i64) {
    let available = crate::machine::signals(&server.hands.config.root_dir).memory_available_bytes;
    ((server.hands.facts.memory_bytes - available).max(0), available)
}

pub(crate) async fn summary(server: &Server) -> Answer {
    let at = server.hands.clock.now().to_string();
    let s = crate::machine::signals(&server.hands.config.root_dir);
    let (working, available) = node_working_set(server);
    let fs = json!({
        "time": at,
        "availableBytes": s.nodefs_available_bytes,
        "capacityBytes": s.nodefs_capacity_bytes,
        "usedBytes": s.nodefs_capacity_bytes - s.nodefs_available_bytes,
        "inodesFree": s.nodefs_inodes_free,
        "inodes": s.nodefs_inodes,
    });
    let pods: Vec<Value> = usages(server)
        .await
        .iter()
        .map(|(seen, list)| {
            let total = sum(list);
            let containers: Vec<Value> = list
                .iter()
                .map(|(c, u)| {
                    json!({
                        "name": c.name,
                        "startTime": c.started_at.map(|t| t.to_string()),
                        "cpu": cpu(&at, u.cpu_usage_ns),
                        "memory": memory(&at, u),
                        "rootfs": {"time": at, "usedBytes": u.rootfs_used_bytes, "inodesUsed": u.rootfs_inodes_used},
                    })
                })
                .collect();
            json!({
                "podRef": {"name": roster::name(&seen.pod), "namespace": roster::namespace(&seen.pod), "uid": roster::uid(&seen.pod)},
                "startTime": seen.pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0.to_string()),
                "containers": containers,
                "cpu": cpu(&at, total.cpu_usage_ns),
                "memory": memory(&at, &total),
                "process_stats": {"process_count": total.pids},
            })
        })
        .collect();
    let body = json!({
        "node": {
            "nodeName": server.hands.config.node_name,
            "cpu": cpu(&at, node_cpu_ns()),
            "memory": {"time": at, "availableBytes": available, "workingSetBytes": working},
            "fs": fs,
            "runtime": {"imageFs": fs},
        },
        "pods": pods,
    });
    serde_json::to_vec(&body).map(|b| answer::json(StatusCode::OK, b)).map_err(ApiError::internal)
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
