//! Revisions, then pods in order, then the update from the top down.

use super::observe::Seen;
use super::pod::{creation, deletion, repair, revision};
use super::{claims, status};
use crate::controller::Ctx;
use crate::history::{Present, template_of};
use crate::plan::{Event, Pace, Plan, Step, reference};
use kinds::api::apps::v1::ControllerRevision;
use kinds::api::core::v1::{Pod, PodTemplateSpec};
use kinds::pod::{is_available, is_terminal, phase};
use std::sync::Arc;

const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// The two revisions that pods can be of.
pub(super) struct Revisions {
    pub current: String,
    pub update: String,
}

/// What a round does to pods.
#[derive(Default)]
struct Moves {
    steps: Vec<Step>,
    events: Vec<Event>,
    /// An ordered set waits for what it has begun.
    waits: bool,
}

/// What is to be done for one StatefulSet.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    if !seen.claims.is_empty() {
        return Plan::because("adopting or releasing pods").wave(Pace::Parallel, seen.claims.clone());
    }
    let mut labels = seen.spec().template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), seen.history.hash.clone());
    let present = match seen.history.present(&*seen.set, labels) {
        Present::Is(r) => r,
        Present::Write(step) => return Plan::because("the template's revision").step(*step),
        Present::Collides => return Plan::because("the hash collides").status(Some(status::collided(seen))),
    };
    let update = present.metadata.name.clone().unwrap_or_default();
    let known = |name: &String| seen.history.all.iter().any(|r| r.metadata.name.as_ref() == Some(name));
    let current = seen.status().current_revision.filter(known).unwrap_or_else(|| update.clone());
    let revisions = Revisions { current, update };
    let status = status::status(seen, &revisions, ctx);
    if seen.set.metadata.deletion_timestamp.is_some() {
        return Plan::because("being deleted").status(status);
    }
    let mut moves = Moves::default();
    walk(seen, &revisions, ctx, &mut moves);
    let cleanup = if moves.steps.is_empty() { cleanup(seen, &present, &revisions) } else { Vec::new() };
    let pace = if parallel(seen) { Pace::Parallel } else { Pace::Ordered };
    let because = format!("{} pods of {}", seen.pods.len(), seen.replicas());
    let again =
        crate::replicas::decide::next_available_pod(seen.pods.values().map(|p| &**p), seen.min_ready_s(), ctx);
    let mut plan = Plan::because(because)
        .wave(Pace::Parallel, claims::ownership(seen))
        .wave(pace, moves.steps)
        .wave(Pace::Parallel, cleanup)
        .status(status)
        .again(again);
    plan.events = moves.events;
    plan
}

fn parallel(seen: &Seen) -> bool {
    seen.spec().pod_management_policy.as_deref() == Some("Parallel")
}

fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Up for others to follow: running, ready, and that for long enough.
fn is_up(seen: &Seen, pod: &Pod, ctx: &Ctx) -> bool {
    phase(pod) == "Running" && !is_leaving(pod) && is_available(pod, seen.min_ready_s(), ctx.now)
}

fn walk(seen: &Seen, revisions: &Revisions, ctx: &Ctx, moves: &mut Moves) {
    for ordinal in seen.ordinals() {
        step(seen, ordinal, revisions, ctx, moves);
        if moves.waits && !parallel(seen) {
            return;
        }
    }
    scale_in(seen, ctx, moves);
    if moves.steps.is_empty() && !moves.waits {
        update(seen, revisions, ctx, moves);
    }
}

/// One ordinal that should exist.
fn step(seen: &Seen, ordinal: i32, revisions: &Revisions, ctx: &Ctx, moves: &mut Moves) {
    let Some(pod) = seen.pods.get(&ordinal) else {
        moves.steps.extend(claims::missing(seen, ordinal));
        let (template, name) = template_for(seen, ordinal, revisions, ctx);
        moves.steps.push(creation(seen, ordinal, &template, name));
        moves.waits = true;
        return;
    };
    if is_terminal(pod) {
        if !is_leaving(pod) {
            moves.events.push(remaking(seen, pod));
            moves.steps.push(deletion(seen, pod));
        }
        moves.waits = true;
        return;
    }
    moves.steps.extend(claims::missing(seen, ordinal));
    moves.steps.extend(repair(seen, ordinal, pod));
    // Ordered sets wait for it; parallel ones do not hold updates back for a pod that merely starts.
    if is_leaving(pod) || (!is_up(seen, pod, ctx) && !parallel(seen)) {
        moves.waits = true;
    }
}

