//! NodeUnschedulable: cordoned nodes take only pods that tolerate it.
//!
//! Docs: "Manual Node administration".

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use crate::selector::tolerates;
use kinds::api::core::v1::{Node, Taint};

/// Its name.
pub const NAME: &str = "NodeUnschedulable";
const REASON: &str = "node(s) were unschedulable";
const TAINT: &str = "node.kubernetes.io/unschedulable";

/// The plugin.
pub struct NodeUnschedulable;

fn cordoned(node: &Node) -> bool {
    node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true))
}

fn tolerated(pod: &PodInfo) -> bool {
    let taint = Taint { key: TAINT.into(), effect: "NoSchedule".into(), ..Taint::default() };
    pod.tolerations().iter().any(|t| tolerates(t, &taint))
}

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::PodEdited { new, .. } => tolerated(new) && !tolerated(pod),
            Event::NodeAdded(n) => !cordoned(n),
            Event::NodeChanged { old, new } => cordoned(old) && !cordoned(new),
            _ => false,
        }
    }
}

impl Filter for NodeUnschedulable {
    type Pre = ();
    fn prepare(&self, _: &PodInfo, _: &World<'_>) -> Prepared<()> {
        Prepared::Ready(())
    }
    fn check(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        if cordoned(&node.node) && !tolerated(pod) { Err(Refusal::last(NAME, REASON)) } else { Ok(()) }
    }
}
