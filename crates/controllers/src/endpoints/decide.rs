//! The subsets of one service.

use crate::endpointslice::{family_of, is_headless, service_port};
use crate::numbers::filled;
use crate::plan::{Note, Plan, Step, reference};
use cache::Snapshot;
use kinds::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service, ServiceSpec,
};
use kinds::{ObjectKey, ObjectMeta, Selector};
use std::collections::BTreeMap;
use std::sync::Arc;

/// At most this many addresses an object.
const ADDRESSES_MAX: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// One service with what stands behind it; without the service when that is gone.
#[derive(Debug)]
pub struct Seen {
    pub service: Option<Arc<Service>>,
    pub pods: Vec<Arc<Pod>>,
    pub endpoints: Option<Arc<Endpoints>>,
}

/// Gathers it; `None` when there is nothing for this controller.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let endpoints = snapshot.find::<Endpoints>(key).cloned();
    let Some(service) = snapshot.find::<Service>(key) else {
        return Some(Seen { service: None, pods: Vec::new(), endpoints });
    };
    let spec = service.spec.as_ref()?;
    let selector = Selector::from_map(spec.selector.as_ref()?);
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let wanted = |p: &&Arc<Pod>| {
        selector.matches(p.metadata.labels.as_ref())
            && !kinds::pod::is_terminal(p)
            && (p.metadata.deletion_timestamp.is_none() || spec.publish_not_ready_addresses == Some(true))
    };
    let pods = snapshot.list::<Pod>(&key.namespace).filter(wanted).cloned().collect();
    Some(Seen { service: Some(Arc::clone(service)), pods, endpoints })
}

/// What is to be done for one service.
#[must_use]
pub fn decide(seen: &Seen) -> Plan {
    let Some(service) = &seen.service else { return orphaned(seen) };
    let Some(spec) = &service.spec else { return Plan::because("no spec") };
    let (subsets, cut) = capped(subsets(service, spec, &seen.pods));
    let mut metadata = seen.endpoints.as_ref().map_or_else(|| ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    }, |e| e.metadata.clone());
    metadata.labels = Some(labels(service, spec));
    let notes = metadata.annotations.get_or_insert_default();
    if cut {
        notes.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        notes.remove(OVER_CAPACITY);
    }
    metadata.annotations = metadata.annotations.filter(|a| !a.is_empty());
    let next = Endpoints { metadata, subsets: filled(subsets) };
    let plan = Plan::because(format!("{} pods behind the service", seen.pods.len()));
    match &seen.endpoints {
        Some(now) if **now == next || (now.subsets.clone().and_then(filled) == next.subsets && now.metadata == next.metadata) => plan,
        Some(now) => {
            let failed = Note::new("FailedToUpdateEndpoint", format!("Failed to update endpoint {}: ", key_text(&next.metadata)));
            plan.step(Step::update(stamped(next, &seen.pods)).telling(reference(&**now), None, Some(failed)))
        }
        None => {
            let failed = Note::new("FailedToCreateEndpoint", format!("Failed to create endpoint for service {}: ", key_text(&next.metadata)));
            plan.step(Step::create(stamped(next, &seen.pods)).telling(reference(&**service), None, Some(failed)))
        }
    }
}

fn key_text(m: &ObjectMeta) -> String {
    ObjectKey::of(m).to_string()
}

fn orphaned(seen: &Seen) -> Plan {
    let plan = Plan::because("the service is gone");
    match seen.endpoints.as_ref().filter(|e| is_ours(e)) {
        Some(e) => plan.step(Step::delete_typed(&**e)),
        None => plan,
    }
}

/// Objects that other components keep as leader locks or mirrors are not this controller's.
fn is_ours(e: &Endpoints) -> bool {
    e.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).is_some_and(|m| m == "endpoint-controller")
}

