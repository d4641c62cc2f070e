//! Node ports: one range for all services, an explicit choice checked, the upper band given out first.

use super::address::band;
use crate::context::Ctx;
use crate::read::{items, s};
use cache::Snapshot;
use kinds::api::core::v1::{Service, ServiceSpec};
use kinds::{ApiError, FieldErrors, Path};
use std::collections::{BTreeMap, BTreeSet};

const BAND_MIN: u128 = 16;
const BAND_MAX: u128 = 128;
const BAND_STEP: u128 = 32;

/// Every port in use by another service than `key`.
pub(super) fn taken(snapshot: &Snapshot, key: &(String, String)) -> BTreeSet<i32> {
    let mut all = BTreeSet::new();
    for service in snapshot.list::<Service>("") {
        let m = &service.metadata;
        if m.namespace.as_ref() == Some(&key.0) && m.name.as_ref() == Some(&key.1) {
            continue;
        }
        let Some(spec) = &service.spec else { continue };
        all.extend(items(&spec.ports).iter().filter_map(|p| p.node_port).filter(|n| *n != 0));
        all.extend(spec.health_check_node_port.filter(|n| *n != 0));
    }
    all
}

fn check(ctx: &Ctx<'_>, n: i32, taken: &BTreeSet<i32>) -> Result<(), String> {
    let (low, high) = ctx.config.node_ports;
    if n < i32::from(low) || n > i32::from(high) {
        return Err(format!("provided port is not in the valid range. The range of valid ports is {low}-{high}"));
    }
    if taken.contains(&n) { Err("provided port is already allocated".into()) } else { Ok(()) }
}

fn pick(ctx: &Ctx<'_>, taken: &BTreeSet<i32>) -> Option<i32> {
    let (low, high) = (i32::from(ctx.config.node_ports.0), i32::from(ctx.config.node_ports.1));
    let size = u128::try_from(high - low + 1).unwrap_or_default();
    let split = low + i32::try_from(band(size, BAND_MIN, BAND_MAX, BAND_STEP)).unwrap_or_default();
    let scan = |from: i32, to: i32| {
        let count = i64::from(to) - i64::from(from) + 1;
        if count <= 0 {
            return None;
        }
        let start = i64::try_from(ctx.ids.below(count.unsigned_abs())).unwrap_or_default();
        (0..count)
            .filter_map(|i| i32::try_from(i64::from(from) + (start + i) % count).ok())
            .find(|n| !taken.contains(n))
    };
    scan(split, high).or_else(|| scan(low, split - 1))
}

fn full() -> ApiError {
    ApiError::internal("failed to allocate a nodePort: range is full")
}

/// Fills in and checks the node ports of a service's ports.
pub(super) fn fill(
    ctx: &Ctx<'_>,
    spec: &mut ServiceSpec,
    old: &ServiceSpec,
    taken: &mut BTreeSet<i32>,
    e: &mut FieldErrors,
) -> Result<(), ApiError> {
    let own: BTreeSet<i32> = items(&old.ports).iter().filter_map(|p| p.node_port).collect();
    let asked: BTreeSet<i32> = items(&spec.ports).iter().filter_map(|p| p.node_port).filter(|n| *n != 0).collect();
    // The same port in two protocols opens the same port on the nodes.
    let mut by_port: BTreeMap<i32, (i32, String)> = BTreeMap::new();
    for (i, p) in spec.ports.iter_mut().flatten().enumerate() {
        let protocol = s(&p.protocol).to_owned();
        match p.node_port.filter(|n| *n != 0) {
            Some(n) => {
                if !own.contains(&n)
                    && let Err(why) = check(ctx, n, taken)
                {
                    e.invalid(&Path::new("spec.ports").index(i).child("nodePort"), n, why);
                }
                by_port.insert(p.port, (n, protocol));
            }
            None => {
                let shared = by_port.get(&p.port).filter(|(_, other)| *other != protocol).map(|(n, _)| *n);
                let n = match shared {
                    Some(n) => n,
                    None => {
                        let all: BTreeSet<i32> = taken.union(&asked).copied().collect();
                        pick(ctx, &all).ok_or_else(full)?
                    }
                };
                taken.insert(n);
                p.node_port = Some(n);
                by_port.insert(p.port, (n, protocol));
            }
        }
    }
    taken.extend(asked);
    Ok(())
}

/// Fills in and checks the port at which nodes answer for the health of local endpoints.
pub(super) fn health_check(
    ctx: &Ctx<'_>,
    spec: &mut ServiceSpec,
    old: &ServiceSpec,
    taken: &mut BTreeSet<i32>,
    e: &mut FieldErrors,
) -> Result<(), ApiError> {
    match spec.health_check_node_port.filter(|n| *n != 0) {
        Some(n) if old.health_check_node_port == Some(n) => {}
        Some(n) => {
            if let Err(why) = check(ctx, n, taken) {
                let why = format!("failed to allocate requested HealthCheck NodePort {n}: {why}");
                e.invalid(&Path::new("spec.healthCheckNodePort"), n, why);
            }
        }
        None => {
            let n = pick(ctx, taken).ok_or_else(full)?;
            taken.insert(n);
            spec.health_check_node_port = Some(n);
        }
    }
    Ok(())
}
