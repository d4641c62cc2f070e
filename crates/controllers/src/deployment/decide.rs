//! The order of the stages.

use super::condition::{self, condition};
use super::observe::Seen;
use super::{revision, rolling, scale, status};
use crate::controller::Ctx;
use crate::plan::{Pace, Plan, Step};

/// What is to be done for one deployment.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let d = &*seen.deployment;
    if !seen.claims.is_empty() {
        return Plan::because("adopting or releasing replica sets").wave(Pace::Parallel, seen.claims.clone());
    }
    if d.metadata.deletion_timestamp.is_some() {
        return Plan::because("being deleted").status(status::plain(seen, ctx));
    }
    if let Some(step) = condition::pause_or_resume(seen, ctx) {
        return Plan::because("paused or resumed").status(Some(step));
    }
    if let Some(align) = revision::align(seen) {
        return Plan::because("the revision of the new replica set").step(align);
    }
    if seen.spec().paused == Some(true) || scale::is_scaling(seen) {
        return scaled(seen, ctx);
    }
    if super::observe::recreates(d) { recreate(seen, ctx) } else { roll(seen, ctx) }
}

/// Paused or scaled by hand: sizes follow, nothing rolls.
fn scaled(seen: &Seen, ctx: &Ctx) -> Plan {
    let steps = scale::scale(seen);
    let mut plan = Plan::because("scaling").wave(Pace::Parallel, steps);
    if seen.spec().paused == Some(true) && plan.waves.is_empty() {
        plan = plan.wave(Pace::Parallel, revision::cleanup(seen));
    }
    plan.status(status::plain(seen, ctx))
}

fn roll(seen: &Seen, ctx: &Ctx) -> Plan {
    let Some(new) = &seen.new else { return create(seen, ctx, rolling::first_size(seen)) };
    let grow = rolling::grow(seen, new);
    if let Some(step) = grow {
        return Plan::because("growing the new replica set").step(step).status(status::rollout(seen, ctx));
    }
    let shrink = rolling::shrink(seen, new);
    if !shrink.is_empty() {
        return Plan::because("shrinking old replica sets")
            .wave(Pace::Ordered, shrink)
            .status(status::rollout(seen, ctx));
    }
    settle(seen, ctx)
}

fn recreate(seen: &Seen, ctx: &Ctx) -> Plan {
    let down: Vec<Step> =
        seen.old.iter().filter(|s| scale::size(s) > 0).map(|s| scale::resize(seen, s, 0)).collect();
    if !down.is_empty() {
        return Plan::because("stopping old pods").wave(Pace::Parallel, down).status(status::rollout(seen, ctx));
    }
    if seen.old_pods_running {
        return Plan::because("waiting until old pods are gone").status(status::rollout(seen, ctx));
    }
    let Some(new) = &seen.new else { return create(seen, ctx, seen.replicas()) };
    if scale::size(new) != seen.replicas() {
        let step = scale::resize(seen, new, seen.replicas());
        return Plan::because("starting new pods").step(step).status(status::rollout(seen, ctx));
    }
    settle(seen, ctx)
}

fn create(seen: &Seen, ctx: &Ctx, size: i32) -> Plan {
    if seen.name_taken {
        return Plan::because("the hash collides").status(Some(status::collided(seen, ctx)));
    }
    if ctx.failed.is_some() {
        return Plan::because("the new replica set cannot be created").status(status::create_failed(seen, ctx));
    }
    let step = revision::creation(seen, size);
    Plan::because("a new template").step(step).status(status::created(seen, ctx))
}

/// Sizes are as they should be: clean up, report, and look again when the deadline comes.
fn settle(seen: &Seen, ctx: &Ctx) -> Plan {
    let cleanup = if status::is_complete(seen) { revision::cleanup(seen) } else { Vec::new() };
    let again = condition::deadline_left(seen, ctx);
    let has = condition(&seen.deployment, "Progressing").and_then(|c| c.reason.clone()).unwrap_or_default();
    Plan::because(format!("sizes are right ({has})"))
        .wave(Pace::Parallel, cleanup)
        .status(status::rollout(seen, ctx))
        .again(again)
}
