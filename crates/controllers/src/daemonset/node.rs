//! Which nodes suit a set, and the pod for one of them.

use crate::placement::{affinity_allows, taints, untolerated};
use kinds::api::apps::v1::DaemonSetSpec;
use kinds::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration,
};

/// Whether a pod should run on a node, and whether one that does may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    pub should_run: bool,
    pub may_stay: bool,
}

const NAME_FIELD: &str = "metadata.name";
/// Daemon pods stay through these conditions of their node.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK_UNAVAILABLE: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// Judges a node for the template.
pub(super) fn fit(spec: &DaemonSetSpec, node: &Node) -> Fit {
    let mut pod = spec.template.spec.clone().unwrap_or_default();
    let elsewhere = pod.node_name.as_deref().is_some_and(|n| !n.is_empty() && Some(n) != node.metadata.name.as_deref());
    if elsewhere || !affinity_allows(&pod, node) {
        return Fit { should_run: false, may_stay: false };
    }
    tolerate(&mut pod);
    let tolerations = pod.tolerations.unwrap_or_default();
    let may_stay = untolerated(taints(node), &tolerations, &["NoExecute"]).is_none();
    let should_run = may_stay && untolerated(taints(node), &tolerations, &["NoSchedule"]).is_none();
    Fit { should_run, may_stay }
}

/// Adds the tolerations that every daemon pod has.
pub(super) fn tolerate(spec: &mut PodSpec) {
    let network = (spec.host_network == Some(true)).then_some(NETWORK_UNAVAILABLE);
    let all = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let t = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !all.contains(&t) {
            all.push(t);
        }
    }
}

/// Ties a pod to a node: every required term says its name.
pub(super) fn tie(spec: &mut PodSpec, node: &str) {
    let field = NodeSelectorRequirement {
        key: NAME_FIELD.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_expressions: None, match_fields: Some(vec![field]) };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let node_affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    node_affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
}

/// The node that a pod is on, or is tied to.
pub(super) fn target_node(pod: &Pod) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    if let Some(n) = spec.node_name.as_ref().filter(|n| !n.is_empty()) {
        return n.clone();
    }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let fields = required.into_iter().flat_map(|r| &r.node_selector_terms).flat_map(|t| t.match_fields.iter().flatten());
    let mut named = fields.filter(|f| f.key == NAME_FIELD && f.operator == "In").filter_map(|f| f.values.as_ref()?.first());
    named.next().cloned().unwrap_or_default()
}
