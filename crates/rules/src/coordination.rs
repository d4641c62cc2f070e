//! Leases and EndpointSlices: what nodes and controllers write most. Docs: "Leases", "EndpointSlices".

use crate::checks::{complain, repeated};
use crate::core::service::special_ip;
use crate::meta::immutable_text;
use crate::names::{self, NameRule};
use crate::read::{has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, warnings};
use kinds::api::coordination::v1::{Lease, LeaseSpec};
use kinds::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use kinds::{FieldErrors, Kind, Path};
use std::collections::BTreeSet;

pub(crate) const LEASE_ROW: Rules = Rules {
    validate: check!(Lease, lease),
    validate_update: check_with_old!(Lease, |n: &Lease, _: &Lease, e: &mut FieldErrors| lease(n, e)),
    allow_create_on_update: true,
    allow_unconditional_update: false,
    ..Rules::plain(Kind::Lease, NameRule::DnsSubdomain)
};

fn lease(l: &Lease, e: &mut FieldErrors) {
    let Some(spec) = &l.spec else { return };
    let path = Path::new("spec");
    if let Some(n) = spec.lease_duration_seconds.filter(|n| *n <= 0) {
        e.invalid(&path.child("leaseDurationSeconds"), n, "must be greater than 0");
    }
    if let Some(n) = spec.lease_transitions.filter(|n| *n < 0) {
        e.invalid(&path.child("leaseTransitions"), n, "must be greater than or equal to 0");
    }
    election(spec, &path, e);
}

/// How the holder of a lease is chosen, where the components leave that to the server (KEP-4355).
fn election(spec: &LeaseSpec, path: &Path, e: &mut FieldErrors) {
    if let Some(strategy) = &spec.strategy {
        // As upstream: the field's name stands twice.
        let at = path.child("strategy").child("strategy");
        if strategy.contains('/') {
            complain(&at, strategy, names::qualified_name(strategy), e);
        } else if strategy != "OldestEmulationVersion" {
            e.not_supported(&at, strategy, &["OldestEmulationVersion"]);
        }
    }
    if has(&spec.preferred_holder) && !has(&spec.strategy) {
        e.forbidden(&path.child("preferredHolder"), "may only be specified if `strategy` is defined");
    }
}

pub(crate) const SLICE_ROW: Rules = Rules {
    default: edit!(EndpointSlice, |x: &mut EndpointSlice| {
        for p in x.ports.iter_mut().flatten() {
            p.name.get_or_insert_default();
            p.protocol.get_or_insert_with(|| "TCP".into());
        }
    }),
    prepare_create: edit!(EndpointSlice, |x: &mut EndpointSlice| {
        x.metadata.generation = Some(1);
        for p in x.endpoints.iter_mut().flatten() {
            p.deprecated_topology = None;
        }
    }),
    prepare_update: edit_with_old!(EndpointSlice, |n: &mut EndpointSlice, o: &EndpointSlice| {
        let was = o.metadata.generation.unwrap_or_default();
        if items(&n.endpoints) != items(&o.endpoints) {
            for p in n.endpoints.iter_mut().flatten() {
                p.deprecated_topology = None;
            }
        }
        let same = items(&n.endpoints) == items(&o.endpoints) && items(&n.ports) == items(&o.ports) && n.metadata.labels == o.metadata.labels;
        n.metadata.generation = Some(if same { was } else { was + 1 });
    }),
    validate: check!(EndpointSlice, slice),
    validate_update: check_with_old!(EndpointSlice, |n: &EndpointSlice, o: &EndpointSlice, e: &mut FieldErrors| {
        slice(n, e);
        immutable_text(&n.address_type, &o.address_type, &Path::new("addressType"), e);
    }),
    warnings: warnings!(EndpointSlice, |n: &EndpointSlice, o: Option<&EndpointSlice>| {
        if o.is_none() && n.address_type == "FQDN" { vec!["spec.addressType: FQDN endpoints are deprecated".to_owned()] } else { Vec::new() }
    }),
    ..Rules::plain(Kind::EndpointSlice, NameRule::DnsSubdomain)
};

const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20_000;
const ADDRESSES_MAX: usize = 100;
const HINTS_MAX: usize = 8;

