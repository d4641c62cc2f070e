//! What a kustomization does to objects, in Kustomize's order: patches, namespace, prefix and suffix, labels, annotations, images,
//! replicas.

use super::Resource;
use crate::failure::{Failure, Outcome, wrong};
use patch::Shape;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Kinds that live in no namespace.
fn clustered(kind: &str, api_version: &str) -> bool {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    schema::resources().by_gvk(group, version, kind).is_some_and(|r| !r.namespaced)
}

pub(super) fn all(directory: &Path, file: &Value, resources: &mut Vec<Resource>) -> Outcome {
    patches(directory, file, resources)?;
    namespace(file, resources);
    names(file, resources);
    labels(file, resources);
    for (key, value) in file["commonAnnotations"].as_object().into_iter().flatten() {
        for r in resources.iter_mut() {
            r.object["metadata"]["annotations"][key.as_str()] = value.clone();
            for path in ["/spec/template/metadata", "/spec/jobTemplate/metadata", "/spec/jobTemplate/spec/template/metadata"] {
                if let Some(metadata) = template_metadata(&mut r.object, path) {
                    metadata["annotations"][key.as_str()] = value.clone();
                }
            }
        }
    }
    images(file, resources);
    replicas(file, resources)
}

/// The metadata of a template inside a workload, made if it is missing.
fn template_metadata<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let parent = path.strip_suffix("/metadata")?;
    let kind = object["kind"].as_str().unwrap_or_default();
    let fits = match kind {
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" | "ReplicationController" | "Job" => path == "/spec/template/metadata",
        "CronJob" => path != "/spec/template/metadata",
        _ => false,
    };
    let template = object.pointer_mut(parent).filter(|t| fits && t.is_object())?;
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    template.get_mut("metadata")
}

fn namespace(file: &Value, resources: &mut [Resource]) {
    let Some(namespace) = file["namespace"].as_str().filter(|n| !n.is_empty()) else { return };
    for r in resources {
        let version = r.object["apiVersion"].as_str().unwrap_or_default().to_owned();
        if r.kind() == "Namespace" {
            r.rename(namespace.to_owned());
        } else if !clustered(r.kind(), &version) {
            r.object["metadata"]["namespace"] = namespace.into();
        }
        for subject in r.object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            if subject["kind"] == "ServiceAccount" && subject["name"] == "default" {
                subject["namespace"] = namespace.into();
            }
        }
    }
}

fn names(file: &Value, resources: &mut [Resource]) {
    let text = |k: &str| file[k].as_str().unwrap_or_default();
    let (prefix, suffix) = (text("namePrefix"), text("nameSuffix"));
    if prefix.is_empty() && suffix.is_empty() {
        return;
    }
    for r in resources {
        if !matches!(r.kind(), "Namespace" | "CustomResourceDefinition" | "APIService") {
            r.rename(format!("{prefix}{}{suffix}", r.name()));
        }
    }
}

fn put_labels(at: &mut Value, pairs: &Map<String, Value>) {
    for (key, value) in pairs {
        at[key.as_str()] = value.clone();
    }
}

fn labels(file: &Value, resources: &mut [Resource]) {
    let mut wishes: Vec<(Map<String, Value>, bool, bool)> = Vec::new();
    if let Some(pairs) = file["commonLabels"].as_object() {
        wishes.push((pairs.clone(), true, true));
    }
    for entry in file["labels"].as_array().into_iter().flatten() {
        let (selectors, templates) = (entry["includeSelectors"] == true, entry["includeTemplates"] == true);
        wishes.extend(entry["pairs"].as_object().map(|p| (p.clone(), selectors, selectors || templates)));
    }
    for (pairs, selectors, templates) in wishes {
        for r in resources.iter_mut() {
            put_labels(&mut r.object["metadata"]["labels"], &pairs);
            if templates {
                for path in ["/spec/template/metadata", "/spec/jobTemplate/metadata", "/spec/jobTemplate/spec/template/metadata"] {
                    if let Some(metadata) = template_metadata(&mut r.object, path) {
                        put_labels(&mut metadata["labels"], &pairs);
                    }
                }
            }
            if selectors {
                select(r, &pairs);
            }
        }
    }
}

