//! Which endpoints a service should have: a pod's address, conditions, zone and resolved ports.

use super::reconcile::{Frame, Group, MANAGED_BY_LABEL};
use cache::Snapshot;
use kinds::api::core::v1::{Node, ObjectReference, Pod, Service, ServicePort, ServiceSpec};
use kinds::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone};
use kinds::owner::controller_ref;
use kinds::{IntOrString, ObjectKey, ObjectMeta, Selector};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
pub(crate) const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// One service with what stands behind it.
#[derive(Debug)]
pub struct Seen {
    pub service: Arc<Service>,
    /// Selected pods with the zone of their node.
    pub pods: Vec<(Arc<Pod>, Option<String>)>,
    /// Slices that this controller made for it.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// `IPv4`, `IPv6`.
    pub families: Vec<String>,
}

pub(super) fn observe(snapshot: &Snapshot, key: &ObjectKey, manager: &str) -> Option<Seen> {
    let service = snapshot.find::<Service>(key)?;
    let spec = service.spec.as_ref()?;
    let selector = Selector::from_map(spec.selector.as_ref()?);
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let publish_all = spec.publish_not_ready_addresses == Some(true);
    let mut pods = Vec::new();
    for pod in snapshot.list::<Pod>(&key.namespace).filter(|p| selector.matches(p.metadata.labels.as_ref())) {
        if kinds::pod::is_terminal(pod) || addresses(pod).is_empty() {
            continue;
        }
        let name = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        let node = snapshot.get::<Node>("", name);
        if node.is_none() && !name.is_empty() && !publish_all {
            continue;
        }
        let zone = node.and_then(|n| n.metadata.labels.as_ref()).and_then(|l| l.get(ZONE_LABEL)).cloned();
        pods.push((Arc::clone(pod), zone));
    }
    let managed = |s: &&Arc<EndpointSlice>| {
        s.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY_LABEL)).is_some_and(|m| m == manager)
            && s.metadata.deletion_timestamp.is_none()
    };
    let slices = snapshot.slices_of(&key.namespace, &key.name).filter(managed).cloned().collect();
    let families = spec.ip_families.clone().unwrap_or_else(|| vec!["IPv4".to_owned()]);
    Some(Seen { service: Arc::clone(service), pods, slices, families })
}

/// The pod's addresses, the primary first.
fn addresses(pod: &Pod) -> Vec<&str> {
    let Some(status) = &pod.status else { return Vec::new() };
    let mut all: Vec<&str> = status.pod_ips.iter().flatten().map(|i| i.ip.as_str()).collect();
    if all.is_empty() {
        all.extend(status.pod_ip.as_deref());
    }
    all.retain(|a| !a.is_empty());
    all
}

/// Whether nothing that endpoints show differs.
pub(super) fn looks_same(a: &Pod, b: &Pod) -> bool {
    let view = |p: &Pod| {
        (kinds::pod::is_ready(p), kinds::pod::is_terminal(p), p.metadata.deletion_timestamp.is_some())
    };
    let place = |p: &Pod| p.spec.as_ref().map(|s| (s.node_name.clone(), s.hostname.clone(), s.subdomain.clone()));
    view(a) == view(b)
        && addresses(a) == addresses(b)
        && a.metadata.labels == b.metadata.labels
        && place(a) == place(b)
}

/// `IPv4` or `IPv6`, by the look of the address.
pub(crate) fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

/// Whether the service has no cluster address.
pub(crate) fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

/// The number that a service's port has on that pod.
pub(crate) fn service_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(n)) => return Some(*n),
        Some(IntOrString::String(s)) => s,
    };
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|c| kinds::pod::is_sidecar(c));
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten()).find_map(|p| {
        let same = p.name.as_deref() == Some(name) && p.protocol.as_deref().unwrap_or("TCP") == protocol;
        same.then_some(p.container_port)
    })
}

