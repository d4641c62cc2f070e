//! Keeps the door's plan in step with the cluster's objects, lends seats, and keeps the bootstrap objects whole.

use super::{Fairness, plan, seats};
use cache::{Interest, Snapshot, Source};
use kinds::Kind;
use kinds::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use registry::{Feed, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Seats are lent anew this often (KEP-1040).
const LEND_EVERY: Duration = Duration::from_secs(10);
/// Bootstrap objects are looked after at least this often.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// Runs until the registry's feed ends.
pub async fn keep(door: Arc<Fairness>, registry: Arc<Registry>) {
    let kinds = [Kind::FlowSchema, Kind::PriorityLevelConfiguration];
    let interest = Interest::Only(kinds.into_iter().map(Into::into).collect());
    let mut changes = Feed(Arc::clone(registry.image())).subscribe(interest);
    let mut lend = tokio::time::interval(LEND_EVERY);
    let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
    lend.set_missed_tick_behavior(MissedTickBehavior::Delay);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = changes.next() => {
                let Some(batch) = batch else { return };
                renew(&door, &batch.snapshot);
                look_after(&registry).await;
            }
            _ = lend.tick() => lend_seats(&door),
            _ = upkeep.tick() => look_after(&registry).await,
        }
    }
}

/// Builds a new plan out of the cluster's objects.
pub(super) fn renew(door: &Arc<Fairness>, snapshot: &Snapshot) {
    let schemas: Vec<_> = snapshot.list::<FlowSchema>("").cloned().collect();
    let levels: Vec<_> = snapshot.list::<PriorityLevelConfiguration>("").cloned().collect();
    let total = door.limits.reads + door.limits.writes;
    let plan = plan::build(&schemas, &levels, Some(&door.plan.load()), total, &door.meters, door.now_ns());
    door.plan.store(Arc::new(plan));
    lend_seats(door);
}

fn lend_seats(door: &Arc<Fairness>) {
    let plan = door.plan.load_full();
    for (level, woken) in plan.lend(door.now_ns(), &door.meters) {
        seats::wake(door, &level, woken);
    }
}

async fn look_after(registry: &Registry) {
    if let Err(e) = registry.keep_flow_objects().await {
        tracing::warn!(err = %e, "The bootstrap objects of priority and fairness could not be kept whole");
    }
}
