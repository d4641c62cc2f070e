//! NodePorts: two pods cannot take one host port.

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, World};
use crate::nodes::NodeInfo;
use crate::podinfo::{HostPort, PodInfo};
use crate::reason::Refusal;

/// Its name.
pub const NAME: &str = "NodePorts";
const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

/// The plugin.
pub struct NodePorts;

fn clash(a: &[HostPort], b: &[HostPort]) -> bool {
    a.iter().any(|p| b.iter().any(|q| p.conflicts(q)))
}

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::PodLeft(gone) => clash(&pod.ports, &gone.ports),
            Event::NodeAdded(_) => true,
            _ => false,
        }
    }
}

impl Filter for NodePorts {
    type Pre = ();
    fn prepare(&self, pod: &PodInfo, _: &World<'_>) -> Prepared<()> {
        if pod.ports.is_empty() { Prepared::Skip } else { Prepared::Ready(()) }
    }
    fn check(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        if clash(&pod.ports, &node.ports) { Err(Refusal::resolvable(NAME, REASON)) } else { Ok(()) }
    }
}
