//! The corpus: seeds (valid objects, several documents a file) and scripts (requests in order), both YAML.
//!
//! A seed may begin with a document `seeds: {skip: [paths], keep: false}`; a script is a list of
//! `{name, method, path, headers, body, raw}` in which `body` is sent as JSON and `raw` as it is.

use std::path::Path;

use anyhow::{Context, Result, bail};
use schema::Resource;
use serde_json::Value;

use super::http::Ask;

/// A valid object.
pub(crate) struct Seed {
    pub object: Value,
    pub resource: &'static Resource,
    /// Paths whose insides are not mutated: another seed does that.
    pub skip: Vec<String>,
}

impl Seed {
    /// `Pod minimal`: its kind and name.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.resource.kind, self.name())
    }

    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Where it is created.
    pub(crate) fn collection(&self) -> String {
        let r = self.resource;
        let root = if r.group.is_empty() { format!("/api/{}", r.version) } else { format!("/apis/{}/{}", r.group, r.version) };
        if r.namespaced { format!("{root}/namespaces/{NAMESPACE}/{}", r.plural) } else { format!("{root}/{}", r.plural) }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name())
    }
}

/// The namespace that everything happens in.
pub(crate) const NAMESPACE: &str = "oracle";

/// A step of a script.
pub(crate) struct Step {
    pub name: String,
    pub ask: Ask,
}

/// A script.
pub(crate) struct Script {
    pub name: String,
    pub steps: Vec<Step>,
}

fn files(dir: &Path) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            all.push((name, std::fs::read_to_string(&path)?));
        }
    }
    all.sort();
    Ok(all)
}

/// All seeds of a directory.
pub(crate) fn seeds(dir: &Path) -> Result<Vec<Seed>> {
    let mut all = Vec::new();
    for (name, text) in files(dir)? {
        all.extend(parse_seeds(&text).with_context(|| format!("seeds/{name}.yaml"))?);
    }
    Ok(all)
}

/// The seeds of one file.
pub(crate) fn parse_seeds(text: &str) -> Result<Vec<Seed>> {
    let (mut all, mut skip) = (Vec::new(), Vec::new());
    for object in documents(text)? {
        if let Some(paths) = object["skip"].as_array() {
            skip = paths.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            continue;
        }
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = schema::resources().by_gvk(group, version, kind);
        let resource = resource.with_context(|| format!("{api_version} {kind} is no resource"))?;
        all.push(Seed { object, resource, skip: skip.clone() });
    }
    Ok(all)
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for document in text.split("\n---\n") {
        let value = codec::yaml::parse(document).map_err(|e| anyhow::anyhow!("{e}"))?.value;
        if !value.is_null() {
            all.push(value);
        }
    }
    Ok(all)
}

/// All scripts of a directory.
pub(crate) fn scripts(dir: &Path) -> Result<Vec<Script>> {
    files(dir)?.into_iter().map(|(name, text)| Ok(Script { steps: parse_script(&text).with_context(|| name.clone())?, name })).collect()
}

/// The steps of one script.
pub(crate) fn parse_script(text: &str) -> Result<Vec<Step>> {
    let tree = codec::yaml::parse(text).map_err(|e| anyhow::anyhow!("{e}"))?.value;
    let Some(list) = tree.as_array() else { bail!("a script is a list of requests") };
    list.iter().map(step).collect()
}

fn step(tree: &Value) -> Result<Step> {
    let text = |key: &str| tree[key].as_str().map(str::to_owned);
    let method = text("method").unwrap_or_else(|| "GET".into());
    let path = text("path").context("a step has a path")?;
    let mut headers: Vec<(String, String)> = tree["headers"].as_object().into_iter().flatten()
        .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
    let body = match (&tree["body"], &tree["raw"]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, raw) => raw.as_str().context("raw is a string")?.to_owned(),
        (body, _) => body.to_string(),
    };
    if !body.is_empty() && !headers.iter().any(|(k, _)| k == "content-type") {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        headers.push(("content-type".into(), kind.into()));
    }
    let name = text("name").unwrap_or_else(|| format!("{method} {path}"));
    Ok(Step { name, ask: Ask { method, path, headers, body: body.into() } })
}