fn slice(x: &EndpointSlice, e: &mut FieldErrors) {
    if x.address_type.is_empty() {
        e.required(&Path::new("addressType"), "");
    } else if !["FQDN", "IPv4", "IPv6"].contains(&x.address_type.as_str()) {
        e.not_supported(&Path::new("addressType"), &x.address_type, &["FQDN", "IPv4", "IPv6"]);
    }
    let endpoints = items(&x.endpoints);
    if endpoints.len() > ENDPOINTS_MAX {
        e.too_many(&Path::new("endpoints"), endpoints.len(), ENDPOINTS_MAX);
    } else {
        for (i, p) in endpoints.iter().enumerate() {
            endpoint(p, &x.address_type, &Path::new("endpoints").index(i), e);
        }
    }
    ports(items(&x.ports), e);
}

fn endpoint(p: &Endpoint, kind: &str, at: &Path, e: &mut FieldErrors) {
    let path = at.child("addresses");
    if p.addresses.is_empty() {
        e.required(&path, "must contain at least 1 address");
    } else if p.addresses.len() > ADDRESSES_MAX {
        e.too_many(&path, p.addresses.len(), ADDRESSES_MAX);
    }
    for (i, a) in p.addresses.iter().enumerate() {
        let at = path.index(i);
        match kind {
            "FQDN" => complain(&at, a, names::fully_qualified(a), e),
            "IPv4" | "IPv6" => {
                let parsed = a.parse::<std::net::IpAddr>();
                match parsed {
                    Ok(ip) if ip.is_ipv4() == (kind == "IPv4") => special_ip(a, &at, e),
                    Ok(_) => e.invalid(&at, a, format!("must be an {kind} address")),
                    Err(_) => complain(&at, a, names::ip(a), e),
                }
            }
            _ => {}
        }
    }
    if let Some(n) = &p.node_name {
        complain(&at.child("nodeName"), n, names::dns_subdomain(n), e);
    }
    if let Some(h) = &p.hostname {
        complain(&at.child("hostname"), h, names::dns_label(h), e);
    }
    let zones = p.hints.as_ref().map(|h| items(&h.for_zones)).unwrap_or_default();
    if zones.len() > HINTS_MAX {
        e.too_many(&at.child("hints").child("forZones"), zones.len(), HINTS_MAX);
    }
    let again = repeated(zones.iter().map(|z| &z.name));
    for (i, z) in zones.iter().enumerate() {
        let at = at.child("hints").child("forZones").index(i).child("name");
        if again[i] {
            e.duplicate(&at, &z.name);
        }
        complain(&at, &z.name, names::label_value(&z.name), e);
    }
    let nodes = p.hints.as_ref().map(|h| items(&h.for_nodes)).unwrap_or_default();
    if nodes.len() > HINTS_MAX {
        e.too_many(&at.child("hints").child("forNodes"), nodes.len(), HINTS_MAX);
    }
    let again = repeated(nodes.iter().map(|n| &n.name));
    for (i, n) in nodes.iter().enumerate() {
        let at = at.child("hints").child("forNodes").index(i).child("name");
        if again[i] {
            e.duplicate(&at, &n.name);
        }
        complain(&at, &n.name, names::dns_subdomain(&n.name), e);
    }
}

fn ports(list: &[EndpointPort], e: &mut FieldErrors) {
    let path = Path::new("ports");
    if list.len() > PORTS_MAX {
        e.too_many(&path, list.len(), PORTS_MAX);
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, p) in list.iter().enumerate() {
        let at = path.index(i);
        let name = s(&p.name);
        if !name.is_empty() {
            complain(&at.child("name"), name, names::dns_label(name), e);
        }
        if !seen.insert(name) {
            e.duplicate(&at.child("name"), name);
        }
        if p.protocol.is_none() {
            e.required(&at.child("protocol"), "");
        } else if !["SCTP", "TCP", "UDP"].contains(&s(&p.protocol)) {
            e.not_supported(&at.child("protocol"), s(&p.protocol), &["SCTP", "TCP", "UDP"]);
        }
        if let Some(a) = &p.app_protocol {
            complain(&at.child("appProtocol"), a, names::qualified_name(a), e);
        }
    }
}
