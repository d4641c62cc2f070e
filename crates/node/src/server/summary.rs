//! `/stats/summary`: the kubelet's summary API (docs: "Node metrics data"): CPU, memory, network, file systems and processes
//! of the node, its pods, their containers and volumes.

use super::Server;
use super::answer::{self, Answer};
use super::stats::{node_cpu_ns, node_working_set, sum, usages};
use crate::hands::blocking;
use crate::housekeeping::size_of;
use crate::machine;
use crate::pod_task::Seen;
use http::StatusCode;
use kinds::ApiError;
use parking_lot::Mutex;
use pods::plan::sandbox::log_directory;
use pods::{ContainerView, roster};
use runtime::cri::{InterfaceUsage, Usage};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;

/// A rate is told over at least this long.
const RATE_MS: i64 = 1000;
/// Counters whose last value is remembered; beyond it all are forgotten.
const RATES_MAX: usize = 8192;

/// The last values of CPU counters: (when, value, the rate told then).
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<String, (i64, u64, u64)>>);

impl Rates {
    /// Nanoseconds of CPU a second since the last time that somebody asked, `None` the first time.
    fn of(&self, id: &str, now_ms: i64, ns: u64) -> Option<u64> {
        let mut all = self.0.lock();
        if all.len() > RATES_MAX {
            all.clear();
        }
        let before = all.get(id).copied();
        match before {
            Some((at, _, rate)) if now_ms - at < RATE_MS => Some(rate).filter(|r| *r > 0),
            Some((at, value, _)) => {
                let passed = u64::try_from(now_ms - at).unwrap_or(1).max(1);
                let rate = ns.saturating_sub(value).saturating_mul(1000) / passed;
                all.insert(id.to_owned(), (now_ms, ns, rate));
                Some(rate)
            }
            None => {
                all.insert(id.to_owned(), (now_ms, ns, 0));
                None
            }
        }
    }
}

/// What all parts of one answer share.
struct Moment<'a> {
    server: &'a Server,
    at: String,
    ms: i64,
}

