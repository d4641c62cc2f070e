//! VolumeBinding: bound volumes must be reachable from the node; for claims that wait for a consumer there must be a
//! volume that suits, or a way to make one.
//!
//! Docs: "Storage Classes" (volume binding mode, allowed topologies), "Storage Capacity".

use super::claims::{self, Claims, SELECTED_NODE, annotation, class_name, volume_name};
use super::matching::{best, is_reachable, wanted};
use crate::cycle::VolumeStep;
use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::{Refusal, Standing, Text};
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use kinds::api::storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass};
use kinds::{ObjectKey, Quantity, QuantityText, Selector};

/// Its name.
pub const NAME: &str = "VolumeBinding";
const NO_MATCH: &str = "node(s) didn't find available persistent volumes to bind";
const UNREACHABLE: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_SPACE: &str = "node(s) did not have enough free storage";
const GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// The plugin.
pub struct VolumeBinding;

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::Claim(c) => {
                let key = ObjectKey::of(&c.metadata);
                key.namespace == pod.namespace() && pod.claims.contains(&key.name)
            }
            Event::Volume(_) | Event::Class(_) | Event::CsiNode { .. } | Event::CsiDriver(_) | Event::Capacity(_) => true,
            _ => event.labelled().is_some(),
        }
    }
}

fn allowed(terms: Option<&Vec<TopologySelectorTerm>>, node: &NodeInfo) -> bool {
    let terms = terms.map_or(&[][..], Vec::as_slice);
    let holds = |t: &TopologySelectorTerm| {
        let all = t.match_label_expressions.iter().flatten();
        all.into_iter().all(|r| node.label(&r.key).is_some_and(|v| r.values.iter().any(|x| x == v)))
    };
    terms.is_empty() || terms.iter().any(holds)
}

/// Whether the driver says that there is room where the node is; drivers that do not tell are trusted.
fn has_room(class: &StorageClass, claim: &PersistentVolumeClaim, node: &NodeInfo, world: &World<'_>) -> bool {
    let driver = world.objects.get::<CSIDriver>("", &class.provisioner);
    if driver.is_none_or(|d| d.spec.storage_capacity != Some(true)) {
        return true;
    }
    let size = wanted(claim);
    let quantity = |q: &QuantityText| Quantity::parse(&q.0).ok();
    world.objects.list::<CSIStorageCapacity>("").any(|c| {
        let most = c.maximum_volume_size.as_ref().or(c.capacity.as_ref()).and_then(quantity);
        Some(c.storage_class_name.as_str()) == class.metadata.name.as_deref()
            && most.is_some_and(|m| m >= size)
            && Selector::from_label_selector(c.node_topology.as_ref()).matches(node.labels())
    })
}

fn provision(claim: &PersistentVolumeClaim, node: &NodeInfo, world: &World<'_>) -> Result<VolumeStep, &'static str> {
    let class = world.objects.get::<StorageClass>("", class_name(claim)).ok_or(NO_MATCH)?;
    if class.provisioner == NO_PROVISIONER || !allowed(class.allowed_topologies.as_ref(), node) {
        return Err(NO_MATCH);
    }
    if !has_room(class, claim, node, world) {
        return Err(NO_SPACE);
    }
    Ok(VolumeStep::Provision { claim: claim.metadata.name.clone().unwrap_or_default() })
}

/// What is to be done about the claims that wait, the small ones first.
fn plan(claims: &Claims, node: &NodeInfo, world: &World<'_>) -> Result<Vec<VolumeStep>, &'static str> {
    let mut waiting: Vec<&PersistentVolumeClaim> = claims.delayed.iter().map(|c| &**c).collect();
    waiting.sort_by_key(|c| wanted(c));
    let (mut steps, mut taken) = (Vec::new(), Vec::new());
    for claim in waiting {
        let key = ObjectKey::of(&claim.metadata);
        let chosen = annotation(claim, SELECTED_NODE).or_else(|| world.nodes.volumes.node_of(&key));
        if let Some(chosen) = chosen {
            if chosen != &*node.name {
                return Err(NO_MATCH);
            }
            steps.push(provision(claim, node, world)?);
            continue;
        }
        match best(claim, node, &taken, world) {
            Some(v) => {
                let volume = v.metadata.name.clone().unwrap_or_default();
                taken.push(volume.clone());
                steps.push(VolumeStep::Bind { claim: key.name, volume });
            }
            None => steps.push(provision(claim, node, world)?),
        }
    }
    Ok(steps)
}

/// What must be done about volumes before the pod can be bound to that node.
#[must_use]
pub fn steps(pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Vec<VolumeStep> {
    claims::read(pod, world).ok().and_then(|c| plan(&c, node, world).ok()).unwrap_or_default()
}

impl Filter for VolumeBinding {
    type Pre = Claims;
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Claims> {
        if pod.claims.is_empty() {
            return Prepared::Skip;
        }
        match claims::read(pod, world) {
            Ok(c) => Prepared::Ready(c),
            Err(why) => Prepared::Refuse(Refusal::last(NAME, why)),
        }
    }
    fn check(&self, pre: &Claims, _: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Result<(), Refusal> {
        let mut reasons: Vec<Text> = Vec::new();
        for claim in &pre.bound {
            let volume = world.objects.get::<PersistentVolume>("", volume_name(claim).unwrap_or_default());
            match volume {
                None => return Err(Refusal::last(NAME, GONE)),
                Some(v) if !is_reachable(v, node) => {
                    reasons.push(UNREACHABLE.into());
                    break;
                }
                Some(_) => {}
            }
        }
        if let Err(why) = plan(pre, node, world) {
            reasons.push(why.into());
        }
        if reasons.is_empty() { Ok(()) } else { Err(Refusal { plugin: NAME, standing: Standing::Final, reasons }) }
    }
}
