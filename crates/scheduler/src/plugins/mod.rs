//! The plugins of the default profile, in the order in which they run.

pub mod gates;
pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources;
pub mod node_unschedulable;
pub mod spread;
pub mod taint_toleration;
pub mod volumes;


#[cfg(test)]
mod tests;

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
            Box::new(volumes::restrictions::VolumeRestrictions),
            Box::new(volumes::limits::NodeVolumeLimits),
            Box::new(volumes::binding::VolumeBinding),
            Box::new(volumes::zone::VolumeZone),
            Box::new(spread::PodTopologySpread { defaults: config.default_constraints.clone() }),
            Box::new(inter_pod_affinity::InterPodAffinity),
        ],
        scores: vec![
            (3, Box::new(taint_toleration::TaintToleration)),
            (2, Box::new(node_affinity::NodeAffinity { added: config.added_affinity.clone() })),
            (1, Box::new(node_resources::Fit)),
            (2, Box::new(spread::PodTopologySpread { defaults: config.default_constraints.clone() })),
            (2, Box::new(inter_pod_affinity::InterPodAffinity)),
            (1, Box::new(node_resources::Balanced)),
            (1, Box::new(image_locality::ImageLocality)),
        ],
    }
}
