//! Parameters: the objects that a binding names for its policy. Docs: "Parameter resources".

use super::matching::{Asked, Gvk};
use super::turning::{Missing, Parts};
use cache::Snapshot;
use kinds::api::admissionregistration::v1::{ParamKind, ParamRef};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{CustomResource, Kind, ObjectKey, Resource, Selector};
use serde_json::Value;
use std::sync::Arc;

/// The resource of a kind.
#[must_use]
pub fn resource_of(snapshot: &Snapshot, kind: &Gvk) -> Option<Resource> {
    if let Some(k) = Kind::from_gvk(&kind.group, &kind.version, &kind.kind) {
        return Some(k.into());
    }
    let crd = snapshot.list::<CustomResourceDefinition>("").find(|d| {
        d.spec.group == kind.group && d.spec.names.kind == kind.kind && d.spec.versions.iter().any(|v| v.name == kind.version && v.served)
    })?;
    Some(Resource::Custom(Arc::new(CustomResource {
        group: kind.group.clone(),
        plural: crd.spec.names.plural.clone(),
        kind: kind.kind.clone(),
        namespaced: crd.spec.scope == "Namespaced",
    })))
}

/// The parameters for a write, each evaluated on its own; null where the policy takes none.
///
/// # Errors
/// Parameters that are not there though they must be, and references that fit no write like this.
pub(super) fn find(
    asked: &Asked<'_>,
    kind: Option<&ParamKind>,
    reference: Option<&ParamRef>,
    parts: &Parts<'_>,
) -> Result<Vec<Value>, Missing> {
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![Value::Null]) };
    let (api_version, name) = (kind.api_version.as_deref().unwrap_or_default(), kind.kind.as_deref().unwrap_or_default());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = Gvk { group: group.into(), version: version.into(), kind: name.into() };
    let found = stored(asked, &kind, reference).map_err(Missing::Failed)?;
    found.iter().map(|p| parts.turned(p, &kind)).collect()
}

/// The parameters in the version that they are stored in.
fn stored(asked: &Asked<'_>, kind: &Gvk, reference: &ParamRef) -> Result<Vec<Value>, String> {
    let snapshot = asked.ctx.snapshot;
    let resource = resource_of(snapshot, kind)
        .ok_or_else(|| format!("failed to find resource referenced by paramKind: '{}, Kind={}'", kind.api_version(), kind.kind))?;
    let told = reference.namespace.as_deref().filter(|n| !n.is_empty());
    let namespace = match (resource.namespaced(), told) {
        (false, Some(_)) => return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".into()),
        (false, None) => "",
        (true, Some(n)) => n,
        (true, None) => match asked.namespace() {
            "" => return Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".into()),
            n => n,
        },
    };
    let json = |e: &Arc<cache::Entry>| serde_json::from_slice::<Value>(&e.json).ok();
    let found: Vec<Value> = match (reference.name.as_deref().filter(|n| !n.is_empty()), &reference.selector) {
        (Some(name), _) => snapshot.entry(&resource, &ObjectKey::new(namespace, name)).and_then(json).into_iter().collect(),
        (None, selector) => {
            let selector = Selector::from_label_selector(selector.as_ref());
            let all = snapshot.table(&resource).into_iter().flat_map(|t| t.range(namespace, None));
            all.filter(|e| selector.matches(e.meta().labels.as_ref())).filter_map(json).collect()
        }
    };
    if found.is_empty() && reference.parameter_not_found_action.as_deref() == Some("Deny") {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
    }
    Ok(found)
}
