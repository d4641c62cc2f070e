//! What one object takes of a quota, by the quota's names for it. Docs: "Resource Quotas: Types of resource quota".

use crate::read::{amount, items, s};
use cache::Snapshot;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kinds::api::resource::v1::{DeviceClass, ResourceClaim};
use kinds::pod::Amounts;
use kinds::quantity::Format;
use kinds::{Object, Quantity};
use std::collections::BTreeMap;

/// As many devices may be what a claim for "all" of them means.
const DEVICES_MAX: i64 = 32;
/// What the count of a device class is called.
const PER_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
/// What devices of a class are called that pods ask for as an extended resource.
const IMPLICIT: &str = "requests.deviceclass.resource.kubernetes.io/";

/// What one object takes.
#[must_use]
pub fn usage(object: &Object, snapshot: &Snapshot, now: Timestamp) -> Amounts {
    let mut all = Amounts::new();
    let resource = object.resource();
    all.insert(format!("count/{resource}"), one());
    match object {
        Object::Pod(p) => pod(p, now, &mut all),
        Object::Service(x) => service(x, &mut all),
        Object::PersistentVolumeClaim(c) => claim(c, &mut all),
        Object::ResourceClaim(c) => devices(c, snapshot, &mut all),
        Object::ReplicationController(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::ResourceQuota(_) => {
            all.insert(resource.plural().to_owned(), one());
        }
        _ => {}
    }
    all
}

fn one() -> Quantity {
    Quantity::milli(1000)
}

/// Whether a pod should be gone by now: what is stuck (its node is lost, say) keeps nobody from starting another.
fn overdue(p: &Pod, now: Timestamp) -> bool {
    let (Some(at), Some(grace)) = (&p.metadata.deletion_timestamp, p.metadata.deletion_grace_period_seconds) else { return false };
    at.0.checked_add(SignedDuration::from_secs(grace)).is_ok_and(|end| now > end)
}

fn pod(p: &Pod, now: Timestamp, all: &mut Amounts) {
    // Pods that have ended take nothing but the room of an object.
    if kinds::pod::is_terminal(p) || overdue(p, now) {
        return;
    }
    all.insert("pods".into(), one());
    for (k, v) in kinds::pod::held_requests(p) {
        if ["cpu", "memory", "ephemeral-storage"].contains(&k.as_str()) || k.starts_with("hugepages-") {
            all.insert(k.clone(), v);
        }
        all.insert(format!("requests.{k}"), v);
    }
    for (k, v) in kinds::pod::held_limits(p) {
        if ["cpu", "memory", "ephemeral-storage"].contains(&k.as_str()) {
            all.insert(format!("limits.{k}"), v);
        }
    }
}

fn service(x: &Service, all: &mut Amounts) {
    all.insert("services".into(), one());
    let Some(spec) = &x.spec else { return };
    let ports = i64::try_from(items(&spec.ports).len()).unwrap_or_default();
    match s(&spec.type_) {
        "NodePort" => {
            all.insert("services.nodeports".into(), Quantity::milli(ports * 1000));
        }
        "LoadBalancer" => {
            all.insert("services.loadbalancers".into(), one());
            let opened = if spec.allocate_load_balancer_node_ports == Some(false) {
                i64::try_from(items(&spec.ports).iter().filter(|p| p.node_port.unwrap_or_default() != 0).count()).unwrap_or_default()
            } else {
                ports
            };
            all.insert("services.nodeports".into(), Quantity::milli(opened * 1000));
        }
        _ => {}
    }
}

fn claim(c: &PersistentVolumeClaim, all: &mut Amounts) {
    all.insert("persistentvolumeclaims".into(), one());
    let Some(spec) = &c.spec else { return };
    let size = spec.resources.as_ref().and_then(|r| r.requests.as_ref()).and_then(|r| r.get("storage")).map(amount);
    let allocated = c.status.as_ref().and_then(|x| x.allocated_resources.as_ref()?.get("storage")).map(amount);
    // What a growing volume was given already counts, and bytes count whole.
    let size = size.map(|asked| whole(allocated.map_or(asked, |a| a.max(asked))));
    let beta = c.metadata.annotations.as_ref().and_then(|a| a.get("volume.beta.kubernetes.io/storage-class"));
    let class = beta.map_or_else(|| s(&spec.storage_class_name), String::as_str);
    if !class.is_empty() {
        all.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
    }
    if let Some(size) = size {
        all.insert("requests.storage".into(), size);
        if !class.is_empty() {
            all.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
        }
    }
}

fn whole(size: Quantity) -> Quantity {
    if size.is_integer() { size } else { Quantity::units(size.value(), size.format()) }
}

/// Devices by their class, and by the extended resource that stands for the class: of alternatives the most.
fn devices(c: &ResourceClaim, snapshot: &Snapshot, all: &mut Amounts) {
    let count = |mode: &Option<String>, count: Option<i64>| match s(mode) {
        "ExactCount" => count.unwrap_or_default(),
        "All" => DEVICES_MAX,
        _ => 0,
    };
    let mut by_class: BTreeMap<&str, i64> = BTreeMap::new();
    for request in c.spec.devices.iter().flat_map(|d| items(&d.requests)) {
        let mut most: BTreeMap<&str, i64> = BTreeMap::new();
        for one in items(&request.first_available) {
            let at = most.entry(&one.device_class_name).or_default();
            *at = (*at).max(count(&one.allocation_mode, one.count));
        }
        if let Some(one) = request.exactly.as_ref().filter(|_| most.is_empty()) {
            most.insert(&one.device_class_name, count(&one.allocation_mode, one.count));
        }
        most.into_iter().for_each(|(class, n)| *by_class.entry(class).or_default() += n);
    }
    for (class, n) in by_class {
        let n = Quantity::units(n, Format::DecimalSi);
        all.insert(format!("{class}{PER_CLASS}"), n);
        let extended = snapshot.get::<DeviceClass>("", class).and_then(|d| d.spec.extended_resource_name.clone());
        if let Some(name) = extended.filter(|name| !name.is_empty()) {
            all.insert(format!("{IMPLICIT}{class}"), n);
            all.insert(format!("requests.{name}"), n);
        }
    }
}
