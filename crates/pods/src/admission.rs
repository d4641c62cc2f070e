//! Whether this node takes a pod that was bound to it: room, affinity, ports, taints. The scheduler has asked the same,
//! but on what it knew then (docs: "Node-pressure eviction", kubelet admission).

use crate::plan::sandbox::host_ports;
use crate::resize::Room;
use crate::roster;
use crate::status::Ending;
use kinds::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration};
use kinds::selector::{Requirement, Selector};
use kinds::{Quantity, pod::Amounts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A refusal: the reason, and the message of its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub message: String,
}

impl Refusal {
    /// How the pod's status tells it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let message = format!("Pod was rejected: {}", self.message);
        Ending { reason: self.reason.clone(), message, disruption: false }
    }
}

fn predicate(name: &str, why: &str) -> Refusal {
    Refusal { reason: name.to_owned(), message: format!("Predicate {name} failed: {why}") }
}

fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (expressions, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (expressions, fields) = (expressions.unwrap_or_default(), fields.unwrap_or_default());
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let all = |list: &[NodeSelectorRequirement], labels: Option<&BTreeMap<String, String>>| {
        let wanted: Option<Vec<Requirement>> = list.iter().map(Requirement::of_node).collect();
        wanted.is_some_and(|w| Selector::All(w).matches(labels))
    };
    let own: BTreeMap<String, String> =
        node.metadata.name.iter().map(|n| ("metadata.name".to_owned(), n.clone())).collect();
    all(expressions, node.metadata.labels.as_ref()) && all(fields, Some(&own))
}

/// Whether the pod's selector and required affinity match the node.
#[must_use]
pub fn affinity_matches(pod: &Pod, node: &Node) -> bool {
    let spec = roster::spec(pod);
    let labels = node.metadata.labels.as_ref();
    let mut wanted = spec.node_selector.iter().flatten();
    if !wanted.all(|(k, v)| labels.and_then(|l| l.get(k)) == Some(v)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|r| r.node_selector_terms.iter().any(|t| term_matches(t, node)))
}

fn number(name: &str, q: &Quantity) -> i64 {
    if name == "cpu" { q.milli_value() } else { q.value() }
}

fn room(pod: &Pod, allocatable: &Amounts, others: &[Arc<Pod>]) -> Option<Refusal> {
    let refuse = |name: &str, requested: i64, used: i64, capacity: i64| Refusal {
        reason: format!("OutOf{name}"),
        message: format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    };
    let pods_max = allocatable.get("pods").map_or(i64::MAX, Quantity::value);
    let running = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if running + 1 > pods_max {
        return Some(refuse("pods", 1, running, pods_max));
    }
    for (name, asked) in kinds::pod::requests(roster::spec(pod)) {
        let requested = number(&name, &asked);
        if requested == 0 {
            continue;
        }
        let capacity = allocatable.get(&name).map_or(0, |q| number(&name, q));
        let of = |p: &Arc<Pod>| kinds::pod::requests(roster::spec(p)).get(&name).map_or(0, |q| number(&name, q));
        // Amounts come from outside and may be as large as a number gets.
        let used = others.iter().map(of).fold(0, i64::saturating_add);
        if used.saturating_add(requested) > capacity {
            return Some(refuse(&name, requested, used, capacity));
        }
    }
    None
}

fn ports_clash(pod: &Pod, others: &[Arc<Pod>]) -> bool {
    let mine = host_ports(pod);
    others.iter().flat_map(|p| host_ports(p)).any(|o| {
        mine.iter().any(|m| {
            let any = m.host_ip.is_none() || o.host_ip.is_none() || m.host_ip == o.host_ip;
            any && m.host_port == o.host_port && m.protocol == o.protocol
        })
    })
}

fn tolerates(t: &Toleration, taint: &Taint) -> bool {
    let effect = t.effect.as_deref().filter(|e| !e.is_empty()).is_none_or(|e| e == taint.effect);
    let key = t.key.as_deref().unwrap_or_default();
    let exists = t.operator.as_deref() == Some("Exists");
    let named = (key.is_empty() && exists) || key == taint.key;
    let value = exists || t.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    effect && named && value
}

fn untolerated(pod: &Pod, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let tolerations = roster::spec(pod).tolerations.as_deref().unwrap_or_default();
    taints.iter().filter(|t| t.effect == "NoExecute").any(|t| !tolerations.iter().any(|o| tolerates(o, t)))
}

/// Whether a pod that is there may have the resources that its spec now asks, beside the others.
#[must_use]
pub fn resize_room(pod: &Pod, node: &Node, others: &[Arc<Pod>]) -> Room {
    match room(pod, &allocatable(node), others) {
        None => Room::Free,
        Some(refusal) => Room::Deferred { reason: refusal.reason, message: refusal.message },
    }
}

fn allocatable(node: &Node) -> Amounts {
    let list = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
    list.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), Quantity::parse(&v.0).ok()?))).collect()
}

/// The verdict on a pod, beside those that hold resources of the node already.
///
/// # Errors
/// Why the node refuses it.
pub fn admit(pod: &Pod, node: &Node, others: &[Arc<Pod>]) -> Result<(), Refusal> {
    if let Some(refusal) = room(pod, &allocatable(node), others) {
        return Err(refusal);
    }
    if !affinity_matches(pod, node) {
        return Err(predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"));
    }
    if ports_clash(pod, others) {
        return Err(predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    if untolerated(pod, node) {
        return Err(predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
    }
    Ok(())
}
