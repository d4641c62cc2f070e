//! Custom resources: what a definition says about its objects, taken apart once, and how objects are pruned, defaulted and
//! judged by it. Docs: "Extend the Kubernetes API with CustomResourceDefinitions"; KEP-2579 (structural schemas),
//! KEP-4008 (ratcheting), KEP-4358 (selectable fields).
//!
//! ```text
//!  request version's schema:  prune -> default -> (admission) -> validate;  stored as the storage version (strategy None)
//! ```

pub mod expressions;
mod format;
pub mod pattern;
mod prune;
mod schema;
mod strategy;
mod validate;
#[cfg(test)]
mod tests;

pub use prune::{default, defaulted, prune};
pub use schema::Schema;
pub use strategy::{prepare_create, prepare_status_update, prepare_update, scale, set_replicas};
pub use validate::{validate, validate_update};
pub(crate) use validate::validate_part;

use serde_json::Value;
use std::sync::OnceLock;

/// Where the scale subresource of a custom resource finds its parts.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub selector: Option<String>,
}

/// One version of a definition.
#[derive(Debug)]
pub struct Version {
    pub name: String,
    pub served: bool,
    pub schema: Schema,
    /// The schema as it was written, for server-side apply.
    pub raw: Value,
    /// The rules in CEL, compiled when the first object is judged.
    rules: OnceLock<Option<expressions::Node>>,
    /// Whether there is a status subresource.
    pub status: bool,
    pub scale: Option<ScalePaths>,
    /// Fields that field selectors may name, as `spec.color`.
    pub selectable: Vec<String>,
}

impl Version {
    /// The rules in CEL; none: the schema has none.
    pub(crate) fn rules(&self) -> Option<&expressions::Node> {
        self.rules.get_or_init(|| expressions::compile(&self.raw)).as_ref()
    }
}

/// A definition, taken apart.
#[derive(Debug)]
pub struct Definition {
    pub group: String,
    pub versions: Vec<Version>,
    storage: usize,
    /// Whether the definition is on its way out: nothing new is created.
    pub terminating: bool,
    /// Whether a webhook turns objects of one version into another; else they differ in name alone.
    pub by_webhook: bool,
}

impl Definition {
    /// Takes a CustomResourceDefinition's JSON apart. `None` when it has no versions.
    #[must_use]
    pub fn parse(crd: &Value) -> Option<Self> {
        let spec = &crd["spec"];
        let list = spec["versions"].as_array().filter(|l| !l.is_empty())?;
        let storage = list.iter().position(|v| v["storage"] == true).unwrap_or(0);
        Some(Self {
            group: spec["group"].as_str().unwrap_or_default().to_owned(),
            versions: list.iter().map(version).collect(),
            storage,
            terminating: crd["metadata"]["deletionTimestamp"].is_string(),
            by_webhook: spec["conversion"]["strategy"] == "Webhook",
        })
    }

    /// The version that objects are stored in.
    #[must_use]
    pub fn storage(&self) -> &Version {
        &self.versions[self.storage]
    }

    /// The `apiVersion` of stored objects.
    #[must_use]
    pub fn stored_as(&self) -> String {
        format!("{}/{}", self.group, self.storage().name)
    }

    /// The version that an `apiVersion` names; the storage version for anything else.
    #[must_use]
    pub fn version(&self, api_version: &str) -> &Version {
        let name = api_version.rsplit('/').next().unwrap_or_default();
        self.versions.iter().find(|v| v.name == name).unwrap_or_else(|| self.storage())
    }
}

fn version(v: &Value) -> Version {
    let raw = v["schema"]["openAPIV3Schema"].clone();
    let sub = &v["subresources"];
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let scale = sub["scale"].as_object().map(|s| ScalePaths {
        spec_replicas: s.get("specReplicasPath").and_then(text).unwrap_or_default(),
        status_replicas: s.get("statusReplicasPath").and_then(text).unwrap_or_default(),
        selector: s.get("labelSelectorPath").and_then(text).filter(|p| !p.is_empty()),
    });
    let fields = v["selectableFields"].as_array().into_iter().flatten();
    Version {
        name: v["name"].as_str().unwrap_or_default().to_owned(),
        served: v["served"] == true,
        schema: Schema::parse(&raw),
        raw,
        rules: OnceLock::new(),
        status: sub.get("status").is_some_and(|s| !s.is_null()),
        scale,
        selectable: fields.filter_map(|f| f["jsonPath"].as_str()).map(|p| p.trim_start_matches('.').to_owned()).collect(),
    }
}

/// The value at a simple dotted path, as selectors see it: texts, numbers and booleans.
#[must_use]
pub fn field_at(object: &kinds::Dynamic, path: &str) -> String {
    let mut parts = path.trim_start_matches('.').split('.');
    let mut at = parts.next().and_then(|p| object.body.get(p));
    for part in parts {
        at = at.and_then(|v| v.get(part));
    }
    match at {
        Some(Value::String(s)) => s.clone(),
        Some(v @ (Value::Number(_) | Value::Bool(_))) => v.to_string(),
        _ => String::new(),
    }
}
