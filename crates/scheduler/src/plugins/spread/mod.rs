//! PodTopologySpread: like pods are spread evenly over zones, nodes, or any other domain.
//!
//! Docs: "Pod Topology Spread Constraints" (KEP-895; minDomains KEP-3022, inclusion policies KEP-3094, matchLabelKeys
//! KEP-3243, default constraints KEP-1258).

mod constraint;
mod filter;
mod score;

pub use constraint::Constraint;

use crate::event::Event;
use crate::framework::{Plugin, World};
use crate::podinfo::PodInfo;
use kinds::api::core::v1::TopologySpreadConstraint;

/// Its name.
pub const NAME: &str = "PodTopologySpread";

/// The plugin.
pub struct PodTopologySpread {
    /// For pods without constraints of their own; `None`: the system's.
    pub defaults: Option<Vec<TopologySpreadConstraint>>,
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, world: &World<'_>) -> bool {
        let constraints = self.constraints(pod, true, world);
        let counted = |p: &PodInfo| p.namespace() == pod.namespace() && constraints.iter().any(|c| c.selector.matches(p.labels()));
        match event {
            Event::PodPlaced(p) | Event::PodLeft(p) => counted(p),
            // A domain that is gone may have been the emptiest.
            Event::NodeRemoved(n) => {
                let has = |c: &Constraint| n.metadata.labels.as_ref().is_some_and(|l| l.contains_key(&c.key));
                constraints.iter().all(has)
            }
            Event::PodAltered { old, new } => counted(old) != counted(new),
            Event::PodEdited { old, new } => old.labels() != new.labels(),
            _ => event.labelled().is_some() || event.tainted().is_some(),
        }
    }
}
