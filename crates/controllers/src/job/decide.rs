//! The order: count, see where the job is heading, move pods, report.

use super::conditions::{deadline_left, is_finished, new_target, set, stored_target};
use super::count::Tally;
use super::manage::{Moves, deletion, moves};
use super::observe::{Seen, Standing, release};
use super::{TRACKING, conditions};
use crate::controller::Ctx;
use crate::garbage::has_finalizer;
use crate::numbers::{count, filled, len};
use crate::plan::{Event, Pace, Plan, Step, reference};
use kinds::api::batch::v1::{Job, JobStatus};

/// The value of `spec.managedBy` that means this controller.
const MANAGED_BY: &str = "kubernetes.io/job-controller";

/// What is to be done for one job.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    if seen.spec().managed_by.as_deref().is_some_and(|m| m != MANAGED_BY) {
        return Plan::because("another controller manages it");
    }
    if is_finished(&seen.job) {
        let held = seen.pods.iter().filter(|(p, _)| has_finalizer(&p.metadata, TRACKING));
        return Plan::because("it is finished").wave(Pace::Parallel, held.map(|(p, _)| release(p)).collect());
    }
    if !seen.claims.is_empty() {
        return Plan::because("adopting or releasing pods").wave(Pace::Parallel, seen.claims.clone());
    }
    let tally = Tally::new(seen);
    let target = stored_target(seen).or_else(|| new_target(seen, &tally, ctx));
    let moves = if target.is_some() || seen.suspended() {
        let delete = seen.of(Standing::Active).map(|p| deletion(seen, p)).collect();
        Moves { delete, ..Moves::default() }
    } else if seen.job.metadata.deletion_timestamp.is_some() {
        Moves::default()
    } else {
        moves(seen, &tally, ctx)
    };
    let (status, events) = status(seen, &tally, target.as_ref(), ctx);
    let because = format!("{} to create, {} to delete", moves.create.len(), moves.delete.len());
    let changed = status != seen.status();
    let mut plan = Plan::because(because)
        .wave(Pace::Parallel, moves.delete)
        .wave(Pace::SlowStart, moves.create)
        .wave(Pace::Parallel, tally.releases)
        .status(changed.then(|| Step::update_status(Job { status: Some(status), ..Job::clone(&seen.job) })))
        .again(moves.again)
        .again(deadline_left(seen, ctx).filter(|d| !d.is_zero()));
    plan.events = events;
    plan
}

fn status(seen: &Seen, tally: &Tally, target: Option<&conditions::Target>, ctx: &Ctx) -> (JobStatus, Vec<Event>) {
    let mut status = seen.status();
    let mut events = Vec::new();
    let mut all = status.conditions.take().unwrap_or_default();
    suspend_or_resume(seen, &mut status, &mut all, &mut events, ctx);
    if status.start_time.is_none() && !seen.suspended() {
        status.start_time = Some(ctx.time());
    }
    let active = seen.of(Standing::Active).count();
    status.active = count(len(active));
    status.ready = Some(len(seen.of(Standing::Active).filter(|p| kinds::pod::is_ready(p)).count()));
    status.terminating = Some(len(seen.terminating()));
    tally.write(seen, &mut status);
    if let Some(t) = target {
        let interim = if t.good { "SuccessCriteriaMet" } else { "FailureTarget" };
        set(&mut all, interim, true, &t.reason, &t.message, ctx);
        if active == 0 && seen.terminating() == 0 && tally.is_settled() {
            finish(seen, t, &mut status, &mut all, &mut events, ctx);
        }
    }
    status.conditions = filled(all);
    (status, events)
}

fn finish(
    seen: &Seen,
    t: &conditions::Target,
    status: &mut JobStatus,
    all: &mut Vec<kinds::api::batch::v1::JobCondition>,
    events: &mut Vec<Event>,
    ctx: &Ctx,
) {
    let about = reference(&*seen.job);
    if t.good {
        set(all, "Complete", true, &t.reason, &t.message, ctx);
        status.completion_time = Some(ctx.time());
        events.push(Event::normal(about, "Completed", "Job completed"));
    } else {
        set(all, "Failed", true, &t.reason, &t.message, ctx);
        events.push(Event::warning(about, reason(&t.reason), t.message.clone()));
    }
    status.uncounted_terminated_pods = Some(Default::default());
}

/// The reasons of failed jobs, as events need them.
fn reason(text: &str) -> &'static str {
    const KNOWN: [&str; 5] =
        ["BackoffLimitExceeded", "DeadlineExceeded", "MaxFailedIndexesExceeded", "FailedIndexes", "PodFailurePolicy"];
    KNOWN.into_iter().find(|k| *k == text).unwrap_or("Failed")
}

fn suspend_or_resume(
    seen: &Seen,
    status: &mut JobStatus,
    all: &mut Vec<kinds::api::batch::v1::JobCondition>,
    events: &mut Vec<Event>,
    ctx: &Ctx,
) {
    let about = || reference(&*seen.job);
    if seen.suspended() {
        if set(all, "Suspended", true, "JobSuspended", "Job suspended", ctx) {
            events.push(Event::normal(about(), "Suspended", "Job suspended"));
        }
    } else if set(all, "Suspended", false, "JobResumed", "Job resumed", ctx) {
        events.push(Event::normal(about(), "Resumed", "Job resumed"));
        status.start_time = Some(ctx.time());
    }
}
