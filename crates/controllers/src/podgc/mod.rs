//! Pod garbage collector: pods that nobody will ever finish are finished here.
//!
//! Docs: "Pod Lifecycle: garbage collection of Pods"; KEP-2268 (out-of-service nodes), KEP-3329 (disruption conditions).
//!
//! Laws: 1. a pod bound to a node that does not exist is failed and removed. 2. A pod that is being deleted and was
//! never bound is removed. 3. On a node that is out of service pods that are being deleted are removed. 4. Of terminal
//! pods no more than the threshold stay, the oldest go.

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::node::disrupted;
use crate::numbers::since;
use crate::placement::taints;
use crate::plan::{Pace, Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{Node, Pod};
use kinds::conditions::{node_is_ready, pod_condition};
use kinds::pod::is_terminal;
use kinds::{Kind, ObjectKey};
use std::sync::Arc;
use std::time::Duration;

/// A pod may be bound a moment before its node is seen.
const QUARANTINE: Duration = Duration::from_secs(40);
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// The pod garbage collector.
pub const CONTROLLER: Controller = Controller {
    name: "podgc",
    account: "pod-garbage-collector",
    component: "pod-garbage-collector-controller",
    watches: Watches::Kinds(&[Kind::Pod, Kind::Node]),
    wakes,
    subjects,
    plan,
};

/// Stands for the sweep over all terminal pods.
fn sweep() -> Subject {
    Subject::new(Kind::Pod, ObjectKey::default())
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default()
}

fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let all = snapshot.list::<Pod>("").filter(|p| suspicious(snapshot, p)).map(|p| Subject::of(&**p));
    all.chain([sweep()]).collect()
}

fn suspicious(snapshot: &Snapshot, pod: &Pod) -> bool {
    let name = node_of(pod);
    let leaving = pod.metadata.deletion_timestamp.is_some();
    if name.is_empty() { leaving } else { leaving || snapshot.get::<Node>("", name).is_none() }
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    if change.resource == Kind::Node.into() {
        let ended = change.new_as::<Node>().is_none_or(|n| taints(n).iter().any(|t| t.key == OUT_OF_SERVICE));
        let pods = snapshot.pods_on(&change.key().name).map(|p| Subject::of(&**p));
        return if ended { pods.collect() } else { Vec::new() };
    }
    let Some(pod) = change.new_as::<Pod>() else { return Vec::new() };
    let mut out = Vec::new();
    if suspicious(snapshot, pod) {
        out.push(Subject::of(&**pod));
    }
    if is_terminal(pod) && change.old_as::<Pod>().is_none_or(|o| !is_terminal(o)) {
        out.push(sweep());
    }
    out
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    if *subject == sweep() {
        let all: Vec<_> = snapshot.list::<Pod>("").filter(|p| is_terminal(p)).cloned().collect();
        return Some(beyond_threshold(all, ctx));
    }
    let pod = snapshot.find::<Pod>(&subject.key)?;
    Some(decide(pod, snapshot.get::<Node>("", node_of(pod)).map(|n| &**n), ctx))
}

fn beyond_threshold(mut terminal: Vec<Arc<Pod>>, ctx: &Ctx) -> Plan {
    let surplus = terminal.len().saturating_sub(ctx.config.terminated_pod_threshold);
    if ctx.config.terminated_pod_threshold == 0 || surplus == 0 {
        return Plan::because("terminal pods are few enough");
    }
    terminal.sort_by_key(|p| (p.metadata.creation_timestamp.clone(), p.metadata.name.clone()));
    let steps = terminal.iter().take(surplus).map(|p| Step::delete_typed(&**p).within(0)).collect();
    Plan::because("too many terminal pods").wave(Pace::Parallel, steps)
}

/// What is to be done for one pod and its node, if that exists.
#[must_use]
pub fn decide(pod: &Pod, node: Option<&Node>, ctx: &Ctx) -> Plan {
    let leaving = pod.metadata.deletion_timestamp.is_some();
    match (node_of(pod).is_empty(), node) {
        (true, _) if leaving => remove(pod, None, "never bound and being deleted", ctx),
        (true, _) => Plan::because("not bound yet"),
        (false, None) => lost(pod, ctx),
        (false, Some(n)) => {
            let out = taints(n).iter().any(|t| t.key == OUT_OF_SERVICE);
            if leaving && out && !node_is_ready(n) {
                return remove(pod, None, "its node is out of service", ctx);
            }
            Plan::because("its node exists")
        }
    }
}

fn lost(pod: &Pod, ctx: &Ctx) -> Plan {
    let bound = pod_condition(pod, "PodScheduled").and_then(|c| c.last_transition_time.as_ref());
    let rest = bound.map_or(Duration::ZERO, |t| QUARANTINE.saturating_sub(since(ctx.now, t)));
    if !rest.is_zero() {
        return Plan::because("its node may yet be seen").again(Some(rest));
    }
    remove(pod, Some("PodGC: node no longer exists"), "its node is gone", ctx)
}

fn remove(pod: &Pod, told: Option<&str>, because: &str, ctx: &Ctx) -> Plan {
    let mut plan = Plan::because(because);
    if !is_terminal(pod) {
        plan = match told {
            Some(message) => plan.step(disrupted(pod, "DeletionByPodGC", message, Some("Failed"), ctx)),
            None => plan.step(Step::patch_pod_phase(pod, "Failed").lenient()),
        };
    }
    plan.step(Step::delete_typed(pod).within(0))
}
