//! What happened in the cluster, as far as it can make a pod schedulable that was not.
//!
//! KEP-4247: every plugin says for each event and pod whether trying again would help.

use crate::podinfo::PodInfo;
use kinds::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use kinds::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment};
use std::sync::Arc;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    NodeAdded(Arc<Node>),
    NodeChanged { old: Arc<Node>, new: Arc<Node> },
    NodeRemoved(Arc<Node>),
    /// A pod is on a node now.
    PodPlaced(Arc<PodInfo>),
    /// A pod on a node changed.
    PodAltered { old: Arc<PodInfo>, new: Arc<PodInfo> },
    /// A pod is off its node: deleted, ended, or an assumption that did not come true.
    PodLeft(Arc<PodInfo>),
    /// A waiting pod itself changed; heard only by that pod.
    PodEdited { old: Arc<PodInfo>, new: Arc<PodInfo> },
    Claim(Arc<PersistentVolumeClaim>),
    Volume(Arc<PersistentVolume>),
    Class(Arc<StorageClass>),
    CsiNode { old: Option<Arc<CSINode>>, new: Arc<CSINode> },
    CsiDriver(Arc<CSIDriver>),
    Capacity(Arc<CSIStorageCapacity>),
    Detached(Arc<VolumeAttachment>),
    /// A namespace appeared or its labels changed.
    Namespace,
    /// Pods waited for too long: all are tried again.
    Flush,
}

impl Event {
    /// The name that metrics give it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NodeAdded(_) => "NodeAdd",
            Self::NodeChanged { .. } => "NodeUpdate",
            Self::NodeRemoved(_) => "NodeDelete",
            Self::PodPlaced(_) => "AssignedPodAdd",
            Self::PodAltered { .. } => "AssignedPodUpdate",
            Self::PodLeft(_) => "AssignedPodDelete",
            Self::PodEdited { .. } => "PodUpdate",
            Self::Claim(_) => "PersistentVolumeClaimAdd",
            Self::Volume(_) => "PersistentVolumeAdd",
            Self::Class(_) => "StorageClassAdd",
            Self::CsiNode { .. } => "CSINodeUpdate",
            Self::CsiDriver(_) => "CSIDriverUpdate",
            Self::Capacity(_) => "CSIStorageCapacityUpdate",
            Self::Detached(_) => "VolumeAttachmentDelete",
            Self::Namespace => "NamespaceUpdate",
            Self::Flush => "UnschedulableTimeout",
        }
    }

    /// The node that was added or changed, when its labels are new.
    #[must_use]
    pub fn labelled(&self) -> Option<&Arc<Node>> {
        match self {
            Self::NodeAdded(n) => Some(n),
            Self::NodeChanged { old, new } if old.metadata.labels != new.metadata.labels => Some(new),
            _ => None,
        }
    }
    /// The node that was added or changed, when its taints are new (`unschedulable` shows as one, too).
    #[must_use]
    pub fn tainted(&self) -> Option<&Arc<Node>> {
        let taints = |n: &Node| n.spec.as_ref().map(|s| (s.taints.clone().unwrap_or_default(), s.unschedulable.unwrap_or_default()));
        match self {
            Self::NodeAdded(n) => Some(n),
            Self::NodeChanged { old, new } if taints(old) != taints(new) => Some(new),
            _ => None,
        }
    }
    /// The node that was added or changed, when what it can give is new.
    #[must_use]
    pub fn grown(&self) -> Option<&Arc<Node>> {
        let allocatable = |n: &Node| n.status.as_ref().and_then(|s| s.allocatable.clone());
        match self {
            Self::NodeAdded(n) => Some(n),
            Self::NodeChanged { old, new } if allocatable(old) != allocatable(new) => Some(new),
            _ => None,
        }
    }
}
