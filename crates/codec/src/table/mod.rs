//! `metav1.Table`: what `kubectl get` shows of objects, decided on the server (docs: "Server-side printing"). One file an
//! API group; each printer is a function from an object's JSON and the time to its cells, wide ones included. Columns come
//! from the schema's table, so a test can hold the two against each other.

mod admission;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod cells;
mod core;
mod custom;
mod flowcontrol;
pub mod human;
mod networking;
mod node;
mod pod;
mod rbac;
mod resource;
mod storage;
#[cfg(test)]
mod tests;

pub use cells::View;
pub use custom::CustomColumns;

use jiff::Timestamp;
use serde_json::{Value, json};

/// What a row carries besides its cells (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// The object's metadata, as a PartialObjectMetadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    /// The value of the `includeObject` parameter; empty means metadata.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

type Printer = fn(View<'_>, Timestamp) -> Vec<Value>;

fn printer(group: &str, kind: &str) -> Option<Printer> {
    match group {
        "" => core::printer(kind),
        "apps" => apps::printer(kind),
        "batch" => batch::printer(kind),
        "autoscaling" => autoscaling::printer(kind),
        "networking.k8s.io" | "discovery.k8s.io" => networking::printer(kind),
        "rbac.authorization.k8s.io" | "policy" | "coordination.k8s.io" | "node.k8s.io" => rbac::printer(kind),
        "storage.k8s.io" | "storagemigration.k8s.io" => storage::printer(kind),
        "resource.k8s.io" | "scheduling.k8s.io" => resource::printer(kind),
        "certificates.k8s.io" => certificates::printer(kind),
        "flowcontrol.apiserver.k8s.io" | "internal.apiserver.k8s.io" => flowcontrol::printer(kind),
        "admissionregistration.k8s.io" | "apiregistration.k8s.io" => admission::printer(kind),
        "events.k8s.io" => core::events_printer(kind),
        _ => None,
    }
}

fn gvk(object: &Value) -> (&str, &str, &str) {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    (group, version, object["kind"].as_str().unwrap_or_default())
}

/// The cells of a built-in object, in the order of its columns; name and creation time for kinds without a printer.
pub fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (group, _, kind) = gvk(object);
    let view = View(object);
    match printer(group, kind) {
        Some(print) => print(view, now),
        None => vec![view.name(), json!(view.text("/metadata/creationTimestamp"))],
    }
}

/// The `columnDefinitions` of a kind.
pub fn column_definitions(group: &str, version: &str, kind: &str) -> Value {
    let columns = schema::columns(group, version, kind);
    columns.iter().map(|c| json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority})).collect()
}

/// One row: cells, the conditions by which clients grey out finished pods, and what `include` asks for.
pub fn row(object: &Value, cells: Vec<Value>, include: Include) -> Value {
    let mut row = json!({"cells": cells});
    if let ("", _, "Pod") = gvk(object)
        && let Some(condition) = pod::row_condition(View(object))
    {
        row["conditions"] = json!([condition]);
    }
    match include {
        Include::None => row["object"] = Value::Null,
        Include::Object => row["object"] = object.clone(),
        Include::Metadata => {
            row["object"] = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
        }
    }
    row
}

/// A Table of objects of one built-in kind. `metadata` is the list's (resourceVersion, continue, remainingItemCount).
pub fn table<'a>(gvk: (&str, &str, &str), metadata: Value, objects: impl Iterator<Item = &'a Value>, include: Include, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects.map(|object| row(object, cells(object, now), include)).collect();
    let mut table = wrap(metadata, column_definitions(gvk.0, gvk.1, gvk.2), rows);
    if printer(gvk.0, gvk.2).is_none() && table["rows"].as_array().is_some_and(Vec::is_empty) {
        // The printer of kinds that have none of their own makes no list for no rows.
        table["rows"] = Value::Null;
    }
    table
}

/// A Table from finished columns and rows.
pub fn wrap(metadata: Value, columns: Value, rows: Vec<Value>) -> Value {
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}
