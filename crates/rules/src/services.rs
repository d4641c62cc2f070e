//! Cluster IPs and node ports: which a service gets, as a function of the snapshot.
//!
//! Docs: "Service ClusterIP allocation" (the static band, KEP-3070), "NodePort" (KEP-3668), "IPv4/IPv6 dual-stack".

use crate::context::Ctx;
use crate::core::service::{NONE, is_headless, needs_cluster_ip, needs_health_check, needs_node_port};
use crate::read::{has, items, s};
use kinds::api::core::v1::{Service, ServiceSpec};
use kinds::{ApiError, FieldErrors, Object, Path};
use std::sync::Arc;

mod address;
mod families;
mod node_port;
#[cfg(test)]
mod tests;

/// Gives a service the addresses and ports that it needs and does not have. Objects of other kinds are left alone. What is
/// not in earnest may have what others have, and any port.
///
/// # Errors
/// 422 where an address or port that was asked for is taken or out of range, 500 when none is left.
pub fn allocate(ctx: &Ctx<'_>, object: &mut Object, old: Option<&Object>, dry_run: bool) -> Result<(), ApiError> {
    let Object::Service(service) = object else { return Ok(()) };
    let service = Arc::make_mut(service);
    let none = ServiceSpec::default();
    let before = match old {
        Some(Object::Service(o)) => o.spec.as_ref().unwrap_or(&none),
        _ => &none,
    };
    let mut errors = FieldErrors::default();
    let name = s(&service.metadata.name).to_owned();
    let done = fill(ctx, service, before, dry_run, &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::invalid("", "Service", &name, &errors));
    }
    done
}

fn fill(ctx: &Ctx<'_>, service: &mut Service, old: &ServiceSpec, dry_run: bool, e: &mut FieldErrors) -> Result<(), ApiError> {
    let key = (s(&service.metadata.namespace).to_owned(), s(&service.metadata.name).to_owned());
    let spec = service.spec.get_or_insert_default();
    // Validation says what is wrong with such a service.
    let unknown = |f: &String| !["IPv4", "IPv6"].contains(&f.as_str());
    let malformed = |ip: &String| ip != NONE && ip.parse::<std::net::IpAddr>().is_err();
    let unaddressed = spec.cluster_ip.is_none() && !items(&spec.cluster_ips).is_empty();
    let list = items(&spec.ip_families);
    if list.iter().any(unknown) || list.windows(2).any(|w| w[0] == w[1]) || items(&spec.cluster_ips).iter().any(malformed) || unaddressed {
        return Ok(());
    }
    if needs_cluster_ip(spec) {
        families::settle(spec, &ctx.config.service_cidrs, e);
        if !e.is_empty() {
            return Ok(());
        }
        if is_headless(spec) {
            spec.cluster_ip = Some(NONE.into());
            spec.cluster_ips = Some(vec![NONE.into()]);
        } else {
            addresses(ctx, spec, old, (&key, dry_run), e)?;
        }
    }
    if needs_node_port(spec) || needs_health_check(spec) {
        let mut taken = node_port::taken(ctx.snapshot, &key);
        let mut refused = FieldErrors::default();
        if needs_node_port(spec) {
            node_port::fill(ctx, spec, old, &mut taken, &mut refused)?;
        }
        if needs_health_check(spec) {
            node_port::health_check(ctx, spec, old, &mut taken, &mut refused)?;
        }
        if !dry_run {
            e.extend(refused);
        }
    }
    Ok(())
}

fn addresses(
    ctx: &Ctx<'_>,
    spec: &mut ServiceSpec,
    old: &ServiceSpec,
    (key, dry_run): (&(String, String), bool),
    e: &mut FieldErrors,
) -> Result<(), ApiError> {
    let (taken, networks) = (address::taken(ctx, key), address::networks(ctx));
    let families = items(&spec.ip_families).to_vec();
    let mut ips: Vec<String> = items(&spec.cluster_ips).to_vec();
    ips.truncate(families.len());
    let asked = ips.clone();
    for (i, family) in families.iter().enumerate() {
        if !networks.iter().any(|n| families::of(n) == family) {
            continue;
        }
        match ips.get(i).filter(|ip| !ip.is_empty()) {
            Some(ip) if items(&old.cluster_ips).contains(ip) => {}
            Some(ip) => {
                let none = Default::default();
                if let Err(mut why) = address::check(ip, &networks, if dry_run { &none } else { &taken }) {
                    if dry_run && let Some(range) = ctx.config.service_cidrs.first() {
                        why = format!("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}");
                    }
                    let at = Path::new("spec.clusterIPs");
                    e.invalid(&at, crate::json::list(&asked), format!("failed to allocate IP {ip}: {why}"));
                }
            }
            None => {
                let of_family = networks.iter().filter(|n| families::of(n) == family);
                let free = of_family.filter_map(|n| address::pick(n, &taken, ctx.ids)).next();
                let ip = free.ok_or_else(|| ApiError::internal("failed to allocate a serviceIP: range is full"))?;
                ips.push(ip.to_string());
            }
        }
    }
    spec.cluster_ip = ips.first().cloned();
    spec.cluster_ips = Some(ips);
    if !has(&spec.cluster_ip) {
        spec.cluster_ips = None;
    }
    Ok(())
}
