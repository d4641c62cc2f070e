//! Requests and limits: names, amounts, and requests not above limits.

use crate::checks::{NOT_NEGATIVE, complain};
use crate::names;
use crate::read::{amount, items, s};
use kinds::api::core::v1::{PodSpec, ResourceRequirements};
use kinds::{FieldErrors, Path, QuantityText};
use std::collections::{BTreeMap, BTreeSet};

const CONTAINER: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// `hugepages-2Mi`.
#[must_use]
pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Names that Kubernetes itself defines: without a prefix, or below `kubernetes.io/`.
#[must_use]
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.split('/').next().is_some_and(|p| p == "kubernetes.io" || p.ends_with(".kubernetes.io"))
}

/// A resource that a device plugin offers: qualified, foreign, and quota-able under `requests.`.
#[must_use]
pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether a request may be smaller than its limit.
#[must_use]
pub fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

const STANDARD: &[&str] = &[
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers",
    "secrets", "configmaps", "persistentvolumeclaims", "requests.storage", "storage", "services.nodeports",
    "services.loadbalancers",
];

/// The name of a resource anywhere.
pub(crate) fn resource_name(name: &str, path: &Path, e: &mut FieldErrors) -> bool {
    let why = names::qualified_name(name);
    let ok = why.is_empty();
    for m in why {
        e.invalid(path, name, m);
    }
    let huge = is_huge_page(name) || name.starts_with("requests.hugepages-");
    if ok && !name.contains('/') && !STANDARD.contains(&name) && !huge {
        e.invalid(path, name, "must be a standard resource type or fully qualified");
        return false;
    }
    ok
}

/// The name of a resource that containers can ask for.
pub(crate) fn container_resource_name(name: &str, path: &Path, e: &mut FieldErrors) {
    resource_name(name, path, e);
    if !name.contains('/') {
        if !CONTAINER.contains(&name) && !is_huge_page(name) {
            e.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        e.invalid(path, name, "doesn't follow extended resource name standard");
    }
}

const WHOLE: &[&str] = &[
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
];

/// An amount of a resource.
pub(crate) fn resource_amount(name: &str, q: &QuantityText, path: &Path, e: &mut FieldErrors) {
    if kinds::Quantity::parse(&q.0).is_err() {
        e.invalid(path, &q.0, kinds::quantity::QuantityError.to_string());
        return;
    }
    if amount(q).is_negative() {
        e.invalid(path, &q.0, NOT_NEGATIVE);
    }
    if (WHOLE.contains(&name) || is_extended(name)) && !amount(q).is_integer() {
        e.invalid(path, &q.0, "must be an integer");
    }
}

type Amounts = BTreeMap<String, QuantityText>;

/// The resources of a container.
pub(super) fn requirements(r: Option<&ResourceRequirements>, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(r) = r else { return };
    let none = Amounts::new();
    let (limits, requests) = (r.limits.as_ref().unwrap_or(&none), r.requests.as_ref().unwrap_or(&none));
    let (mut huge, mut plain) = (false, false);
    for (name, q) in limits {
        let at = path.child("limits").key(name);
        container_resource_name(name, &at, e);
        resource_amount(name, q, &at, e);
        huge |= is_huge_page(name);
        plain |= name == "cpu" || name == "memory";
    }
    for (name, q) in requests {
        let at = path.child("requests").key(name);
        container_resource_name(name, &at, e);
        resource_amount(name, q, &at, e);
        match limits.get(name) {
            Some(l) => {
                if amount(q) != amount(l) && !may_overcommit(name) {
                    e.invalid(&path.child("requests"), &q.0, format!("must be equal to {name} limit of {}", l.0));
                } else if amount(q) > amount(l) {
                    let why = format!("must be less than or equal to {name} limit of {}", l.0);
                    e.invalid(&path.child("requests"), &q.0, why);
                }
            }
            None if !may_overcommit(name) => {
                e.required(&path.child("limits"), "Limit must be set for non overcommitable resources");
            }
            None => {}
        }
        huge |= is_huge_page(name);
        plain |= name == "cpu" || name == "memory";
    }
    if huge && !plain {
        e.forbidden(path, "HugePages require cpu or memory");
    }
    claims(r, spec, &path.child("claims"), e);
}

/// The claims of a container: each must be one of the pod's.
fn claims(r: &ResourceRequirements, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let mut known: Vec<&str> = items(&spec.resource_claims).iter().map(|c| c.name.as_str()).filter(|n| !n.is_empty()).collect();
    known.sort_unstable();
    let mut seen = BTreeSet::new();
    for (i, c) in items(&r.claims).iter().enumerate() {
        let at = path.index(i);
        let request = s(&c.request);
        if c.name.is_empty() {
            e.required(&at, "");
            continue;
        }
        let whole = if request.is_empty() { c.name.clone() } else { format!("{}/{request}", c.name) };
        if !seen.insert(whole.clone()) {
            e.duplicate(&at, &whole);
        }
        if !request.is_empty() {
            complain(&at.child("request"), request, names::dns_label(request), e);
        }
        if !known.contains(&c.name.as_str()) {
            let where_to = match known.len() {
                0 => " which is empty".to_owned(),
                _ => format!(": {}", known.join(", ")),
            };
            e.not_found_in(&at, &c.name, format!("must be one of the names in pod.spec.resourceClaims{where_to}"));
        }
    }
}

/// The resources of the pod as a whole (KEP-2837): only cpu, memory and huge pages; requests cover the containers'.
pub(super) fn pod_level(spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(r) = &spec.resources else { return };
    let none = Amounts::new();
    let (limits, requests) = (r.limits.as_ref().unwrap_or(&none), r.requests.as_ref().unwrap_or(&none));
    let allowed = |n: &str| ["cpu", "memory"].contains(&n) || is_huge_page(n);
    for (group, map) in [("limits", limits), ("requests", requests)] {
        for (name, q) in map {
            let at = path.child(group).key(name);
            let why = names::qualified_name(name);
            if !why.is_empty() {
                complain(&at, name, why, e);
            } else if !allowed(name) {
                e.not_supported(&at, name, &["cpu", "memory", "hugepages-"]);
            }
            resource_amount(name, q, &at, e);
        }
    }
    for (name, q) in requests {
        if let Some(l) = limits.get(name).filter(|l| amount(q) > amount(l)) {
            e.invalid(&path.child("requests"), &q.0, format!("must be less than or equal to {name} limit of {}", l.0));
        }
    }
    let mut bare = spec.clone();
    bare.resources = None;
    bare.overhead = None;
    let used = kinds::pod::requests(&bare);
    for (name, q) in requests {
        if let Some(u) = used.get(name).filter(|u| **u > amount(q)) {
            let why = format!("must be greater than or equal to aggregate container requests of {u}");
            e.invalid(&path.child("requests").key(name), &q.0, why);
        }
    }
    for (i, c) in spec.containers.iter().enumerate() {
        for (name, q) in c.resources.iter().flat_map(|r| r.limits.iter().flatten()) {
            if let Some(l) = limits.get(name).filter(|l| amount(q) > amount(l)) {
                let at = Path::new("spec.containers").index(i).child("resources").child("limits").key(name);
                e.invalid(&at, &q.0, format!("must be less than or equal to pod limits of {}", l.0));
            }
        }
    }
    if !items(&r.claims).is_empty() {
        e.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
}
