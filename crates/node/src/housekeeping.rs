//! What a node does on the side: rotates logs, frees disk from images, ends pods when memory or disk runs out
//! (docs: "Node-pressure Eviction", "Garbage collection of unused containers and images").

use crate::hands::{Hands, chain};
use crate::log::rotate;
use crate::machine;
use crate::pod_loop::Pods;
use crate::recorder::pod_reference;
use pods::eviction::{self, Pressure, Usage};
use pods::gc::{self, ImageLedger};
use pods::{Input, Note, Stage};
use runtime::cri::ContainerState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the signals of pressure and the lengths of logs are read.
const PERIOD: Duration = Duration::from_secs(10);
/// Images are looked at every this many periods.
const IMAGE_PERIODS: u64 = 30;

/// Runs until `stop`.
pub(crate) async fn run(hands: Arc<Hands>, pods: Pods, stop: CancellationToken) {
    let mut beat = tokio::time::interval(PERIOD);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ledger = ImageLedger::default();
    for round in 0u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        rotate_logs(&hands).await;
        relieve(&hands, &pods).await;
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
async fn relieve(hands: &Hands, pods: &Pods) {
    let pressures = machine::signals(&hands.config.root_dir).pressures();
    let Some((pressure, threshold, available)) = pressures.into_iter().next() else { return };
    let victims = eviction::rank(usages(hands, pods, pressure).await, pressure);
    let Some(victim) = victims.into_iter().next() else { return };
    let ending = eviction::ending(&victim, pressure, threshold, available);
    let note = Note::warning("Evicted", ending.message.clone());
    hands.recorder.note(pod_reference(&victim.pod), note);
    tracing::warn!(pod = %kinds::ObjectKey::of(&victim.pod.metadata), why = ending.message, "Evicting a pod");
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
