//! NodeName: a pod that names its node goes there or nowhere.
//!
//! Docs: "Assigning Pods to Nodes" (nodeName).

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;

/// Its name.
pub const NAME: &str = "NodeName";
const REASON: &str = "node(s) didn't match the requested node name";

/// The plugin.
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        matches!(event, Event::NodeAdded(n) if n.metadata.name.as_deref() == pod.node())
    }
}

impl Filter for NodeName {
    type Pre = ();
    fn prepare(&self, pod: &PodInfo, _: &World<'_>) -> Prepared<()> {
        if pod.node().is_some() { Prepared::Ready(()) } else { Prepared::Skip }
    }
    fn check(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        if pod.node().is_none_or(|n| n == &*node.name) { Ok(()) } else { Err(Refusal::last(NAME, REASON)) }
    }
}
