//! The plugins of the default profile, in the order in which they run.

pub mod gates;
pub mod image_locality;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources;
pub mod node_unschedulable;
pub mod taint_toleration;

use crate::profile::{Profile, ProfileConfig};

/// Everything that v1.36 runs by default, with its weights.
#[must_use]
pub fn defaults(config: &ProfileConfig) -> Profile {
    Profile {
        name: config.name.clone(),
        percent: config.percent,
        gates: vec![Box::new(gates::SchedulingGates)],
        filters: vec![
            Box::new(node_unschedulable::NodeUnschedulable),
            Box::new(node_name::NodeName),
            Box::new(taint_toleration::TaintToleration),
            Box::new(node_affinity::NodeAffinity { added: config.added_affinity.clone() }),
            Box::new(node_ports::NodePorts),
            Box::new(node_resources::Fit),
        ],
        scores: vec![
            (3, Box::new(taint_toleration::TaintToleration)),
            (2, Box::new(node_affinity::NodeAffinity { added: config.added_affinity.clone() })),
            (1, Box::new(node_resources::Fit)),
            (1, Box::new(node_resources::Balanced)),
            (1, Box::new(image_locality::ImageLocality)),
        ],
    }
}
