//! The deployment's conditions: reading and setting them, pausing, and the progress deadline.
//!
//! Docs: "Deployments: deployment status", "progress deadline seconds".

use super::observe::Seen;
use super::status::with_conditions;
use crate::controller::Ctx;
use crate::plan::Step;
use kinds::api::apps::v1::{Deployment, DeploymentCondition};
use std::time::Duration;

/// No deadline.
const FOREVER: i32 = i32::MAX;

pub(super) type Conditions = Vec<DeploymentCondition>;

/// The condition of that type in the stored status.
pub(super) fn condition<'a>(d: &'a Deployment, kind: &str) -> Option<&'a DeploymentCondition> {
    find(d.status.as_ref()?.conditions.as_deref().unwrap_or_default(), kind)
}

pub(super) fn find<'a>(all: &'a [DeploymentCondition], kind: &str) -> Option<&'a DeploymentCondition> {
    all.iter().find(|c| c.type_ == kind)
}

/// A condition as of now.
pub(super) fn fresh(kind: &str, status: &str, reason: &str, message: String, ctx: &Ctx) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(ctx.time()),
        last_transition_time: Some(ctx.time()),
    }
}

/// Sets a condition: the same status and reason change nothing; the same status keeps its transition time.
pub(super) fn set(all: &mut Conditions, mut next: DeploymentCondition) {
    if let Some(now) = find(all, &next.type_) {
        if now.status == next.status && now.reason == next.reason {
            return;
        }
        if now.status == next.status {
            next.last_transition_time.clone_from(&now.last_transition_time);
        }
    }
    remove(all, &next.type_);
    all.push(next);
}

/// Sets a condition even when only its time is new.
pub(super) fn renew(all: &mut Conditions, mut next: DeploymentCondition) {
    if let Some(now) = find(all, &next.type_).filter(|c| c.status == next.status) {
        next.last_transition_time.clone_from(&now.last_transition_time);
    }
    remove(all, &next.type_);
    all.push(next);
}

pub(super) fn remove(all: &mut Conditions, kind: &str) {
    all.retain(|c| c.type_ != kind);
}

/// The deadline, when there is one.
pub(super) fn deadline(seen: &Seen) -> Option<Duration> {
    let s = seen.spec().progress_deadline_seconds.filter(|s| *s != FOREVER)?;
    Some(Duration::from_secs(u64::try_from(s).unwrap_or(0)))
}

/// The status write that says the deployment was paused or resumed, if that is news.
pub(super) fn pause_or_resume(seen: &Seen, ctx: &Ctx) -> Option<Step> {
    deadline(seen)?;
    let reason = condition(&seen.deployment, "Progressing").and_then(|c| c.reason.as_deref());
    if reason == Some("ProgressDeadlineExceeded") {
        return None;
    }
    let paused = seen.spec().paused == Some(true);
    let (reason, message) = match (paused, reason == Some("DeploymentPaused")) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return None,
    };
    let mut all = seen.deployment.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    set(&mut all, fresh("Progressing", "Unknown", reason, message.to_owned(), ctx));
    Some(with_conditions(seen, all))
}

/// Whether the deadline has passed without progress.
pub(super) fn timed_out(seen: &Seen, all: &Conditions, ctx: &Ctx) -> bool {
    let (Some(c), Some(limit)) = (find(all, "Progressing"), deadline(seen)) else { return false };
    match c.reason.as_deref() {
        Some("NewReplicaSetAvailable") => false,
        Some("ProgressDeadlineExceeded") => true,
        _ => c.last_update_time.as_ref().is_some_and(|t| crate::numbers::since(ctx.now, t) > limit),
    }
}

/// When to look whether the deadline has passed.
pub(super) fn deadline_left(seen: &Seen, ctx: &Ctx) -> Option<Duration> {
    let limit = deadline(seen)?;
    let c = condition(&seen.deployment, "Progressing")?;
    let over = matches!(c.reason.as_deref(), Some("NewReplicaSetAvailable" | "ProgressDeadlineExceeded"));
    if over || seen.spec().paused == Some(true) {
        return None;
    }
    let passed = crate::numbers::since(ctx.now, c.last_update_time.as_ref()?);
    Some(limit.saturating_sub(passed) + Duration::from_secs(1))
}
