//! CronJob: a Job each time its schedule says so.
//!
//! Docs: "CronJob"; KEP-19, KEP-3140 (time zones).
//!
//! ```text
//!  last schedule or creation ── schedule ──> the latest moment that has come ──> a job name-<minutes since 1970>
//!        └── too late, Forbid with one running, already made ──> not this time, and an event says why
//! ```
//! Laws: 1. one moment makes one job: the name is made from it. 2. Only the latest missed moment is made up for.
//! 3. Finished jobs beyond the history limits go, oldest first.

mod decide;
pub mod schedule;
#[cfg(test)]
mod tests;

pub use decide::{Seen, decide, observe};

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself, managing};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::Kind;
use kinds::api::batch::v1::CronJob;

/// The CronJob controller.
pub const CONTROLLER: Controller = Controller {
    name: "cronjob",
    account: "cronjob-controller",
    component: "cronjob-controller",
    watches: Watches::Kinds(&[Kind::CronJob, Kind::Job]),
    wakes,
    subjects: every::<CronJob>,
    plan,
};

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    match itself(change, Kind::CronJob) {
        Some(s) => vec![s],
        None => managing(change, Kind::CronJob),
    }
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}
