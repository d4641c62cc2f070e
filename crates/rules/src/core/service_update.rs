//! Services over time: what a write without it keeps, what a change of type lets go, what may never change.

use super::service::{
    externally_accessible, is_headless, needs_cluster_ip, needs_health_check, needs_node_port, no_status,
};
use crate::read::{has, items, s};
use kinds::api::core::v1::{Service, ServiceSpec};
use kinds::{FieldErrors, Path};

/// A new service: no status, and the two spellings of the address brought together.
pub(super) fn prepare_create(x: &mut Service) {
    x.status = Some(no_status());
    let spec = x.spec.get_or_insert_default();
    if has(&spec.cluster_ip) && items(&spec.cluster_ips).is_empty() {
        spec.cluster_ips = spec.cluster_ip.clone().map(|ip| vec![ip]);
    }
    drop_empty(spec);
}

fn drop_empty(spec: &mut ServiceSpec) {
    crate::read::unset_empty(&mut spec.cluster_ip);
    if spec.health_check_node_port == Some(0) {
        spec.health_check_node_port = None;
    }
    for p in spec.ports.iter_mut().flatten() {
        if p.node_port == Some(0) {
            p.node_port = None;
        }
    }
}

/// A changed service: status kept, allocated values kept where the writer left them out, and values that the new type
/// has no use for dropped unless the writer changed them.
pub(super) fn prepare_update(n: &mut Service, o: &Service) {
    n.status.clone_from(&o.status);
    let none = ServiceSpec::default();
    let (new, old) = (n.spec.get_or_insert_default(), o.spec.as_ref().unwrap_or(&none));
    addresses(new, old);
    drop_by_type(new, old);
    keep_allocated(new, old);
    drop_empty(new);
}

fn addresses(new: &mut ServiceSpec, old: &ServiceSpec) {
    let same_list = items(&new.cluster_ips) == items(&old.cluster_ips);
    if s(&new.cluster_ip) == s(&old.cluster_ip) || !same_list {
        // Who writes only the single spelling of a new address means the list too.
        if has(&new.cluster_ip) && items(&new.cluster_ips).is_empty() {
            new.cluster_ips = new.cluster_ip.clone().map(|ip| vec![ip]);
        }
        return;
    }
    if !has(&new.cluster_ip) {
        new.cluster_ips = None;
    } else if let Some(ip) = new.cluster_ip.clone() {
        let list = new.cluster_ips.get_or_insert_default();
        if list.is_empty() {
            list.push(ip);
        } else {
            list[0] = ip;
        }
    }
}

fn keep_allocated(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(new) && needs_cluster_ip(old) {
        if !has(&new.cluster_ip) {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if items(&new.cluster_ips).is_empty() && s(&new.cluster_ip) == s(&old.cluster_ip) {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
        if items(&new.ip_families).is_empty() {
            new.ip_families.clone_from(&old.ip_families);
        }
        if new.ip_family_policy.is_none() {
            new.ip_family_policy.clone_from(&old.ip_family_policy);
        }
    }
    if needs_node_port(new) && needs_node_port(old) {
        let taken: Vec<i32> = items(&new.ports).iter().filter_map(|p| p.node_port).filter(|n| *n != 0).collect();
        for p in new.ports.iter_mut().flatten().filter(|p| p.node_port.unwrap_or_default() == 0) {
            let was = items(&old.ports).iter().find(|x| x.port == p.port && s(&x.protocol) == s(&p.protocol));
            p.node_port = was.and_then(|w| w.node_port).filter(|n| !taken.contains(n));
        }
    }
    if needs_health_check(new) && needs_health_check(old) && new.health_check_node_port.unwrap_or_default() == 0 {
        new.health_check_node_port = old.health_check_node_port;
    }
}

/// Fields that only the old type used go away with it, as long as the writer just sent them back.
fn drop_by_type(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        if s(&new.cluster_ip) == s(&old.cluster_ip) && items(&new.cluster_ips) == items(&old.cluster_ips) {
            (new.cluster_ip, new.cluster_ips) = (None, None);
        }
        if new.ip_families == old.ip_families {
            new.ip_families = None;
        }
        if new.ip_family_policy == old.ip_family_policy {
            new.ip_family_policy = None;
        }
    }
    if needs_node_port(old) && !needs_node_port(new) {
        let was: Vec<Option<i32>> = items(&old.ports).iter().map(|p| p.node_port).collect();
        for p in new.ports.iter_mut().flatten() {
            if was.contains(&p.node_port) {
                p.node_port = None;
            }
        }
    }
    if needs_health_check(old) && !needs_health_check(new) && new.health_check_node_port == old.health_check_node_port {
        new.health_check_node_port = None;
    }
    let balanced = |x: &ServiceSpec| s(&x.type_) == "LoadBalancer";
    if balanced(old) && !balanced(new) {
        if new.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            new.allocate_load_balancer_node_ports = None;
        }
        if new.load_balancer_class == old.load_balancer_class {
            new.load_balancer_class = None;
        }
    }
    if externally_accessible(old)
        && !externally_accessible(new)
        && new.external_traffic_policy == old.external_traffic_policy
    {
        new.external_traffic_policy = None;
    }
    if needs_cluster_ip(old) && !needs_cluster_ip(new) && new.internal_traffic_policy == old.internal_traffic_policy {
        new.internal_traffic_policy = None;
    }
}

