//! NodeVolumeLimits: a CSI driver can attach only so many volumes to a node.
//!
//! Docs: "Node-specific Volume Limits".

use super::claims::{claim_name, class_name, volume_name};
use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kinds::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use std::collections::{BTreeMap, BTreeSet};

/// Its name.
pub const NAME: &str = "NodeVolumeLimits";
const REASON: &str = "node(s) exceed max volume count";

/// The plugin.
pub struct NodeVolumeLimits;

/// Driver and the volumes that it attaches.
type Attached = BTreeMap<String, BTreeSet<String>>;

fn csi(volume: &PersistentVolume) -> Option<(&str, &str)> {
    let c = volume.spec.as_ref()?.csi.as_ref()?;
    Some((&c.driver, &c.volume_handle))
}

/// Adds the volumes that a pod has attached, made ones by handle, coming ones by claim.
fn collect(pod: &PodInfo, world: &World<'_>, into: &mut Attached) {
    for name in pod.volumes().iter().filter_map(|v| claim_name(pod, v)) {
        let Some(claim) = world.objects.get::<PersistentVolumeClaim>(pod.namespace(), &name) else { continue };
        let made = volume_name(claim).and_then(|v| world.objects.get::<PersistentVolume>("", v));
        if let Some(v) = made {
            if let Some((driver, handle)) = csi(v) {
                into.entry(driver.to_owned()).or_default().insert(handle.to_owned());
            }
            continue;
        }
        if let Some(class) = world.objects.get::<StorageClass>("", class_name(claim)) {
            into.entry(class.provisioner.clone()).or_default().insert(format!("{}/{name}", pod.namespace()));
        }
    }
}

/// How many volumes of each driver a node takes.
fn limits(node: &CSINode) -> BTreeMap<&str, usize> {
    let count = |d: &kinds::api::storage::v1::CSINodeDriver| usize::try_from(d.allocatable.as_ref()?.count?).ok();
    node.spec.drivers.iter().filter_map(|d| Some((d.name.as_str(), count(d)?))).collect()
}

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::PodLeft(p) => !p.claims.is_empty(),
            Event::Claim(c) => c.metadata.namespace.as_deref() == Some(pod.namespace()),
            Event::CsiNode { old, new } => {
                let old = old.as_ref().map(|o| limits(o)).unwrap_or_default();
                limits(new).iter().any(|(d, n)| old.get(d).is_none_or(|o| n > o))
            }
            Event::NodeAdded(_) | Event::Volume(_) | Event::Detached(_) => true,
            _ => false,
        }
    }
}

impl Filter for NodeVolumeLimits {
    type Pre = Attached;
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Attached> {
        if pod.claims.is_empty() {
            return Prepared::Skip;
        }
        let mut new = Attached::new();
        collect(pod, world, &mut new);
        if new.is_empty() { Prepared::Skip } else { Prepared::Ready(new) }
    }
    fn check(&self, pre: &Attached, _: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Result<(), Refusal> {
        let Some(limits) = world.objects.get::<CSINode>("", &node.name).map(|n| limits(n)) else { return Ok(()) };
        if !pre.keys().any(|d| limits.contains_key(d.as_str())) {
            return Ok(());
        }
        let mut there = Attached::new();
        node.pods.iter().for_each(|p| collect(p, world, &mut there));
        for a in world.objects.list::<VolumeAttachment>("").filter(|a| a.spec.node_name == *node.name) {
            let name = a.spec.source.persistent_volume_name.as_deref().unwrap_or_default();
            if let Some((driver, handle)) = world.objects.get::<PersistentVolume>("", name).and_then(|v| csi(v)) {
                there.entry(driver.to_owned()).or_default().insert(handle.to_owned());
            }
        }
        for (driver, new) in pre {
            let Some(limit) = limits.get(driver.as_str()) else { continue };
            let empty = BTreeSet::new();
            let old = there.get(driver).unwrap_or(&empty);
            let more = new.difference(old).count();
            if more > 0 && old.len() + more > *limit {
                return Err(Refusal::resolvable(NAME, REASON));
            }
        }
        Ok(())
    }
}
