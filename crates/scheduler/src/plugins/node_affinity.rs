//! NodeAffinity: `nodeSelector`, required and preferred node affinity, and affinity that the profile adds.
//!
//! Docs: "Assigning Pods to Nodes" (node affinity, per-profile node affinity).

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, Score, World, scale};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use crate::selector::NodeTerms;
use kinds::api::core::v1::Node;

/// Its name.
pub const NAME: &str = "NodeAffinity";
const REASON: &str = "node(s) didn't match Pod's node affinity/selector";
const REASON_ADDED: &str = "node(s) didn't match scheduler-enforced node affinity";

/// The plugin.
pub struct NodeAffinity {
    /// Required of every pod of the profile.
    pub added: Option<NodeTerms>,
}

impl NodeAffinity {
    fn wanted(&self, pod: &PodInfo, node: &Node) -> bool {
        let (name, labels) = (node.metadata.name.as_deref().unwrap_or_default(), node.metadata.labels.as_ref());
        self.added.as_ref().is_none_or(|a| a.matches(name, labels)) && pod.selects(name, labels)
    }
}

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::NodeAdded(n) => self.wanted(pod, n),
            Event::NodeChanged { old, new } => !self.wanted(pod, old) && self.wanted(pod, new),
            // Selectors of gated pods may be narrowed while they wait.
            Event::PodEdited { old, new } => {
                old.node_selector != new.node_selector || old.required_nodes != new.required_nodes
            }
            _ => false,
        }
    }
}

impl Filter for NodeAffinity {
    type Pre = ();
    fn prepare(&self, pod: &PodInfo, _: &World<'_>) -> Prepared<()> {
        let required = pod.required_nodes.as_ref();
        if self.added.is_none() && required.is_none() && pod.node_selector.is_everything() {
            return Prepared::Skip;
        }
        match required.and_then(NodeTerms::names) {
            Some(names) if required.is_some_and(|r| !r.0.is_empty()) => {
                if names.is_empty() {
                    let text = "pod affinity terms conflict";
                    return Prepared::Refuse(Refusal::last(NAME, text));
                }
                Prepared::Narrow((), names)
            }
            _ => Prepared::Ready(()),
        }
    }
    fn check(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        if self.added.as_ref().is_some_and(|a| !a.matches(&node.name, node.labels())) {
            return Err(Refusal::last(NAME, REASON_ADDED));
        }
        if pod.selects(&node.name, node.labels()) { Ok(()) } else { Err(Refusal::last(NAME, REASON)) }
    }
}

impl Score for NodeAffinity {
    type Pre = ();
    fn prepare(&self, pod: &PodInfo, _: &[&NodeInfo], _: &World<'_>) -> Option<()> {
        (!pod.preferred_nodes.is_empty()).then_some(())
    }
    fn score(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        let liked = pod.preferred_nodes.iter().filter(|(_, t)| t.matches(&node.name, node.labels()));
        liked.map(|(weight, _)| weight).sum()
    }
    fn normalize(&self, (): &(), scores: &mut [i64], _: &[&NodeInfo]) {
        scale(scores, false);
    }
}
