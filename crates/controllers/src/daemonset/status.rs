//! The counts of a DaemonSet.

use super::observe::Seen;
use super::rolling::is_updated;
use crate::controller::Ctx;
use crate::numbers::count;
use crate::plan::Step;
use kinds::api::apps::v1::{DaemonSet, DaemonSetStatus};
use kinds::pod::{is_available, is_ready};

fn write(seen: &Seen, status: DaemonSetStatus) -> Step {
    Step::update_status(DaemonSet { status: Some(status), ..DaemonSet::clone(&seen.set) })
}

/// The status, when it differs.
pub(super) fn status(seen: &Seen, hash: &str, ctx: &Ctx) -> Option<Step> {
    let before = seen.set.status.clone().unwrap_or_default();
    let mut s = DaemonSetStatus {
        collision_count: before.collision_count,
        conditions: before.conditions.clone(),
        observed_generation: seen.set.metadata.generation.filter(|g| *g != 0),
        ..DaemonSetStatus::default()
    };
    let (mut updated, mut available) = (0, 0);
    for place in &seen.places {
        let Some(pod) = place.pods.first() else {
            s.desired_number_scheduled += i32::from(place.fit.should_run);
            continue;
        };
        if !place.fit.should_run {
            s.number_misscheduled += 1;
            continue;
        }
        s.desired_number_scheduled += 1;
        s.current_number_scheduled += 1;
        s.number_ready += i32::from(is_ready(pod));
        let min = seen.spec().min_ready_seconds.unwrap_or(0);
        available += i32::from(is_available(pod, min, ctx.now));
        updated += i32::from(place.pods.iter().any(|p| is_updated(p, hash)));
    }
    s.number_available = count(available);
    s.number_unavailable = count(s.desired_number_scheduled - available);
    s.updated_number_scheduled = count(updated);
    (s != before).then(|| write(seen, s))
}

/// One collision more.
pub(super) fn collided(seen: &Seen) -> Step {
    let mut s = seen.set.status.clone().unwrap_or_default();
    s.collision_count = Some(s.collision_count.unwrap_or(0) + 1);
    write(seen, s)
}
