//! Who may do what with claims besides writing them: administrators' access to devices is for namespaces that say so, an
//! allocation is for who may bind claims, and the state of devices for who speaks for their driver.
//!
//! Docs: "Dynamic Resource Allocation: Admin access"; KEP-5018 (admin access), feature gate
//! `DRAResourceClaimGranularStatusAuthorization`.

use crate::context::Ctx;
use crate::rbac::{self, Attributes};
use crate::read::{items, on, s};
use kinds::api::core::v1::Namespace;
use kinds::api::resource::v1::{AllocatedDeviceStatus, AllocationResult, DeviceRequest, ResourceClaim, ResourceClaimStatus};
use kinds::{FieldErrors, Object, Path};
use std::collections::{BTreeMap, BTreeSet};

/// The label of namespaces whose claims may have administrators' access.
const ADMIN_LABEL: &str = "resource.kubernetes.io/admin-access";
/// Judges a claim or a template that is created.
pub fn judge_create(ctx: &Ctx<'_>, namespace: &str, object: &Object, errors: &mut FieldErrors) {
    let devices = match object {
        Object::ResourceClaim(c) => c.spec.devices.as_ref(),
        Object::ResourceClaimTemplate(t) => t.spec.spec.devices.as_ref(),
        _ => return,
    };
    let asks = |r: &DeviceRequest| r.exactly.as_ref().is_some_and(|e| on(e.admin_access));
    let Some(at) = devices.map(|d| items(&d.requests)).unwrap_or_default().iter().position(asks) else { return };
    admin(ctx, namespace, &Path::new("spec.devices.requests").index(at).child("adminAccess"), errors);
}

fn admin(ctx: &Ctx<'_>, namespace: &str, path: &Path, errors: &mut FieldErrors) {
    let found = ctx.snapshot.get::<Namespace>("", namespace);
    if !found.and_then(|n| n.metadata.labels.as_ref()?.get(ADMIN_LABEL)).is_some_and(|v| v == "true") {
        errors.forbidden(path, format!("admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"));
    }
}

/// Judges a claim's new status. `verb` is the request's.
pub fn judge_status(ctx: &Ctx<'_>, verb: &str, new: &Object, old: &Object, errors: &mut FieldErrors) {
    let (Object::ResourceClaim(new), Object::ResourceClaim(old)) = (new, old) else { return };
    let none = ResourceClaimStatus::default();
    let (now, before) = (new.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
    if granted(before).is_none()
        && let Some(at) = granted(now)
    {
        let path = Path::new("status.allocation.devices.results").index(at).child("adminAccess");
        admin(ctx, s(&old.metadata.namespace), &path, errors);
    }
    if !ctx.gates.on("DRAResourceClaimGranularStatusAuthorization") {
        return;
    }
    binding(ctx, verb, (now, before), errors);
    if ctx.gates.on("DRAResourceClaimDeviceStatus") && now.allocation.is_some() {
        drivers(ctx, verb, (old, now, before), errors);
    }
}

/// The first result with administrators' access.
fn granted(status: &ResourceClaimStatus) -> Option<usize> {
    let devices = status.allocation.as_ref()?.devices.as_ref()?;
    items(&devices.results).iter().position(|r| on(r.admin_access))
}

fn about(verb: &str, subresource: &str, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: "resource.k8s.io".to_owned(),
        version: "v1".to_owned(),
        resource: "resourceclaims".to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        is_resource: true,
        ..Attributes::default()
    }
}

/// The refusal of what a user may not do.
fn refusal(ctx: &Ctx<'_>, asked: &Attributes) -> Option<String> {
    let verdict = rbac::authorize(ctx.snapshot, ctx.user, asked);
    (!verdict.allowed).then(|| rbac::forbidden(ctx.user, asked, &verdict).message)
}

fn binding(ctx: &Ctx<'_>, verb: &str, (now, before): (&ResourceClaimStatus, &ResourceClaimStatus), errors: &mut FieldErrors) {
    if now.allocation == before.allocation && items(&now.reserved_for) == items(&before.reserved_for) {
        return;
    }
    if let Some(why) = refusal(ctx, &about(verb, "binding", "", "")) {
        let need = format!("changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"{verb}\" permission: {why}");
        errors.forbidden(&Path::new("status.allocation"), need);
    }
}

fn drivers(ctx: &Ctx<'_>, verb: &str, (claim, now, before): (&ResourceClaim, &ResourceClaimStatus, &ResourceClaimStatus), errors: &mut FieldErrors) {
    let own = now.allocation.as_ref().and_then(node_of).is_some_and(|node| ctx.user.runs_on(node));
    let mut verbs = vec![format!("arbitrary-node:{verb}")];
    if own {
        verbs.insert(0, format!("associated-node:{verb}"));
    }
    for driver in changed(now, before) {
        let refusals = verbs.iter().map(|verb| refusal(ctx, &about(verb, "driver", s(&claim.metadata.namespace), driver)));
        let refusals: Vec<String> = refusals.map_while(|r| r).collect();
        if refusals.len() < verbs.len() {
            continue;
        }
        let need = format!("changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{}]\" permission: {}", verbs.join(" "), refusals[0]);
        errors.forbidden(&Path::new("status.devices"), need);
    }
}

