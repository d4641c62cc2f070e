//! Where a job is heading, and that it has arrived.
//!
//! Docs: "Jobs: terminal Job conditions"; KEP-4368 (managed-by) for the order of conditions.

use super::count::Tally;
use super::observe::{Seen, Standing};
use super::policy::{Verdict, success, verdict};
use crate::controller::Ctx;
use crate::numbers::since;
use kinds::api::batch::v1::{Job, JobCondition};
use std::time::Duration;

/// The terminal condition, when there is one.
#[must_use]
pub fn finished(job: &Job) -> Option<&JobCondition> {
    let all = job.status.as_ref()?.conditions.as_ref()?;
    all.iter().find(|c| (c.type_ == "Complete" || c.type_ == "Failed") && c.status == "True")
}

/// Whether the job is over.
#[must_use]
pub fn is_finished(job: &Job) -> bool {
    finished(job).is_some()
}

/// The end that a job is heading for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub good: bool,
    pub reason: String,
    pub message: String,
}

fn failure(reason: &str, message: &str) -> Option<Target> {
    Some(Target { good: false, reason: reason.to_owned(), message: message.to_owned() })
}

/// The target that the status names already.
pub(super) fn stored_target(seen: &Seen) -> Option<Target> {
    let status = seen.status();
    let c = status.conditions.into_iter().flatten().find(|c| {
        (c.type_ == "SuccessCriteriaMet" || c.type_ == "FailureTarget") && c.status == "True"
    })?;
    let good = c.type_ == "SuccessCriteriaMet";
    Some(Target { good, reason: c.reason.unwrap_or_default(), message: c.message.unwrap_or_default() })
}

/// The target that follows from what is seen now.
pub(super) fn new_target(seen: &Seen, tally: &Tally, ctx: &Ctx) -> Option<Target> {
    policy_failure(seen)
        .or_else(|| policy_success(seen, tally))
        .or_else(|| limits(seen, tally, ctx))
        .or_else(|| failed_indexes(seen, tally))
        .or_else(|| completions(seen, tally))
}

fn policy_failure(seen: &Seen) -> Option<Target> {
    seen.spec().pod_failure_policy.as_ref()?;
    let said = seen.of(Standing::Failed).filter(|p| kinds::pod::phase(p) == "Failed").map(|p| verdict(seen.spec(), p));
    said.into_iter().find_map(|v| match v {
        Verdict::FailJob(why) => failure("PodFailurePolicy", &why),
        _ => None,
    })
}

fn policy_success(seen: &Seen, tally: &Tally) -> Option<Target> {
    let policy = seen.spec().success_policy.as_ref()?;
    let n = success(policy, &tally.completed, seen.spec().completions.unwrap_or(0))?;
    Some(Target { good: true, reason: "SuccessPolicy".to_owned(), message: format!("Matched rules at index {n}") })
}

fn limits(seen: &Seen, tally: &Tally, ctx: &Ctx) -> Option<Target> {
    let spec = seen.spec();
    let default = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
    let limit = spec.backoff_limit.unwrap_or(default);
    if tally.totals().1 > limit || too_many_restarts(seen, limit) {
        return failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if deadline_left(seen, ctx) == Some(Duration::ZERO) {
        return failure("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    None
}

/// With `restartPolicy: OnFailure` restarts count instead of pods.
fn too_many_restarts(seen: &Seen, limit: i32) -> bool {
    let policy = seen.spec().template.spec.as_ref().and_then(|s| s.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let running = seen.of(Standing::Active).filter(|p| matches!(kinds::pod::phase(p), "Running" | "Pending"));
    let statuses = running.filter_map(|p| p.status.as_ref()).flat_map(|s| {
        s.container_statuses.iter().flatten().chain(s.init_container_statuses.iter().flatten())
    });
    let restarts: i32 = statuses.map(|c| c.restart_count).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

/// What is left of the active deadline; zero when it has passed.
pub(super) fn deadline_left(seen: &Seen, ctx: &Ctx) -> Option<Duration> {
    let limit = u64::try_from(seen.spec().active_deadline_seconds?).ok()?;
    if seen.suspended() {
        return None;
    }
    let start = seen.status().start_time?;
    Some(Duration::from_secs(limit).saturating_sub(since(ctx.now, &start)))
}

fn failed_indexes(seen: &Seen, tally: &Tally) -> Option<Target> {
    seen.spec().backoff_limit_per_index.filter(|_| seen.indexed())?;
    let failed = i32::try_from(tally.failed_indexes.len()).unwrap_or(i32::MAX);
    if seen.spec().max_failed_indexes.is_some_and(|max| failed > max) {
        return failure(
            "MaxFailedIndexesExceeded",
            "Job has exceeded the specified maximal number of failed indexes",
        );
    }
    let all = failed > 0 && tally.totals().0 + failed >= seen.spec().completions.unwrap_or(0);
    if all { failure("FailedIndexes", "Job has failed indexes") } else { None }
}

fn completions(seen: &Seen, tally: &Tally) -> Option<Target> {
    let idle = seen.of(Standing::Active).next().is_none();
    let succeeded = tally.totals().0;
    let enough = match seen.spec().completions {
        None => succeeded > 0 && idle,
        Some(n) => succeeded >= n && idle,
    };
    enough.then(|| Target {
        good: true,
        reason: "CompletionsReached".to_owned(),
        message: "Reached expected number of succeeded pods".to_owned(),
    })
}

/// Sets a condition; tells whether its status is news.
pub(super) fn set(all: &mut Vec<JobCondition>, kind: &str, on: bool, reason: &str, message: &str, ctx: &Ctx) -> bool {
    let status = if on { "True" } else { "False" };
    let next = JobCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(ctx.time()),
        last_transition_time: Some(ctx.time()),
    };
    match all.iter_mut().find(|c| c.type_ == kind) {
        Some(c) if c.status == status => return false,
        Some(c) => *c = next,
        None if !on => return false,
        None => all.push(next),
    }
    true
}
