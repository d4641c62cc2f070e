//! PodDisruptionBudgets: how many pods may be disrupted now, as the eviction subresource reads it.
//!
//! Docs: "Specifying a Disruption Budget for your Application"; KEP-85, KEP-3017 (unhealthy pods).
//!
//! Laws: 1. healthy pods are ready, stay, and were not just granted an eviction. 2. With percentages or
//! `maxUnavailable` the expected number is the sum of the scales of the pods' controllers. 3. Granted evictions that
//! did not happen are forgotten after two minutes.

mod scale;
#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::numbers::{len, scaled, since};
use crate::plan::{Event, Plan, Step, reference};
use cache::{Change, Snapshot};
use kinds::api::core::v1::Pod;
use kinds::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kinds::{Condition, IntOrString, Kind, ObjectKey, Selector, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A granted eviction that has not begun by then did not happen.
const GRANTED_FOR: Duration = Duration::from_secs(120);

/// The disruption controller.
pub const CONTROLLER: Controller = Controller {
    name: "disruption",
    account: "disruption-controller",
    component: "controllermanager",
    watches: Watches::Kinds(&[
        Kind::PodDisruptionBudget,
        Kind::Pod,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::ReplicationController,
        Kind::StatefulSet,
    ]),
    wakes,
    subjects: every::<PodDisruptionBudget>,
    plan,
};

fn selector_of(b: &PodDisruptionBudget) -> Selector {
    Selector::from_label_selector(b.spec.as_ref().and_then(|s| s.selector.as_ref()))
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::PodDisruptionBudget) {
        return vec![s];
    }
    let namespace = &change.key().namespace;
    let budgets = snapshot.list::<PodDisruptionBudget>(namespace);
    if change.resource != Kind::Pod.into() {
        // A controller was scaled: only its generation tells.
        let generation = |e: &Option<Arc<cache::Entry>>| e.as_ref().and_then(|e| e.meta().generation);
        let scaled = generation(&change.old) != generation(&change.new);
        return if scaled { budgets.map(|b| Subject::of(&**b)).collect() } else { Vec::new() };
    }
    let sides = || change.old_as::<Pod>().into_iter().chain(change.new_as::<Pod>());
    let selects = |b: &&Arc<PodDisruptionBudget>| {
        let s = selector_of(b);
        sides().any(|p| s.matches(p.metadata.labels.as_ref()))
    };
    budgets.filter(selects).map(|b| Subject::of(&**b)).collect()
}

/// One budget with its pods and the scale of their controllers.
#[derive(Debug)]
pub struct Seen {
    pub budget: Arc<PodDisruptionBudget>,
    pub pods: Vec<Arc<Pod>>,
    /// The sum of the scales, or why it is not known.
    pub scale: Result<i32, String>,
}

/// Gathers it; `None` when the budget is gone.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let budget = snapshot.find::<PodDisruptionBudget>(key)?;
    let selector = selector_of(budget);
    let chosen = |p: &&Arc<Pod>| selector.matches(p.metadata.labels.as_ref()) && !kinds::pod::is_terminal(p);
    let pods: Vec<_> = snapshot.list::<Pod>(&key.namespace).filter(chosen).cloned().collect();
    let scale = scale::expected(snapshot, &pods);
    Some(Seen { budget: Arc::clone(budget), pods, scale })
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}

/// (expected, desired healthy).
fn demand(seen: &Seen) -> Result<(i32, i32), String> {
    let spec = seen.budget.spec.clone().unwrap_or_default();
    if let Some(max) = &spec.max_unavailable {
        let expected = seen.scale.clone()?;
        return Ok((expected, (expected - scaled(Some(max), "0", expected, true)).max(0)));
    }
    match &spec.min_available {
        Some(IntOrString::Int(n)) => Ok((len(seen.pods.len()), *n)),
        Some(percent) => {
            let expected = seen.scale.clone()?;
            Ok((expected, scaled(Some(percent), "0", expected, true)))
        }
        None => Ok((len(seen.pods.len()), 0)),
    }
}

