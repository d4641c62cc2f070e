//! Endpoints (the old form). Docs: "Services without selectors".

use super::service::special_ip;
use crate::checks::{complain, one_of, port};
use crate::names::{self, NameRule};
use crate::read::{fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit};
use kinds::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints};
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Endpoints, |x: &mut Endpoints| {
        for p in x.subsets.iter_mut().flatten().flat_map(|s| s.ports.iter_mut().flatten()) {
            fill(&mut p.protocol, "TCP");
        }
    }),
    validate: check!(Endpoints, validate),
    validate_update: check_with_old!(Endpoints, |n: &Endpoints, o: &Endpoints, e: &mut FieldErrors| {
        // What was accepted once stays acceptable.
        if n.subsets != o.subsets {
            validate(n, e);
        }
    }),
    allow_create_on_update: true,
    ..Rules::plain(Kind::Endpoints, NameRule::DnsSubdomain)
};

fn validate(x: &Endpoints, e: &mut FieldErrors) {
    for (i, sub) in items(&x.subsets).iter().enumerate() {
        subset(sub, &Path::new("subsets").index(i), e);
    }
}

fn subset(sub: &EndpointSubset, at: &Path, e: &mut FieldErrors) {
    if items(&sub.addresses).is_empty() && items(&sub.not_ready_addresses).is_empty() {
        e.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    for (name, list) in [("addresses", &sub.addresses), ("notReadyAddresses", &sub.not_ready_addresses)] {
        for (i, a) in items(list).iter().enumerate() {
            address(a, &at.child(name).index(i), e);
        }
    }
    let ports = items(&sub.ports);
    for (i, p) in ports.iter().enumerate() {
        let at = at.child("ports").index(i);
        if has(&p.name) {
            complain(&at.child("name"), s(&p.name), names::dns_label(s(&p.name)), e);
        } else if ports.len() > 1 {
            e.required(&at.child("name"), "");
        }
        port(p.port, &at.child("port"), e);
        one_of(s(&p.protocol), &["SCTP", "TCP", "UDP"], &at.child("protocol"), e);
        if let Some(a) = &p.app_protocol {
            complain(&at.child("appProtocol"), a, names::qualified_name(a), e);
        }
    }
}

fn address(a: &EndpointAddress, at: &Path, e: &mut FieldErrors) {
    let why = names::ip(&a.ip);
    let bad = !why.is_empty();
    complain(&at.child("ip"), &a.ip, why, e);
    if has(&a.hostname) {
        complain(&at.child("hostname"), s(&a.hostname), names::dns_label(s(&a.hostname)), e);
    }
    if let Some(n) = &a.node_name {
        complain(&at.child("nodeName"), n, names::dns_subdomain(n), e);
    }
    if bad {
        e.invalid(&at.child("ip"), &a.ip, "must be a valid IP address");
    } else {
        special_ip(&a.ip, &at.child("ip"), e);
    }
}
