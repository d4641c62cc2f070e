//! NetworkPolicies. Docs: "Network Policies".

use crate::checks::{complain, port, port_or_name};
use crate::meta::{self, Values};
use crate::names::{self, NameRule};
use crate::read::items;
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use ipnet::IpNet;
use kinds::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use kinds::{FieldErrors, IntOrString, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(NetworkPolicy, default),
    prepare_create: edit!(NetworkPolicy, |p: &mut NetworkPolicy| p.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(NetworkPolicy, |n: &mut NetworkPolicy, o: &NetworkPolicy| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(NetworkPolicy, validate),
    validate_update: check_with_old!(NetworkPolicy, |n: &NetworkPolicy, _: &NetworkPolicy, e: &mut FieldErrors| validate(n, e)),
    ..Rules::plain(Kind::NetworkPolicy, NameRule::DnsSubdomain)
};

fn default(p: &mut NetworkPolicy) {
    let spec = p.spec.get_or_insert_default();
    spec.pod_selector.get_or_insert_default();
    let ports = spec.ingress.iter_mut().flatten().flat_map(|r| r.ports.iter_mut().flatten());
    let more = spec.egress.iter_mut().flatten().flat_map(|r| r.ports.iter_mut().flatten());
    for p in ports.chain(more) {
        p.protocol.get_or_insert_with(|| "TCP".into());
    }
    if items(&spec.policy_types).is_empty() {
        let mut types = vec!["Ingress".to_owned()];
        if !items(&spec.egress).is_empty() {
            types.push("Egress".into());
        }
        spec.policy_types = Some(types);
    }
}

fn validate(p: &NetworkPolicy, e: &mut FieldErrors) {
    let none = NetworkPolicySpec::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    meta::label_selector(spec.pod_selector.as_ref(), Values::Strict, &path.child("podSelector"), e);
    for (i, r) in items(&spec.ingress).iter().enumerate() {
        let at = path.child("ingress").index(i);
        ports(items(&r.ports), &at, e);
        peers(items(&r.from), &at.child("from"), e);
    }
    for (i, r) in items(&spec.egress).iter().enumerate() {
        let at = path.child("egress").index(i);
        ports(items(&r.ports), &at, e);
        peers(items(&r.to), &at.child("to"), e);
    }
    let types = items(&spec.policy_types);
    if types.len() > 2 {
        e.invalid(&path.child("policyTypes"), crate::json::list(types), "may not specify more than two policyTypes");
        return;
    }
    for (i, t) in types.iter().enumerate() {
        if !["Egress", "Ingress"].contains(&t.as_str()) {
            e.not_supported(&path.child("policyTypes").index(i), t, &["Ingress", "Egress"]);
        }
    }
}

fn ports(list: &[NetworkPolicyPort], at: &Path, e: &mut FieldErrors) {
    for (i, p) in list.iter().enumerate() {
        let at = at.child("ports").index(i);
        let protocol = p.protocol.as_deref().unwrap_or_default();
        if !["SCTP", "TCP", "UDP"].contains(&protocol) {
            e.not_supported(&at.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
        }
        let end = p.end_port;
        let end_path = at.child("endPort");
        match (&p.port, end) {
            (None, Some(end)) => e.invalid(&end_path, end, "may not be specified when `port` is not specified"),
            (Some(IntOrString::String(_)), Some(end)) => e.invalid(&end_path, end, "may not be specified when `port` is non-numeric"),
            _ => {}
        }
        if let Some(n) = &p.port {
            port_or_name(n, &at.child("port"), e);
        }
        if let (Some(IntOrString::Int(n)), Some(end)) = (&p.port, end) {
            if end < *n {
                e.invalid(&end_path, *n, "must be greater than or equal to `port`");
            }
            port(end, &end_path, e);
        }
    }
}

fn peers(list: &[NetworkPolicyPeer], at: &Path, e: &mut FieldErrors) {
    for (i, p) in list.iter().enumerate() {
        let at = at.index(i);
        meta::label_selector(p.pod_selector.as_ref(), Values::Strict, &at.child("podSelector"), e);
        meta::label_selector(p.namespace_selector.as_ref(), Values::Strict, &at.child("namespaceSelector"), e);
        let selects = p.pod_selector.is_some() || p.namespace_selector.is_some();
        if let Some(b) = &p.ip_block {
            block(b, &at.child("ipBlock"), e);
        }
        match (&p.ip_block, selects) {
            (None, false) => e.required(&at, "must specify a peer"),
            (Some(_), true) => e.forbidden(&at, "may not specify both ipBlock and another peer"),
            _ => {}
        }
    }
}

fn block(b: &IPBlock, at: &Path, e: &mut FieldErrors) {
    if b.cidr.is_empty() {
        e.required(&at.child("cidr"), "");
        return;
    }
    complain(&at.child("cidr"), &b.cidr, names::cidr(&b.cidr), e);
    let Ok(net) = b.cidr.parse::<IpNet>() else { return };
    for (i, x) in items(&b.except).iter().enumerate() {
        let at = at.child("except").index(i);
        complain(&at, x, names::cidr(x), e);
        let Ok(inner) = x.parse::<IpNet>() else { continue };
        if !net.contains(&inner) || inner.prefix_len() <= net.prefix_len() {
            e.invalid(&at, x, "must be a strict subset of `cidr`");
        }
    }
}
