//! What the cluster has under a name.

use std::net::IpAddr;

use cache::Snapshot;
use kinds::api::core::v1::{Namespace, Pod, Service, ServicePort, ServiceSpec};
use kinds::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::question::dash;

/// One thing that a service's name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) ip: IpAddr,
    /// The port, where it has ports.
    pub(crate) port: Option<u16>,
    /// The endpoint's own label, for endpoints.
    pub(crate) host: Option<String>,
}

/// What a service's name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is no such name.
    Nothing,
    /// It is another name.
    Alias(String),
    /// It leads to these.
    Hits(Vec<Hit>),
}

/// Whether a namespace is there.
pub(crate) fn namespace_exists(snapshot: &Snapshot, namespace: &str) -> bool {
    snapshot.get::<Namespace>("", namespace).is_some()
}

fn protocol(word: Option<&str>) -> String {
    word.unwrap_or("TCP").to_ascii_lowercase()
}

/// A port's name and protocol, against what was asked for (nothing: any).
fn is_wanted(want: Option<&(String, String)>, name: Option<&str>, protocol_word: Option<&str>) -> bool {
    want.is_none_or(|(port, proto)| name.unwrap_or_default().eq_ignore_ascii_case(port) && *proto == protocol(protocol_word))
}

/// Looks a service's name up: all of it, a port, or an endpoint.
pub(crate) fn service(
    snapshot: &Snapshot,
    namespace: &str,
    name: &str,
    port: Option<&(String, String)>,
    endpoint: Option<&str>,
) -> Found {
    let Some(spec) = snapshot.get::<Service>(namespace, name).and_then(|s| s.spec.as_ref()) else { return Found::Nothing };
    if spec.type_.as_deref() == Some("ExternalName") {
        // An alias has neither ports nor endpoints.
        return match &spec.external_name {
            Some(target) if port.is_none() && endpoint.is_none() => Found::Alias(target.clone()),
            _ => Found::Nothing,
        };
    }
    let hits = if is_headless(spec) || endpoint.is_some() {
        endpoints(snapshot, namespace, name, port, endpoint)
    } else {
        cluster_ips(spec, port)
    };
    if hits.is_empty() { Found::Nothing } else { Found::Hits(hits) }
}

fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ip.as_deref() == Some("None")
}

fn cluster_ips(spec: &ServiceSpec, want: Option<&(String, String)>) -> Vec<Hit> {
    let mut ips: Vec<IpAddr> = spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect();
    if ips.is_empty() {
        ips.extend(spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    let ports = spec.ports.iter().flatten();
    let wanted: Vec<&ServicePort> = ports.filter(|p| is_wanted(want, p.name.as_deref(), p.protocol.as_deref())).collect();
    let hit = |port: Option<u16>| ips.iter().map(move |ip| Hit { ip: *ip, port, host: None });
    if wanted.is_empty() && want.is_none() {
        return hit(None).collect();
    }
    wanted.into_iter().flat_map(|p| hit(u16::try_from(p.port).ok())).collect()
}

/// An endpoint's label: its hostname, or its address in dashes.
fn label(e: &Endpoint, ip: IpAddr) -> String {
    e.hostname.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| dash(ip))
}

fn is_ready(e: &Endpoint) -> bool {
    // Slices of services that publish addresses that are not ready call all of them ready.
    e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true)
}

fn addresses(slice: &EndpointSlice) -> impl Iterator<Item = (&Endpoint, IpAddr)> {
    let ready = slice.endpoints.iter().flatten().filter(|e| is_ready(e));
    ready.flat_map(|e| e.addresses.iter().filter_map(move |a| Some((e, a.parse().ok()?))))
}

fn endpoints(snapshot: &Snapshot, namespace: &str, name: &str, want: Option<&(String, String)>, endpoint: Option<&str>) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    for slice in snapshot.slices_of(namespace, name) {
        let ports = slice.ports.iter().flatten();
        let wanted: Vec<Option<u16>> = ports
            .filter(|p| is_wanted(want, p.name.as_deref(), p.protocol.as_deref()))
            .map(|p| p.port.and_then(|p| u16::try_from(p).ok()))
            .collect();
        // A headless service may have no ports at all: its endpoints still have names.
        let bare = wanted.is_empty() && want.is_none();
        for (e, ip) in addresses(slice) {
            let host = label(e, ip);
            if endpoint.is_some_and(|want| !host.eq_ignore_ascii_case(want)) {
                continue;
            }
            let ports = if bare { vec![None] } else { wanted.clone() };
            for port in ports {
                let hit = Hit { ip, port, host: Some(host.clone()) };
                if !hits.contains(&hit) {
                    hits.push(hit);
                }
            }
        }
    }
    hits
}

/// Whether a pod of the namespace has this address.
pub(crate) fn pod_has(snapshot: &Snapshot, namespace: &str, ip: IpAddr) -> bool {
    let text = ip.to_string();
    snapshot.list::<Pod>(namespace).filter_map(|p| p.status.as_ref()).any(|s| {
        s.pod_ip.as_deref() == Some(text.as_str()) || s.pod_ips.iter().flatten().any(|i| i.ip == text)
    })
}

/// The names of an address: `(endpoint, service, namespace)`.
pub(crate) fn names_of(snapshot: &Snapshot, ip: IpAddr) -> Vec<(Option<String>, String, String)> {
    let text = ip.to_string();
    for s in snapshot.list::<Service>("") {
        let Some(spec) = &s.spec else { continue };
        let ips = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
        if spec.type_.as_deref() != Some("ExternalName") && ips.into_iter().any(|i| *i == text) {
            let meta = &s.metadata;
            return vec![(None, meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default())];
        }
    }
    let mut out = Vec::new();
    for slice in snapshot.list::<EndpointSlice>("") {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|l| l.get(cache::index::SERVICE_NAME_LABEL)) else { continue };
        for (e, at) in addresses(slice) {
            let Some(host) = e.hostname.clone().filter(|h| at == ip && !h.is_empty()) else { continue };
            let name = (Some(host), service.clone(), slice.metadata.namespace.clone().unwrap_or_default());
            if !out.contains(&name) {
                out.push(name);
            }
        }
    }
    out
}
