//! From `kubectl apply` on the client to server-side apply: the last-applied annotation, and the entry of
//! `kubectl-client-side-apply` (docs: "Upgrading from client-side apply to server-side apply").

use serde_json::Value;

use super::managed::{Id, Managed, Operation, Owned};
use super::path::Element;
use super::{Writer, compare, field_set};
use crate::Shape;
use crate::apply::Set;

/// The annotation in which client-side apply keeps what it applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager that may migrate.
const KUBECTL: &str = "kubectl";
/// Size of all annotations of an object together.
const MAX_ANNOTATIONS_BYTES: usize = 256 << 10;

fn last_applied(object: &Value) -> Option<Value> {
    serde_json::from_str(object["metadata"]["annotations"][LAST_APPLIED].as_str()?).ok()
}

/// Whether all conflicts are with what kubectl itself had applied from the client and nobody changed since.
pub(super) fn forgiven(live: &Value, conflicts: &[(Id, Vec<Element>)], shape: Shape<'_>, writer: Writer<'_>) -> bool {
    if writer.manager != KUBECTL {
        return false;
    }
    let Some(applied) = last_applied(live) else { return false };
    let changed = compare(&applied, live, shape);
    let mut allowed = field_set(&applied, shape).without(&changed.modified).without(&changed.removed);
    allowed.unite(&changed.added);
    conflicts.iter().all(|(_, path)| allowed.has(path))
}

/// Keeps the annotation of an object that has one in step with what kubectl applies on the server.
pub(super) fn renew_last_applied(object: &mut Value, config: &Value, writer: Writer<'_>) {
    if writer.manager != KUBECTL || !writer.subresource.is_empty() || last_applied(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = applied["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let text = format!("{applied}\n");
    let Some(annotations) = object["metadata"]["annotations"].as_object_mut() else { return };
    let others: usize = annotations.iter().filter(|(key, _)| *key != LAST_APPLIED).map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if others + text.len() + LAST_APPLIED.len() <= MAX_ANNOTATIONS_BYTES {
        annotations.insert(LAST_APPLIED.to_owned(), Value::String(text));
    }
}

/// Turns the entries of client-side managers into one of the server-side manager, so that its next apply may remove what
/// they had set. Whether anything changed.
pub fn upgrade_client_side(object: &mut Value, client_side: &[&str], server_side: &str) -> bool {
    let Some(mut managed) = Managed::read(object) else { return false };
    let ids: Vec<Id> = managed.managers.keys().filter(|id| id.operation == Operation::Update && id.subresource.is_empty() && client_side.contains(&id.manager.as_str())).cloned().collect();
    if ids.is_empty() {
        return false;
    }
    let target = Id { manager: server_side.to_owned(), operation: Operation::Apply, api_version: String::new(), subresource: String::new() };
    for id in ids {
        let Some(owned) = managed.managers.remove(&id) else { continue };
        let into = managed.managers.entry(target.clone()).or_insert_with(|| Owned { set: Set::default(), ..owned.clone() });
        into.set.unite(&owned.set);
    }
    managed.write(object);
    true
}
