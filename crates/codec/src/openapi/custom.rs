//! Custom resources in the documents: the structural schema of a served version, completed with `apiVersion`, `kind` and
//! `metadata`, and its list. Docs: "Publish Validation Schema in OpenAPI".

use super::definition::reference;
use super::{Served, names};
use super::routes::{Route, Sub};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SUB_VERBS: &[&str] = &["get", "patch", "update"];
/// Deeper schemas are cut off; the API server refuses such definitions long before.
const DEPTH_MAX: usize = 200;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn list_kind(crd: &CustomResourceDefinition) -> String {
    let names = &crd.spec.names;
    names.list_kind.clone().filter(|l| !l.is_empty()).unwrap_or_else(|| format!("{}List", names.kind))
}

/// The routes of a served version.
pub(super) fn route(crd: &CustomResourceDefinition, version: &str) -> Option<Route> {
    let spec = &crd.spec;
    let v = spec.versions.iter().find(|v| v.name == version && v.served)?;
    let model = names::model(&spec.group, version, &spec.names.kind);
    let mut subresources = Vec::new();
    if v.subresources.as_ref().is_some_and(|s| s.scale.is_some()) {
        subresources.push(Sub {
            name: "scale".into(),
            gvk: ["autoscaling".into(), "v1".into(), "Scale".into()],
            model: "io.k8s.api.autoscaling.v1.Scale".into(),
            verbs: texts(SUB_VERBS),
        });
    }
    if v.subresources.as_ref().is_some_and(|s| s.status.is_some()) {
        subresources.push(Sub {
            name: "status".into(),
            gvk: [spec.group.clone(), version.to_owned(), spec.names.kind.clone()],
            model: model.clone(),
            verbs: texts(SUB_VERBS),
        });
    }
    Some(Route {
        group: spec.group.clone(),
        version: version.to_owned(),
        plural: spec.names.plural.clone(),
        kind: spec.names.kind.clone(),
        model,
        list_model: names::model(&spec.group, version, &list_kind(crd)),
        namespaced: spec.scope == "Namespaced",
        verbs: texts(VERBS),
        subresources,
        custom: true,
    })
}

/// One of the two definitions of a served version.
pub(super) struct Definition<'a> {
    crd: &'a CustomResourceDefinition,
    version: String,
    /// That of the list of the kind, not of the kind.
    list: bool,
}

/// The definitions of the kind and of its list, by name. Each is made when it is written: all of them at once would take
/// the memory of all schemas.
pub(super) fn definitions<'a>(crd: &'a CustomResourceDefinition, version: &str) -> [(String, Definition<'a>); 2] {
    let own = |list| Definition { crd, version: version.to_owned(), list };
    let (group, kind) = (&crd.spec.group, &crd.spec.names.kind);
    [(names::model(group, version, kind), own(false)), (names::model(group, version, &list_kind(crd)), own(true))]
}

impl Definition<'_> {
    /// The definitions that it refers to.
    pub(super) fn references(&self) -> [String; 2] {
        let meta = if self.list { LIST_META } else { OBJECT_META };
        [meta.to_owned(), names::model(&self.crd.spec.group, &self.version, &self.crd.spec.names.kind)]
    }

    /// The definition in v3 form.
    pub(super) fn make(&self, served: &Served<'_>, texts: &super::text::Descriptions) -> Value {
        if self.list { list(self.crd, &self.version, texts) } else { model(self.crd, &self.version, served, texts) }
    }
}

fn model(crd: &CustomResourceDefinition, version: &str, served: &Served<'_>, texts: &super::text::Descriptions) -> Value {
    let mut tree = (served.tree)(crd);
    let versions = tree["spec"]["versions"].as_array_mut();
    let mut own = versions.into_iter().flatten().find(|v| v["name"] == version).map(Value::take).unwrap_or_default();
    let (group, kind) = (&crd.spec.group, &crd.spec.names.kind);
    let mut root = match own["schema"]["openAPIV3Schema"].take() {
        schema @ Value::Object(_) => schema,
        _ => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
    };
    if crd.spec.preserve_unknown_fields == Some(true) {
        root["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    complete(&mut root, texts, DEPTH_MAX);
    identify(&mut root, texts, false);
    root["x-kubernetes-group-version-kind"] = json!([{ "group": group, "kind": kind, "version": version }]);
    if let Some(fields) = own["selectableFields"].as_array().filter(|f| !f.is_empty()) {
        let paths = fields.iter().filter_map(|f| f["jsonPath"].as_str());
        let paths = paths.map(|p| json!({ "fieldPath": p.trim_start_matches('.') }));
        root["x-kubernetes-selectable-fields"] = paths.collect();
    }
    root
}

fn list(crd: &CustomResourceDefinition, version: &str, texts: &super::text::Descriptions) -> Value {
    let (group, kind) = (&crd.spec.group, &crd.spec.names.kind);
    let model = names::model(group, version, kind);
    let list = list_kind(crd);
    let mut items = json!({
        "description": format!("{list} is a list of {kind}"),
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": { "type": "array", "items": reference(&model), "description": format!("List of {}.", crd.spec.names.plural) },
            "metadata": { "allOf": [reference(LIST_META)], "default": {}, "description": "The list's own metadata." },
        },
        "x-kubernetes-group-version-kind": [{ "group": group, "kind": list, "version": version }],
    });
    type_meta(&mut items["properties"], texts);
    items
}

fn type_meta(properties: &mut Value, texts: &super::text::Descriptions) {
    for name in ["apiVersion", "kind"] {
        let mut property = json!({ "type": "string" });
        if let Some(text) = texts.of_field("", name) {
            property["description"] = text.into();
        }
        properties[name] = property;
    }
}

/// Adds `apiVersion`, `kind` and `metadata`, as every object has them.
fn identify(schema: &mut Value, texts: &super::text::Descriptions, embedded: bool) {
    let Value::Object(map) = schema else { return };
    map.entry("type").or_insert_with(|| "object".into());
    let properties = map.entry("properties").or_insert_with(|| Map::new().into());
    if !properties.is_object() {
        return;
    }
    type_meta(properties, texts);
    let mut meta = json!({ "allOf": [reference(OBJECT_META)], "default": {} });
    if let Some(text) = texts.of_field("io.k8s.api.apps.v1.Deployment", "metadata") {
        meta["description"] = text.into();
    }
    properties["metadata"] = meta;
    if embedded {
        let required = map.entry("required").or_insert_with(|| json!([]));
        if let Value::Array(list) = required {
            for name in ["apiVersion", "kind"] {
                if !list.iter().any(|v| v == name) {
                    list.push(name.into());
                }
            }
        }
    }
}

/// Completes embedded objects below the root.
fn complete(schema: &mut Value, texts: &super::text::Descriptions, depth: usize) {
    let Value::Object(map) = schema else { return };
    if depth == 0 {
        map.clear();
        return;
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(|p| complete(p, texts, depth - 1));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            complete(inner, texts, depth - 1);
        }
    }
    if map.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        identify(schema, texts, true);
    }
}
