//! Signs of life, the conditions of silent nodes, their pods, and all taints of a node.

use super::taints;
use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::numbers::since;
use crate::plan::{Event, Pace, Plan, Step, reference};
use cache::{Change, Snapshot};
use jiff::Timestamp;
use kinds::api::coordination::v1::Lease;
use kinds::api::core::v1::{Node, NodeCondition, Pod};
use kinds::conditions::{node_is_ready, pod_condition};
use kinds::{Kind, ObjectKey, Time};
use std::sync::Arc;
use std::time::Duration;

const LEASE_NAMESPACE: &str = "kube-node-lease";
/// The conditions that a silent kubelet leaves unknown.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Labels that older clients read, and what they mirror.
const MIRRORED_LABELS: [(&str, &str); 2] =
    [("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch")];

/// The node lifecycle controller.
pub const LIFECYCLE: Controller = Controller {
    name: "node_lifecycle_controller",
    account: "node-controller",
    component: "node-controller",
    watches: Watches::Kinds(&[Kind::Node]),
    wakes,
    subjects: every::<Node>,
    plan,
};

/// One node as it stands.
#[derive(Debug)]
pub(super) struct Seen {
    pub node: Arc<Node>,
    /// The last renewal of its lease.
    pub renewed: Option<Timestamp>,
    /// Its pods that say they are ready.
    pub ready_pods: Vec<Arc<Pod>>,
    /// No node of the cluster is ready.
    pub all_down: bool,
}

/// A node's own change, and readiness of any node for all: one that comes back ends a general silence.
fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    let ready = |n: Option<&Arc<Node>>| n.is_some_and(|n| node_is_ready(n));
    if ready(change.old_as::<Node>()) != ready(change.new_as::<Node>()) {
        return every::<Node>(snapshot);
    }
    itself(change, Kind::Node).into_iter().collect()
}

/// Gathers it; `None` when the node is gone.
pub(super) fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let node = snapshot.find::<Node>(key)?;
    let lease = snapshot.get::<Lease>(LEASE_NAMESPACE, &key.name);
    let renewed = lease.and_then(|l| l.spec.as_ref()?.renew_time.as_ref().map(|t| t.0));
    let ready_pods = snapshot.pods_on(&key.name).filter(|p| kinds::pod::is_ready(p)).cloned().collect();
    let all_down = !snapshot.list::<Node>("").any(|n| node_is_ready(n));
    Some(Seen { node: Arc::clone(node), renewed, ready_pods, all_down })
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

/// What is to be done for one node.
#[must_use]
pub(super) fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let node = &*seen.node;
    if node.metadata.deletion_timestamp.is_some() {
        return Plan::because("being deleted");
    }
    let left = life_left(seen, ctx);
    let readiness = condition(node, "Ready").map(|c| c.status.as_str());
    if left.is_zero() && readiness != Some("Unknown") {
        return silent(seen, ctx);
    }
    let mut plan = Plan::because(format!("readiness {}", readiness.unwrap_or("never told")));
    plan = plan.again((!left.is_zero()).then_some(left));
    if let Some(next) = taints::wanted(node, seen.all_down, &ctx.time()).or_else(|| mirrored(node)) {
        plan = plan.step(Step::update(next));
    }
    if readiness.is_some_and(|r| r != "True") {
        let steps = seen.ready_pods.iter().map(|p| not_ready(p, ctx)).collect();
        plan = plan.wave(Pace::Parallel, steps);
        for p in &seen.ready_pods {
            plan = plan.event(Event::warning(reference(&**p), "NodeNotReady", "Node is not ready"));
        }
    }
    plan
}

/// How long the node may stay silent from now on.
fn life_left(seen: &Seen, ctx: &Ctx) -> Duration {
    let beat = condition(&seen.node, "Ready").and_then(|c| c.last_heartbeat_time.as_ref()).map(|t| t.0);
    let (last, grace) = match seen.renewed.max(beat) {
        Some(t) => (t, ctx.config.node_monitor_grace),
        None => {
            let born = seen.node.metadata.creation_timestamp.as_ref().map_or(ctx.now, |t| t.0);
            (born, ctx.config.node_startup_grace)
        }
    };
    let from = ctx.config.started.map_or(last, |s| last.max(s));
    grace.saturating_sub(since(ctx.now, &Time(from)))
}

/// The write that says that the node is silent.
fn silent(seen: &Seen, ctx: &Ctx) -> Plan {
    let mut node = Node::clone(&seen.node);
    let all = node.status.get_or_insert_default().conditions.get_or_insert_default();
    for kind in CONDITIONS {
        match all.iter_mut().find(|c| c.type_ == kind) {
            Some(c) if c.status != "Unknown" => {
                c.status = "Unknown".to_owned();
                c.reason = Some("NodeStatusUnknown".to_owned());
                c.message = Some("Kubelet stopped posting node status.".to_owned());
                c.last_transition_time = Some(ctx.time());
            }
            Some(_) => {}
            None => all.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: seen.node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(ctx.time()),
            }),
        }
    }
    let name = node.metadata.name.clone().unwrap_or_default();
    let about = reference(&*seen.node);
    Plan::because("the node is silent")
        .step(Step::update_status(node))
        .event(Event::normal(about, "NodeNotReady", format!("Node {name} status is now: NodeNotReady")))
}

fn not_ready(pod: &Pod, ctx: &Ctx) -> Step {
    let mut pod = pod.clone();
    debug_assert!(pod_condition(&pod, "Ready").is_some());
    let all = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    for c in all.iter_mut().filter(|c| c.type_ == "Ready") {
        c.status = "False".to_owned();
        c.last_transition_time = Some(ctx.time());
    }
    Step::update_status(pod).lenient()
}

/// The node with the older spelling of its labels, when they differ.
fn mirrored(node: &Node) -> Option<Node> {
    let labels = node.metadata.labels.as_ref()?;
    let stale = |(from, to): &(&str, &str)| labels.get(*from).is_some_and(|v| labels.get(*to) != Some(v));
    if !MIRRORED_LABELS.iter().any(stale) {
        return None;
    }
    let mut next = node.clone();
    for (from, to) in MIRRORED_LABELS {
        if let Some(v) = labels.get(from) {
            next.metadata.labels.get_or_insert_default().insert(to.to_owned(), v.clone());
        }
    }
    Some(next)
}
