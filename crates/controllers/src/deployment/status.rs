//! The deployment's status: counts over its sets, availability, progress, and failures of its sets.

use super::condition::{self, Conditions, find, fresh, set};
use super::observe::Seen;
use super::scale::{bounds, size};
use crate::controller::Ctx;
use crate::numbers::{count, filled};
use crate::plan::Step;
use kinds::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetStatus};

fn of(set: &ReplicaSet) -> ReplicaSetStatus {
    set.status.clone().unwrap_or_default()
}

fn stored(seen: &Seen) -> DeploymentStatus {
    seen.deployment.status.clone().unwrap_or_default()
}

/// The counts, with `conditions` still as stored.
fn counts(seen: &Seen) -> DeploymentStatus {
    let sum = |f: fn(&ReplicaSetStatus) -> i32| seen.all().map(|s| f(&of(s))).sum::<i32>();
    let available = sum(|s| s.available_replicas.unwrap_or(0));
    let wanted: i32 = seen.all().map(|s| size(s)).sum();
    let terminating: Option<Vec<i32>> = seen.all().map(|s| of(s).terminating_replicas).collect();
    DeploymentStatus {
        available_replicas: count(available),
        collision_count: stored(seen).collision_count,
        conditions: stored(seen).conditions,
        observed_generation: seen.deployment.metadata.generation.filter(|g| *g != 0),
        ready_replicas: count(sum(|s| s.ready_replicas.unwrap_or(0))),
        replicas: count(sum(|s| s.replicas)),
        terminating_replicas: terminating.map(|t| t.iter().sum()),
        unavailable_replicas: count((wanted - available).max(0)),
        updated_replicas: count(seen.new.as_ref().map_or(0, |n| of(n).replicas)),
    }
}

fn available_condition(seen: &Seen, status: &DeploymentStatus, all: &mut Conditions, ctx: &Ctx) {
    let enough = status.available_replicas.unwrap_or(0) >= seen.replicas() - bounds(seen).1;
    let next = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(all, fresh("Available", next.0, next.1, next.2.to_owned(), ctx));
}

/// Counts and availability, without a word on progress.
fn base(seen: &Seen, ctx: &Ctx) -> (DeploymentStatus, Conditions) {
    let mut status = counts(seen);
    let mut all = status.conditions.take().unwrap_or_default();
    available_condition(seen, &status, &mut all, ctx);
    (status, all)
}

fn write(seen: &Seen, mut status: DeploymentStatus, all: Conditions) -> Option<Step> {
    status.conditions = filled(all);
    let before = stored(seen);
    (status != before).then(|| {
        Step::update_status(Deployment { status: Some(status), ..Deployment::clone(&seen.deployment) })
    })
}

/// The stored status with other conditions.
pub(super) fn with_conditions(seen: &Seen, all: Conditions) -> Step {
    let status = DeploymentStatus { conditions: filled(all), ..stored(seen) };
    Step::update_status(Deployment { status: Some(status), ..Deployment::clone(&seen.deployment) })
}

/// The status while nothing rolls.
pub(super) fn plain(seen: &Seen, ctx: &Ctx) -> Option<Step> {
    let (status, mut all) = base(seen, ctx);
    found(seen, &mut all, ctx);
    write(seen, status, all)
}

/// A set that was there before the deployment ever reported progress.
fn found(seen: &Seen, all: &mut Conditions, ctx: &Ctx) {
    if let (Some(new), None, Some(_)) = (&seen.new, find(all, "Progressing"), condition::deadline(seen)) {
        let name = new.metadata.name.as_deref().unwrap_or_default();
        set(all, fresh("Progressing", "True", "FoundNewReplicaSet", format!("Found new replica set \"{name}\""), ctx));
    }
}

/// The status beside the creation of the new set.
pub(super) fn created(seen: &Seen, ctx: &Ctx) -> Option<Step> {
    let (status, mut all) = base(seen, ctx);
    let message = format!("Created new replica set \"{}-{}\"", seen.name(), seen.hash);
    match condition::deadline(seen) {
        Some(_) => set(&mut all, fresh("Progressing", "True", "NewReplicaSetCreated", message, ctx)),
        None => condition::remove(&mut all, "Progressing"),
    }
    write(seen, status, all)
}

