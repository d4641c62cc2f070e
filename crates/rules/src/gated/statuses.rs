//! Fields of statuses. KEP-5517 (node allocatable resources in claims), KEP-5419 (resizing pods as a whole), KEP-5004 (extended
//! resources from claims), KEP-4680 (device health), KEP-5365 (digests of image volumes), KEP-5328 (declared features of nodes).

use super::Part;
use crate::read::items;
use kinds::api::core::v1::{ContainerStatus, Node, Pod, PodStatus};

pub(super) const POD: &[Part<Pod>] = &[
    Part::new(
        &["InPlacePodLevelResourcesVerticalScaling"],
        |p| status(p, |s| s.resources.is_some() || s.allocated_resources.is_some()),
        |p| change(p, |s| (s.resources, s.allocated_resources) = (None, None)),
    ),
    Part::new(
        &["DRAExtendedResource"],
        |p| status(p, |s| s.extended_resource_claim_status.is_some()),
        |p| change(p, |s| s.extended_resource_claim_status = None),
    ),
    Part::new(
        &["ResourceHealthStatus"],
        |p| any(p, |c| !items(&c.allocated_resources_status).is_empty()),
        |p| each(p, |c| c.allocated_resources_status = None),
    ),
    Part::new(&["ResourceHealthStatusMessage"], |p| any(p, tells_health), |p| {
        each(p, |c| {
            let devices = c.allocated_resources_status.iter_mut().flatten().flat_map(|r| r.resources.iter_mut().flatten());
            devices.for_each(|d| d.message = None);
        });
    }),
    Part::new(
        &["ImageVolumeWithDigest"],
        |p| any(p, |c| items(&c.volume_mounts).iter().any(|m| m.volume_status.is_some())),
        |p| each(p, |c| c.volume_mounts.iter_mut().flatten().for_each(|m| m.volume_status = None)),
    ),
    Part::new(
        &["DRANodeAllocatableResources"],
        |p| status(p, |s| s.node_allocatable_resource_claim_statuses.is_some()),
        |p| change(p, |s| s.node_allocatable_resource_claim_statuses = None),
    ),
];

fn status(p: &Pod, has: impl Fn(&PodStatus) -> bool) -> bool {
    p.status.as_ref().is_some_and(has)
}

fn change(p: &mut Pod, change: impl Fn(&mut PodStatus)) {
    p.status.as_mut().into_iter().for_each(change);
}

/// Any container's status.
fn any(p: &Pod, has: impl Fn(&ContainerStatus) -> bool) -> bool {
    status(p, |s| {
        [&s.container_statuses, &s.init_container_statuses, &s.ephemeral_container_statuses].into_iter().flat_map(items).any(&has)
    })
}

fn each(p: &mut Pod, change_one: impl Fn(&mut ContainerStatus)) {
    change(p, |s| {
        let all = [&mut s.container_statuses, &mut s.init_container_statuses, &mut s.ephemeral_container_statuses];
        all.into_iter().flat_map(|l| l.iter_mut().flatten()).for_each(&change_one);
    });
}

fn tells_health(c: &ContainerStatus) -> bool {
    items(&c.allocated_resources_status).iter().flat_map(|r| items(&r.resources)).any(|d| d.message.is_some())
}

pub(super) const NODE: &[Part<Node>] = &[Part::new(
    &["NodeDeclaredFeatures"],
    |n| n.status.as_ref().is_some_and(|s| !items(&s.declared_features).is_empty()),
    |n| n.status.iter_mut().for_each(|s| s.declared_features = None),
)];
