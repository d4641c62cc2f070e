//! Kustomizations (docs: "Declarative Management of Kubernetes Objects Using Kustomize"), the part that most people use: resources
//! and bases, generators, prefixes, namespaces, labels, annotations, images, replicas and patches. Whatever else a file asks for is
//! refused by name, never left out quietly.

mod generate;
mod references;
#[cfg(test)]
mod tests;
mod transform;

pub(crate) use generate::content_hash;

use crate::failure::{Failure, Outcome, wrong};
use crate::manifest;
use serde_json::Value;
use std::path::{Path, PathBuf};

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Directories inside directories.
const DEPTH_MAX: usize = 32;
/// Fields that are understood.
const KNOWN: &[&str] = &[
    "apiVersion", "kind", "metadata", "resources", "bases", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels", "commonAnnotations", "images", "replicas",
    "configMapGenerator", "secretGenerator", "generatorOptions", "patches", "patchesStrategicMerge", "patchesJson6902", "sortOptions",
];
/// Fields that Kustomize has and we have not.
const FOREIGN: &[&str] = &["components", "configurations", "crds", "generators", "transformers", "validators", "helmCharts", "helmGlobals", "helmChartInflationGenerator", "openapi", "replacements", "vars", "buildMetadata"];
/// Kinds that come first, in their order.
const FIRST: &[&str] = &[
    "Namespace", "ResourceQuota", "StorageClass", "CustomResourceDefinition", "ServiceAccount", "PodSecurityPolicy", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ConfigMap", "Secret",
    "Endpoints", "Service", "LimitRange", "PriorityClass", "PersistentVolume", "PersistentVolumeClaim", "Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget",
];
/// Kinds that come last.
const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// An object on its way, with the name that it came with.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) object: Value,
    /// The names it had, the first first: what references to it may say.
    pub(crate) names: Vec<String>,
    /// Whether its name ends with a hash of its content.
    pub(crate) hashed: bool,
}

impl Resource {
    pub(crate) fn new(object: Value) -> Self {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Self { object, names: vec![name], hashed: false }
    }

    pub(crate) fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Gives it another name, and remembers the old one.
    pub(crate) fn rename(&mut self, name: String) {
        self.object["metadata"]["name"] = name.clone().into();
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

/// The objects of a directory.
pub(crate) fn build(directory: &Path) -> Outcome<Vec<Value>> {
    let mut resources = load(directory, &directory.display().to_string(), 0)?;
    generate::add_hashes(&mut resources);
    references::follow(&mut resources);
    sort(&mut resources);
    Ok(resources.into_iter().map(|r| r.object).collect())
}

fn rank(kind: &str) -> usize {
    let middle = FIRST.len();
    FIRST.iter().position(|k| *k == kind).or_else(|| LAST.iter().position(|k| *k == kind).map(|i| middle + 1 + i)).unwrap_or(middle)
}

fn sort(resources: &mut [Resource]) {
    resources.sort_by_cached_key(|r| {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let version = text(&r.object["apiVersion"]);
        let (group, version) = version.split_once('/').map_or((String::new(), version.clone()), |(g, v)| (g.to_owned(), v.to_owned()));
        let kind = r.kind().to_owned();
        (rank(&kind), format!("{kind}.{version}.{group}"), text(&r.object["metadata"]["namespace"]), r.name().to_owned())
    });
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// What a path says when there is nothing.
fn nothing_there(path: &Path, said: &str) -> String {
    format!("evalsymlink failure on '{said}' : lstat {}: no such file or directory", absolute(path))
}

fn kustomization(directory: &Path, said: &str) -> Outcome<Value> {
    if !directory.exists() {
        // These words stand alone, without the usual beginning.
        let text = format!("must build at directory: not a valid directory: {}", nothing_there(directory, said));
        return Err(Failure::Text(text));
    }
    let found: Vec<PathBuf> = NAMES.iter().map(|n| directory.join(n)).filter(|p| p.is_file()).collect();
    let [file] = &found[..] else {
        return wrong(if found.is_empty() {
            format!("unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{}'", absolute(directory))
        } else {
            format!("Found multiple kustomization files under: {}\n", absolute(directory))
        });
    };
    let text = std::fs::read_to_string(file)?;
    let value = codec::yaml::parse(&text).map_err(|e| Failure::text(format!("invalid Kustomization: error converting YAML to JSON: {e}")))?.value;
    for key in value.as_object().into_iter().flatten().map(|(k, _)| k) {
        if FOREIGN.contains(&key.as_str()) {
            return wrong(format!("invalid Kustomization: \"{key}\" is not supported by this kubectl: use the kustomize program and pipe its output to -f -"));
        }
        if !KNOWN.contains(&key.as_str()) {
            return wrong(format!("invalid Kustomization: json: unknown field \"{key}\""));
        }
    }
    Ok(value)
}

fn load(directory: &Path, said: &str, depth: usize) -> Outcome<Vec<Resource>> {
    if depth > DEPTH_MAX {
        return wrong(format!("cycle detected: {}", absolute(directory)));
    }
    let file = kustomization(directory, said)?;
    let mut resources: Vec<Resource> = Vec::new();
    for key in ["resources", "bases"] {
        for entry in file[key].as_array().into_iter().flatten().filter_map(Value::as_str) {
            resources.extend(accumulate(directory, entry, depth)?);
        }
    }
    for r in generate::objects(directory, &file)? {
        match resources.iter_mut().find(|o| o.kind() == r.0.kind() && o.names.iter().any(|n| n == r.0.name())) {
            Some(found) => generate::behave(found, r)?,
            None => resources.push(r.0),
        }
    }
    if resources.is_empty() {
        return wrong("kustomization.yaml is empty");
    }
    transform::all(directory, &file, &mut resources)?;
    Ok(resources)
}

fn accumulate(directory: &Path, entry: &str, depth: usize) -> Outcome<Vec<Resource>> {
    let path = directory.join(entry);
    if entry.contains("://") {
        return wrong(format!("accumulating resources: accumulation err='accumulating resources from '{entry}': remote resources are not read by this kubectl"));
    }
    if path.is_dir() {
        return load(&path, entry, depth + 1);
    }
    if !path.exists() {
        let why = format!("evalsymlink failure on '{0}' : lstat {0}: no such file or directory", absolute(&path));
        return wrong(format!("accumulating resources: accumulation err='accumulating resources from '{entry}': {why}': must build at directory: not a valid directory: {why}"));
    }
    let mut all = Vec::new();
    manifest::parse(&std::fs::read_to_string(&path)?, entry, &mut all)?;
    Ok(all.into_iter().map(|m| Resource::new(m.object)).collect())
}
