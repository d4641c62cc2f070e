//! Eviction by taint: a pod leaves a node whose NoExecute taints it does not tolerate (any longer).
//!
//! Docs: "Taints and Tolerations: taint based evictions".

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::placement::{taints, tolerates};
use crate::plan::{Event, Plan, Step, reference};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{Node, Pod, PodCondition, Taint, Toleration};
use kinds::{Kind, ObjectKey, Time};
use std::sync::Arc;
use std::time::Duration;

/// The taint eviction controller.
pub const EVICTION: Controller = Controller {
    name: "noexec_taint_pod",
    account: "node-controller",
    component: "taint-eviction-controller",
    watches: Watches::Kinds(&[Kind::Node, Kind::Pod]),
    wakes,
    subjects,
    plan,
};

fn no_execute(node: &Node) -> impl Iterator<Item = &Taint> {
    taints(node).iter().filter(|t| t.effect == "NoExecute")
}

fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let tainted = snapshot.list::<Node>("").filter(|n| no_execute(n).next().is_some());
    let names = tainted.filter_map(|n| n.metadata.name.as_deref());
    names.flat_map(|n| snapshot.pods_on(n)).map(|p| Subject::of(&**p)).collect()
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if let Some(pod) = change.new_as::<Pod>() {
        let place = |p: &Pod| p.spec.as_ref().map(|s| (s.node_name.clone(), s.tolerations.clone()));
        let moved = change.old_as::<Pod>().is_none_or(|o| place(o) != place(pod));
        return if moved { vec![Subject::of(&**pod)] } else { Vec::new() };
    }
    let Some(node) = change.new_as::<Node>() else { return Vec::new() };
    if change.old_as::<Node>().is_some_and(|o| taints(o) == taints(node)) {
        return Vec::new();
    }
    snapshot.pods_on(&change.key().name).map(|p| Subject::of(&**p)).collect()
}

/// A bound pod and its node's NoExecute taints.
#[derive(Debug)]
pub(super) struct Seen {
    pub pod: Arc<Pod>,
    pub taints: Vec<Taint>,
}

/// Gathers it; `None` when the pod is gone or unbound.
pub(super) fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let pod = snapshot.find::<Pod>(key)?;
    let node = snapshot.get::<Node>("", pod.spec.as_ref()?.node_name.as_deref()?)?;
    Some(Seen { pod: Arc::clone(pod), taints: no_execute(node).cloned().collect() })
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}

/// What the taints mean for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    For(Duration),
    No,
}

/// How long tolerations last: every taint must be tolerated, and the shortest time counts.
fn stay(tolerations: &[Toleration], taints: &[Taint], now: &Time) -> Stay {
    let mut left: Option<Duration> = None;
    for taint in taints {
        let used: Vec<&Toleration> = tolerations.iter().filter(|t| tolerates(t, taint)).collect();
        if used.is_empty() {
            return Stay::No;
        }
        let Some(s) = used.iter().filter_map(|t| t.toleration_seconds).min() else { continue };
        let since = taint.time_added.as_ref().unwrap_or(now);
        let limit = Duration::from_secs(u64::try_from(s).unwrap_or(0));
        let rest = limit.saturating_sub(crate::numbers::since(now.0, since));
        left = Some(left.map_or(rest, |l| l.min(rest)));
    }
    match left {
        None => Stay::Forever,
        Some(d) if d.is_zero() => Stay::No,
        Some(d) => Stay::For(d),
    }
}

/// What is to be done for one pod.
#[must_use]
pub(super) fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let pod = &*seen.pod;
    if seen.taints.is_empty() || pod.metadata.deletion_timestamp.is_some() {
        return Plan::because("nothing evicts it");
    }
    let tolerations = pod.spec.as_ref().and_then(|s| s.tolerations.as_deref()).unwrap_or_default();
    match stay(tolerations, &seen.taints, &Time(ctx.now)) {
        Stay::Forever => Plan::because("every taint is tolerated"),
        Stay::For(left) => Plan::because("tolerated for a while").again(Some(left)),
        Stay::No => evict(pod, ctx),
    }
}

fn evict(pod: &Pod, ctx: &Ctx) -> Plan {
    let text = format!("Marking for deletion Pod {}", ObjectKey::of(&pod.metadata));
    Plan::because("a taint is not tolerated")
        .step(disrupted(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", None, ctx))
        .step(Step::delete_typed(pod))
        .event(Event::normal(reference(pod), "TaintManagerEviction", text))
}

/// The status write that says who is about to delete a pod, and (if given) its last phase.
pub(crate) fn disrupted(pod: &Pod, reason: &str, message: &str, phase: Option<&str>, ctx: &Ctx) -> Step {
    let condition = PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(ctx.time()),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    };
    Step::patch_pod_status(pod, phase, &condition).lenient()
}
