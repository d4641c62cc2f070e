//! Fields of dynamic resource allocation. KEP-4816 (alternatives), KEP-5055 (taints), KEP-5075 (consumable capacity), KEP-4815
//! (partitionable devices), KEP-5007 (binding conditions), KEP-4817 (device status), KEP-5517 (node allocatable resources),
//! KEP-5491 (attributes that are lists), KEP-5004 (extended resources).

use super::Part;
use crate::read::items;
use kinds::api::resource::v1::{
    Device, DeviceAttribute, DeviceClass, DeviceRequest, DeviceRequestAllocationResult, ResourceClaim, ResourceClaimSpec, ResourceClaimTemplate,
    ResourceSlice,
};

pub(super) const CLAIM: &[Part<ResourceClaim>] = &[
    Part::new(&["DRAPrioritizedList"], |c| alternatives(&c.spec), |c| drop_alternatives(&mut c.spec)),
    Part::new(&["DRADeviceTaints"], |c| tolerations(&c.spec), |c| drop_tolerations(&mut c.spec)),
    Part::new(&["DRAConsumableCapacity"], |c| capacities(&c.spec), |c| drop_capacities(&mut c.spec)),
    Part::new(
        &["DRAResourceClaimDeviceStatus"],
        |c| c.status.as_ref().is_some_and(|s| !items(&s.devices).is_empty()),
        |c| c.status.iter_mut().for_each(|s| s.devices = None),
    ),
    Part::new(&["DRAConsumableCapacity"], shares, drop_shares).kept_by(|c| capacities(&c.spec) || shares(c)),
    Part::new(&["DRADeviceBindingConditions"], binds, drop_binding),
];

pub(super) const TEMPLATE: &[Part<ResourceClaimTemplate>] = &[
    Part::new(&["DRAPrioritizedList"], |t| alternatives(&t.spec.spec), |t| drop_alternatives(&mut t.spec.spec)),
    Part::new(&["DRADeviceTaints"], |t| tolerations(&t.spec.spec), |t| drop_tolerations(&mut t.spec.spec)),
    Part::new(&["DRAConsumableCapacity"], |t| capacities(&t.spec.spec), |t| drop_capacities(&mut t.spec.spec)),
];

fn requests(c: &ResourceClaimSpec) -> &[DeviceRequest] {
    c.devices.as_ref().map(|d| items(&d.requests)).unwrap_or_default()
}

fn requests_mut(c: &mut ResourceClaimSpec) -> impl Iterator<Item = &mut DeviceRequest> {
    c.devices.iter_mut().flat_map(|d| d.requests.iter_mut().flatten())
}

fn alternatives(c: &ResourceClaimSpec) -> bool {
    requests(c).iter().any(|r| !items(&r.first_available).is_empty())
}

fn drop_alternatives(c: &mut ResourceClaimSpec) {
    requests_mut(c).for_each(|r| r.first_available = None);
}

fn tolerations(c: &ResourceClaimSpec) -> bool {
    requests(c).iter().any(|r| {
        r.exactly.as_ref().is_some_and(|x| !items(&x.tolerations).is_empty())
            || items(&r.first_available).iter().any(|x| !items(&x.tolerations).is_empty())
    })
}

fn drop_tolerations(c: &mut ResourceClaimSpec) {
    for r in requests_mut(c) {
        r.exactly.iter_mut().for_each(|x| x.tolerations = None);
        r.first_available.iter_mut().flatten().for_each(|x| x.tolerations = None);
    }
}

fn capacities(c: &ResourceClaimSpec) -> bool {
    let constraints = c.devices.as_ref().map(|d| items(&d.constraints)).unwrap_or_default();
    constraints.iter().any(|x| x.distinct_attribute.is_some())
        || requests(c).iter().any(|r| {
            r.exactly.as_ref().is_some_and(|x| x.capacity.is_some()) || items(&r.first_available).iter().any(|x| x.capacity.is_some())
        })
}

fn drop_capacities(c: &mut ResourceClaimSpec) {
    let constraints = c.devices.iter_mut().flat_map(|d| d.constraints.iter_mut().flatten());
    constraints.for_each(|x| x.distinct_attribute = None);
    for r in requests_mut(c) {
        r.exactly.iter_mut().for_each(|x| x.capacity = None);
        r.first_available.iter_mut().flatten().for_each(|x| x.capacity = None);
    }
}

fn results(c: &ResourceClaim) -> &[DeviceRequestAllocationResult] {
    let devices = c.status.as_ref().and_then(|s| s.allocation.as_ref()).and_then(|a| a.devices.as_ref());
    devices.map(|d| items(&d.results)).unwrap_or_default()
}

