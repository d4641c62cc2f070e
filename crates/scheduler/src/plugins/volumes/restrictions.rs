//! VolumeRestrictions: disks that can be used once only, and claims for one pod only (ReadWriteOncePod).
//!
//! Docs: "Persistent Volumes" (access modes).

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, Suppose, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use kinds::ObjectKey;
use kinds::api::core::v1::{PersistentVolumeClaim, Volume};

/// Its name.
pub const NAME: &str = "VolumeRestrictions";
const IN_USE: &str = "node(s) had no available disk";
const ONE_POD: &str = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";

/// The plugin.
pub struct VolumeRestrictions;

/// Claims for one pod only that the pod uses, and how many others use them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclusive {
    claims: Vec<String>,
    users: i64,
}

fn has_disk(v: &Volume) -> bool {
    v.gce_persistent_disk.is_some() || v.aws_elastic_block_store.is_some() || v.iscsi.is_some() || v.rbd.is_some()
}

/// Whether two volumes cannot be mounted on one node.
fn clash(a: &Volume, b: &Volume) -> bool {
    if let (Some(a), Some(b)) = (&a.gce_persistent_disk, &b.gce_persistent_disk) {
        return a.pd_name == b.pd_name && !(a.read_only == Some(true) && b.read_only == Some(true));
    }
    if let (Some(a), Some(b)) = (&a.aws_elastic_block_store, &b.aws_elastic_block_store) {
        return a.volume_id == b.volume_id;
    }
    if let (Some(a), Some(b)) = (&a.iscsi, &b.iscsi) {
        return a.iqn == b.iqn && !(a.read_only == Some(true) && b.read_only == Some(true));
    }
    if let (Some(a), Some(b)) = (&a.rbd, &b.rbd) {
        let shared = a.monitors.iter().any(|m| b.monitors.contains(m));
        return shared && a.pool == b.pool && a.image == b.image && !(a.read_only == Some(true) && b.read_only == Some(true));
    }
    false
}

fn uses(pod: &PodInfo, namespace: &str, claims: &[String]) -> i64 {
    let n = pod.claims.iter().filter(|c| pod.namespace() == namespace && claims.contains(c)).count();
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::PodLeft(p) => {
                uses(p, pod.namespace(), &pod.claims) > 0
                    || pod.volumes().iter().any(|a| p.volumes().iter().any(|b| clash(a, b)))
            }
            Event::Claim(c) => {
                let key = ObjectKey::of(&c.metadata);
                key.namespace == pod.namespace() && pod.claims.contains(&key.name)
            }
            Event::NodeAdded(_) => true,
            _ => false,
        }
    }
}

impl Filter for VolumeRestrictions {
    type Pre = Exclusive;
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Exclusive> {
        let mut pre = Exclusive::default();
        for name in &pod.claims {
            let Some(claim) = world.objects.get::<PersistentVolumeClaim>(pod.namespace(), name) else {
                let text = format!("persistentvolumeclaim {name:?} not found");
                let ephemeral = pod.volumes().iter().all(|v| {
                    v.persistent_volume_claim.as_ref().is_none_or(|c| c.claim_name != *name)
                });
                if ephemeral {
                    // Its controller is about to make it; VolumeBinding says so.
                    continue;
                }
                return Prepared::Refuse(Refusal::last(NAME, text));
            };
            let modes = claim.spec.as_ref().and_then(|s| s.access_modes.as_ref());
            if modes.is_some_and(|m| m.iter().any(|m| m == "ReadWriteOncePod")) {
                pre.claims.push(name.clone());
            }
        }
        if !pre.claims.is_empty() {
            for node in world.nodes.iter() {
                for c in &pre.claims {
                    let n = node.claims.get(&ObjectKey::new(pod.namespace(), c.as_str())).copied().unwrap_or(0);
                    pre.users += i64::try_from(n).unwrap_or(i64::MAX);
                }
            }
        }
        if pre.claims.is_empty() && !pod.volumes().iter().any(has_disk) { Prepared::Skip } else { Prepared::Ready(pre) }
    }
    fn check(&self, pre: &Exclusive, pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        let mine = || pod.volumes().iter().filter(|v| has_disk(v));
        let taken = |a: &Volume| node.pods.iter().any(|p| p.volumes().iter().any(|b| clash(a, b)));
        if mine().any(taken) {
            return Err(Refusal::resolvable(NAME, IN_USE));
        }
        if pre.users > 0 { Err(Refusal::resolvable(NAME, ONE_POD)) } else { Ok(()) }
    }
    fn suppose(&self, pre: &mut Exclusive, pod: &PodInfo, s: &Suppose<'_>, _: &World<'_>) {
        let n = uses(s.other, pod.namespace(), &pre.claims);
        pre.users += if s.joins { n } else { -n };
    }
}
