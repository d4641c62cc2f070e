//! `ipFamilies` and `ipFamilyPolicy`: what a service that does not say otherwise gets.

use crate::core::service::is_headless;
use crate::read::items;
use ipnet::IpNet;
use kinds::api::core::v1::ServiceSpec;
use kinds::{FieldErrors, Path};

/// The family of a network.
pub(super) fn of(net: &IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "IPv4",
        IpNet::V6(_) => "IPv6",
    }
}

fn other(family: &str) -> &'static str {
    if family == "IPv6" { "IPv4" } else { "IPv6" }
}

/// Settles families and policy, and complains where the cluster has no such family.
pub(super) fn settle(spec: &mut ServiceSpec, cidrs: &[IpNet], e: &mut FieldErrors) {
    let Some(first) = cidrs.first().map(of) else { return };
    let have: Vec<&str> = cidrs.iter().map(of).collect();
    let mut families = items(&spec.ip_families).to_vec();
    let headless = is_headless(spec);
    if headless && spec.selector.as_ref().is_none_or(|s| s.is_empty()) {
        // Nobody knows where the endpoints of such a service come from, so both families are possible.
        let policy = spec.ip_family_policy.get_or_insert_with(|| "RequireDualStack".into()).clone();
        if families.is_empty() {
            families.push(first.to_owned());
        }
        if families.len() == 1 && policy != "SingleStack" {
            families.push(other(&families[0]).to_owned());
        }
        spec.ip_families = Some(families);
        return;
    }
    let policy = spec.ip_family_policy.get_or_insert_with(|| "SingleStack".into()).clone();
    for (i, f) in families.iter().enumerate() {
        if !have.contains(&f.as_str()) {
            e.invalid(&Path::new("spec.ipFamilies").index(i), f, "not configured on this cluster");
        }
    }
    if policy == "RequireDualStack" && have.len() < 2 {
        let why = "this cluster is not configured for dual-stack services";
        e.invalid(&Path::new("spec.ipFamilyPolicy"), &policy, why);
    }
    if families.is_empty() {
        let given = items(&spec.cluster_ips).iter().filter(|ip| *ip != "None");
        families = given.map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" }.to_owned()).collect();
    }
    if families.is_empty() {
        families.push(first.to_owned());
    }
    for (i, f) in families.iter().enumerate() {
        if !have.contains(&f.as_str()) && items(&spec.ip_families).is_empty() {
            let at = Path::new("spec.clusterIPs").index(i);
            let ip = items(&spec.cluster_ips).get(i).cloned().unwrap_or_default();
            e.invalid(&at, ip, format!("{f} is not configured on this cluster"));
        }
    }
    if policy == "SingleStack" {
        families.truncate(1);
    } else if families.len() == 1 && have.len() > 1 {
        families.push(other(&families[0]).to_owned());
    }
    spec.ip_families = Some(families);
}
