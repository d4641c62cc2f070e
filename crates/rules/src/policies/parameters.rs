//! Parameters: the objects that a binding names for its policy. Docs: "Parameter resources".

use super::matching::Asked;
use cache::Snapshot;
use kinds::api::admissionregistration::v1::{ParamKind, ParamRef};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{CustomResource, Kind, ObjectKey, Resource, Selector};
use serde_json::Value;
use std::sync::Arc;

/// The resource of a kind.
fn resource(snapshot: &Snapshot, kind: &ParamKind) -> Option<Resource> {
    let (api_version, name) = (kind.api_version.as_deref().unwrap_or_default(), kind.kind.as_deref().unwrap_or_default());
    if let Some(k) = Kind::from_api_version(api_version, name) {
        return Some(k.into());
    }
    let (group, version) = api_version.split_once('/')?;
    let crd = snapshot.list::<CustomResourceDefinition>("").find(|d| {
        d.spec.group == group && d.spec.names.kind == name && d.spec.versions.iter().any(|v| v.name == version && v.served)
    })?;
    Some(Resource::Custom(Arc::new(CustomResource {
        group: group.to_owned(),
        plural: crd.spec.names.plural.clone(),
        kind: name.to_owned(),
        namespaced: crd.spec.scope == "Namespaced",
    })))
}

/// The parameters for a write, each evaluated on its own; null where the policy takes none.
///
/// # Errors
/// Parameters that are not there though they must be, and references that fit no write like this.
pub(super) fn find(asked: &Asked<'_>, kind: Option<&ParamKind>, reference: Option<&ParamRef>) -> Result<Vec<Value>, String> {
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![Value::Null]) };
    let snapshot = asked.ctx.snapshot;
    let resource = resource(snapshot, kind).ok_or_else(|| {
        let (api_version, name) = (kind.api_version.as_deref().unwrap_or_default(), kind.kind.as_deref().unwrap_or_default());
        format!("failed to find resource referenced by paramKind: '{api_version}, Kind={name}'")
    })?;
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