impl Moment<'_> {
    fn cpu(&self, id: &str, ns: u64) -> Value {
        let mut out = json!({"time": self.at, "usageCoreNanoSeconds": ns});
        if let Some(rate) = self.server.rates.of(id, self.ms, ns) {
            out["usageNanoCores"] = rate.into();
        }
        out
    }

    fn memory(&self, u: &Usage, limit: Option<i64>) -> Value {
        let mut out = json!({
            "time": self.at,
            "usageBytes": u.memory_usage_bytes,
            "workingSetBytes": u.memory_working_set_bytes,
            "rssBytes": u.memory_rss_bytes,
            "pageFaults": u.page_faults,
            "majorPageFaults": u.major_page_faults,
        });
        if let Some(limit) = limit {
            out["availableBytes"] = (limit - i64::try_from(u.memory_working_set_bytes).unwrap_or(i64::MAX)).max(0).into();
        }
        out
    }

    /// The node's file system with what a part of it uses.
    fn fs(&self, used_bytes: Option<i64>, used_inodes: Option<u64>) -> Value {
        let s = machine::signals(&self.server.hands.config.root_dir);
        json!({
            "time": self.at,
            "availableBytes": s.nodefs_available_bytes,
            "capacityBytes": s.nodefs_capacity_bytes,
            "usedBytes": used_bytes.unwrap_or(s.nodefs_capacity_bytes - s.nodefs_available_bytes),
            "inodesFree": s.nodefs_inodes_free,
            "inodes": s.nodefs_inodes,
            "inodesUsed": used_inodes.unwrap_or_else(|| u64::try_from(s.nodefs_inodes - s.nodefs_inodes_free).unwrap_or(0)),
        })
    }

    fn network(&self, all: &[InterfaceUsage]) -> Option<Value> {
        let one = |i: &InterfaceUsage| {
            json!({"name": i.name, "rxBytes": i.received[0], "rxErrors": i.received[2], "txBytes": i.sent[0], "txErrors": i.sent[2]})
        };
        let main = all.iter().find(|i| i.name == "eth0").or_else(|| all.first())?;
        let mut out = one(main);
        out["time"] = self.at.clone().into();
        out["interfaces"] = all.iter().map(one).collect();
        Some(out)
    }

    async fn container(&self, seen: &Seen, c: &ContainerView, u: &Usage) -> (Value, i64) {
        let hands = &self.server.hands;
        let logs = PathBuf::from(log_directory(&seen.pod, &hands.facts)).join(&c.name);
        let logs = blocking(move || Ok(size_of(&logs))).await.unwrap_or(0);
        let limit = roster::find(&seen.pod, &c.name).and_then(|(_, s)| pods::plan::resources::container(&seen.pod, &s, &hands.facts).memory_bytes);
        let rootfs = i64::try_from(u.rootfs_used_bytes).unwrap_or(i64::MAX);
        let value = json!({
            "name": c.name,
            "startTime": c.started_at.map(|t| t.to_string()),
            "cpu": self.cpu(&c.id, u.cpu_usage_ns),
            "memory": self.memory(u, limit),
            "rootfs": self.fs(Some(rootfs), Some(u.rootfs_inodes_used)),
            "logs": self.fs(Some(logs), None),
            "swap": {"time": self.at, "swapUsageBytes": u.memory_swap_bytes},
        });
        (value, rootfs.saturating_add(logs))
    }

    /// Volumes that the node keeps for the pod.
    async fn volumes(&self, seen: &Seen) -> (Vec<Value>, i64) {
        let base = PathBuf::from(self.server.hands.facts.pod_dir(roster::uid(&seen.pod))).join("volumes");
        let (mut out, mut total) = (Vec::new(), 0);
        for v in roster::spec(&seen.pod).volumes.iter().flatten() {
            let plugin = match v {
                v if v.empty_dir.is_some() => "kubernetes.io~empty-dir",
                v if v.config_map.is_some() => "kubernetes.io~configmap",
                v if v.secret.is_some() => "kubernetes.io~secret",
                v if v.projected.is_some() => "kubernetes.io~projected",
                v if v.downward_api.is_some() => "kubernetes.io~downward-api",
                _ => continue,
            };
            let dir = base.join(plugin).join(&v.name);
            let used = blocking(move || Ok(size_of(&dir))).await.unwrap_or(0);
            let on_disk = v.empty_dir.as_ref().is_none_or(|e| e.medium.as_deref().unwrap_or_default().is_empty());
            total += if on_disk { used } else { 0 };
            let mut value = self.fs(Some(used), None);
            value["name"] = v.name.clone().into();
            out.push(value);
        }
        (out, total)
    }

    async fn pod(&self, seen: &Seen, list: &[(ContainerView, Usage)]) -> Value {
        let whole = match seen.view.ready_sandbox() {
            Some(s) => self.server.hands.runtime.sandbox_usage(&s.id).await.ok(),
            None => None,
        };
        let total = whole.unwrap_or_else(|| sum(list));
        let (mut containers, mut written) = (Vec::new(), 0);
        for (c, u) in list {
            let (value, used) = self.container(seen, c, u).await;
            containers.push(value);
            written += used;
        }
        let (volumes, on_disk) = self.volumes(seen).await;
        let processes = if total.pids > 0 { total.pids } else { sum(list).pids };
        let mut out = json!({
            "podRef": {"name": roster::name(&seen.pod), "namespace": roster::namespace(&seen.pod), "uid": roster::uid(&seen.pod)},
            "startTime": seen.pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0.to_string()),
            "containers": containers,
            "cpu": self.cpu(roster::uid(&seen.pod), total.cpu_usage_ns),
            "memory": self.memory(&total, None),
            "volume": volumes,
            "ephemeral-storage": self.fs(Some(written + on_disk), None),
            "process_stats": {"process_count": processes},
            "swap": {"time": self.at, "swapUsageBytes": total.memory_swap_bytes},
        });
        if let Some(network) = self.network(&total.interfaces) {
            out["network"] = network;
        }
        out
    }

    fn node(&self) -> Value {
        let (working, available) = node_working_set(self.server);
        let devices = runtime::cri::interfaces(&std::fs::read_to_string("/proc/net/dev").unwrap_or_default());
        let s = machine::signals(&self.server.hands.config.root_dir);
        let mut out = json!({
            "nodeName": self.server.hands.config.node_name,
            "startTime": machine::started_at().map(|t| t.to_string()),
            "cpu": self.cpu("", node_cpu_ns()),
            "memory": {
                "time": self.at,
                "availableBytes": available,
                "usageBytes": working,
                "workingSetBytes": working,
            },
            "fs": self.fs(None, None),
            "runtime": {"imageFs": self.fs(None, None), "containerFs": self.fs(None, None)},
            "rlimit": {"time": self.at, "maxpid": s.pids_max, "curproc": s.pids_max - s.pids_available},
        });
        if let Some(network) = self.network(&devices) {
            out["network"] = network;
        }
        out
    }
}

/// Answers the summary.
pub(super) async fn answer(server: &Server) -> Answer {
    let now = server.hands.clock.now();
    let moment = Moment { server, at: now.to_string(), ms: now.as_millisecond() };
    let mut pods = Vec::new();
    for (seen, list) in usages(server).await.iter().filter(|(_, list)| !list.is_empty()) {
        pods.push(moment.pod(seen, list).await);
    }
    let body = json!({"node": moment.node(), "pods": pods});
    serde_json::to_vec(&body).map(|b| answer::json(StatusCode::OK, b)).map_err(ApiError::internal)
}