fn select(r: &mut Resource, pairs: &Map<String, Value>) {
    match r.kind() {
        "Service" | "ReplicationController" if r.object["spec"]["selector"].is_object() => put_labels(&mut r.object["spec"]["selector"], pairs),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => put_labels(&mut r.object["spec"]["selector"]["matchLabels"], pairs),
        "PodDisruptionBudget" if r.object["spec"]["selector"].is_object() => put_labels(&mut r.object["spec"]["selector"]["matchLabels"], pairs),
        "NetworkPolicy" if r.object["spec"]["podSelector"]["matchLabels"].is_object() => put_labels(&mut r.object["spec"]["podSelector"]["matchLabels"], pairs),
        _ => {}
    }
}

/// Every list of containers below a value.
fn each_container(value: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                if matches!(key.as_str(), "containers" | "initContainers") {
                    child.as_array_mut().into_iter().flatten().for_each(&mut *change);
                } else {
                    each_container(child, change);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|child| each_container(child, change)),
        _ => {}
    }
}

/// `host:5000/name:tag@digest` in its three parts.
fn image_parts(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    let last = rest.rfind('/').map_or(0, |i| i + 1);
    match rest[last..].find(':') {
        Some(i) => (&rest[..last + i], &rest[last + i + 1..], digest),
        None => (rest, "", digest),
    }
}

fn images(file: &Value, resources: &mut [Resource]) {
    for wish in file["images"].as_array().into_iter().flatten() {
        let text = |k: &str| wish[k].as_str().map(str::to_owned).or_else(|| wish[k].is_number().then(|| wish[k].to_string()));
        let wanted = text("name").unwrap_or_default();
        for r in resources.iter_mut() {
            each_container(&mut r.object, &mut |container| {
                let image = container["image"].as_str().unwrap_or_default().to_owned();
                let (name, tag, digest) = image_parts(&image);
                if name != wanted {
                    return;
                }
                let name = text("newName").unwrap_or_else(|| name.to_owned());
                let (tag, digest) = match (text("newTag"), text("digest")) {
                    (_, Some(digest)) => (String::new(), digest),
                    (Some(tag), None) => (tag, String::new()),
                    (None, None) => (tag.to_owned(), digest.to_owned()),
                };
                let tag = if tag.is_empty() { tag } else { format!(":{tag}") };
                let digest = if digest.is_empty() { digest } else { format!("@{digest}") };
                container["image"] = format!("{name}{tag}{digest}").into();
            });
        }
    }
}

fn replicas(file: &Value, resources: &mut [Resource]) -> Outcome {
    for wish in file["replicas"].as_array().into_iter().flatten() {
        let name = wish["name"].as_str().unwrap_or_default();
        let mut found = false;
        for r in resources.iter_mut().filter(|r| matches!(r.kind(), "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet") && r.names.iter().any(|n| n == name)) {
            r.object["spec"]["replicas"] = wish["count"].clone();
            found = true;
        }
        if !found {
            return wrong(format!("resource with name {name} does not match a config with the following GVK [Deployment.[noVer].[noGrp] ReplicationController.[noVer].[noGrp] ReplicaSet.[noVer].[noGrp] StatefulSet.[noVer].[noGrp]]"));
        }
    }
    Ok(())
}

/// The text of a patch: in place, or of a file.
fn patch_text(directory: &Path, entry: &Value) -> Outcome<String> {
    if let Some(text) = entry["patch"].as_str() {
        return Ok(text.to_owned());
    }
    let Some(path) = entry["path"].as_str() else { return wrong("must specify one of patch and path") };
    let full = directory.join(path);
    std::fs::read_to_string(&full).map_err(|_| Failure::text(format!("evalsymlink failure on '{0}' : lstat {0}: no such file or directory", super::absolute(&full))))
}