const FIXED: &str = "may not change once set";

/// What may never change while the type needs an address.
pub(super) fn validate(n: &Service, o: &Service, e: &mut FieldErrors) {
    let (Some(new), Some(old)) = (&n.spec, &o.spec) else { return };
    let path = Path::new("spec");
    let external = [new, old].iter().any(|x| s(&x.type_) == "ExternalName");
    if !external {
        addresses_kept(new, old, &path, e);
        families_kept(new, old, &path, e);
    }
    let class = |x: &ServiceSpec| x.load_balancer_class.clone();
    if s(&old.type_) == "LoadBalancer" && s(&new.type_) == "LoadBalancer" && class(old) != class(new) {
        let shown = class(new).map_or_else(crate::json::null, |c| kinds::field::Bare(format!("{c:?}")));
        e.invalid(&path.child("loadBalancerClass"), shown, FIXED);
    }
    // The class is looked at here, and with the rest of the service again.
    super::service::load_balancer_class(new, &path, e);
    if needs_health_check(old) && needs_health_check(new) && old.health_check_node_port.unwrap_or_default() != new.health_check_node_port.unwrap_or_default() {
        e.forbidden(&path.child("healthCheckNodePort"), crate::meta::IMMUTABLE);
    }
}

/// The first address stays; a second one comes and goes with the policy (KEP-563).
fn addresses_kept(new: &ServiceSpec, old: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    if is_headless(new) && is_headless(old) {
        return;
    }
    let (is, was) = (items(&new.cluster_ips), items(&old.cluster_ips));
    let at = path.child("clusterIPs");
    let mut told = |i: usize, why: &str| e.invalid(&at.index(i), shown(&new.cluster_ips), why);
    if was.len() == is.len() {
        (0..was.len()).filter(|i| was[*i] != is[*i]).for_each(|i| told(i, FIXED));
        return;
    }
    match (was.first(), is.first()) {
        (Some(_), None) => told(0, "primary clusterIP can not be unset"),
        (Some(a), Some(b)) if a != b => told(0, FIXED),
        _ => {}
    }
    if was.len() > is.len() && is.len() == 1 {
        single(new, path, "must be set to 'SingleStack' when releasing the secondary clusterIP", e);
    }
}

fn families_kept(new: &ServiceSpec, old: &ServiceSpec, path: &Path, e: &mut FieldErrors) {
    if is_headless(new) || is_headless(old) {
        return;
    }
    let (is, was) = (items(&new.ip_families), items(&old.ip_families));
    let at = path.child("ipFamilies").index(0);
    if was.len() == is.len() {
        for _ in was.iter().zip(is).filter(|(a, b)| a != b) {
            e.invalid(&at, shown(&new.ip_families), FIXED);
        }
        return;
    }
    let less = was.len() > is.len();
    if less && items(&new.cluster_ips).is_empty() {
        e.invalid(&at, shown(&new.ip_families), "primary ipFamily can not be unset");
    }
    if let (Some(a), Some(b)) = (was.first(), is.first())
        && a != b
    {
        // The addresses are what is shown.
        e.invalid(&at, shown(&new.cluster_ips), FIXED);
    }
    if less && is.len() == 1 {
        single(new, path, "must be set to 'SingleStack' when releasing the secondary ipFamily", e);
    }
}

fn single(new: &ServiceSpec, path: &Path, why: &str, e: &mut FieldErrors) {
    if s(&new.ip_family_policy) != "SingleStack" {
        let shown = new.ip_family_policy.as_ref().map_or_else(crate::json::null, |p| kinds::field::Bare(format!("{p:?}")));
        e.invalid(&path.child("ipFamilyPolicy"), shown, why);
    }
}

fn shown(list: &Option<Vec<String>>) -> kinds::field::Bare {
    list.as_ref().filter(|l| !l.is_empty()).map_or_else(crate::json::null, |l| crate::json::list(l))
}
