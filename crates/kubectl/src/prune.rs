//! What `--prune` is about (docs: "Declarative Management of Kubernetes Objects", how to delete objects): objects of certain
//! kinds that an apply made, in the namespaces that the manifests have objects in, and that the manifests name no more.

use crate::commands::apply::LAST_APPLIED;
use crate::discovery::Mapping;
use crate::failure::{Outcome, wrong};
use crate::flags::Given;
use crate::select::{self, Scope};
use crate::session::Session;
use serde_json::Value;
use std::collections::BTreeSet;

/// The kinds that are looked at when nobody says which; those without a namespace come last.
const KINDS: &[&str] = &[
    "configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers", "secrets", "services", "jobs.batch", "cronjobs.batch",
    "ingresses.networking.k8s.io", "daemonsets.apps", "deployments.apps", "replicasets.apps", "statefulsets.apps", "namespaces", "persistentvolumes",
];

/// The objects that the manifests name.
#[derive(Default)]
pub(crate) struct Visited {
    namespaces: BTreeSet<String>,
    uids: BTreeSet<String>,
}

impl Visited {
    /// Notes an object as the server has it; one that does not exist leaves its namespace.
    pub(crate) fn note(&mut self, mapping: &Mapping, namespace: &str, object: &Value) {
        if mapping.namespaced {
            self.namespaces.insert(namespace.to_owned());
        }
        self.uids.extend(object["metadata"]["uid"].as_str().map(str::to_owned));
    }
}

/// Refuses a `--prune-allowlist` that names no kinds.
pub(crate) fn check(given: &Given<'_>) -> Outcome {
    match given.list("prune-allowlist").into_iter().find(|text| text.split('/').count() != 3) {
        Some(text) => wrong(format!("invalid GroupVersionKind format: {text}, please follow <group/version/kind>")),
        None => Ok(()),
    }
}

/// What would go.
pub(crate) async fn candidates(session: &Session, given: &Given<'_>, visited: &Visited) -> Outcome<Vec<(Mapping, Value)>> {
    let own: Vec<String> = given.list("prune-allowlist").into_iter().filter_map(|text| {
        let parts: Vec<&str> = text.split('/').collect();
        let [group, version, kind] = parts[..] else { return None };
        let group = if group == "core" { "" } else { group };
        Some(format!("{kind}.{version}.{group}"))
    }).collect();
    let kinds: Vec<&str> = if own.is_empty() { KINDS.to_vec() } else { own.iter().map(String::as_str).collect() };
    let mut mappings = Vec::with_capacity(kinds.len());
    for kind in kinds {
        mappings.push(session.mapping(kind).await?);
    }
    let (inside, outside): (Vec<Mapping>, Vec<Mapping>) = mappings.into_iter().partition(|m| m.namespaced);
    let mut found = Vec::new();
    for namespace in &visited.namespaces {
        for mapping in &inside {
            let scope = Scope { namespace: Some(namespace.clone()), ..Scope::of(session, given) };
            unnamed(session, mapping, &scope, visited, &mut found).await?;
        }
    }
    for mapping in &outside {
        unnamed(session, mapping, &Scope::of(session, given), visited, &mut found).await?;
    }
    Ok(found)
}

async fn unnamed(session: &Session, mapping: &Mapping, scope: &Scope, visited: &Visited, found: &mut Vec<(Mapping, Value)>) -> Outcome {
    let mut list = select::list(session, mapping, scope).await?;
    let Some(items) = list["items"].as_array_mut() else { return Ok(()) };
    let named = |object: &Value| object["metadata"]["uid"].as_str().is_some_and(|uid| visited.uids.contains(uid));
    let goes = |object: &Value| !object["metadata"]["annotations"][LAST_APPLIED].is_null() && !named(object);
    found.extend(items.drain(..).filter(goes).map(|object| (mapping.clone(), object)));
    Ok(())
}
