//! Sizes: one set to a size, and a change of `spec.replicas` spread over all sets in proportion.
//!
//! Docs: "Deployments: proportional scaling".

use super::observe::{Seen, age_order};
use crate::numbers::scaled;
use crate::plan::{Note, Step, reference};
use kinds::api::apps::v1::ReplicaSet;
use std::cmp::Reverse;
use std::sync::Arc;

pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
const QUARTER: &str = "25%";

/// `spec.replicas` of a set.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
}

/// How many pods may exist above, and how many may be missing below, the wanted number.
pub(super) fn bounds(seen: &Seen) -> (i32, i32) {
    if super::observe::recreates(&seen.deployment) {
        return (0, 0);
    }
    let rolling = seen.spec().strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let n = seen.replicas();
    let surge = scaled(rolling.and_then(|r| r.max_surge.as_ref()), QUARTER, n, true);
    let unavailable = scaled(rolling.and_then(|r| r.max_unavailable.as_ref()), QUARTER, n, false);
    // Both zero would never move.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(n))
}

fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// Writes the two size annotations; tells whether that changed anything.
pub(super) fn annotate(seen: &Seen, set: &mut ReplicaSet) -> bool {
    let (desired, max) = (seen.replicas(), seen.replicas() + bounds(seen).0);
    let notes = set.metadata.annotations.get_or_insert_default();
    let before = (notes.insert(DESIRED.to_owned(), desired.to_string()), notes.insert(MAX.to_owned(), max.to_string()));
    before != (Some(desired.to_string()), Some(max.to_string()))
}

/// The step that gives a set that size and current annotations.
pub(super) fn resize(seen: &Seen, set: &Arc<ReplicaSet>, to: i32) -> Step {
    let mut next = ReplicaSet::clone(set);
    annotate(seen, &mut next);
    let from = size(set);
    next.spec.get_or_insert_default().replicas = Some(to);
    let step = Step::update(next);
    if from == to {
        return step;
    }
    let way = if to > from { "up" } else { "down" };
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let note = Note::new("ScalingReplicaSet", format!("Scaled {way} replica set {name} from {from} to {to}"));
    step.telling(reference(&*seen.deployment), Some(note), None)
}

/// A resize unless size and annotations are right already.
fn resize_if_needed(seen: &Seen, set: &Arc<ReplicaSet>, to: i32) -> Option<Step> {
    let stale = annotate(seen, &mut ReplicaSet::clone(set));
    (size(set) != to || stale).then(|| resize(seen, set, to))
}

/// Whether `spec.replicas` changed since the sets were last sized.
pub(super) fn is_scaling(seen: &Seen) -> bool {
    seen.all()
        .filter(|s| size(s) > 0)
        .any(|s| number(s, DESIRED).is_some_and(|d| d != seen.replicas()))
}

/// The resizes that `spec.replicas` asks for while nothing rolls.
pub(super) fn scale(seen: &Seen) -> Vec<Step> {
    if let Some(one) = active_or_latest(seen) {
        if size(one) == seen.replicas() {
            // Its annotation must follow, or every round would look like scaling.
            return resize_if_needed(seen, one, seen.replicas()).into_iter().collect();
        }
        return vec![resize(seen, one, seen.replicas())];
    }
    if seen.new.as_deref().is_some_and(|n| is_saturated(seen, n)) {
        return seen.old.iter().filter(|s| size(s) > 0).map(|s| resize(seen, s, 0)).collect();
    }
    if super::observe::recreates(&seen.deployment) {
        return Vec::new();
    }
    in_proportion(seen)
}

/// The only set with pods, or the set to wake when none has any.
fn active_or_latest(seen: &Seen) -> Option<&Arc<ReplicaSet>> {
    let mut active = seen.all().filter(|s| size(s) > 0);
    match (active.next(), active.next()) {
        (None, _) => seen.new.as_ref().or(seen.old.last()),
        (Some(one), None) => Some(one),
        _ => None,
    }
}

fn is_saturated(seen: &Seen, new: &ReplicaSet) -> bool {
    let n = seen.replicas();
    size(new) == n && number(new, DESIRED) == Some(n) && available(new) == n
}

fn in_proportion(seen: &Seen) -> Vec<Step> {
    let mut sets: Vec<&Arc<ReplicaSet>> = seen.all().filter(|s| size(s) > 0).collect();
    let total: i32 = sets.iter().map(|s| size(s)).sum();
    let (surge, _) = bounds(seen);
    let allowed = if seen.replicas() > 0 { seen.replicas() + surge } else { 0 };
    let to_add = allowed - total;
    // The biggest sets change most; among equals the newer grows and the older shrinks.
    if to_add > 0 {
        sets.sort_by_key(|s| (Reverse(size(s)), Reverse(age_order(s))));
    } else {
        sets.sort_by_key(|s| (Reverse(size(s)), age_order(s)));
    }
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::with_capacity(sets.len());
    for s in &sets {
        let part = share(seen, s, to_add, added, allowed);
        added += part;
        sizes.push(size(s) + part);
    }
    if let Some(first) = sizes.first_mut().filter(|_| to_add != 0) {
        *first = (*first + to_add - added).max(0);
    }
    sets.iter().zip(sizes).filter_map(|(s, n)| resize_if_needed(seen, s, n)).collect()
}

/// A set's part of the change, never past what is left of it.
fn share(seen: &Seen, set: &ReplicaSet, to_add: i32, added: i32, max: i32) -> i32 {
    if size(set) == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let part = fraction(seen, set, max);
    let left = to_add - added;
    if to_add > 0 { part.min(left) } else { part.max(left) }
}

fn fraction(seen: &Seen, set: &ReplicaSet, max: i32) -> i32 {
    if seen.replicas() == 0 {
        return -size(set);
    }
    let in_status = seen.deployment.status.as_ref().and_then(|s| s.replicas).unwrap_or(0);
    let before = number(set, MAX).filter(|n| *n > 0).unwrap_or(in_status);
    if before == 0 {
        return 0;
    }
    let new_size = f64::from(size(set)) * f64::from(max) / f64::from(before);
    new_size.round() as i32 - size(set)
}
