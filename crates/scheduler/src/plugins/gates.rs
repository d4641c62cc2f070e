//! SchedulingGates: a pod with gates does not enter the queue (KEP-3521).

use crate::event::Event;
use crate::framework::{Gate, Plugin, World};
use crate::podinfo::PodInfo;

/// Its name.
pub const NAME: &str = "SchedulingGates";

/// The plugin.
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        matches!(event, Event::PodEdited { new, .. } if new.uid == pod.uid && self.closed(new).is_none())
    }
}

impl Gate for SchedulingGates {
    fn closed(&self, pod: &PodInfo) -> Option<String> {
        let gates: Vec<&str> = pod.spec().scheduling_gates.iter().flatten().map(|g| g.name.as_str()).collect();
        (!gates.is_empty()).then(|| format!("waiting for scheduling gates: [{}]", gates.join(" ")))
    }
}
