//! Too few, too many, or only the status.

use super::observe::Seen;
use super::rank::ranked;
use super::set::{ReplicaKind, ReplicaStatus};
use crate::controller::Ctx;
use crate::numbers::{Chance, count, filled, len};
use crate::plan::{Note, Pace, Plan, Step, reference};
use crate::template::named_pod;
use kinds::api::apps::v1::ReplicaSetCondition;
use kinds::api::core::v1::Pod;
use kinds::pod::{is_available, is_ready};
use std::sync::Arc;
use std::time::Duration;

/// At most this many pods are created or deleted in one round.
const BURST_REPLICAS: usize = 500;

/// What is to be done for one set.
#[must_use]
pub fn decide<K: ReplicaKind>(seen: &Seen<K>, ctx: &Ctx) -> Plan {
    let set = &*seen.set;
    if !seen.claims.is_empty() {
        return Plan::because("adopting or releasing pods").wave(Pace::Parallel, seen.claims.clone());
    }
    let (wanted, have) = (set.replicas().max(0) as usize, seen.active.len());
    let mut plan = Plan::because(format!("{have} of {wanted} replicas"));
    if set.meta().deletion_timestamp.is_none() {
        plan = if have < wanted {
            plan.wave(Pace::SlowStart, creations(seen, ctx, (wanted - have).min(BURST_REPLICAS)))
        } else {
            plan.wave(Pace::Parallel, deletions(seen, ctx, (have - wanted).min(BURST_REPLICAS)))
        };
    }
    let status = status(seen, ctx);
    let changed = status != set.status();
    plan.status(changed.then(|| Step::update_status(Arc::new(set.with_status(status)).into_object()))).again(next_available(seen, ctx))
}

fn creations<K: ReplicaKind>(seen: &Seen<K>, ctx: &Ctx, n: usize) -> Vec<Step> {
    let Some(template) = seen.set.template() else { return Vec::new() };
    let mut chance = Chance::new(ctx.seed);
    let make = |_| {
        let pod = named_pod(&*seen.set, template, &mut chance);
        let name = pod.metadata.name.clone().unwrap_or_default();
        let ok = Note::new("SuccessfulCreate", format!("Created pod: {name}"));
        Step::create(pod).telling(reference(&*seen.set), Some(ok), Some(Note::new("FailedCreate", "Error creating: ")))
    };
    (0..n).map(make).collect()
}

fn deletions<K: ReplicaKind>(seen: &Seen<K>, ctx: &Ctx, n: usize) -> Vec<Step> {
    if n == 0 {
        return Vec::new();
    }
    let drop = |pod: &Arc<Pod>| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let ok = Note::new("SuccessfulDelete", format!("Deleted pod: {name}"));
        let failed = Note::new("FailedDelete", "Error deleting: ");
        Step::delete_typed(&**pod).telling(reference(&*seen.set), Some(ok), Some(failed))
    };
    ranked(&seen.active, &seen.related_on_node, ctx.now).iter().take(n).map(drop).collect()
}

fn status<K: ReplicaKind>(seen: &Seen<K>, ctx: &Ctx) -> ReplicaStatus {
    let set = &*seen.set;
    let labels = set.template().and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone()).unwrap_or_default();
    let template = kinds::Selector::from_map(&labels);
    let tally = |f: &dyn Fn(&Pod) -> bool| len(seen.active.iter().filter(|p| f(p)).count());
    let old = set.status();
    ReplicaStatus {
        replicas: len(seen.active.len()),
        fully_labeled: count(tally(&|p| template.matches(p.metadata.labels.as_ref()))),
        ready: count(tally(&is_ready)),
        available: count(tally(&|p| is_available(p, set.min_ready_s(), ctx.now))),
        terminating: K::COUNTS_TERMINATING.then_some(len(seen.terminating)),
        observed_generation: set.meta().generation.filter(|g| *g != 0),
        conditions: conditions(old.conditions, ctx),
    }
}

/// `ReplicaFailure` stands while creations or deletions fail, and goes with the first round that succeeds.
fn conditions(old: Option<Vec<ReplicaSetCondition>>, ctx: &Ctx) -> Option<Vec<ReplicaSetCondition>> {
    let mut all = old.unwrap_or_default();
    let before = all.iter().position(|c| c.type_ == "ReplicaFailure").map(|i| all.remove(i));
    if let Some(f) = ctx.failed {
        all.push(before.unwrap_or_else(|| ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(f.reason.to_owned()),
            message: Some(f.message.clone()),
            last_transition_time: Some(ctx.time()),
        }));
    }
    filled(all)
}

/// When the next ready pod will have been ready long enough.
fn next_available<K: ReplicaKind>(seen: &Seen<K>, ctx: &Ctx) -> Option<Duration> {
    next_available_pod(seen.active.iter().map(|p| &**p), seen.set.min_ready_s(), ctx)
}

/// The same for any pods.
pub(crate) fn next_available_pod<'a>(
    pods: impl Iterator<Item = &'a Pod>,
    min_ready_s: i32,
    ctx: &Ctx,
) -> Option<Duration> {
    let min = Duration::from_secs(u64::try_from(min_ready_s).ok().filter(|s| *s > 0)?);
    let left = |p: &Pod| {
        let since = kinds::conditions::pod_condition(p, "Ready").filter(|c| c.status == "True")?;
        crate::numbers::until(ctx.now, since.last_transition_time.as_ref()?, min)
    };
    pods.filter_map(left).min()
}