fn stamped(mut e: Endpoints, pods: &[Arc<Pod>]) -> Endpoints {
    let ready = |p: &Arc<Pod>| kinds::conditions::pod_condition(p, "Ready").and_then(|c| c.last_transition_time.clone());
    if let Some(t) = pods.iter().filter_map(ready).max() {
        e.metadata.annotations.get_or_insert_default().insert(TRIGGER.to_owned(), t.0.to_string());
    }
    e
}

fn labels(service: &Service, spec: &ServiceSpec) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(spec) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), "endpoint-controller".to_owned());
    labels
}

/// Ready and not-ready addresses of each set of ports.
fn subsets(service: &Service, spec: &ServiceSpec, pods: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let family = spec.ip_families.as_ref().and_then(|f| f.first()).map_or("IPv4", String::as_str);
    type Sides = (Vec<EndpointAddress>, Vec<EndpointAddress>);
    let mut by_ports: Vec<(Vec<EndpointPort>, Sides)> = Vec::new();
    for pod in pods {
        let ports: Vec<EndpointPort> = spec.ports.iter().flatten().filter_map(|p| {
            Some(EndpointPort {
                name: p.name.clone().filter(|n| !n.is_empty()),
                port: service_port(p, pod)?,
                protocol: Some(p.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: p.app_protocol.clone(),
            })
        }).collect();
        let some_wanted = spec.ports.as_ref().is_some_and(|p| !p.is_empty());
        let Some(address) = address(service, pod, family) else { continue };
        if ports.is_empty() && (some_wanted || !is_headless(spec)) {
            continue;
        }
        let at = by_ports.iter().position(|(p, _)| *p == ports).unwrap_or_else(|| {
            by_ports.push((ports, Sides::default()));
            by_ports.len() - 1
        });
        let ready = spec.publish_not_ready_addresses == Some(true) || kinds::pod::is_ready(pod);
        let sides = &mut by_ports[at].1;
        if ready { sides.0.push(address) } else { sides.1.push(address) }
    }
    by_ports.sort_by_key(|(p, _)| p.iter().map(|p| (p.port, p.name.clone(), p.protocol.clone())).collect::<Vec<_>>());
    by_ports.into_iter().map(|(ports, (mut ready, mut other))| {
        ready.sort_by(|a, b| a.ip.cmp(&b.ip));
        other.sort_by(|a, b| a.ip.cmp(&b.ip));
        EndpointSubset { addresses: filled(ready), not_ready_addresses: filled(other), ports: filled(ports) }
    }).collect()
}

fn address(service: &Service, pod: &Pod, family: &str) -> Option<EndpointAddress> {
    let status = pod.status.as_ref()?;
    let all = status.pod_ips.iter().flatten().map(|i| &i.ip).chain(&status.pod_ip);
    let ip = all.into_iter().find(|ip| !ip.is_empty() && family_of(ip) == family)?.clone();
    let spec = pod.spec.as_ref();
    let subdomain = spec.and_then(|s| s.subdomain.as_ref());
    let hostname = spec.and_then(|s| s.hostname.clone()).filter(|h| !h.is_empty() && subdomain == service.metadata.name.as_ref());
    let target_ref = ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    };
    let node_name = spec.and_then(|s| s.node_name.clone()).filter(|n| !n.is_empty());
    Some(EndpointAddress { hostname, ip, node_name, target_ref: Some(target_ref) })
}

/// Cuts to the capacity, ready addresses first; tells whether anything was cut.
fn capped(mut subsets: Vec<EndpointSubset>) -> (Vec<EndpointSubset>, bool) {
    let mut room = ADDRESSES_MAX;
    let mut cut = false;
    let mut take = |side: &mut Option<Vec<EndpointAddress>>| {
        if let Some(list) = side {
            cut |= list.len() > room;
            list.truncate(room);
            room -= list.len();
        }
    };
    subsets.iter_mut().for_each(|s| take(&mut s.addresses));
    subsets.iter_mut().for_each(|s| take(&mut s.not_ready_addresses));
    (subsets, cut)
}