fn remaking(seen: &Seen, pod: &Pod) -> Event {
    let ns = seen.set.metadata.namespace.as_deref().unwrap_or_default();
    let (set, name) = (seen.name(), pod.metadata.name.as_deref().unwrap_or_default());
    let about = reference(&*seen.set);
    if phase(pod) == "Failed" {
        let text = format!("StatefulSet {ns}/{set} is recreating failed Pod {name}");
        Event::warning(about, "RecreatingFailedPod", text)
    } else {
        let text = format!("StatefulSet {ns}/{set} is recreating terminated Pod {name}");
        Event::normal(about, "RecreatingTerminatedPod", text)
    }
}

fn on_delete(seen: &Seen) -> bool {
    seen.spec().update_strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("OnDelete")
}

/// `updateStrategy.rollingUpdate.partition`, from the first ordinal.
fn partition(seen: &Seen) -> Option<i32> {
    let rolling = seen.spec().update_strategy.as_ref().and_then(|s| s.rolling_update.as_ref())?;
    Some(seen.ordinals().start + rolling.partition.unwrap_or(0))
}

/// The template that a missing pod is made from, and its revision's name.
fn template_for<'a>(seen: &Seen, ordinal: i32, r: &'a Revisions, ctx: &Ctx) -> (PodTemplateSpec, &'a str) {
    let below = match partition(seen) {
        _ if on_delete(seen) => false,
        Some(p) => ordinal < p,
        None => ordinal < seen.ordinals().start + seen.status().current_replicas.unwrap_or(0),
    };
    if below && r.current != r.update {
        let found = seen.history.all.iter().find(|c| c.metadata.name.as_deref() == Some(&r.current));
        if let Some(t) = found.and_then(|c| template_of(c, ctx.config.decode)) {
            return (t, &r.current);
        }
    }
    (seen.spec().template.clone(), &r.update)
}

/// Ordinals that should not exist, the highest first.
fn scale_in(seen: &Seen, ctx: &Ctx, moves: &mut Moves) {
    let condemned: Vec<&Arc<Pod>> =
        seen.pods.iter().rev().filter(|(o, _)| !seen.ordinals().contains(o)).map(|(_, p)| p).collect();
    let first_unhealthy = seen.pods.values().find(|p| !is_up(seen, p, ctx));
    for pod in condemned {
        let ordered = !parallel(seen);
        if is_leaving(pod) {
            moves.waits = true;
        } else if ordered && !is_up(seen, pod, ctx) && first_unhealthy.is_some_and(|f| !Arc::ptr_eq(f, pod)) {
            // Something lower is not well: nothing else is taken away meanwhile.
            moves.waits = true;
        } else {
            moves.steps.push(deletion(seen, pod));
            moves.waits = true;
        }
        if ordered {
            return;
        }
    }
}

/// From the highest ordinal down to the partition, the first pod that is not of the update revision goes.
fn update(seen: &Seen, revisions: &Revisions, ctx: &Ctx, moves: &mut Moves) {
    if on_delete(seen) {
        return;
    }
    let lowest = partition(seen).unwrap_or(seen.ordinals().start);
    for ordinal in seen.ordinals().rev().filter(|o| *o >= lowest) {
        let Some(pod) = seen.pods.get(&ordinal) else { return };
        if revision(pod) != revisions.update && !is_leaving(pod) {
            moves.steps.push(deletion(seen, pod));
            return;
        }
        if !is_up(seen, pod, ctx) {
            return;
        }
    }
}

fn cleanup(seen: &Seen, present: &ControllerRevision, r: &Revisions) -> Vec<Step> {
    let live = |c: &ControllerRevision| {
        let name = c.metadata.name.as_deref().unwrap_or_default();
        name == r.current || seen.pods.values().any(|p| revision(p) == name)
    };
    seen.history.surplus(seen.spec().revision_history_limit, present.metadata.name.as_deref().unwrap_or_default(), live)
}