fn each_result(c: &mut ResourceClaim, change: impl Fn(&mut DeviceRequestAllocationResult)) {
    let devices = c.status.as_mut().and_then(|s| s.allocation.as_mut()).and_then(|a| a.devices.as_mut());
    devices.into_iter().flat_map(|d| d.results.iter_mut().flatten()).for_each(change);
}

fn shares(c: &ResourceClaim) -> bool {
    results(c).iter().any(|r| r.share_id.is_some() || r.consumed_capacity.is_some())
        || c.status.as_ref().is_some_and(|s| items(&s.devices).iter().any(|d| d.share_id.is_some()))
}

fn drop_shares(c: &mut ResourceClaim) {
    each_result(c, |r| (r.share_id, r.consumed_capacity) = (None, None));
    c.status.iter_mut().flat_map(|s| s.devices.iter_mut().flatten()).for_each(|d| d.share_id = None);
}

fn binds(c: &ResourceClaim) -> bool {
    results(c).iter().any(|r| r.binding_conditions.is_some() || r.binding_failure_conditions.is_some())
}

fn drop_binding(c: &mut ResourceClaim) {
    each_result(c, |r| (r.binding_conditions, r.binding_failure_conditions) = (None, None));
}

pub(super) const CLASS: &[Part<DeviceClass>] = &[Part::new(
    &["DRAExtendedResource"],
    |c| c.spec.extended_resource_name.is_some(),
    |c| c.spec.extended_resource_name = None,
)];

pub(super) const SLICE: &[Part<ResourceSlice>] = &[
    Part::new(&["DRADeviceTaints"], |s| any(s, |d| !items(&d.taints).is_empty()), |s| each(s, |d| d.taints = None)),
    Part::new(&["DRAPartitionableDevices"], partitions, drop_partitions),
    Part::new(
        &["DRADeviceBindingConditions", "DRAResourceClaimDeviceStatus"],
        |s| {
            any(s, |d| {
                !items(&d.binding_conditions).is_empty() || !items(&d.binding_failure_conditions).is_empty() || d.binds_to_node.is_some()
            })
        },
        |s| each(s, |d| (d.binding_conditions, d.binding_failure_conditions, d.binds_to_node) = (None, None, None)),
    ),
    Part::new(
        &["DRAConsumableCapacity"],
        |s| any(s, |d| d.allow_multiple_allocations.is_some() || d.capacity.iter().flatten().any(|(_, c)| c.request_policy.is_some())),
        |s| {
            each(s, |d| {
                d.allow_multiple_allocations = None;
                d.capacity.iter_mut().flatten().for_each(|(_, c)| c.request_policy = None);
            });
        },
    ),
    Part::new(
        &["DRANodeAllocatableResources"],
        |s| any(s, |d| d.node_allocatable_resource_mappings.as_ref().is_some_and(|m| !m.is_empty())),
        |s| each(s, |d| d.node_allocatable_resource_mappings = None),
    ),
    Part::new(&["DRAListTypeAttributes"], |s| any(s, |d| d.attributes.iter().flatten().any(|(_, a)| lists(a))), |s| {
        each(s, |d| {
            let all = d.attributes.iter_mut().flatten();
            all.for_each(|(_, a)| (a.bools, a.ints, a.strings, a.versions) = (None, None, None, None));
        });
    }),
];

fn any(s: &ResourceSlice, has: impl Fn(&Device) -> bool) -> bool {
    items(&s.spec.devices).iter().any(has)
}

fn each(s: &mut ResourceSlice, change: impl Fn(&mut Device)) {
    s.spec.devices.iter_mut().flatten().for_each(change);
}

fn lists(a: &DeviceAttribute) -> bool {
    a.bools.is_some() || a.ints.is_some() || a.strings.is_some() || a.versions.is_some()
}

fn partitions(s: &ResourceSlice) -> bool {
    let of_device = |d: &Device| !items(&d.consumes_counters).is_empty() || d.node_name.is_some() || d.node_selector.is_some() || d.all_nodes.is_some();
    !items(&s.spec.shared_counters).is_empty() || s.spec.per_device_node_selection.is_some() || any(s, of_device)
}

fn drop_partitions(s: &mut ResourceSlice) {
    (s.spec.shared_counters, s.spec.per_device_node_selection) = (None, None);
    each(s, |d| {
        (d.consumes_counters, d.node_name, d.node_selector, d.all_nodes) = (None, None, None, None);
    });
}
