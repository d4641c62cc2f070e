//! ConfigMaps and Secrets that a kustomization generates, and the hash of their content at the end of their names.

use super::Resource;
use crate::failure::{Failure, Outcome, wrong};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

const HASH_LENGTH: usize = 10;

/// Ten letters of a hash that neither look like digits nor make words.
pub(crate) fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    let soft = |c: char| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().take(HASH_LENGTH).map(soft).collect()
}

/// The hash of a ConfigMap or Secret under a name.
pub(crate) fn content_hash(object: &Value, name: &str, by_kubectl: bool) -> String {
    // The two programs differ in how they write no data at all.
    let sorted = |v: &Value| -> Value { v.as_object().map(|m| m.iter().collect::<std::collections::BTreeMap<_, _>>()).map_or(Value::Null, |m| m.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>().into()) };
    let text = |v: &Value| crate::print::json_line(v);
    let empty = |v: Value, otherwise: &str| if v.is_null() { otherwise.to_owned() } else { text(&v) };
    let quoted = |s: &str| text(&Value::from(s));
    let data = sorted(&object["data"]);
    if object["kind"] == "Secret" {
        let kind = object["type"].as_str().unwrap_or_default();
        return short_hash(&format!("{{\"data\":{},\"kind\":\"Secret\",\"name\":{},\"type\":{}}}", empty(data, "{}"), quoted(name), quoted(kind)));
    }
    let binary = sorted(&object["binaryData"]);
    let binary = if binary.is_null() { String::new() } else { format!("\"binaryData\":{},", text(&binary)) };
    short_hash(&format!("{{{binary}\"data\":{},\"kind\":\"ConfigMap\",\"name\":{}}}", empty(data, if by_kubectl { "{}" } else { "\"\"" }), quoted(name)))
}

/// Puts the hashes on.
pub(super) fn add_hashes(resources: &mut [Resource]) {
    for r in resources.iter_mut().filter(|r| r.hashed) {
        let name = format!("{}-{}", r.name(), content_hash(&r.object, "", false));
        r.rename(name);
    }
}

fn read(directory: &Path, file: &str) -> Outcome<Vec<u8>> {
    let path = directory.join(file);
    std::fs::read(&path).map_err(|_| Failure::text(format!("loading KV pairs: file sources: [{file}]: evalsymlink failure on '{0}' : lstat {0}: no such file or directory", super::absolute(&path))))
}

fn strings<'a>(v: &'a Value, key: &str) -> Vec<&'a str> {
    v[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn pairs(directory: &Path, entry: &Value) -> Outcome<Vec<(String, Vec<u8>)>> {
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    let mut env: Vec<&str> = strings(entry, "envs");
    env.extend(entry["env"].as_str());
    for file in env {
        let text = String::from_utf8_lossy(&read(directory, file)?).into_owned();
        for line in text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (key, value) = line.split_once('=').map_or_else(|| (line, std::env::var(line).unwrap_or_default()), |(k, v)| (k, v.to_owned()));
            out.push((key.to_owned(), value.into_bytes()));
        }
    }
    for literal in strings(entry, "literals") {
        let Some((key, value)) = literal.split_once('=') else { return wrong(format!("loading KV pairs: literal sources: [{literal}]: invalid literal source {literal}, expected key=value")) };
        let quoted = |q: char| value.len() >= 2 && value.starts_with(q) && value.ends_with(q);
        let value = if quoted('"') || quoted('\'') { &value[1..value.len() - 1] } else { value };
        out.push((key.to_owned(), value.as_bytes().to_vec()));
    }
    for file in strings(entry, "files") {
        let (key, path) = file.split_once('=').unwrap_or((file.rsplit('/').next().unwrap_or(file), file));
        out.push((key.to_owned(), read(directory, path)?));
    }
    Ok(out)
}

fn merge(into: &mut Value, from: &Value) {
    for (k, v) in from.as_object().into_iter().flatten() {
        into[k.as_str()] = v.clone();
    }
}

fn object(directory: &Path, entry: &Value, kind: &str, options: &Value) -> Outcome<Resource> {
    let name = entry["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return wrong(format!("generating {kind}: missing name for generator"));
    }
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = entry["namespace"].as_str() {
        metadata["namespace"] = namespace.into();
    }
    let mut object = json!({ "apiVersion": "v1", "kind": kind });
    for source in [options, &entry["options"]] {
        for key in ["labels", "annotations"] {
            if source[key].is_object() {
                merge(&mut metadata[key], &source[key]);
            }
        }
        if source["immutable"] == true {
            object["immutable"] = true.into();
        }
    }
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in pairs(directory, entry)? {
        match String::from_utf8(bytes) {
            Ok(text) if kind == "ConfigMap" => drop(data.insert(key, text.into())),
            Ok(text) => drop(data.insert(key, STANDARD.encode(text).into())),
            Err(e) if kind == "ConfigMap" => drop(binary.insert(key, STANDARD.encode(e.as_bytes()).into())),
            Err(e) => drop(data.insert(key, STANDARD.encode(e.as_bytes()).into())),
        }
    }
    for (key, map) in [("data", data), ("binaryData", binary)] {
        if !map.is_empty() {
            object[key] = Value::Object(map);
        }
    }
    if kind == "Secret" {
        object["type"] = entry["type"].as_str().unwrap_or("Opaque").into();
    }
    object["metadata"] = metadata;
    let off = |o: &Value| o["disableNameSuffixHash"].as_bool();
    let hashed = !off(&entry["options"]).or_else(|| off(options)).unwrap_or(false);
    Ok(Resource { hashed, ..Resource::new(object) })
}

/// Everything that a file generates, with how it meets what is there.
pub(super) fn objects(directory: &Path, file: &Value) -> Outcome<Vec<(Resource, String)>> {
    let mut out = Vec::new();
    for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for entry in file[key].as_array().into_iter().flatten() {
            let behavior = entry["behavior"].as_str().unwrap_or("create").to_owned();
            out.push((object(directory, entry, kind, &file["generatorOptions"])?, behavior));
        }
    }
    Ok(out)
}

/// Merges into, or replaces, what a base generated.
pub(super) fn behave(found: &mut Resource, (new, behavior): (Resource, String)) -> Outcome {
    match behavior.as_str() {
        "merge" => {
            for key in ["data", "binaryData"] {
                if new.object[key].is_object() {
                    let from = new.object[key].clone();
                    merge(&mut found.object[key], &from);
                }
            }
            found.hashed = new.hashed;
            Ok(())
        }
        "replace" => {
            for key in ["data", "binaryData"] {
                found.object[key] = new.object[key].clone();
                if found.object[key].is_null() {
                    drop(found.object.as_object_mut().and_then(|m| m.remove(key)));
                }
            }
            found.hashed = new.hashed;
            Ok(())
        }
        _ => wrong(format!("may not add resource with an already registered id: {}.v1.[noGrp]/{}.[noNs]", new.kind(), new.name())),
    }
}