fn patches(directory: &Path, file: &Value, resources: &mut Vec<Resource>) -> Outcome {
    for entry in file["patchesStrategicMerge"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let text = if entry.contains('\n') { entry.to_owned() } else { patch_text(directory, &json!({ "path": entry }))? };
        one(&text, &Value::Null, resources)?;
    }
    for key in ["patches", "patchesJson6902"] {
        for entry in file[key].as_array().into_iter().flatten() {
            one(&patch_text(directory, entry)?, &entry["target"], resources)?;
        }
    }
    Ok(())
}

fn fits(r: &Resource, target: &Value) -> bool {
    let text = |k: &str| target[k].as_str().filter(|t| !t.is_empty());
    let matches = |pattern: &str, value: &str| regex::Regex::new(&format!("^(?:{pattern})$")).map_or(pattern == value, |p| p.is_match(value));
    let version = r.object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let labels = |key: &str, selector: &str| {
        let map = r.object["metadata"][key].as_object().map(|m| m.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect());
        kinds::Selector::parse(selector).is_ok_and(|s| s.matches(map.as_ref()))
    };
    text("kind").is_none_or(|k| matches(k, r.kind()))
        && text("group").is_none_or(|g| matches(g, group))
        && text("version").is_none_or(|v| matches(v, version))
        && text("name").is_none_or(|n| r.names.iter().any(|own| matches(n, own)))
        && text("namespace").is_none_or(|n| matches(n, r.object["metadata"]["namespace"].as_str().unwrap_or("default")))
        && text("labelSelector").is_none_or(|s| labels("labels", s))
        && text("annotationSelector").is_none_or(|s| labels("annotations", s))
}

fn one(text: &str, target: &Value, resources: &mut Vec<Resource>) -> Outcome {
    let parsed = codec::yaml::documents(text).map_err(|e| Failure::text(format!("unable to parse SM or JSON patch from [{text}]: {e}")))?;
    for document in parsed {
        let body = document.value;
        if body.is_array() {
            for r in resources.iter_mut().filter(|r| fits(r, target)) {
                patch::json::apply(&mut r.object, body.to_string().as_bytes()).map_err(|e| Failure::text(e.to_string()))?;
            }
            continue;
        }
        if !body.is_object() {
            continue;
        }
        let own = |r: &Resource| r.kind() == body["kind"] && body["metadata"]["name"].as_str().is_some_and(|n| r.names.iter().any(|own| own == n));
        let chosen = |r: &Resource| if target.is_object() { fits(r, target) } else { own(r) };
        if !target.is_object() && !resources.iter().any(own) {
            let (kind, name) = (body["kind"].as_str().unwrap_or_default(), body["metadata"]["name"].as_str().unwrap_or_default());
            return wrong(format!("no resource matches strategic merge patch \"{kind}.{}.[noGrp]/{name}.[noNs]\": no matches for Id {kind}.{}.[noGrp]/{name}.[noNs]; failed to find unique target for patch {kind}.{}.[noGrp]/{name}.[noNs]", body["apiVersion"].as_str().unwrap_or_default(), body["apiVersion"].as_str().unwrap_or_default(), body["apiVersion"].as_str().unwrap_or_default()));
        }
        if body["$patch"] == "delete" {
            resources.retain(|r| !chosen(r));
            continue;
        }
        for r in resources.iter_mut().filter(|r| chosen(r)) {
            strategic(r, &body)?;
        }
    }
    Ok(())
}

fn strategic(r: &mut Resource, body: &Value) -> Outcome {
    let version = r.object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let (name, kind) = (r.name().to_owned(), r.kind().to_owned());
    let shape = Shape::of_kind(group, version, &kind);
    if matches!(shape, Shape::Any) {
        patch::merge::apply(&mut r.object, body.clone());
    } else {
        patch::strategic::apply(&mut r.object, body.clone(), shape).map_err(|e| Failure::text(e.to_string()))?;
    }
    // A patch names its target; it renames nothing.
    r.object["metadata"]["name"] = name.into();
    Ok(())
}
