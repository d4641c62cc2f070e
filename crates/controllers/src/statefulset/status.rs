//! The counts and revisions of a StatefulSet.

use super::decide::Revisions;
use super::observe::Seen;
use super::pod::revision;
use crate::controller::Ctx;
use crate::numbers::{count, len};
use crate::plan::Step;
use kinds::api::apps::v1::{StatefulSet, StatefulSetStatus};
use kinds::api::core::v1::Pod;
use kinds::pod::{is_available, is_ready, phase};

fn write(seen: &Seen, status: StatefulSetStatus) -> Step {
    Step::update_status(StatefulSet { status: Some(status), ..StatefulSet::clone(&seen.set) })
}

/// The status, when it differs.
pub(super) fn status(seen: &Seen, r: &Revisions, ctx: &Ctx) -> Option<Step> {
    let before = seen.status();
    let tally = |f: &dyn Fn(&Pod) -> bool| len(seen.pods.values().filter(|p| f(p)).count());
    let running = |p: &Pod| phase(p) == "Running" && is_ready(p);
    let stands = |p: &Pod| p.metadata.deletion_timestamp.is_none();
    let replicas = tally(&|_| true);
    let ready = tally(&running);
    let updated = tally(&|p| stands(p) && revision(p) == r.update);
    let mut current = tally(&|p| stands(p) && revision(p) == r.current);
    let mut current_revision = r.current.clone();
    let rolls = seen.spec().update_strategy.as_ref().and_then(|s| s.type_.as_deref()) != Some("OnDelete");
    if rolls && updated == replicas && ready == replicas && replicas == seen.replicas() {
        (current, current_revision) = (updated, r.update.clone());
    }
    let status = StatefulSetStatus {
        available_replicas: Some(tally(&|p| running(p) && is_available(p, seen.min_ready_s(), ctx.now))),
        collision_count: Some(before.collision_count.unwrap_or(0)),
        conditions: before.conditions.clone(),
        current_replicas: count(current),
        current_revision: Some(current_revision),
        observed_generation: seen.set.metadata.generation.filter(|g| *g != 0),
        ready_replicas: count(ready),
        replicas,
        update_revision: Some(r.update.clone()),
        updated_replicas: count(updated),
    };
    (status != before).then(|| write(seen, status))
}

/// One collision more.
pub(super) fn collided(seen: &Seen) -> Step {
    let mut s = seen.status();
    s.collision_count = Some(s.collision_count.unwrap_or(0) + 1);
    write(seen, s)
}
