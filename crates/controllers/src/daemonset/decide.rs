//! Creations and deletions by node, then the rolling update, then old revisions.

use super::node::{tie, tolerate};
use super::observe::{Place, Seen};
use super::{rolling, status};
use crate::controller::Ctx;
use crate::history::{Present, REVISION_LABEL};
use crate::numbers::{Chance, since};
use crate::plan::{Event, Note, Pace, Plan, Step, reference};
use crate::template::named_pod;
use kinds::api::apps::v1::ControllerRevision;
use kinds::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// At most this many pods are created, and as many deleted, in one round.
const BURST: usize = 250;
/// A failed pod is left on its node for this long before another takes its place.
const FAILED_POD_REST: Duration = Duration::from_secs(10);
pub(super) const GENERATION_LABEL: &str = "pod-template-generation";
const GENERATION_NOTE: &str = "deprecated.daemonset.template.generation";

/// What a round does to pods.
#[derive(Default)]
pub(super) struct Moves {
    pub create: Vec<String>,
    pub delete: Vec<Arc<Pod>>,
    events: Vec<Event>,
    again: Option<Duration>,
}

/// What is to be done for one DaemonSet.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    if !seen.claims.is_empty() {
        return Plan::because("adopting or releasing pods").wave(Pace::Parallel, seen.claims.clone());
    }
    let mut labels = seen.spec().template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.insert(REVISION_LABEL.to_owned(), seen.history.hash.clone());
    let present = match seen.history.present(&*seen.set, labels) {
        Present::Is(r) => r,
        Present::Write(step) => return Plan::because("the template's revision").step(*step),
        Present::Collides => return Plan::because("the hash collides").status(Some(status::collided(seen))),
    };
    let hash = hash_of(&present);
    let status = status::status(seen, &hash, ctx);
    if seen.set.metadata.deletion_timestamp.is_some() {
        return Plan::because("being deleted").status(status);
    }
    let moves = moves(seen, &hash, ctx);
    let because = format!("{} to create, {} to delete", moves.create.len(), moves.delete.len());
    let cleanup = if moves.create.is_empty() && moves.delete.is_empty() { cleanup(seen, &present) } else { Vec::new() };
    let again = crate::replicas::decide::next_available_pod(
        seen.pods().map(|p| &**p),
        seen.spec().min_ready_seconds.unwrap_or(0),
        ctx,
    );
    let mut plan = Plan::because(because)
        .wave(Pace::SlowStart, creations(seen, &moves, &hash, ctx))
        .wave(Pace::Parallel, moves.delete.iter().take(BURST).map(|p| deletion(seen, p)).collect())
        .wave(Pace::Parallel, cleanup)
        .status(status)
        .again(again)
        .again(moves.again);
    plan.events = moves.events;
    plan
}

pub(super) fn hash_of(revision: &ControllerRevision) -> String {
    revision.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).cloned().unwrap_or_default()
}

fn moves(seen: &Seen, hash: &str, ctx: &Ctx) -> Moves {
    let mut moves = Moves::default();
    for place in &seen.places {
        at(seen, place, hash, ctx, &mut moves);
    }
    moves.delete.extend(seen.lost.iter().filter(|p| p.metadata.deletion_timestamp.is_none()).cloned());
    if moves.create.is_empty() && moves.delete.is_empty() {
        rolling::roll(seen, hash, ctx, &mut moves);
    }
    moves
}

/// What one node asks for.
fn at(seen: &Seen, place: &Place, hash: &str, ctx: &Ctx, moves: &mut Moves) {
    if place.fit.should_run && place.pods.is_empty() {
        moves.create.push(place.name.clone());
        return;
    }
    let standing = place.pods.iter().filter(|p| p.metadata.deletion_timestamp.is_none());
    if !place.fit.may_stay {
        moves.delete.extend(standing.cloned());
        return;
    }
    let mut running = Vec::new();
    for pod in standing {
        match kinds::pod::phase(pod) {
            "Failed" => over(seen, place, pod, ctx, moves),
            "Succeeded" => over(seen, place, pod, ctx, moves),
            _ => running.push(Arc::clone(pod)),
        }
    }
    if running.len() > 1 {
        moves.delete.extend(rolling::spare(seen, running, hash, ctx));
    }
}

/// A pod that is over makes room, a failed one after a rest.
fn over(seen: &Seen, place: &Place, pod: &Arc<Pod>, ctx: &Ctx, moves: &mut Moves) {
    let failed = kinds::pod::phase(pod) == "Failed";
    let born = pod.metadata.creation_timestamp.clone().unwrap_or_else(|| ctx.time());
    let rest = FAILED_POD_REST.saturating_sub(since(ctx.now, &born));
    if failed && !rest.is_zero() {
        moves.again = Some(moves.again.map_or(rest, |a| a.min(rest)));
        return;
    }
    let (ns, name) = (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default());
    let about = reference(&*seen.set);
    moves.events.push(if failed {
        let text = format!("Found failed daemon pod {ns}/{name} on node {}, will try to kill it", place.name);
        Event::warning(about, "FailedDaemonPod", text)
    } else {
        let text = format!("Found succeeded daemon pod {ns}/{name} on node {}, will try to delete it", place.name);
        Event::normal(about, "SucceededDaemonPod", text)
    });
    moves.delete.push(Arc::clone(pod));
}

fn creations(seen: &Seen, moves: &Moves, hash: &str, ctx: &Ctx) -> Vec<Step> {
    let mut chance = Chance::new(ctx.seed);
    let mut template = seen.spec().template.clone();
    let labels: &mut BTreeMap<String, String> = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
    if let Some(g) = seen.set.metadata.annotations.as_ref().and_then(|a| a.get(GENERATION_NOTE)) {
        labels.insert(GENERATION_LABEL.to_owned(), g.clone());
    }
    tolerate(template.spec.get_or_insert_default());
    let make = |node: &String| {
        let mut pod = named_pod(&*seen.set, &template, &mut chance);
        tie(pod.spec.get_or_insert_default(), node);
        let ok = Note::new("SuccessfulCreate", format!("Created pod: {}", pod.metadata.name.clone().unwrap_or_default()));
        Step::create(pod).telling(reference(&*seen.set), Some(ok), Some(Note::new("FailedCreate", "Error creating: ")))
    };
    moves.create.iter().take(BURST).map(make).collect()
}

fn deletion(seen: &Seen, pod: &Pod) -> Step {
    let ok = Note::new("SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name.clone().unwrap_or_default()));
    let failed = Note::new("FailedDelete", "Error deleting: ");
    Step::delete_typed(pod).telling(reference(&*seen.set), Some(ok), Some(failed))
}

fn cleanup(seen: &Seen, present: &ControllerRevision) -> Vec<Step> {
    let in_use = |r: &ControllerRevision| {
        let hash = hash_of(r);
        seen.pods().any(|p| p.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)) == Some(&hash))
    };
    let name = present.metadata.name.as_deref().unwrap_or_default();
    seen.history.surplus(seen.spec().revision_history_limit, name, in_use)
}
