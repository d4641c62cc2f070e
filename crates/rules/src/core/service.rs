//! Services. Docs: "Service", "Virtual IPs and Service Proxies", "IPv4/IPv6 dual-stack"; KEP-1138, KEP-2086, KEP-2433.

use super::service_update;
use crate::checks::{complain, one_of, port, port_or_name, repeated};
use crate::meta;
use crate::names::{self, NameRule};
use crate::read::{fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, fields, warnings};
use kinds::api::core::v1::{LoadBalancerStatus, Service, ServicePort, ServiceSpec, ServiceStatus};
use kinds::field::Bare;
use kinds::{FieldErrors, IntOrString, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Service, default),
    prepare_create: edit!(Service, service_update::prepare_create),
    prepare_update: edit_with_old!(Service, service_update::prepare_update),
    prepare_status_update: Some(edit_with_old!(Service, |n: &mut Service, o: &Service| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(Service, |x: &Service, e: &mut FieldErrors| {
        validate(x, e);
        addresses_first(x, e);
    }),
    validate_update: check_with_old!(Service, |n: &Service, o: &Service, e: &mut FieldErrors| {
        if known_type(n) {
            service_update::validate(n, o, e);
        }
        validate(n, e);
        addresses_first(n, e);
    }),
    validate_status_update: check_with_old!(Service, |n: &Service, o: &Service, e: &mut FieldErrors| {
        let balanced = n.spec.as_ref().is_some_and(|x| s(&x.type_) == "LoadBalancer");
        crate::statuses::service(&n.status.clone().unwrap_or_default(), o.status.as_ref(), balanced, e);
    }),
    warnings: warnings!(Service, |n: &Service, _: Option<&Service>| told(n)),
    allow_create_on_update: true,
    fields: fields!(Service, |x: &Service| {
        let none = ServiceSpec::default();
        let spec = x.spec.as_ref().unwrap_or(&none);
        vec![("spec.clusterIP", s(&spec.cluster_ip).to_owned()), ("spec.type", s(&spec.type_).to_owned())]
    }),
    ..Rules::plain(Kind::Service, NameRule::DnsLabel)
};

fn known_type(x: &Service) -> bool {
    x.spec.as_ref().is_some_and(|x| ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"].contains(&s(&x.type_)))
}

/// Addresses are allocated before all else is looked at: of a service whose own do not fit, only that is told.
fn addresses_first(x: &Service, e: &mut FieldErrors) {
    let Some(spec) = x.spec.as_ref().filter(|x| s(&x.type_) != "ExternalName") else { return };
    let mut first = FieldErrors::default();
    addresses(spec, &Path::new("spec"), &mut first);
    if !first.is_empty() {
        *e = first;
    }
}

/// What a service names in vain.
fn told(x: &Service) -> Vec<String> {
    let Some(spec) = &x.spec else { return Vec::new() };
    let mut all = Vec::new();
    if !items(&spec.external_ips).is_empty() {
        all.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    if has(&spec.external_name) && s(&spec.type_) != "ExternalName" {
        all.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if is_headless(spec) && s(&spec.type_) == "ClusterIP" {
        if has(&spec.load_balancer_ip) {
            all.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if s(&spec.session_affinity) == "ClientIP" {
            all.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    all
}

/// How long a client sticks to a pod, and at most.
const AFFINITY_S: i32 = 10_800;
const AFFINITY_S_MAX: i32 = 86_400;

/// The headless address.
pub const NONE: &str = "None";

/// Whether a service has a cluster IP at all.
#[must_use]
pub fn needs_cluster_ip(spec: &ServiceSpec) -> bool {
    matches!(s(&spec.type_), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether its ports also open on nodes.
#[must_use]
pub fn needs_node_port(spec: &ServiceSpec) -> bool {
    s(&spec.type_) == "NodePort"
        || (s(&spec.type_) == "LoadBalancer" && spec.allocate_load_balancer_node_ports != Some(false))
}

/// Whether load balancers ask nodes for the health of local endpoints.
#[must_use]
pub fn needs_health_check(spec: &ServiceSpec) -> bool {
    s(&spec.type_) == "LoadBalancer" && s(&spec.external_traffic_policy) == "Local"
}

/// Whether traffic from outside the cluster can reach it.
#[must_use]
pub fn externally_accessible(spec: &ServiceSpec) -> bool {
    matches!(s(&spec.type_), "NodePort" | "LoadBalancer")
        || (s(&spec.type_) == "ClusterIP" && !items(&spec.external_ips).is_empty())
}

/// Whether it is headless.
#[must_use]
pub fn is_headless(spec: &ServiceSpec) -> bool {
    items(&spec.cluster_ips).first().is_some_and(|ip| ip == NONE) || s(&spec.cluster_ip) == NONE
}

fn default(x: &mut Service) {
    let spec = x.spec.get_or_insert_default();
    fill(&mut spec.session_affinity, "None");
    if s(&spec.session_affinity) == "None" {
        spec.session_affinity_config = None;
    } else if s(&spec.session_affinity) == "ClientIP" {
        let config = spec.session_affinity_config.get_or_insert_default().client_ip.get_or_insert_default();
        config.timeout_seconds.get_or_insert(AFFINITY_S);
    }
    fill(&mut spec.type_, "ClusterIP");
    for p in spec.ports.iter_mut().flatten() {
        fill(&mut p.protocol, "TCP");
        if matches!(&p.target_port, None | Some(IntOrString::Int(0))) || matches!(&p.target_port, Some(IntOrString::String(t)) if t.is_empty()) {
            p.target_port = Some(IntOrString::Int(p.port));
        }
    }
    if externally_accessible(spec) {
        fill(&mut spec.external_traffic_policy, "Cluster");
    }
    if needs_cluster_ip(spec) {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".into());
    }
    if s(&spec.type_) == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
        let status = x.status.get_or_insert_default().load_balancer.get_or_insert_default();
        for i in status.ingress.iter_mut().flatten().filter(|i| has(&i.ip)) {
            i.ip_mode.get_or_insert("VIP".into());
        }
    }
}

/// An empty status, as it is written.
pub(crate) fn no_status() -> ServiceStatus {
    ServiceStatus { load_balancer: Some(LoadBalancerStatus::default()), ..ServiceStatus::default() }
}

fn validate(x: &Service, e: &mut FieldErrors) {
    let none = ServiceSpec::default();
    let spec = x.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    if items(&spec.ports).is_empty() && !is_headless(spec) && s(&spec.type_) != "ExternalName" {
        e.required(&path.child("ports"), "");
    }
    by_type(spec, &path, e);
    let ports = items(&spec.ports);
    let again = repeated(ports.iter().map(|p| s(&p.name)));
    for (i, p) in ports.iter().enumerate() {
        service_port(p, ports.len() > 1, again[i], &path.child("ports").index(i), e);
    }
    meta::labels(spec.selector.as_ref(), &path.child("selector"), e);
    affinity(spec, &path, e);
    addresses(spec, &path, e);
    for (i, ip) in items(&spec.external_ips).iter().enumerate() {
        let at = path.child("externalIPs").index(i);
        let why = names::ip(ip);
        if why.is_empty() {
            special_ip(ip, &at, e);
        } else {
            complain(&at, ip, why, e);
        }
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(s(&spec.type_), &types, &path.child("type"), e);
    ports_as_a_whole(spec, &path, e);
    load_balancer(spec, &path, e);
    traffic(spec, &path, e);
}

fn by_type(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    match s(&spec.type_) {
        kind @ ("NodePort" | "LoadBalancer") if is_headless(spec) => {
            let why = format!("may not be set to 'None' for {kind} services");
            e.invalid(&path.child("clusterIPs").index(0), NONE, why);
        }
        "ExternalName" => {
            if !items(&spec.cluster_ips).is_empty() {
                e.forbidden(&path.child("clusterIPs"), "may not be set for ExternalName services");
            }
            let name = s(&spec.external_name);
            let bare = name.strip_suffix('.').unwrap_or(name);
            if bare.is_empty() {
                e.required(&path.child("externalName"), "");
            } else {
                complain(&path.child("externalName"), bare, names::dns_subdomain(bare), e);
            }
        }
        _ => {}
    }
}

fn service_port(p: &ServicePort, of_many: bool, name_again: bool, at: &Path, e: &mut FieldErrors) {
    let name = s(&p.name);
    if name.is_empty() {
        if of_many {
            e.required(&at.child("name"), "");
        }
    } else {
        complain(&at.child("name"), name, names::dns_label(name), e);
        if name_again {
            e.duplicate(&at.child("name"), name);
        }
    }
    port(p.port, &at.child("port"), e);
    one_of(s(&p.protocol), &["SCTP", "TCP", "UDP"], &at.child("protocol"), e);
    if let Some(t) = &p.target_port {
        port_or_name(t, &at.child("targetPort"), e);
    }
    if let Some(a) = &p.app_protocol {
        complain(&at.child("appProtocol"), a, names::qualified_name(a), e);
    }
}

fn affinity(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    one_of(s(&spec.session_affinity), &["ClientIP", "None"], &path.child("sessionAffinity"), e);
    let at = path.child("sessionAffinityConfig");
    match s(&spec.session_affinity) {
        "ClientIP" => {
            let Some(c) = &spec.session_affinity_config else {
                e.required(&at, "when session affinity type is ClientIP");
                return;
            };
            let at = at.child("clientIP");
            match c.client_ip.as_ref().map(|c| c.timeout_seconds) {
                None => e.required(&at, "when session affinity type is ClientIP"),
                Some(None) => e.required(&at.child("timeoutSeconds"), "when session affinity type is ClientIP"),
                Some(Some(n)) if !(1..=AFFINITY_S_MAX).contains(&n) => {
                    let why = format!("must be greater than 0 and less than {AFFINITY_S_MAX}");
                    e.invalid(&at.child("timeoutSeconds"), n, why);
                }
                Some(Some(_)) => {}
            }
        }
        "None" if spec.session_affinity_config.is_some() => {
            e.forbidden(&at, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

/// Addresses that cannot lead to a service.
pub(crate) fn special_ip(text: &str, at: &Path, e: &mut FieldErrors) {
    let Ok(ip) = text.parse::<std::net::IpAddr>() else { return };
    let link_local = match ip {
        std::net::IpAddr::V4(v) => v.is_link_local(),
        std::net::IpAddr::V6(v) => v.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_multicast = match ip {
        std::net::IpAddr::V4(v) => v.octets()[..3] == [224, 0, 0],
        std::net::IpAddr::V6(v) => v.segments()[0] == 0xff02,
    };
    for (bad, why) in [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ] {
        if bad {
            e.invalid(at, text, why);
        }
    }
}

/// `clusterIP`, `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` among each other.
fn addresses(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    let (ips, families) = (items(&spec.cluster_ips), items(&spec.ip_families));
    if s(&spec.type_) == "ExternalName" {
        let why = "may not be set for ExternalName services";
        if !families.is_empty() {
            e.forbidden(&path.child("ipFamilies"), why);
        }
        if spec.ip_family_policy.is_some() {
            e.forbidden(&path.child("ipFamilyPolicy"), why);
        }
        return;
    }
    let first = s(&spec.cluster_ip);
    if first.is_empty() && !ips.is_empty() {
        let why = "must be empty when `clusterIP` is not specified";
        e.invalid(&path.child("clusterIPs"), crate::json::list(ips), why);
    } else if let Some(ip) = ips.first()
        && ip != first
    {
        let why = "first value must match `clusterIP`";
        e.invalid(&path.child("clusterIPs"), crate::json::list(ips), why);
    }
    let known = ["IPv4", "IPv6"];
    let again = repeated(families);
    for (i, f) in families.iter().enumerate() {
        if !known.contains(&f.as_str()) {
            e.not_supported(&path.child("ipFamilies").index(i), f, &known);
        } else if again[i] {
            e.duplicate(&path.child("ipFamilies").index(i), f);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    if let Some(p) = spec.ip_family_policy.as_deref() {
        if !policies.contains(&p) {
            e.not_supported(&path.child("ipFamilyPolicy"), p, &policies);
        }
    }
    let before = e.len();
    cluster_ips(ips, families, &path.child("clusterIPs"), e);
    if s(&spec.ip_family_policy) == "SingleStack" && (families.len() > 1 || ips.len() > 1) && e.len() == before && distinct(families) {
        let why = "must be RequireDualStack or PreferDualStack when multiple `ipFamilies` are specified";
        e.invalid(&path.child("ipFamilyPolicy"), "SingleStack", why);
    }
}

fn distinct(families: &[String]) -> bool {
    !repeated(families).contains(&true)
}

fn cluster_ips(ips: &[String], families: &[String], path: &Path, e: &mut FieldErrors) {
    let mut bad = false;
    for (i, ip) in ips.iter().enumerate() {
        if i == 0 && ip == NONE {
            if ips.len() > 1 {
                e.invalid(path, crate::json::list(ips), format!("'{NONE}' must be the first and only value"));
                bad = true;
            }
            continue;
        }
        let why = names::ip(ip);
        bad |= !why.is_empty();
        complain(&path.index(i), ip, why, e);
    }
    if ips.len() > 2 {
        e.invalid(path, crate::json::list(ips), "may only hold up to 2 values");
    }
    if bad {
        return;
    }
    let six = |ip: &String| ip.contains(':');
    if ips.len() > 1 && ips.iter().all(six) == ips.iter().any(six) {
        e.invalid(path, crate::json::list(ips), "may specify no more than one IP for each IP family");
    }
    for (i, (ip, family)) in ips.iter().zip(families).enumerate().filter(|(_, (ip, _))| *ip != NONE) {
        if (family == "IPv4" && six(ip)) || (family == "IPv6" && !six(ip)) {
            e.invalid(&path.index(i), ip, format!("expected an {family} value as indicated by `ipFamilies[{i}]`"));
        }
    }
}

fn ports_as_a_whole(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    let all = items(&spec.ports);
    if s(&spec.type_) == "ClusterIP" {
        for (i, p) in all.iter().enumerate() {
            if p.node_port.unwrap_or_default() != 0 {
                let at = path.child("ports").index(i).child("nodePort");
                e.forbidden(&at, "may not be used when `type` is 'ClusterIP'");
            }
        }
    }
    let node_again = repeated(all.iter().map(|p| (p.node_port, s(&p.protocol))));
    let again = repeated(all.iter().map(|p| (p.port, s(&p.protocol))));
    for (i, p) in all.iter().enumerate() {
        let at = path.child("ports").index(i);
        let node = p.node_port.unwrap_or_default();
        if node != 0 && node_again[i] {
            e.duplicate(&at.child("nodePort"), node);
        }
        if again[i] {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{:?},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                s(&p.protocol), p.port
            );
            e.duplicate(&at, Bare(shown));
        }
    }
}

fn load_balancer(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    let balanced = s(&spec.type_) == "LoadBalancer";
    let why = "may only be used when `type` is 'LoadBalancer'";
    let ranges = items(&spec.load_balancer_source_ranges);
    if !ranges.is_empty() && !balanced {
        e.forbidden(&path.child("LoadBalancerSourceRanges"), why);
    }
    for (i, r) in ranges.iter().enumerate() {
        complain(&path.child("LoadBalancerSourceRanges").index(i), r, names::cidr(r.trim()), e);
    }
    if balanced && spec.allocate_load_balancer_node_ports.is_none() {
        e.required(&path.child("allocateLoadBalancerNodePorts"), "");
    }
    if !balanced && spec.allocate_load_balancer_node_ports.is_some() {
        e.forbidden(&path.child("allocateLoadBalancerNodePorts"), why);
    }
    load_balancer_class(spec, path, e);
}

/// The class of the load balancer: for services that ask for one.
pub(super) fn load_balancer_class(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    if let Some(c) = &spec.load_balancer_class {
        if s(&spec.type_) == "LoadBalancer" {
            complain(&path.child("loadBalancerClass"), c, names::qualified_name(c), e);
        } else {
            e.forbidden(&path.child("loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'");
        }
    }
}

fn traffic(spec: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    let (at, policy) = (path.child("externalTrafficPolicy"), s(&spec.external_traffic_policy));
    if externally_accessible(spec) {
        one_of(policy, &["Cluster", "Local"], &at, e);
    } else if !policy.is_empty() {
        e.invalid(&at, policy, "may only be set for externally-accessible services");
    }
    let check = spec.health_check_node_port.unwrap_or_default();
    if check != 0 && !needs_health_check(spec) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        e.invalid(&path.child("healthCheckNodePort"), check, why);
    } else if check != 0 {
        port(check, &path.child("healthCheckNodePort"), e);
    }
    match spec.internal_traffic_policy.as_deref() {
        None if needs_cluster_ip(spec) => e.required(&path.child("internalTrafficPolicy"), ""),
        Some(policy) if !["Cluster", "Local"].contains(&policy) => {
            e.not_supported(&path.child("internalTrafficPolicy"), policy, &["Cluster", "Local"]);
        }
        _ => {}
    }
    if let Some(d) = &spec.traffic_distribution {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        if !known.contains(&d.as_str()) {
            e.not_supported(&path.child("trafficDistribution"), d, &known);
        }
    }
}
