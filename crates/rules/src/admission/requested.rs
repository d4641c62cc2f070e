//! The plugins that run where an installation asks for them (`--enable-admission-plugins`).
//!
//! Docs: "Admission Control in Kubernetes: What does each admission controller do?".

use super::{Mutate, Validate, aggregate, by_namespace, forbidden};
use crate::context::{Ctx, Operation, Request};
use crate::core::pod::resources::is_extended;
use crate::rbac::{self, Attributes};
use crate::read::{items, on, s};
use kinds::api::core::v1::{Namespace, Pod, PodSpec, Toleration};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Kind, Object, OwnerReference, Resource};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Those that change, in order.
pub(super) const MUTATING: &[(&str, Mutate)] = &[
    ("AlwaysPullImages", pull_always),
    ("PodNodeSelector", by_namespace::select_nodes),
    ("PodTolerationRestriction", by_namespace::tolerate),
    ("ExtendedResourceToleration", tolerate_extended),
    ("AlwaysDeny", |_, request, object, _| Err(denied(request, object))),
];

/// Those that refuse, in order.
pub(super) const VALIDATING: &[(&str, Validate)] = &[
    ("NamespaceExists", |ctx, request, _, _| exists(ctx, request)),
    ("LimitPodHardAntiAffinityTopology", anti_affinity),
    ("AlwaysPullImages", pulls_always),
    ("PodNodeSelector", by_namespace::selects_nodes),
    ("PodTolerationRestriction", by_namespace::tolerates),
    ("OwnerReferencesPermissionEnforcement", owners),
    ("DenyServiceExternalIPs", external_ips),
    ("AlwaysDeny", |_, request, object, _| Err(denied(request, object))),
];

fn writes(request: &Request) -> bool {
    matches!(request.operation, Operation::Create | Operation::Update)
}

fn is_pod(request: &Request) -> bool {
    writes(request) && request.resource == Resource::from(Kind::Pod) && request.subresource.is_empty()
}

fn denied(request: &Request, object: &Object) -> ApiError {
    forbidden(request, object, "admission control is denying all modifications")
}

/// What is in a namespace is in one that there is.
fn exists(ctx: &Ctx<'_>, request: &Request) -> Result<(), ApiError> {
    let of_namespace = request.resource == Resource::from(Kind::Namespace);
    if request.namespace.is_empty() || of_namespace || ctx.snapshot.get::<Namespace>("", &request.namespace).is_some() {
        return Ok(());
    }
    Err(ApiError::not_found(&Resource::from(Kind::Namespace), &request.namespace))
}

const ALWAYS: &str = "Always";

/// The images of all containers.
fn images(spec: &PodSpec) -> BTreeSet<&str> {
    let running = spec.containers.iter().chain(items(&spec.init_containers)).map(|c| s(&c.image));
    running.chain(items(&spec.ephemeral_containers).iter().map(|c| s(&c.image))).collect()
}

/// Whether images may have to be pulled that were not before.
fn has_new_images(request: &Request, pod: &Pod, old: Option<&Object>) -> bool {
    if request.operation != Operation::Update {
        return true;
    }
    let Some(before) = old.and_then(|o| o.typed::<Pod>()).and_then(|p| p.spec.as_ref()) else { return true };
    pod.spec.as_ref().is_some_and(|spec| !images(spec).is_subset(&images(before)))
}

/// Every image is asked for anew, so that nobody runs one that they may not pull.
fn pull_always(_: &Ctx<'_>, request: &Request, object: &mut Object, old: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    if !is_pod(request) || !has_new_images(request, pod, old) {
        return Ok(());
    }
    let spec = Arc::make_mut(pod).spec.get_or_insert_default();
    let policy = || Some(ALWAYS.to_owned());
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(|c| c.image_pull_policy = policy());
    spec.ephemeral_containers.iter_mut().flatten().for_each(|c| c.image_pull_policy = policy());
    spec.volumes.iter_mut().flatten().filter_map(|v| v.image.as_mut()).for_each(|i| i.pull_policy = policy());
    Ok(())
}

fn pulls_always(_: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    let Some(spec) = pod.spec.as_ref().filter(|_| is_pod(request) && has_new_images(request, pod, old)) else { return Ok(()) };
    let of = |list: &'static str, i: usize, policy: &Option<String>| (format!("spec.{list}[{i}].imagePullPolicy"), s(policy).to_owned());
    let mut policies: Vec<(String, String)> = Vec::new();
    policies.extend(items(&spec.init_containers).iter().enumerate().map(|(i, c)| of("initContainers", i, &c.image_pull_policy)));
    policies.extend(spec.containers.iter().enumerate().map(|(i, c)| of("containers", i, &c.image_pull_policy)));
    policies.extend(items(&spec.ephemeral_containers).iter().enumerate().map(|(i, c)| of("ephemeralContainers", i, &c.image_pull_policy)));
    let volumes = items(&spec.volumes).iter().enumerate().filter_map(|(i, v)| Some((i, v.image.as_ref()?)));
    policies.extend(volumes.map(|(i, image)| (format!("spec.volumes[{i}].image.pullPolicy"), s(&image.pull_policy).to_owned())));
    let wrong = policies.into_iter().filter(|(_, policy)| policy != ALWAYS);
    let wrong: Vec<String> = wrong.map(|(path, policy)| format!("{path}: Unsupported value: {policy:?}: supported values: {ALWAYS:?}")).collect();
    if wrong.is_empty() { Ok(()) } else { Err(forbidden(request, object, aggregate(wrong))) }
}

