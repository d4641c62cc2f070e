//! TaintNodesByCondition and NodeRestriction: new nodes are not ready, and a kubelet writes only what is its own.
//!
//! Docs: "Taint Nodes by Condition", "NodeRestriction".

use super::accounts::MIRROR;
use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{items, s};
use kinds::api::core::v1::{Node, Pod, PodSpec, Taint};
use kinds::{ApiError, Kind, Object};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// A new node is tainted until a controller has seen that it is ready.
pub(super) fn taint(_: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Node(node) = object else { return Ok(()) };
    if request.operation != Operation::Create || !request.subresource.is_empty() {
        return Ok(());
    }
    let list = Arc::make_mut(node).spec.get_or_insert_default().taints.get_or_insert_default();
    if !list.iter().any(|t| t.key == NOT_READY && t.effect == "NoSchedule") {
        list.push(Taint { key: NOT_READY.into(), effect: "NoSchedule".into(), ..Taint::default() });
    }
    Ok(())
}

/// What kubelets may do.
pub(super) fn restrict(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    if !ctx.user.in_group("system:nodes") || !ctx.user.name.starts_with("system:node:") {
        return Ok(());
    }
    let Some(me) = ctx.user.node() else {
        let why = format!("could not determine node from user {:?}", ctx.user.name);
        return Err(forbidden(request, object, why));
    };
    let verdict = match request.resource.builtin() {
        Some(Kind::Pod) => pod(ctx, me, request, object),
        Some(Kind::Node) => node(me, request, object, old),
        Some(Kind::Lease) => lease(me, request, object),
        Some(Kind::CSINode) => named(me, "csinode", request, object),
        Some(Kind::PersistentVolumeClaim) => claim(me, request),
        Some(Kind::ServiceAccount) if request.subresource == "token" => super::audiences::check(ctx, me, request, object),
        _ => Ok(()),
    };
    verdict.map_err(|why| forbidden(request, object, why))
}

type Why = Result<(), String>;

fn pod(ctx: &Ctx<'_>, me: &str, request: &Request, object: &Object) -> Why {
    let stored = || ctx.snapshot.get::<Pod>(&request.namespace, &request.name);
    let on = |p: &Pod| p.spec.as_ref().map(|x| s(&x.node_name).to_owned()).unwrap_or_default();
    match (request.subresource, request.operation) {
        ("", Operation::Create) => match object {
            Object::Pod(p) => new_pod(me, p),
            _ => Ok(()),
        },
        ("", Operation::Delete) | ("eviction", _) => match stored() {
            Some(p) if on(p) != me => {
                let verb = if request.subresource.is_empty() { "delete" } else { "evict" };
                Err(format!("node {me:?} can only {verb} pods with spec.nodeName set to itself"))
            }
            _ => Ok(()),
        },
        ("status", Operation::Update) => match object {
            Object::Pod(p) => {
                let before = stored().and_then(|o| o.metadata.labels.clone()).unwrap_or_default();
                if stored().is_some_and(|o| on(o) != me) || on(p) != me {
                    return Err(format!("node {me:?} can only update pod status for pods with spec.nodeName set to itself"));
                }
                if p.metadata.labels.clone().unwrap_or_default() != before {
                    return Err(format!("node {me:?} cannot update labels through pod status"));
                }
                Ok(())
            }
            _ => Ok(()),
        },
        ("", op) => Err(format!("unexpected operation {:?}, node {me:?} can only create and delete mirror pods", word(op))),
        (sub, _) => Err(format!("unexpected pod subresource {sub:?}, only 'status' and 'eviction' are allowed")),
    }
}

