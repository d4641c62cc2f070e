//! What a node does on the side: rotates logs, frees disk from images, ends pods when memory or disk runs out
//! (docs: "Node-pressure Eviction", "Garbage collection of unused containers and images").

use crate::hands::{Hands, blocking, chain};
use crate::log::rotate;
use crate::machine;
use crate::pod_loop::Pods;
use crate::pod_task::Seen;
use crate::recorder::pod_reference;
use base::metrics::{Counter, Family, Gauge, Registry};
use kinds::api::core::v1::Pod;
use pods::eviction::{self, Pressure, Usage, Written};
use pods::gc::{self, ImageLedger};
use pods::plan::sandbox::log_directory;
use pods::{Input, Note, RunState, Stage};
use runtime::cri::ContainerState;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the signals of pressure and the lengths of logs are read.
const PERIOD: Duration = Duration::from_secs(10);
/// Images are looked at every this many periods.
const IMAGE_PERIODS: u64 = 30;

/// Figures of the node under Kubernetes' names.
pub(crate) struct Metrics {
    pods: Arc<Family<Gauge>>,
    containers: Arc<Family<Gauge>>,
    evictions: Arc<Family<Counter>>,
}

impl Metrics {
    /// Registers them, and tells the node's name.
    pub(crate) fn register(registry: &Registry, node: &str) -> Self {
        let name = registry.gauge("kubelet_node_name", "The node's name. The count is always 1.", &["node"]);
        name.with(&[node]).set(1.0);
        Self {
            pods: registry.gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", &[]),
            containers: registry.gauge("kubelet_running_containers", "Number of containers currently running", &["container_state"]),
            evictions: registry.counter("kubelet_evictions", "Cumulative number of pod evictions by eviction signal", &["eviction_signal"]),
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn count(metrics: &Metrics, pods: &Pods) {
    let pods = pods.read();
    let views: Vec<_> = pods.values().map(|h| h.seen.read().view.clone()).collect();
    metrics.pods.with(&[]).set(views.iter().filter(|v| v.ready_sandbox().is_some()).count() as f64);
    for (state, word) in [(RunState::Created, "created"), (RunState::Running, "running"), (RunState::Exited, "exited")] {
        let n = views.iter().flat_map(|v| &v.containers).filter(|c| c.state == state).count();
        metrics.containers.with(&[word]).set(n as f64);
    }
}

/// Bytes on disk below a directory, links not followed.
pub(crate) fn size_of(dir: &Path) -> i64 {
    let mut total = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        total += if meta.is_dir() { size_of(&entry.path()) } else { i64::try_from(meta.blocks() * 512).unwrap_or(0) };
    }
    total
}

/// Whether a pod has any limit on what it writes.
fn is_limited(pod: &Pod) -> bool {
    let spec = pods::roster::spec(pod);
    let mut volumes = spec.volumes.iter().flatten();
    volumes.any(|v| v.empty_dir.as_ref().is_some_and(|e| e.size_limit.is_some()))
        || kinds::pod::limits(spec).contains_key("ephemeral-storage")
}

async fn written(hands: &Hands, seen: &Seen) -> Written {
    let mut out = Written::default();
    for c in seen.view.running() {
        let rootfs = hands.runtime.container_usage(&c.id).await.map_or(0, |u| u.rootfs_used_bytes);
        let logs = PathBuf::from(log_directory(&seen.pod, &hands.facts)).join(&c.name);
        let logs = blocking(move || Ok(size_of(&logs))).await.unwrap_or(0);
        out.containers.push((c.name.clone(), logs + i64::try_from(rootfs).unwrap_or(i64::MAX)));
    }
    let base = PathBuf::from(hands.facts.pod_dir(pods::roster::uid(&seen.pod))).join("volumes/kubernetes.io~empty-dir");
    for v in pods::roster::spec(&seen.pod).volumes.iter().flatten() {
        let on_disk = v.empty_dir.as_ref().is_some_and(|e| e.medium.as_deref().unwrap_or_default().is_empty());
        let dir = base.join(&v.name);
        if on_disk {
            out.empty_dirs.push((v.name.clone(), blocking(move || Ok(size_of(&dir))).await.unwrap_or(0)));
        }
    }
    out
}

/// Ends pods that have written more than they may.
async fn limit_writing(hands: &Hands, pods: &Pods) {
    let handles: Vec<_> = pods.read().values().cloned().collect();
    for handle in handles {
        let seen = handle.seen.read().clone();
        if seen.stage != Stage::Syncing || !is_limited(&seen.pod) {
            continue;
        }
        let Some(ending) = eviction::over_limit(&seen.pod, &written(hands, &seen).await) else { continue };
        hands.recorder.note(pod_reference(&seen.pod), Note::warning("Evicted", ending.message.clone()));
        // Limits of storage give a second. A task that has just ended needs no news.
        let _ = handle.mailbox.send(Input::End(ending, 1)).await;
    }
}

/// Runs until `stop`.
pub(crate) async fn run(hands: Arc<Hands>, pods: Pods, metrics: Metrics, stop: CancellationToken) {
    let mut beat = tokio::time::interval(PERIOD);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ledger = ImageLedger::default();
    for round in 0u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        rotate_logs(&hands).await;
        relieve(&hands, &pods, &metrics).await;
        limit_writing(&hands, &pods).await;
        count(&metrics, &pods);
        if round % IMAGE_PERIODS == 0 {
            collect_images(&hands, &mut ledger).await;
        }
    }
}

async fn rotate_logs(hands: &Hands) {
    let Ok(containers) = hands.runtime.containers().await else { return };
    for c in containers.into_iter().filter(|c| c.state == ContainerState::Running) {
        match rotate::move_away(&c.log_path, hands.clock.now()) {
            Ok(true) => {
                if let Err(e) = hands.runtime.reopen_log(&c.id).await {
                    tracing::warn!(container = c.id, err = %chain(&e), "Failed to begin a new log");
                }
            }
            Ok(false) => {}
            Err(e) => tracing::warn!(path = %c.log_path.display(), err = %e, "Failed to rotate a log"),
        }
    }
}

/// Ends one pod if something runs out.
async fn relieve(hands: &Hands, pods: &Pods, metrics: &Metrics) {
    let pressures = machine::signals(&hands.config.root_dir).pressures(&hands.config.eviction_hard);
    let Some((pressure, threshold, available)) = pressures.into_iter().next() else { return };
    let victims = eviction::rank(usages(hands, pods, pressure).await, pressure);
    let Some(victim) = victims.into_iter().next() else { return };
    let ending = eviction::ending(&victim, pressure, threshold, available);
    let note = Note::warning("Evicted", ending.message.clone());
    hands.recorder.note(pod_reference(&victim.pod), note);
    tracing::warn!(pod = %kinds::ObjectKey::of(&victim.pod.metadata), why = ending.message, "Evicting a pod");
    metrics.evictions.with(&[pressure.signal()]).inc();
    let handle = pods.read().get(pods::roster::uid(&victim.pod)).cloned();
    if let Some(handle) = handle {
        // Hard thresholds give no grace. A task that has just ended needs no news.
        let _ = handle.mailbox.send(Input::End(ending, 0)).await;
    }
}

async fn usages(hands: &Hands, pods: &Pods, _of: Pressure) -> Vec<Usage> {
    let seen: Vec<_> = pods.read().values().map(|h| h.seen.read().clone()).collect();
    let mut usages = Vec::new();
    for s in seen.into_iter().filter(|s| s.stage == Stage::Syncing) {
        let mut usage = Usage { pod: Arc::clone(&s.pod), memory_bytes: 0, disk_bytes: 0, pids: 0 };
        for c in s.view.running() {
            if let Ok(u) = hands.runtime.container_usage(&c.id).await {
                usage.memory_bytes += i64::try_from(u.memory_working_set_bytes).unwrap_or(i64::MAX);
                usage.disk_bytes += i64::try_from(u.rootfs_used_bytes).unwrap_or(i64::MAX);
                usage.pids += i64::try_from(u.pids).unwrap_or(i64::MAX);
            }
        }
        usages.push(usage);
    }
    usages
}

async fn collect_images(hands: &Hands, ledger: &mut ImageLedger) {
    let (Ok(images), Ok(containers)) = tokio::join!(hands.runtime.images(), hands.runtime.containers()) else { return };
    let present: Vec<gc::Image> =
        images.into_iter().map(|i| gc::Image { id: i.id, size_bytes: i.size_bytes, pinned: i.pinned }).collect();
    let used: BTreeSet<String> = containers.into_iter().map(|c| c.image_id).collect();
    let now = hands.clock.now();
    ledger.observe(&present, &used, now);
    let Ok((_, _, dir)) = hands.runtime.image_fs().await else { return };
    let s = machine::signals(&dir);
    let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
    let Some(excess) = gc::excess_bytes(bytes(s.nodefs_capacity_bytes), bytes(s.nodefs_available_bytes)) else { return };
    let mut freed = BTreeMap::new();
    for id in ledger.victims(&present, &used, excess, now) {
        match hands.runtime.remove_image(&id).await {
            Ok(()) => {
                freed.insert(id, ());
            }
            Err(e) => tracing::warn!(image = id, err = %chain(&e), "Failed to remove an unused image"),
        }
    }
    if !freed.is_empty() {
        tracing::info!(images = freed.len(), "Removed unused images, the disk was filling up");
    }
}