/// Pods that ask for an extended resource tolerate the taint that keeps others from its nodes.
fn tolerate_extended(_: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    let Some(spec) = pod.spec.as_ref().filter(|_| is_pod(request)) else { return Ok(()) };
    let containers = spec.containers.iter().chain(items(&spec.init_containers));
    let asked = containers.filter_map(|c| c.resources.as_ref()?.requests.as_ref()).flat_map(|r| r.keys());
    let wanted: BTreeSet<String> = asked.filter(|name| is_extended(name)).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let list = Arc::make_mut(pod).spec.get_or_insert_default().tolerations.get_or_insert_default();
    for name in wanted {
        let new = Toleration { key: Some(name), operator: Some("Exists".into()), effect: Some("NoSchedule".into()), ..Toleration::default() };
        let same = |t: &&mut Toleration| t.key == new.key && t.operator == new.operator && t.effect == new.effect && s(&t.value).is_empty();
        match list.iter_mut().find(same) {
            Some(there) => *there = new,
            None => list.push(new),
        }
    }
    Ok(())
}

const HOST_NAME: &str = "kubernetes.io/hostname";

/// Pods keep away from others by nodes and by nothing larger.
fn anti_affinity(_: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    let Object::Pod(pod) = object else { return Ok(()) };
    let terms = pod.spec.as_ref().and_then(|x| x.affinity.as_ref()?.pod_anti_affinity.as_ref());
    let terms = terms.map(|a| items(&a.required_during_scheduling_ignored_during_execution)).unwrap_or_default();
    match terms.iter().find(|t| t.topology_key != HOST_NAME).filter(|_| is_pod(request)) {
        Some(term) => {
            let why = format!(
                "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {} but only key {HOST_NAME} is allowed",
                term.topology_key
            );
            Err(ApiError::forbidden(&request.resource, s(&pod.metadata.name), why))
        }
        None => Ok(()),
    }
}

/// No Service gets external addresses that it does not have.
fn external_ips(_: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    fn ips(object: &Object) -> &[String] {
        let Object::Service(service) = object else { return &[] };
        service.spec.as_ref().map(|x| items(&x.external_ips)).unwrap_or_default()
    }
    let before = old.map(ips).unwrap_or_default();
    if !writes(request) || !request.subresource.is_empty() || ips(object).iter().all(|ip| before.contains(ip)) {
        return Ok(());
    }
    Err(forbidden(request, object, "Use of external IPs is denied by admission control"))
}

/// Who names owners may delete the object, and may hold up the deletion only of owners whose finalizers they may set.
fn owners(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    // What a pod's status strategy lets nobody change.
    let of_status = request.resource == Resource::from(Kind::Pod) && request.subresource == "status";
    let refs = |o: &Object| o.meta().owner_references.clone().unwrap_or_default();
    let (new, before) = (refs(object), old.map(refs).unwrap_or_default());
    if !writes(request) || of_status || new == before {
        return Ok(());
    }
    let may = |asked: Attributes| rbac::authorize(ctx.snapshot, ctx.user, &asked);
    if request.operation == Operation::Update {
        let verdict = may(Attributes {
            verb: "delete".into(),
            group: request.resource.group().into(),
            resource: request.resource.plural().into(),
            subresource: request.subresource.into(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            is_resource: true,
            ..Attributes::default()
        });
        if !verdict.allowed {
            let why = format!("cannot set an ownerRef on a resource you can't delete: {}, <nil>", verdict.reason);
            return Err(forbidden(request, object, why));
        }
    }
    let blocked = |o: &OwnerReference| before.iter().any(|b| b.uid == o.uid && on(b.block_owner_deletion));
    let blocking: Vec<&OwnerReference> = new.iter().filter(|o| on(o.block_owner_deletion) && !blocked(o)).collect();
    if blocking.is_empty() || may(finalizers("*", "*", "", "*")).allowed {
        return Ok(());
    }
    for owner in blocking {
        let (group, plural, namespaced) = mapped(ctx, owner).ok_or_else(|| {
            let (version, kind) = (&owner.api_version, &owner.kind);
            let why = format!("no matches for kind {kind:?} in version {version:?}");
            let why = format!("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {version} Kind {kind}: {why}");
            forbidden(request, object, why)
        })?;
        let namespace = if namespaced { request.namespace.as_str() } else { "" };
        let verdict = may(finalizers(&group, &plural, namespace, &owner.name));
        if !verdict.allowed {
            let why = format!(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: {}, <nil>",
                verdict.reason
            );
            return Err(forbidden(request, object, why));
        }
    }
    Ok(())
}

fn finalizers(group: &str, plural: &str, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb: "update".into(),
        group: group.into(),
        resource: plural.into(),
        subresource: "finalizers".into(),
        namespace: namespace.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    }
}

/// Group and plural of an owner's kind, and whether it lives in namespaces.
fn mapped(ctx: &Ctx<'_>, owner: &OwnerReference) -> Option<(String, String, bool)> {
    if let Some(kind) = Kind::from_api_version(&owner.api_version, &owner.kind) {
        let info = kind.info();
        return Some((info.group.to_owned(), info.plural.to_owned(), kind.namespaced()));
    }
    let (group, version) = owner.api_version.split_once('/')?;
    let mut definitions = ctx.snapshot.list::<CustomResourceDefinition>("");
    let found = definitions.find(|d| {
        d.spec.group == group && d.spec.names.kind == owner.kind && d.spec.versions.iter().any(|v| v.served && v.name == version)
    })?;
    Some((group.to_owned(), found.spec.names.plural.clone(), found.spec.scope == "Namespaced"))
}
