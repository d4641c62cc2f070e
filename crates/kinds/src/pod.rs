//! Facts that several deciders derive from a pod: phase, readiness, requests, QoS.

use crate::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use crate::conditions::pod_condition;
use crate::quantity::Quantity;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Resource name to amount.
pub type Amounts = BTreeMap<String, Quantity>;

/// `status.phase`, empty when it is not set.
#[must_use]
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// `Succeeded` or `Failed`.
#[must_use]
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Not terminal and not being deleted: what counts as an active replica.
#[must_use]
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether the `Ready` condition is `True`.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    pod_condition(pod, "Ready").is_some_and(|c| c.status == "True")
}

/// Ready, and that for at least `min_ready_s` seconds.
#[must_use]
pub fn is_available(pod: &Pod, min_ready_s: i32, now: Timestamp) -> bool {
    let Some(c) = pod_condition(pod, "Ready").filter(|c| c.status == "True") else { return false };
    min_ready_s == 0
        || c.last_transition_time.as_ref().is_some_and(|t| now.as_second() - t.0.as_second() >= i64::from(min_ready_s))
}

/// An init container that restarts always: it runs beside the app containers.
#[must_use]
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn amounts(of: Option<&BTreeMap<String, crate::QuantityText>>) -> Amounts {
    let parse = |(k, v): (&String, &crate::QuantityText)| Some((k.clone(), Quantity::parse(&v.0).ok()?));
    of.into_iter().flatten().filter_map(parse).collect()
}

fn add(into: &mut Amounts, more: &Amounts) {
    for (k, v) in more {
        let sum = into.get(k).copied().unwrap_or_default() + *v;
        into.insert(k.clone(), sum);
    }
}

fn raise(into: &mut Amounts, other: &Amounts) {
    for (k, v) in other {
        let at = into.entry(k.clone()).or_default();
        *at = (*at).max(*v);
    }
}

/// A container's requests (limits stand in where the request is not set: defaulting has done that already).
#[must_use]
pub fn container_requests(c: &Container) -> Amounts {
    amounts(c.resources.as_ref().and_then(|r| r.requests.as_ref()))
}

/// A container's limits.
#[must_use]
pub fn container_limits(c: &Container) -> Amounts {
    amounts(c.resources.as_ref().and_then(|r| r.limits.as_ref()))
}

fn total(spec: &PodSpec, of: &dyn Fn(&Container) -> Amounts) -> Amounts {
    let mut sum = Amounts::new();
    for c in &spec.containers {
        add(&mut sum, &of(c));
    }
    // Sidecars add up as they start; a plain init container runs beside the sidecars that started before it.
    let (mut sidecars, mut init_peak) = (Amounts::new(), Amounts::new());
    for c in spec.init_containers.iter().flatten() {
        let own = of(c);
        if is_sidecar(c) {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut init_peak, &sidecars);
        } else {
            let mut at = own;
            add(&mut at, &sidecars);
            raise(&mut init_peak, &at);
        }
    }
    raise(&mut sum, &init_peak);
    sum
}

/// What the pod as a whole requests: the larger of its running containers and its init peak, overridden by pod-level
/// resources (KEP-2837), plus overhead.
#[must_use]
pub fn requests(spec: &PodSpec) -> Amounts {
    all_requests(spec, &container_requests)
}

fn all_requests(spec: &PodSpec, of: &dyn Fn(&Container) -> Amounts) -> Amounts {
    let mut sum = total(spec, of);
    sum.extend(amounts(spec.resources.as_ref().and_then(|r| r.requests.as_ref())));
    add(&mut sum, &amounts(spec.overhead.as_ref()));
    sum
}

/// What the pod as a whole is limited to, by the same arithmetic (a resource without a limit is absent only when no
/// container limits it).
#[must_use]
pub fn limits(spec: &PodSpec) -> Amounts {
    all_limits(spec, &container_limits)
}

fn all_limits(spec: &PodSpec, of: &dyn Fn(&Container) -> Amounts) -> Amounts {
    let mut sum = total(spec, of);
    sum.extend(amounts(spec.resources.as_ref().and_then(|r| r.limits.as_ref())));
    let overhead = amounts(spec.overhead.as_ref());
    for (k, v) in &mut sum {
        if let Some(o) = overhead.get(k) {
            *v = *v + *o;
        }
    }
    sum
}

/// What a pod holds of its node, as requests: while it is resized, the most of what a container asks for, was granted and
/// has (KEP-1287).
#[must_use]
pub fn held_requests(pod: &Pod) -> Amounts {
    let Some(spec) = &pod.spec else { return Amounts::new() };
    all_requests(spec, &|c| {
        held(pod, c, container_requests(c), |s| {
            let mut has = amounts(s.resources.as_ref()?.requests.as_ref());
            raise(&mut has, &amounts(s.allocated_resources.as_ref()));
            Some(has)
        })
    })
}

/// The same of limits.
#[must_use]
pub fn held_limits(pod: &Pod) -> Amounts {
    let Some(spec) = &pod.spec else { return Amounts::new() };
    all_limits(spec, &|c| held(pod, c, container_limits(c), |s| Some(amounts(s.resources.as_ref()?.limits.as_ref()))))
}

fn held(pod: &Pod, c: &Container, mut asked: Amounts, has: impl Fn(&ContainerStatus) -> Option<Amounts>) -> Amounts {
    let plain_init = !is_sidecar(c) && pod.spec.iter().flat_map(|s| s.init_containers.iter().flatten()).any(|i| i.name == c.name);
    let statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses).flatten());
    let Some(has) = statuses.filter(|s| s.name == c.name && !plain_init).find_map(has) else { return asked };
    if pod_condition(pod, "PodResizePending").is_some_and(|c| c.reason.as_deref() == Some("Infeasible")) {
        return has;
    }
    raise(&mut asked, &has);
    asked
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from cpu and memory of all containers.
#[must_use]
pub fn qos_class(spec: &PodSpec) -> &'static str {
    let compute = |m: &Amounts| -> Amounts {
        m.iter().filter(|(k, v)| (*k == "cpu" || *k == "memory") && !v.is_zero()).map(|(k, v)| (k.clone(), *v)).collect()
    };
    if let Some(r) = &spec.resources {
        let (req, lim) = (compute(&amounts(r.requests.as_ref())), compute(&amounts(r.limits.as_ref())));
        if !req.is_empty() || !lim.is_empty() {
            return if lim.len() == 2 && req == lim { "Guaranteed" } else { "Burstable" };
        }
    }
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let (mut any, mut guaranteed) = (false, true);
    for c in all {
        let (req, lim) = (compute(&container_requests(c)), compute(&container_limits(c)));
        any |= !req.is_empty() || !lim.is_empty();
        guaranteed &= lim.len() == 2 && req.iter().all(|(k, v)| lim.get(k) == Some(v));
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
