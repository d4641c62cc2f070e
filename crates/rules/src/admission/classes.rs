//! RuntimeClass and DefaultIngressClass.
//!
//! Docs: "Runtime Class", "Pod Overhead", "Ingress: Default IngressClass".

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{has, items, s};
use kinds::api::networking::v1::IngressClass;
use kinds::api::node::v1::RuntimeClass;
use kinds::{ApiError, Kind, Object, Resource};
use std::sync::Arc;

/// A pod of a runtime class pays its overhead and runs where the class says.
pub(super) fn runtime(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let ours = request.resource == Resource::from(Kind::Pod)
        && request.subresource.is_empty()
        && request.operation == Operation::Create;
    let Object::Pod(pod) = object else { return Ok(()) };
    if !ours {
        return Ok(());
    }
    let spec = Arc::make_mut(pod).spec.get_or_insert_default();
    let name = s(&spec.runtime_class_name).to_owned();
    if name.is_empty() {
        return Ok(());
    }
    let Some(class) = ctx.snapshot.get::<RuntimeClass>("", &name) else {
        return Err(forbidden(request, object, format!("pod rejected: RuntimeClass {name:?} not found")));
    };
    if let Some(fixed) = class.overhead.as_ref().and_then(|o| o.pod_fixed.clone()) {
        if spec.overhead.as_ref().is_some_and(|o| !o.is_empty() && *o != fixed) {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(forbidden(request, object, why));
        }
        spec.overhead = Some(fixed);
    }
    let Some(scheduling) = &class.scheduling else { return Ok(()) };
    for (k, v) in scheduling.node_selector.iter().flatten() {
        let selector = spec.node_selector.get_or_insert_default();
        if let Some(have) = selector.get(k).filter(|have| *have != v) {
            let why = format!("conflict: cannot merge node selectors {k}={have} and {k}={v}");
            return Err(forbidden(request, object, why));
        }
        selector.insert(k.clone(), v.clone());
    }
    for t in items(&scheduling.tolerations) {
        let list = spec.tolerations.get_or_insert_default();
        if !list.contains(t) {
            list.push(t.clone());
        }
    }
    Ok(())
}

/// Only a class gives a pod overhead; that is judged when the pod itself is found good.
pub(super) fn overhead(_: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    let asked = pod.spec.as_ref().is_some_and(|x| !has(&x.runtime_class_name) && x.overhead.as_ref().is_some_and(|o| !o.is_empty()));
    if asked && request.subresource.is_empty() && request.operation == Operation::Create {
        let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
        return Err(forbidden(request, object, why));
    }
    Ok(())
}

const DEFAULT_INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";
const OLD_INGRESS: &str = "kubernetes.io/ingress.class";

/// An ingress without a class gets the default one: the newest, if there are several.
pub(super) fn ingress(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Ingress(ingress) = object else { return Ok(()) };
    let named = ingress.spec.as_ref().is_some_and(|x| has(&x.ingress_class_name))
        || ingress.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(OLD_INGRESS));
    if named || request.operation != Operation::Create {
        return Ok(());
    }
    let is_default = |c: &&Arc<IngressClass>| {
        c.metadata.annotations.as_ref().and_then(|a| a.get(DEFAULT_INGRESS)).is_some_and(|v| v == "true")
    };
    let mut classes: Vec<_> = ctx.snapshot.list::<IngressClass>("").filter(is_default).collect();
    classes.sort_by(|a, b| {
        let created = |c: &IngressClass| c.metadata.creation_timestamp.as_ref().map(|t| t.0);
        created(b).cmp(&created(a)).then_with(|| a.metadata.name.cmp(&b.metadata.name))
    });
    if let Some(c) = classes.first() {
        let spec = Arc::make_mut(ingress).spec.get_or_insert_default();
        spec.ingress_class_name.clone_from(&c.metadata.name);
    }
    Ok(())
}