/// What is to be done for one budget.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let budget = &*seen.budget;
    let (granted, again) = granted(seen, ctx);
    let (expected, desired, trouble) = match demand(seen) {
        Ok((e, d)) => (e, d, None),
        Err(why) => (0, 0, Some(why)),
    };
    let healthy = |p: &&Arc<Pod>| {
        let name = p.metadata.name.as_deref().unwrap_or_default();
        kinds::pod::is_ready(p) && p.metadata.deletion_timestamp.is_none() && !granted.contains_key(name)
    };
    let current = len(seen.pods.iter().filter(healthy).count());
    let allowed = if expected <= 0 || trouble.is_some() { 0 } else { (current - desired).max(0) };
    let before = budget.status.clone().unwrap_or_default();
    let mut next = PodDisruptionBudgetStatus {
        conditions: before.conditions.clone(),
        current_healthy: Some(current),
        desired_healthy: Some(desired),
        disrupted_pods: (!granted.is_empty()).then_some(granted),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected),
        observed_generation: budget.metadata.generation,
    };
    let mut plan = Plan::because(format!("{allowed} disruptions allowed")).again(again);
    if let Some(why) = &trouble {
        // The budget stays as it was, but for allowing nothing.
        next = PodDisruptionBudgetStatus { disruptions_allowed: Some(0), observed_generation: budget.metadata.generation, ..before.clone() };
        if before.disruptions_allowed != Some(0) || before.conditions.is_none() {
            let text = format!("Failed to calculate the number of expected pods: {why}");
            plan = plan.event(Event::warning(reference(budget), "CalculateExpectedPodCountFailed", text));
        }
    }
    tell_allowed(&mut next, allowed, trouble.as_deref(), ctx);
    let none_before = before.expected_pods.is_none();
    if seen.pods.is_empty() && none_before {
        plan = plan.event(Event::normal(reference(budget), "NoPods", "No matching pods found"));
    }
    let changed = next != before;
    plan.status(changed.then(|| Step::update_status(PodDisruptionBudget { status: Some(next), ..budget.clone() })))
}

fn tell_allowed(status: &mut PodDisruptionBudgetStatus, allowed: i32, trouble: Option<&str>, ctx: &Ctx) {
    let (on, reason) = match (trouble, allowed > 0) {
        (Some(_), _) => ("False", "SyncFailed"),
        (None, true) => ("True", "SufficientPods"),
        (None, false) => ("False", "InsufficientPods"),
    };
    let all = status.conditions.get_or_insert_default();
    let before = all.iter().position(|c| c.type_ == "DisruptionAllowed").map(|i| all.remove(i));
    let since = before.filter(|c| c.status == on).map_or_else(|| ctx.time(), |c| c.last_transition_time);
    all.push(Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: on.to_owned(),
        reason: reason.to_owned(),
        message: trouble.unwrap_or_default().to_owned(),
        observed_generation: status.observed_generation,
        last_transition_time: since,
    });
}

/// Evictions that were granted and may still happen, and when the next of them is forgotten.
fn granted(seen: &Seen, ctx: &Ctx) -> (BTreeMap<String, Time>, Option<Duration>) {
    let all = seen.budget.status.as_ref().and_then(|s| s.disrupted_pods.clone()).unwrap_or_default();
    let stands = |name: &String| {
        seen.pods.iter().any(|p| p.metadata.name.as_ref() == Some(name) && p.metadata.deletion_timestamp.is_none())
    };
    let left = |t: &Time| GRANTED_FOR.saturating_sub(since(ctx.now, t));
    let kept: BTreeMap<_, _> = all.into_iter().filter(|(n, t)| stands(n) && !left(t).is_zero()).collect();
    let again = kept.values().map(left).min();
    (kept, again)
}