/// The drivers whose devices' states came, went or changed.
fn changed<'a>(now: &'a ResourceClaimStatus, before: &'a ResourceClaimStatus) -> BTreeSet<&'a str> {
    type Devices<'a> = BTreeMap<(&'a str, &'a str, &'a str, &'a str), &'a AllocatedDeviceStatus>;
    fn keyed(status: &ResourceClaimStatus) -> Devices<'_> {
        items(&status.devices).iter().map(|d| ((d.driver.as_str(), d.pool.as_str(), d.device.as_str(), s(&d.share_id)), d)).collect()
    }
    let (new, old) = (keyed(now), keyed(before));
    let came = new.iter().filter(|(key, d)| old.get(*key) != Some(d)).map(|(key, _)| key.0);
    let went = old.keys().filter(|key| !new.contains_key(*key)).map(|key| key.0);
    came.chain(went).collect()
}

/// The one node of an allocation, if it is one.
fn node_of(allocation: &AllocationResult) -> Option<&str> {
    let [term] = allocation.node_selector.as_ref()?.node_selector_terms.as_slice() else { return None };
    let ([], [field]) = (items(&term.match_expressions), items(&term.match_fields)) else { return None };
    let ("metadata.name", "In", [node]) = (field.key.as_str(), field.operator.as_str(), items(&field.values)) else { return None };
    Some(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use kinds::ObjectMeta;
    use kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject};
    use kinds::api::resource::v1::{DeviceClaim, ExactDeviceRequest, ResourceClaimSpec};

    fn named(name: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..ObjectMeta::default() }
    }

    fn allowed(resource: &str, verb: &str) -> Vec<Object> {
        let rule = PolicyRule {
            api_groups: Some(vec!["resource.k8s.io".into()]),
            resources: Some(vec![resource.into()]),
            verbs: vec![verb.into()],
            ..PolicyRule::default()
        };
        let cluster = |name: &str| ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let subject = Subject { api_group: Some("rbac.authorization.k8s.io".into()), kind: "User".into(), name: "alice".into(), namespace: None };
        let role_ref = RoleRef { api_group: Some("rbac.authorization.k8s.io".into()), kind: "ClusterRole".into(), name: "r".into() };
        vec![
            ClusterRole { metadata: cluster("r"), rules: Some(vec![rule]), ..ClusterRole::default() }.into(),
            ClusterRoleBinding { metadata: cluster("r"), role_ref, subjects: Some(vec![subject]) }.into(),
        ]
    }

    fn told(w: &World, new: ResourceClaimStatus, old: ResourceClaimStatus) -> Vec<String> {
        let claim = |status| Object::from(ResourceClaim { metadata: named("c"), status: Some(status), ..ResourceClaim::default() });
        let mut errors = FieldErrors::default();
        judge_status(&w.ctx(), "update", &claim(new), &claim(old), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn statuses_are_for_binders_and_drivers() {
        let allocated = || ResourceClaimStatus { allocation: Some(AllocationResult::default()), ..ResourceClaimStatus::default() };
        let device = AllocatedDeviceStatus { driver: "d.io".into(), pool: "p".into(), device: "x".into(), ..AllocatedDeviceStatus::default() };
        let with_device = || ResourceClaimStatus { devices: Some(vec![device.clone()]), ..allocated() };
        let mut w = World::new(Vec::new());
        let why = told(&w, allocated(), ResourceClaimStatus::default());
        assert!(why[0].starts_with("status.allocation: Forbidden: changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"update\" permission: "), "{why:?}");
        let why = told(&w, with_device(), allocated());
        assert!(why[0].contains("verb=\"[arbitrary-node:update]\" permission: "), "{why:?}");
        assert!(told(&w, with_device(), with_device()).is_empty());
        w.snapshot = World::new(allowed("resourceclaims/binding", "update")).snapshot;
        assert!(told(&w, allocated(), ResourceClaimStatus::default()).is_empty());
        w.snapshot = World::new(allowed("resourceclaims/driver", "arbitrary-node:update")).snapshot;
        assert!(told(&w, with_device(), allocated()).is_empty());
        w.gates = crate::Gates::parse("DRAResourceClaimGranularStatusAuthorization=false").expect("a gate");
        assert!(told(&w, with_device(), ResourceClaimStatus::default()).is_empty());
    }

    #[test]
    fn administrators_access_is_for_marked_namespaces() {
        let exactly = ExactDeviceRequest { admin_access: Some(true), ..ExactDeviceRequest::default() };
        let request = DeviceRequest { name: "r".into(), exactly: Some(exactly), ..DeviceRequest::default() };
        let devices = DeviceClaim { requests: Some(vec![request]), ..DeviceClaim::default() };
        let claim = Object::from(ResourceClaim { metadata: named("c"), spec: ResourceClaimSpec { devices: Some(devices) }, status: None });
        let told = |labels: Option<BTreeMap<String, String>>| {
            let ns = Namespace { metadata: ObjectMeta { name: Some("default".into()), labels, ..ObjectMeta::default() }, ..Namespace::default() };
            let mut errors = FieldErrors::default();
            judge_create(&World::new(vec![ns.into()]).ctx(), "default", &claim, &mut errors);
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(None), ["spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"]);
        assert!(told(Some([(ADMIN_LABEL.to_owned(), "true".to_owned())].into())).is_empty());
    }
}
