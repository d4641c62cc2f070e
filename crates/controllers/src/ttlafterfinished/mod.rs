//! TTL after finished: a Job that is over goes when its time has passed, with its pods.
//!
//! Docs: "Automatic Cleanup for Finished Jobs".

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::job::finished;
use crate::numbers::since;
use crate::plan::{Plan, Propagation, Step};
use cache::{Change, Snapshot};
use kinds::Kind;
use kinds::api::batch::v1::Job;
use std::time::Duration;

/// The TTL-after-finished controller.
pub const CONTROLLER: Controller = Controller {
    name: "ttl_jobs_to_delete",
    account: "ttl-after-finished-controller",
    component: "ttl-after-finished-controller",
    watches: Watches::Kinds(&[Kind::Job]),
    wakes: |change: &Change, _| itself(change, Kind::Job).into_iter().collect(),
    subjects: every::<Job>,
    plan,
};

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(snapshot.find::<Job>(&subject.key)?, ctx))
}

/// What is to be done for one job.
#[must_use]
pub fn decide(job: &Job, ctx: &Ctx) -> Plan {
    let ttl = job.spec.as_ref().and_then(|s| s.ttl_seconds_after_finished).and_then(|s| u64::try_from(s).ok());
    let ended = finished(job).and_then(|c| c.last_transition_time.as_ref());
    let (Some(ttl), Some(ended), None) = (ttl, ended, &job.metadata.deletion_timestamp) else {
        return Plan::because("it has no end or no time to live");
    };
    let left = Duration::from_secs(ttl).saturating_sub(since(ctx.now, ended));
    if left.is_zero() {
        let step = Step::delete_typed(job).at(job.metadata.resource_version.as_ref());
        return Plan::because("its time has passed").step(step.propagating(Propagation::Foreground));
    }
    Plan::because("its time has not passed").again(Some(left))
}
