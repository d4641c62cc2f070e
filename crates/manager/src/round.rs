//! One round of one subject: a snapshot, a plan, its steps, and what follows from how that went.

use crate::execute::{Failure, Hands, is_terminating};
use base::{Clock, Ids};
use cache::{Snapshot, Source};
use controllers::{Config, Controller, Ctx, Failed, Plan, Subject};
use kinds::Revision;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, warn};

/// So often a conflict is answered with a fresh snapshot at once; then it is a failure like others.
const CONFLICTS_MAX: u32 = 5;
/// How long a round waits for its snapshot to show the subject's own last write before it asks again.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(5);

/// What is needed for any round.
pub(crate) struct Shared {
    pub source: Arc<dyn Source>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub config: Config,
}

/// What follows a round.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing failed; look again after that long. The revision is that of its newest write.
    Done { again: Option<Duration>, wrote: Revision },
    /// The snapshot does not show its own last write yet.
    Behind,
    /// It failed in a way that passes.
    Failed,
    /// It failed in a way that only a change of the objects mends.
    Refused,
}

/// Runs it. `seen` is the revision that the snapshot must have reached.
pub(crate) async fn round(c: &Controller, subject: &Subject, seen: Revision, shared: &Shared, hands: &Hands) -> Outcome {
    for _ in 0..CONFLICTS_MAX {
        let snapshot = shared.source.snapshot();
        if snapshot.revision() < seen {
            return Outcome::Behind;
        }
        let Some(plan) = decide(c, subject, &snapshot, shared, None) else { return Outcome::Refused };
        let Some(plan) = plan else { return Outcome::Done { again: None, wrote: seen } };
        if plan.is_idle() {
            return Outcome::Done { again: plan.again, wrote: seen };
        }
        debug!(controller = c.name, subject = %subject.key, because = %plan.because, "carrying out a plan");
        match hands.carry_out(&plan).await {
            Ok(wrote) => return Outcome::Done { again: plan.again, wrote: wrote.max(seen) },
            Err(f) if f.error.is_conflict() || f.error.is_already_exists() || f.stale => {}
            Err(f) if is_terminating(&f.error) => return Outcome::Done { again: None, wrote: seen },
            Err(f) => return report(c, subject, shared, hands, &f).await,
        }
    }
    Outcome::Failed
}

/// Has the failure told in the subject's status.
async fn report(c: &Controller, subject: &Subject, shared: &Shared, hands: &Hands, f: &Failure) -> Outcome {
    warn!(controller = c.name, subject = %subject.key, error = %f.error, detail = f.error.internal, "a step failed");
    let plan = decide(c, subject, &shared.source.snapshot(), shared, Some(&f.failed)).flatten();
    if let Some(status) = plan.and_then(|p| p.status)
        && let Err(e) = hands.step(&status).await {
            debug!(controller = c.name, subject = %subject.key, error = %e.error, "the failure could not be told");
        }
    match f.error.code {
        400 | 405 | 422 => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// The plan, or `None` when the controller panicked.
fn decide(c: &Controller, subject: &Subject, s: &Snapshot, shared: &Shared, failed: Option<&Failed>) -> Option<Option<Plan>> {
    let ctx = Ctx { now: shared.clock.now(), seed: shared.ids.below(u64::MAX), config: &shared.config, failed };
    match catch_unwind(AssertUnwindSafe(|| (c.plan)(s, subject, &ctx))) {
        Ok(plan) => Some(plan),
        Err(_) => {
            error!(controller = c.name, subject = %subject.key, revision = %s.revision(), "the controller panicked");
            None
        }
    }
}
