//! VolumeZone: bound volumes that carry zone or region labels go with nodes of that zone or region.

use super::claims::volume_name;
use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, World};
use crate::nodes::{NodeInfo, REGION_LABELS, ZONE_LABELS};
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use kinds::ObjectKey;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

/// Its name.
pub const NAME: &str = "VolumeZone";
const REASON: &str = "node(s) had no available volume zone";
/// Between the zones of a volume that is in several.
const BETWEEN: &str = "__";

/// The plugin.
pub struct VolumeZone;

/// A label that a volume carries: both spellings of its key, and the values that will do.
type Wanted = ([&'static str; 2], Vec<String>);

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::Claim(c) => {
                let key = ObjectKey::of(&c.metadata);
                key.namespace == pod.namespace() && pod.claims.contains(&key.name)
            }
            Event::Volume(_) | Event::Class(_) => true,
            _ => event.labelled().is_some(),
        }
    }
}

impl Filter for VolumeZone {
    type Pre = Vec<Wanted>;
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Self::Pre> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for name in &pod.claims {
            let claim = world.objects.get::<PersistentVolumeClaim>(pod.namespace(), name);
            let volume = claim.and_then(|c| world.objects.get::<PersistentVolume>("", volume_name(c)?));
            let Some(labels) = volume.and_then(|v| v.metadata.labels.as_ref()) else { continue };
            for keys in [ZONE_LABELS, REGION_LABELS] {
                for value in keys.iter().filter_map(|k| labels.get(*k)) {
                    wanted.push((keys, value.split(BETWEEN).map(str::to_owned).collect()));
                }
            }
        }
        if wanted.is_empty() { Prepared::Skip } else { Prepared::Ready(wanted) }
    }
    fn check(&self, pre: &Self::Pre, _: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        let tells = ZONE_LABELS.iter().chain(&REGION_LABELS).any(|k| node.label(k).is_some());
        let there = |(keys, values): &Wanted| {
            let value = keys.iter().find_map(|k| node.label(k));
            value.is_some_and(|v| values.iter().any(|w| w == v))
        };
        if !tells || pre.iter().all(there) { Ok(()) } else { Err(Refusal::last(NAME, REASON)) }
    }
}