/// The status after its creation failed.
pub(super) fn create_failed(seen: &Seen, ctx: &Ctx) -> Option<Step> {
    let (status, mut all) = base(seen, ctx);
    let error = ctx.failed.map(|f| f.message.as_str()).unwrap_or_default();
    let message = format!("Failed to create new replica set \"{}-{}\": {error}", seen.name(), seen.hash);
    if condition::deadline(seen).is_some() {
        set(&mut all, fresh("Progressing", "False", "ReplicaSetCreateError", message, ctx));
    }
    write(seen, status, all)
}

/// One collision more, so that the next round hashes differently.
pub(super) fn collided(seen: &Seen, ctx: &Ctx) -> Step {
    let (mut status, all) = base(seen, ctx);
    status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
    status.conditions = filled(all);
    Step::update_status(Deployment { status: Some(status), ..Deployment::clone(&seen.deployment) })
}

/// Whether every pod is of the new template and available.
pub(super) fn is_complete(seen: &Seen) -> bool {
    complete(seen, &counts(seen))
}

fn complete(seen: &Seen, s: &DeploymentStatus) -> bool {
    let n = count(seen.replicas());
    s.updated_replicas == n
        && s.replicas == n
        && s.available_replicas == n
        && s.observed_generation >= seen.deployment.metadata.generation
}

fn progressed(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let n = |v: Option<i32>| v.unwrap_or(0);
    let old = |s: &DeploymentStatus| n(s.replicas) - n(s.updated_replicas);
    n(now.updated_replicas) > n(before.updated_replicas)
        || old(now) < old(before)
        || n(now.ready_replicas) > n(before.ready_replicas)
        || n(now.available_replicas) > n(before.available_replicas)
}

/// The status of a rollout: progress, completion or the lack of either.
pub(super) fn rollout(seen: &Seen, ctx: &Ctx) -> Option<Step> {
    let (status, mut all) = base(seen, ctx);
    found(seen, &mut all, ctx);
    if condition::deadline(seen).is_none() {
        condition::remove(&mut all, "Progressing");
    } else {
        progress(seen, &status, &mut all, ctx);
    }
    set_failure(seen, &mut all);
    write(seen, status, all)
}

fn progress(seen: &Seen, status: &DeploymentStatus, all: &mut Conditions, ctx: &Ctx) {
    let reason = find(all, "Progressing").and_then(|c| c.reason.as_deref());
    if status.replicas == status.updated_replicas && reason == Some("NewReplicaSetAvailable") {
        return;
    }
    let who = match seen.new.as_ref().and_then(|n| n.metadata.name.as_deref()) {
        Some(name) => format!("ReplicaSet \"{name}\""),
        None => format!("Deployment \"{}\"", seen.name()),
    };
    if complete(seen, status) {
        let message = format!("{who} has successfully progressed.");
        set(all, fresh("Progressing", "True", "NewReplicaSetAvailable", message, ctx));
    } else if progressed(&stored(seen), status) {
        let message = format!("{who} is progressing.");
        condition::renew(all, fresh("Progressing", "True", "ReplicaSetUpdated", message, ctx));
    } else if condition::timed_out(seen, all, ctx) {
        let message = format!("{who} has timed out progressing.");
        set(all, fresh("Progressing", "False", "ProgressDeadlineExceeded", message, ctx));
    }
}

/// A set that cannot make its pods is told on the deployment: the new one's word counts first.
fn set_failure(seen: &Seen, all: &mut Conditions) {
    let failing = |s: &&std::sync::Arc<ReplicaSet>| of(s).conditions.into_iter().flatten().find(|c| c.type_ == "ReplicaFailure");
    let found = seen.new.iter().chain(&seen.old).find_map(|s| failing(&s));
    let Some(c) = found else { return condition::remove(all, "ReplicaFailure") };
    let next = kinds::api::apps::v1::DeploymentCondition {
        type_: c.type_,
        status: c.status,
        reason: c.reason,
        message: c.message,
        last_update_time: c.last_transition_time.clone(),
        last_transition_time: c.last_transition_time,
    };
    set(all, next);
}