fn ports(spec: &ServiceSpec, pod: &Pod) -> Vec<EndpointPort> {
    let resolve = |p: &ServicePort| {
        Some(EndpointPort {
            name: Some(p.name.clone().unwrap_or_default()),
            port: Some(service_port(p, pod)?),
            protocol: Some(p.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            app_protocol: p.app_protocol.clone(),
        })
    };
    spec.ports.iter().flatten().filter_map(resolve).collect()
}

/// The endpoints of one family, grouped by their ports.
pub(super) fn groups(seen: &Seen, family: &str) -> Vec<Group> {
    let spec = seen.service.spec.as_ref().expect("observed with a spec");
    let mut groups: Vec<Group> = Vec::new();
    for (pod, zone) in &seen.pods {
        let here: Vec<String> =
            addresses(pod).into_iter().filter(|a| family_of(a) == family).map(ToOwned::to_owned).collect();
        let ports = ports(spec, pod);
        if here.is_empty() || (ports.is_empty() && !spec.ports.as_ref().is_none_or(Vec::is_empty)) {
            continue;
        }
        let e = endpoint(&seen.service, spec, pod, zone.clone(), here);
        match groups.iter_mut().find(|g| g.ports == ports) {
            Some(g) => g.endpoints.push(e),
            None => groups.push(Group { ports, endpoints: vec![e] }),
        }
    }
    groups
}

fn endpoint(service: &Service, spec: &ServiceSpec, pod: &Pod, zone: Option<String>, addresses: Vec<String>) -> Endpoint {
    let (serving, terminating) = (kinds::pod::is_ready(pod), pod.metadata.deletion_timestamp.is_some());
    let ready = spec.publish_not_ready_addresses == Some(true) || (serving && !terminating);
    let pod_spec = pod.spec.as_ref();
    let subdomain = pod_spec.and_then(|s| s.subdomain.as_ref());
    let hostname = pod_spec.and_then(|s| s.hostname.clone()).filter(|h| !h.is_empty() && subdomain == service.metadata.name.as_ref());
    let node_name = pod_spec.and_then(|s| s.node_name.clone()).filter(|n| !n.is_empty());
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) }),
        deprecated_topology: None,
        hints: hints(spec, zone.as_ref(), node_name.as_ref()).filter(|_| ready),
        hostname,
        node_name,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        zone,
    }
}

fn hints(spec: &ServiceSpec, zone: Option<&String>, node: Option<&String>) -> Option<EndpointHints> {
    let for_zones = || zone.map(|z| vec![ForZone { name: z.clone() }]);
    let hints = match spec.traffic_distribution.as_deref()? {
        "PreferClose" | "PreferSameZone" => EndpointHints { for_nodes: None, for_zones: for_zones() },
        "PreferSameNode" => {
            EndpointHints { for_nodes: node.map(|n| vec![ForNode { name: n.clone() }]), for_zones: for_zones() }
        }
        _ => return None,
    };
    (hints.for_nodes.is_some() || hints.for_zones.is_some()).then_some(hints)
}

/// What all slices of the service have in common.
pub(super) fn frame(seen: &Seen, family: &str, manager: &str) -> Frame {
    let (service, spec) = (&*seen.service, seen.service.spec.as_ref());
    let reserved = [MANAGED_BY_LABEL, cache::index::SERVICE_NAME_LABEL, HEADLESS_LABEL];
    let own = service.metadata.labels.iter().flatten().filter(|(k, _)| !reserved.contains(&k.as_str()));
    let mut labels: BTreeMap<String, String> = own.map(|(k, v)| (k.clone(), v.clone())).collect();
    let name = service.metadata.name.clone().unwrap_or_default();
    labels.insert(cache::index::SERVICE_NAME_LABEL.to_owned(), name.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), manager.to_owned());
    if spec.is_some_and(is_headless) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    let trigger = trigger_time(seen).map(|t| (TRIGGER.to_owned(), t));
    Frame {
        prefix: format!("{name}-"),
        address_type: family.to_owned(),
        meta: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_ref(service)]),
            ..ObjectMeta::default()
        },
        stamp: trigger.into_iter().collect(),
        annotations: None,
        keep_empty: true,
    }
}

/// The latest moment at which a pod's readiness changed, else the service's creation.
fn trigger_time(seen: &Seen) -> Option<String> {
    let ready = |p: &Pod| kinds::conditions::pod_condition(p, "Ready").and_then(|c| c.last_transition_time.clone());
    let times = seen.pods.iter().filter_map(|(p, _)| ready(p));
    let at = times.max().or_else(|| seen.service.metadata.creation_timestamp.clone())?;
    Some(at.0.to_string())
}
