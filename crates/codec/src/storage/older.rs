//! What kube-apiserver stores in an older version than it serves. A kind that has just become v1 is kept in its beta version for
//! one release, so that the release before can read it; the shapes are the same. Definitions of custom resources lie to this
//! day in `apiextensions.k8s.io/v1beta1`, where what all versions have in common stands once beside them. Reference: the
//! v1beta1 API of Kubernetes v1.21; KEP-4330 (compatibility versions).

use kinds::Resource;
use serde_json::{Map, Value};

/// The version that definitions are stored in, and that they are served in.
const OLDER: &str = "apiextensions.k8s.io/v1beta1";
const NEWER: &str = "apiextensions.k8s.io/v1";

/// Versions whose shapes are others than the newest's: they cannot be read by its fields.
const OTHER_SHAPES: [&str; 5] =
    ["autoscaling/v1", "autoscaling/v2beta1", "autoscaling/v2beta2", "resource.k8s.io/v1alpha3", "resource.k8s.io/v1beta1"];

/// The version to read a value by that was written in another version of the resource's group.
pub(super) fn same_shape(resource: &Resource, written: &str) -> Option<String> {
    let info = resource.builtin()?.info();
    let (group, version) = written.rsplit_once('/').unwrap_or(("", written));
    let newest = if info.group.is_empty() { info.version.to_owned() } else { format!("{}/{}", info.group, info.version) };
    (group == info.group && version != info.version && !OTHER_SHAPES.contains(&written)).then_some(newest)
}

/// A built-in object in the version that it is served in.
pub(super) fn renewed(mut tree: Value) -> Value {
    if tree["apiVersion"] == OLDER {
        tree["apiVersion"] = NEWER.into();
        if let Some(spec) = tree.get_mut("spec").and_then(Value::as_object_mut) {
            renew_spec(spec);
        }
    }
    tree
}

fn renew_spec(spec: &mut Map<String, Value>) {
    let first = spec.remove("version").filter(|v| v.as_str().is_some_and(|s| !s.is_empty()));
    let schema = spec.remove("validation");
    let (subresources, columns) = (spec.remove("subresources"), spec.remove("additionalPrinterColumns"));
    let fields = spec.remove("selectableFields");
    if spec.get("versions").and_then(Value::as_array).is_none_or(Vec::is_empty)
        && let Some(name) = first
    {
        spec.insert("versions".into(), serde_json::json!([{"name": name, "served": true, "storage": true}]));
    }
    for version in spec.get_mut("versions").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(version) = version.as_object_mut() else { continue };
        let common = [("schema", &schema), ("subresources", &subresources), ("additionalPrinterColumns", &columns), ("selectableFields", &fields)];
        for (name, value) in common {
            if let (false, Some(value)) = (version.contains_key(name), value) {
                version.insert(name.into(), value.clone());
            }
        }
        for column in version.get_mut("additionalPrinterColumns").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(column) = column.as_object_mut()
                && let Some(path) = column.remove("JSONPath")
            {
                column.insert("jsonPath".into(), path);
            }
        }
    }
    if spec.get("preserveUnknownFields") == Some(&Value::Bool(false)) {
        spec.remove("preserveUnknownFields");
    }
    if let Some(conversion) = spec.get_mut("conversion").and_then(Value::as_object_mut) {
        let parts = [("webhookClientConfig", "clientConfig"), ("conversionReviewVersions", "conversionReviewVersions")];
        let webhook: Map<String, Value> = parts.into_iter().filter_map(|(old, new)| Some((new.to_owned(), conversion.remove(old)?))).collect();
        if !webhook.is_empty() {
            conversion.insert("webhook".into(), webhook.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::renewed;
    use serde_json::json;

    #[test]
    fn what_is_common_goes_to_each_version() {
        let old = json!({"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "CustomResourceDefinition", "spec": {
            "version": "v1", "validation": {"openAPIV3Schema": {"type": "object"}}, "subresources": {"status": {}},
            "versions": [{"name": "v1", "served": true, "storage": true}, {"name": "v2", "served": true, "storage": false}],
            "additionalPrinterColumns": [{"name": "R", "JSONPath": ".spec.r"}], "selectableFields": [{"jsonPath": ".spec.n"}],
            "conversion": {"strategy": "Webhook", "webhookClientConfig": {"url": "https://x"}, "conversionReviewVersions": ["v1"]},
            "preserveUnknownFields": false}});
        let new = renewed(old);
        let own = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object"}}, "subresources": {"status": {}},
            "additionalPrinterColumns": [{"name": "R", "jsonPath": ".spec.r"}], "selectableFields": [{"jsonPath": ".spec.n"}]});
        assert_eq!(new, json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {
            "versions": [own("v1", true), own("v2", false)],
            "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://x"}, "conversionReviewVersions": ["v1"]}}}}));
    }

    #[test]
    fn a_younger_version_is_read_by_the_newest_fields() {
        let resource = kinds::Resource::from(kinds::Kind::MutatingAdmissionPolicy);
        let json = br#"{"apiVersion":"admissionregistration.k8s.io/v1beta1","kind":"MutatingAdmissionPolicy","metadata":{"name":"x"},"spec":{"failurePolicy":"Fail","reinvocationPolicy":"Never"}}"#;
        let stored = crate::proto::encode(json).expect("encodes");
        let read = crate::storage::from_stored(&resource, &stored, |_| ()).expect("reads").expect("JSON");
        let tree: serde_json::Value = serde_json::from_slice(&read).expect("JSON");
        assert_eq!((&tree["apiVersion"], &tree["spec"]["failurePolicy"]), (&json!("admissionregistration.k8s.io/v1"), &json!("Fail")));
    }

    #[test]
    fn different_versions_keep_what_is_theirs() {
        let old = json!({"apiVersion": "apiextensions.k8s.io/v1beta1", "spec": {"version": "v1", "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
            {"name": "v2", "served": true, "storage": false, "additionalPrinterColumns": [{"name": "R", "JSONPath": ".r"}]}]}});
        let new = renewed(old);
        assert_eq!(new["spec"], json!({"versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}},
            {"name": "v2", "served": true, "storage": false, "additionalPrinterColumns": [{"name": "R", "jsonPath": ".r"}]}]}));
    }
}
