//! The rolling update: old pods go within what may be missing, or new ones come within what may be too many.
//!
//! Docs: "Perform a Rolling Update on a DaemonSet"; KEP-1591.

use super::decide::Moves;
use super::observe::{Place, Seen};
use crate::controller::Ctx;
use crate::history::REVISION_LABEL;
use crate::numbers::{len, scaled};
use kinds::api::core::v1::Pod;
use kinds::pod::is_available;
use std::sync::Arc;

/// Whether the pod is of that revision.
pub(super) fn is_updated(pod: &Pod, hash: &str) -> bool {
    pod.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).is_some_and(|h| h == hash)
}

fn is_rolling(seen: &Seen) -> bool {
    let strategy = seen.spec().update_strategy.as_ref().and_then(|s| s.type_.as_deref());
    strategy != Some("OnDelete")
}

/// (too many, missing): how many nodes may have a pod too many, or one missing.
fn bounds(seen: &Seen) -> (i32, i32) {
    let rolling = seen.spec().update_strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let nodes = len(seen.places.iter().filter(|p| p.fit.should_run).count());
    let surge = scaled(rolling.and_then(|r| r.max_surge.as_ref()), "0", nodes, true);
    let missing = scaled(rolling.and_then(|r| r.max_unavailable.as_ref()), "1", nodes, true);
    if surge == 0 && missing == 0 { (0, 1) } else { (surge, missing) }
}

fn available(seen: &Seen, pod: &Pod, ctx: &Ctx) -> bool {
    is_available(pod, seen.spec().min_ready_seconds.unwrap_or(0), ctx.now)
}

/// The standing new and old pod of a node.
fn pair<'a>(place: &'a Place, hash: &str) -> (Option<&'a Arc<Pod>>, Option<&'a Arc<Pod>>) {
    let standing = || place.pods.iter().filter(|p| p.metadata.deletion_timestamp.is_none());
    (standing().find(|p| is_updated(p, hash)), standing().find(|p| !is_updated(p, hash)))
}

/// Of several running pods on one node, those that go.
pub(super) fn spare(seen: &Seen, running: Vec<Arc<Pod>>, hash: &str, ctx: &Ctx) -> Vec<Arc<Pod>> {
    let (surge, _) = bounds(seen);
    let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|p| is_updated(p, hash));
    if surge == 0 || !is_rolling(seen) {
        // The oldest stays.
        let mut all: Vec<_> = old.into_iter().chain(new).collect();
        all.sort_by_key(|p| (p.metadata.creation_timestamp.clone(), p.metadata.name.clone()));
        return all.split_off(1);
    }
    let done = new.iter().any(|p| available(seen, p, ctx));
    let keep_old = usize::from(!done);
    old.into_iter().skip(keep_old).chain(new.into_iter().skip(1)).collect()
}

/// Adds what the update asks for once every node has what it needs.
pub(super) fn roll(seen: &Seen, hash: &str, ctx: &Ctx, moves: &mut Moves) {
    if !is_rolling(seen) {
        return;
    }
    let (surge, missing) = bounds(seen);
    let places = seen.places.iter().filter(|p| p.fit.should_run);
    if surge > 0 { rise(seen, places, hash, surge, ctx, moves) } else { sink(seen, places, hash, missing, ctx, moves) }
}

fn sink<'a>(seen: &Seen, places: impl Iterator<Item = &'a Place>, hash: &str, max: i32, ctx: &Ctx, moves: &mut Moves) {
    let (mut missing, mut candidates) = (0, Vec::new());
    for place in places {
        match pair(place, hash) {
            (Some(new), None) => missing += i32::from(!available(seen, new, ctx)),
            (None, Some(old)) if !available(seen, old, ctx) => {
                // It is missing anyway: replacing it costs nothing.
                missing += 1;
                moves.delete.push(Arc::clone(old));
            }
            (None, Some(old)) => candidates.push(Arc::clone(old)),
            _ => missing += 1,
        }
    }
    let room = usize::try_from(max - missing).unwrap_or(0);
    moves.delete.extend(candidates.into_iter().take(room));
}

fn rise<'a>(seen: &Seen, places: impl Iterator<Item = &'a Place>, hash: &str, max: i32, ctx: &Ctx, moves: &mut Moves) {
    let (mut extra, mut candidates) = (0, Vec::new());
    for place in places {
        match pair(place, hash) {
            (Some(new), Some(old)) if available(seen, new, ctx) => moves.delete.push(Arc::clone(old)),
            (Some(_), Some(_)) => extra += 1,
            (None, Some(old)) if !available(seen, old, ctx) => moves.create.push(place.name.clone()),
            (None, Some(_)) => candidates.push(place.name.clone()),
            _ => {}
        }
    }
    let room = usize::try_from(max - extra).unwrap_or(0);
    moves.create.extend(candidates.into_iter().take(room));
}
