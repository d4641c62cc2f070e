//! ResourceQuota: what a namespace uses, and whether a write fits into what is left.
//!
//! Docs: "Resource Quotas". Usage is counted from the snapshot itself, so it is never behind. What a write adds is charged: the
//! quota's new status is written in the write's own transaction, so that two servers cannot both give away the same rest.

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{amount, items, s};
use cache::Snapshot;
use kinds::api::core::v1::{
    Container, PersistentVolumeClaim, Pod, PodSpec, ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus, Service,
};
use kinds::pod::Amounts;
use kinds::{ApiError, Kind, Object, ObjectKey, Quantity, Resource};

/// What one object takes of a quota, by the quota's names for it.
#[must_use]
pub fn usage(object: &Object) -> Amounts {
    let mut all = Amounts::new();
    let resource = object.resource();
    all.insert(format!("count/{resource}"), one());
    match object {
        Object::Pod(p) => pod(p, &mut all),
        Object::Service(x) => service(x, &mut all),
        Object::PersistentVolumeClaim(c) => claim(c, &mut all),
        Object::ReplicationController(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::ResourceQuota(_) => {
            all.insert(resource.plural().to_owned(), one());
        }
        _ => {}
    }
    all
}

fn one() -> Quantity {
    Quantity::milli(1000)
}

fn pod(p: &Pod, all: &mut Amounts) {
    // Pods that have ended take nothing but the room of an object.
    if kinds::pod::is_terminal(p) {
        return;
    }
    all.insert("pods".into(), one());
    let Some(spec) = &p.spec else { return };
    for (k, v) in kinds::pod::requests(spec) {
        if ["cpu", "memory", "ephemeral-storage"].contains(&k.as_str()) || k.starts_with("hugepages-") {
            all.insert(k.clone(), v);
        }
        all.insert(format!("requests.{k}"), v);
    }
    for (k, v) in kinds::pod::limits(spec) {
        if ["cpu", "memory", "ephemeral-storage"].contains(&k.as_str()) {
            all.insert(format!("limits.{k}"), v);
        }
    }
}

fn service(x: &Service, all: &mut Amounts) {
    all.insert("services".into(), one());
    let Some(spec) = &x.spec else { return };
    let ports = i64::try_from(items(&spec.ports).len()).unwrap_or_default();
    match s(&spec.type_) {
        "NodePort" => {
            all.insert("services.nodeports".into(), Quantity::milli(ports * 1000));
        }
        "LoadBalancer" => {
            all.insert("services.loadbalancers".into(), one());
            let opened = if spec.allocate_load_balancer_node_ports == Some(false) {
                i64::try_from(items(&spec.ports).iter().filter(|p| p.node_port.unwrap_or_default() != 0).count()).unwrap_or_default()
            } else {
                ports
            };
            all.insert("services.nodeports".into(), Quantity::milli(opened * 1000));
        }
        _ => {}
    }
}

fn claim(c: &PersistentVolumeClaim, all: &mut Amounts) {
    all.insert("persistentvolumeclaims".into(), one());
    let Some(spec) = &c.spec else { return };
    let size = spec.resources.as_ref().and_then(|r| r.requests.as_ref()).and_then(|r| r.get("storage")).map(amount);
    let class = s(&spec.storage_class_name);
    if !class.is_empty() {
        all.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
    }
    if let Some(size) = size {
        all.insert("requests.storage".into(), size);
        if !class.is_empty() {
            all.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
        }
    }
}

/// Whether a quota's scopes take the object in.
#[must_use]
pub fn in_scope(spec: &ResourceQuotaSpec, object: &Object) -> bool {
    let Object::Pod(p) = object else {
        // Scopes choose among pods; a quota with one counts nothing else.
        let volume_class = |n: &str| n == "VolumeAttributesClass";
        let scoped = items(&spec.scopes).iter().any(|x| !volume_class(x))
            || spec.scope_selector.iter().flat_map(|x| items(&x.match_expressions)).any(|r| !volume_class(&r.scope_name));
        return !scoped;
    };
    let none = PodSpec::default();
    let pod = p.spec.as_ref().unwrap_or(&none);
    let matches = |scope: &str, operator: &str, values: &[String]| match scope {
        "Terminating" => pod.active_deadline_seconds.is_some_and(|d| d >= 0),
        "NotTerminating" => pod.active_deadline_seconds.is_none(),
        "BestEffort" => kinds::pod::qos_class(pod) == "BestEffort",
        "NotBestEffort" => kinds::pod::qos_class(pod) != "BestEffort",
        "PriorityClass" => {
            let class = s(&pod.priority_class_name).to_owned();
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    };
    let by_name = items(&spec.scopes).iter().all(|x| matches(x, "Exists", &[]));
    let by_selector = spec
        .scope_selector
        .iter()
        .flat_map(|x| items(&x.match_expressions))
        .all(|r| matches(&r.scope_name, &r.operator, items(&r.values)));
    by_name && by_selector
}

fn crosses_namespaces(pod: &PodSpec) -> bool {
    let Some(a) = &pod.affinity else { return false };
    let terms = |required: &Option<Vec<kinds::api::core::v1::PodAffinityTerm>>,
                 preferred: &Option<Vec<kinds::api::core::v1::WeightedPodAffinityTerm>>| {
        let crosses = |t: &kinds::api::core::v1::PodAffinityTerm| !items(&t.namespaces).is_empty() || t.namespace_selector.is_some();
        items(required).iter().any(crosses) || items(preferred).iter().any(|t| crosses(&t.pod_affinity_term))
    };
    a.pod_affinity.as_ref().is_some_and(|p| {
        terms(&p.required_during_scheduling_ignored_during_execution, &p.preferred_during_scheduling_ignored_during_execution)
    }) || a.pod_anti_affinity.as_ref().is_some_and(|p| {
        terms(&p.required_during_scheduling_ignored_during_execution, &p.preferred_during_scheduling_ignored_during_execution)
    })
}

/// What everything in the namespace takes of a quota now, for each name in its `hard` list.
#[must_use]
pub fn used(snapshot: &Snapshot, namespace: &str, spec: &ResourceQuotaSpec) -> Amounts {
    let mut sum: Amounts = spec.hard.iter().flatten().map(|(k, _)| (k.clone(), Quantity::default())).collect();
    for (resource, table) in snapshot.tables() {
        if !resource.namespaced() || !counts(resource, spec) {
            continue;
        }
        for entry in table.range(namespace, None).filter(|e| in_scope(spec, e.object())) {
            for (k, v) in usage(entry.object()) {
                if let Some(at) = sum.get_mut(&k) {
                    *at = *at + v;
                }
            }
        }
    }
    sum
}

/// Whether objects of a resource can take anything of a quota.
fn counts(resource: &Resource, spec: &ResourceQuotaSpec) -> bool {
    let count = format!("count/{resource}");
    let named = |k: &String| *k == count || k == resource.plural() || k.starts_with(&format!("{}.", resource.plural()));
    let keys = || spec.hard.iter().flatten().map(|(k, _)| k);
    match resource.builtin() {
        Some(Kind::Pod) => true,
        Some(Kind::PersistentVolumeClaim) => keys().any(|k| named(k) || k == "requests.storage" || k.contains(".storageclass.storage.k8s.io/")),
        _ => keys().any(named),
    }
}

/// Names of compute resources that a pod must state once they are limited.
fn must_state(spec: &ResourceQuotaSpec, object: &Object) -> Option<String> {
    let Object::Pod(p) = object else { return None };
    let pod = p.spec.as_ref()?;
    let compute = |k: &str| {
        matches!(k, "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory")
    };
    let level = |k: &str| -> bool {
        let own = pod.resources.as_ref();
        let (limits, name) = (k.starts_with("limits."), k.rsplit('.').next().unwrap_or(k));
        let map = own.and_then(|r| if limits { r.limits.as_ref() } else { r.requests.as_ref() });
        map.is_some_and(|m| m.contains_key(name))
    };
    let states = |c: &Container, k: &str| {
        let (map, name) = match k.strip_prefix("limits.") {
            Some(name) => (kinds::pod::container_limits(c), name),
            None => (kinds::pod::container_requests(c), k.strip_prefix("requests.").unwrap_or(k)),
        };
        map.contains_key(name)
    };
    let mut parts = Vec::new();
    for k in spec.hard.iter().flatten().map(|(k, _)| k.as_str()).filter(|k| compute(k) && !level(k)) {
        let missing: Vec<&str> = pod
            .containers
            .iter()
            .chain(items(&pod.init_containers))
            .filter(|c| !states(c, k))
            .map(|c| c.name.as_str())
            .collect();
        if !missing.is_empty() {
            parts.push(format!("{k} for: {}", missing.join(",")));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn pretty(amounts: &Amounts, keys: &[&String]) -> String {
    let list = keys.iter().map(|k| format!("{k}={}", amounts.get(*k).copied().unwrap_or_default()));
    list.collect::<Vec<_>>().join(",")
}

/// A quota that a write takes something of, and its status once that is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    pub quota: ObjectKey,
    pub status: ResourceQuotaStatus,
}

fn charged(quota: &ResourceQuota, mut used: Amounts, added: &Amounts) -> Charge {
    for (k, v) in added {
        let at = used.entry(k.clone()).or_default();
        *at = *at + *v;
    }
    let hard = quota.spec.as_ref().and_then(|s| s.hard.clone()).unwrap_or_default();
    let used = hard.keys().map(|k| (k.clone(), used.get(k).copied().unwrap_or_default().text())).collect();
    Charge { quota: ObjectKey::of(&quota.metadata), status: ResourceQuotaStatus { hard: Some(hard), used: Some(used) } }
}

/// Whether what a write adds still fits, and what it adds to.
pub(super) fn charge(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<Vec<Charge>, ApiError> {
    let mut charges = Vec::new();
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    if !writes || !request.subresource.is_empty() || request.namespace.is_empty() {
        return Ok(charges);
    }
    let old = if request.operation == Operation::Update { old } else { None };
    for quota in ctx.snapshot.list::<ResourceQuota>(&request.namespace) {
        let Some(spec) = &quota.spec else { continue };
        if !in_scope(spec, object) {
            continue;
        }
        let name = s(&quota.metadata.name);
        if old.is_none()
            && let Some(missing) = must_state(spec, object)
        {
            return Err(forbidden(request, object, format!("failed quota: {name}: must specify {missing}")));
        }
        let mut added = usage(object);
        if let Some(o) = old.filter(|o| in_scope(spec, o)) {
            for (k, v) in usage(o) {
                let at = added.entry(k).or_default();
                *at = *at - v;
            }
        }
        let hard: Amounts = spec.hard.iter().flatten().map(|(k, v)| (k.clone(), amount(v))).collect();
        added.retain(|k, v| hard.contains_key(k) && *v > Quantity::default());
        if added.is_empty() {
            continue;
        }
        let used = used(ctx.snapshot, &request.namespace, spec);
        let over: Vec<&String> = added
            .iter()
            .filter(|(k, v)| used.get(*k).copied().unwrap_or_default() + **v > hard[*k])
            .map(|(k, _)| k)
            .collect();
        if !over.is_empty() {
            let why = format!(
                "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
                pretty(&added, &over),
                pretty(&used, &over),
                pretty(&hard, &over)
            );
            return Err(forbidden(request, object, why));
        }
        charges.push(charged(quota, used, &added));
    }
    Ok(charges)
}
