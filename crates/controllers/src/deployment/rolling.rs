//! The rolling update's two movements: the new set grows within the surge, old sets shrink within availability.
//!
//! Docs: "Deployments: rolling update".

use super::observe::Seen;
use super::scale::{available, bounds, resize, size};
use crate::plan::Step;
use kinds::api::apps::v1::ReplicaSet;
use std::sync::Arc;

/// The size with which a new set is created.
pub(super) fn first_size(seen: &Seen) -> i32 {
    grown(seen, 0)
}

/// The size that the surge allows for a new set of that size.
fn grown(seen: &Seen, now: i32) -> i32 {
    let total: i32 = seen.old.iter().map(|s| size(s)).sum::<i32>() + now;
    let room = seen.replicas() + bounds(seen).0 - total;
    if room <= 0 { now } else { now + room.min(seen.replicas() - now) }
}

/// The new set's next size, when it is not there yet.
pub(super) fn grow(seen: &Seen, new: &Arc<ReplicaSet>) -> Option<Step> {
    let now = size(new);
    let next = if now > seen.replicas() { seen.replicas() } else { grown(seen, now) };
    (next != now).then(|| resize(seen, new, next))
}

/// The old sets' next sizes: unhealthy pods first, then as many as availability allows.
pub(super) fn shrink(seen: &Seen, new: &ReplicaSet) -> Vec<Step> {
    let min_available = seen.replicas() - bounds(seen).1;
    let total: i32 = seen.all().map(|s| size(s)).sum();
    let max_down = total - min_available - (size(new) - available(new));
    let mut sizes: Vec<i32> = seen.old.iter().map(|s| size(s)).collect();
    if max_down <= 0 || sizes.iter().all(|n| *n == 0) {
        return Vec::new();
    }
    let mut dropped = 0;
    for (n, set) in sizes.iter_mut().zip(&seen.old) {
        let unhealthy = (*n - available(set)).max(0).min(max_down - dropped);
        dropped += unhealthy;
        *n -= unhealthy;
    }
    let spare = seen.all().map(|s| available(s)).sum::<i32>() - min_available;
    let mut spared = 0;
    for n in &mut sizes {
        let part = (*n).min((spare - spared).max(0));
        spared += part;
        *n -= part;
    }
    let changed = seen.old.iter().zip(sizes).filter(|(s, n)| size(s) != *n);
    changed.map(|(s, n)| resize(seen, s, n)).collect()
}
