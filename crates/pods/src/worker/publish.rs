//! Telling the API: the status is published when it has changed and has settled, one write at a time.

use super::{Act, Ctx, Flight, Outcome, Stage, Worker};
use crate::status;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::PodStatus;

/// While a start is under way, changes on the way are held this long: most pods then need one write, not three.
pub(crate) const SETTLE_MS: i64 = 100;

impl Worker {
    fn wanted(&self, now: Timestamp) -> PodStatus {
        match &self.ending {
            Some(e) if self.rejected => status::rejected(&self.pod, e, self.started_at.unwrap_or(now)),
            _ => status::build(&self.seen(now)),
        }
    }

    /// Whether the API knows everything.
    pub(crate) fn is_published(&self, now: Timestamp) -> bool {
        self.published.as_ref().is_some_and(|p| *p == self.wanted(now))
    }

    fn settling(&self, now: Timestamp) -> bool {
        let starting = |f: &Flight| {
            matches!(f, Flight::Mount(_) | Flight::Sandbox | Flight::FindImage(_) | Flight::Start(_) | Flight::PostStart { .. })
        };
        let since = self.unpublished_since.unwrap_or(now);
        self.stage == Stage::Syncing && self.flying(starting) && now < since + SignedDuration::from_millis(SETTLE_MS)
    }

    pub(crate) fn publish(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now;
        if self.gone || self.stage == Stage::Finished || self.flying(|f| matches!(f, Flight::Publish(_) | Flight::Delete)) {
            return;
        }
        let wanted = self.wanted(now);
        if self.published.as_ref() == Some(&wanted) && !self.overwritten {
            self.unpublished_since = None;
            return;
        }
        self.unpublished_since.get_or_insert(now);
        if self.settling(now) || self.publish_retry.is_some_and(|t| t > now) {
            return;
        }
        self.launch(Flight::Publish(Box::new(wanted.clone())), Act::Publish(Box::new(wanted)), ctx);
    }

    pub(crate) fn publish_done(&mut self, status: PodStatus, outcome: &Outcome, ctx: &mut Ctx<'_>) {
        match outcome {
            Outcome::Failed(f) if f.gone => {
                self.published = Some(status);
            }
            Outcome::Failed(_) => self.api_failed(ctx),
            _ => {
                self.published = Some(status);
                self.overwritten = false;
                self.unpublished_since = None;
                self.publish_retry = None;
                self.api_failures = 0;
            }
        }
    }

    pub(crate) fn publish_times(&self) -> Vec<Timestamp> {
        let settle = self.unpublished_since.map(|t| t + SignedDuration::from_millis(SETTLE_MS));
        settle.into_iter().chain(self.publish_retry).collect()
    }
}
