//! Which pods go first when there are too many.
//!
//! Docs: "ReplicaSet: scaling down", KEP-2255, KEP-2185.

use jiff::Timestamp;
use kinds::api::core::v1::Pod;
use kinds::conditions::pod_condition;
use kinds::pod::{is_ready, phase};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What a pod is compared by; the smallest goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i32,
    crowd: Reverse<usize>,
    /// Bucket of how long it has been ready: the shorter, the sooner it goes.
    ready_for: u32,
    restarts: Reverse<i32>,
    age: u32,
    uid: String,
}

/// The pods, those to delete first at the front.
pub(super) fn ranked(pods: &[Arc<Pod>], crowds: &BTreeMap<String, usize>, now: Timestamp) -> Vec<Arc<Pod>> {
    let mut with: Vec<(Worth, &Arc<Pod>)> = pods.iter().map(|p| (worth(p, crowds, now), p)).collect();
    with.sort_by(|a, b| a.0.cmp(&b.0));
    with.into_iter().map(|(_, p)| Arc::clone(p)).collect()
}


fn worth(pod: &Pod, crowds: &BTreeMap<String, usize>, now: Timestamp) -> Worth {
    let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
    let ready = is_ready(pod);
    let since = pod_condition(pod, "Ready").filter(|_| ready).and_then(|c| c.last_transition_time.as_ref());
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    let cost = pod.metadata.annotations.as_ref().and_then(|a| a.get(DELETION_COST)).and_then(|c| c.parse().ok());
    Worth {
        assigned: !node.is_empty(),
        phase: match phase(pod) {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        },
        ready,
        cost: cost.unwrap_or(0),
        crowd: Reverse(crowds.get(node).copied().unwrap_or(0)),
        ready_for: since.map_or(0, |t| bucket(t.0, now)),
        restarts: Reverse(statuses.into_iter().flatten().map(|c| c.restart_count).max().unwrap_or(0)),
        age: pod.metadata.creation_timestamp.as_ref().map_or(0, |t| bucket(t.0, now)),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

/// Logarithmic age: pods of about the same age are equals, so that chance (the uid) spreads deletions.
fn bucket(since: Timestamp, now: Timestamp) -> u32 {
    let age_ns = now.duration_since(since).as_nanos();
    match u128::try_from(age_ns) {
        Ok(ns) if ns > 0 => ns.ilog2() + 1,
        _ => 0,
    }
}
