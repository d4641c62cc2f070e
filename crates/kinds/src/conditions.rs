//! Reading the condition lists of pods and nodes, which are the ones that many deciders ask for.

use crate::api::core::v1::{Node, Pod, PodCondition};

/// The pod's condition of that type.
#[must_use]
pub fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

/// Whether the node's `Ready` condition is `True`.
#[must_use]
pub fn node_is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}
