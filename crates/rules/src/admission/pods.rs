//! Priority, DefaultTolerationSeconds and PodTopologyLabels.
//!
//! Docs: "Pod Priority and Preemption", "Taint based Evictions"; KEP-4742 (topology labels).

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{has, items, on, s};
use kinds::api::core::v1::{Binding, Node, Pod, Toleration};
use kinds::api::scheduling::v1::PriorityClass;
use kinds::{ApiError, Kind, Object, Resource};
use std::sync::Arc;

fn is_pod(request: &Request, subresources: &[&str]) -> bool {
    request.resource == Resource::from(Kind::Pod)
        && (request.subresource.is_empty() || subresources.contains(&request.subresource))
}

/// Resolves a pod's priority class to a number.
pub(super) fn priority(ctx: &Ctx<'_>, request: &Request, object: &mut Object, old: Option<&Object>) -> Result<(), ApiError> {
    if !is_pod(request, &[]) {
        return Ok(());
    }
    let Object::Pod(pod) = object else { return Ok(()) };
    let spec = Arc::make_mut(pod).spec.get_or_insert_default();
    if request.operation == Operation::Update {
        let before = old.and_then(|o| o.typed::<Pod>()).and_then(|p| p.spec.as_ref());
        if let Some(b) = before {
            spec.priority = spec.priority.or(b.priority);
            if spec.preemption_policy.is_none() {
                spec.preemption_policy.clone_from(&b.preemption_policy);
            }
        }
        return Ok(());
    }
    let found = if has(&spec.priority_class_name) {
        let name = s(&spec.priority_class_name);
        match ctx.snapshot.get::<PriorityClass>("", name) {
            Some(c) => Some(Arc::clone(c)),
            None => {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(forbidden(request, object, why));
            }
        }
    } else {
        default_class(ctx)
    };
    let value = found.as_ref().and_then(|c| c.value).unwrap_or_default();
    let policy = found.as_ref().and_then(|c| c.preemption_policy.clone()).unwrap_or_else(|| "PreemptLowerPriority".into());
    if let Some(c) = &found
        && !has(&spec.priority_class_name)
    {
        spec.priority_class_name.clone_from(&c.metadata.name);
    }
    if let Some(given) = spec.priority.filter(|p| *p != value) {
        let why = format!("the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name");
        return Err(forbidden(request, object, why));
    }
    if let Some(given) = spec.preemption_policy.clone().filter(|p| *p != policy) {
        let why = format!("the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name");
        return Err(forbidden(request, object, why));
    }
    spec.priority = Some(value);
    spec.preemption_policy = Some(policy);
    Ok(())
}

/// The class for pods that name none: of several, the one with the lowest value.
fn default_class(ctx: &Ctx<'_>) -> Option<Arc<PriorityClass>> {
    let defaults = ctx.snapshot.list::<PriorityClass>("").filter(|c| on(c.global_default));
    defaults.min_by_key(|c| c.value).cloned()
}

/// There is at most one default class.
pub(super) fn one_default_priority(ctx: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::PriorityClass(c) = object else { return Ok(()) };
    if !on(c.global_default) || !matches!(request.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    match default_class(ctx) {
        Some(d) if d.metadata.name != c.metadata.name => {
            let why = format!("PriorityClass {} is already marked as default. Only one default can exist", s(&d.metadata.name));
            Err(forbidden(request, object, why))
        }
        _ => Ok(()),
    }
}

/// How long pods stay on nodes that are not ready or cannot be reached.
const TOLERATION_S: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// Tolerates failing nodes for a while, unless the pod says otherwise.
pub(super) fn tolerations(_: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    if !is_pod(request, &[]) || !matches!(request.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    let Object::Pod(pod) = object else { return Ok(()) };
    let spec = pod.spec.as_ref();
    let list = spec.map(|x| items(&x.tolerations)).unwrap_or_default();
    let covered = |taint: &str| {
        list.iter().any(|t| {
            (s(&t.key) == taint || !has(&t.key)) && (s(&t.effect) == "NoExecute" || !has(&t.effect))
        })
    };
    let missing: Vec<&str> = TAINTS.into_iter().filter(|t| !covered(t)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = Arc::make_mut(pod).spec.get_or_insert_default().tolerations.get_or_insert_default();
    list.extend(missing.into_iter().map(|taint| Toleration {
        key: Some(taint.into()),
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        toleration_seconds: Some(TOLERATION_S),
        value: None,
    }));
    Ok(())
}

/// Labels of the node that a pod learns when it is bound.
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// Hands the node's topology labels on to the pod, through the binding or on a pod that is created on a node.
pub(super) fn topology_labels(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    if !is_pod(request, &["binding"]) || !ctx.gates.on("PodTopologyLabelsAdmission") {
        return Ok(());
    }
    if request.operation != Operation::Create {
        return Ok(());
    }
    let node = match &*object {
        Object::Binding(b) => binding_node(b),
        Object::Pod(p) => p.spec.as_ref().and_then(|x| x.node_name.clone()),
        _ => None,
    };
    let Some(node) = node.filter(|n| !n.is_empty()).and_then(|n| ctx.snapshot.get::<Node>("", &n)) else { return Ok(()) };
    let labels = TOPOLOGY.into_iter().filter_map(|k| Some((k.to_owned(), node.metadata.labels.as_ref()?.get(k)?.clone())));
    let labels: Vec<_> = labels.collect();
    if !labels.is_empty() {
        object.meta_mut().labels.get_or_insert_default().extend(labels);
    }
    Ok(())
}

fn binding_node(b: &Binding) -> Option<String> {
    b.target.name.clone()
}