fn word(op: Operation) -> &'static str {
    match op {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

fn new_pod(me: &str, p: &Pod) -> Why {

    if !p.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(MIRROR)) {
        return Err(format!("pod does not have {MIRROR:?} annotation, node {me:?} can only create mirror pods"));
    }
    let none = PodSpec::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    if s(&spec.node_name) != me {
        return Err(format!("node {me:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners = items(&p.metadata.owner_references);
    if owners.len() > 1 {
        return Err(format!("node {me:?} can only create pods with a single owner reference set to itself"));
    }
    let Some(owner) = owners.first() else {
        return Err(format!("node {me:?} can only create pods with an owner reference set to itself"));
    };
    if owner.api_version != "v1" || owner.kind != "Node" || owner.name != me {
        return Err(format!("node {me:?} can only create pods with an owner reference set to itself"));
    }
    if owner.controller != Some(true) {
        return Err(format!("node {me:?} can only create pods with a controller owner reference set to itself"));
    }
    if owner.block_owner_deletion == Some(true) {
        return Err(format!("node {me:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let refers = |what: &str| Err(format!("node {me:?} can not create pods that reference {what}"));
    if !s(&spec.service_account_name).is_empty() {
        return refers("a service account");
    }
    for v in items(&spec.volumes) {
        let projected = v.projected.as_ref().map(|x| items(&x.sources)).unwrap_or_default();
        if v.secret.is_some() || projected.iter().any(|x| x.secret.is_some()) {
            return refers("secrets");
        }
        if v.config_map.is_some() || projected.iter().any(|x| x.config_map.is_some()) {
            return refers("configmaps");
        }
        if v.persistent_volume_claim.is_some() {
            return refers("persistentvolumeclaims");
        }
    }
    Ok(())
}

/// Labels that a kubelet may set on its node; others of `kubernetes.io` are for administrators.
const KUBELET_LABELS: &[&str] = &[
    "kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "kubernetes.io/os", "kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "node.kubernetes.io/windows-build",
];

fn reserved(label: &str) -> bool {
    let Some((prefix, _)) = label.split_once('/') else { return false };
    let within = |d: &str| prefix == d || prefix.ends_with(&format!(".{d}"));
    if prefix == "node-restriction.kubernetes.io" || prefix.ends_with(".node-restriction.kubernetes.io") {
        return true;
    }
    if !within("kubernetes.io") && !within("k8s.io") {
        return false;
    }
    let own = within("kubelet.kubernetes.io") || within("node.kubernetes.io");
    !own && !KUBELET_LABELS.contains(&label)
}

fn node(me: &str, request: &Request, object: &Object, old: Option<&Object>) -> Why {
    let name = if request.name.is_empty() { s(&object.meta().name) } else { request.name.as_str() };
    if !["", "status"].contains(&request.subresource) {
        return Ok(());
    }
    if name != me {
        return Err(format!("node {me:?} is not allowed to modify node {name:?}"));
    }
    let Object::Node(new) = object else { return Ok(()) };
    let labels = |n: &Node| n.metadata.labels.clone().unwrap_or_default();
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
    match (request.operation, old) {
        (Operation::Create, _) => {
            let bad: BTreeSet<String> = labels(new).into_keys().filter(|k| reserved(k)).collect();
            if !bad.is_empty() {
                return Err(format!("node {me:?} is not allowed to set the following labels: {}", list(bad)));
            }
            Ok(())
        }
        (Operation::Update, Some(Object::Node(old))) => {
            let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) = (labels(old), labels(new));
            let changed = a.keys().chain(b.keys()).filter(|k| a.get(*k) != b.get(*k) && reserved(k)).cloned();
            let changed: BTreeSet<String> = changed.collect();
            if !changed.is_empty() {
                return Err(format!("is not allowed to modify labels: {}", list(changed)));
            }
            let taints = |n: &Node| n.spec.as_ref().and_then(|x| x.taints.clone()).unwrap_or_default();
            if taints(old) != taints(new) {
                return Err(format!("node {me:?} is not allowed to modify taints"));
            }
            if old.metadata.owner_references.clone().unwrap_or_default() != new.metadata.owner_references.clone().unwrap_or_default() {
                return Err(format!("node {me:?} is not allowed to modify ownerReferences"));
            }
            Ok(())
        }
        (Operation::Delete, _) => Err(format!("node {me:?} is not allowed to delete node {name:?}")),
        _ => Ok(()),
    }
}

fn lease(me: &str, request: &Request, object: &Object) -> Why {
    if request.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    named(me, "lease", request, object)
}

fn named(me: &str, what: &str, request: &Request, object: &Object) -> Why {
    let name = if request.name.is_empty() { s(&object.meta().name) } else { request.name.as_str() };
    if name == me {
        return Ok(());
    }
    Err(match what {
        "lease" => "can only access node lease with the same name as the requesting node".to_owned(),
        _ => "can only access CSINode with the same name as the requesting node".to_owned(),
    })
}

fn claim(me: &str, request: &Request) -> Why {
    if request.subresource == "status" && request.operation == Operation::Update {
        return Ok(());
    }
    Err(format!("unexpected operation {:?}, node {me:?} may only update PVC status", word(request.operation)))
}
