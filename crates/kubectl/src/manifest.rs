//! Manifests: files, directories and standard input, YAML or JSON, many documents, lists taken apart.

use crate::failure::{Failure, Outcome, wrong};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Manifests larger than this are refused.
const MAX_BYTES: u64 = 256 << 20;
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// One object of a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) object: Value,
    /// `"x.yaml"` or `"STDIN"`, for messages.
    pub(crate) source: String,
}

fn collect(path: &Path, recursive: bool, top: bool, out: &mut Vec<PathBuf>) -> Outcome {
    if !path.is_dir() {
        out.push(path.to_owned());
        return Ok(());
    }
    if !top && !recursive {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?.filter_map(|e| e.ok().map(|e| e.path())).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, recursive, false, out)?;
        } else if entry.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e)) {
            out.push(entry);
        }
    }
    Ok(())
}

fn read_all(mut reader: impl Read) -> Outcome<String> {
    let mut text = String::new();
    reader.by_ref().take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads everything that `-f` names.
pub(crate) fn read(names: &[&str], recursive: bool) -> Outcome<Vec<Manifest>> {
    let mut out = Vec::new();
    for name in names {
        if *name == "-" {
            let text = read_all(std::io::stdin())?;
            parse(&text, "STDIN", &mut out)?;
            continue;
        }
        if name.starts_with("http://") || name.starts_with("https://") {
            return wrong(format!("{name}: manifests by URL are not read; fetch it first and pass the file, or pipe it to -f -"));
        }
        let path = Path::new(name);
        if !path.exists() {
            return wrong(format!("the path \"{name}\" does not exist"));
        }
        let mut files = Vec::new();
        collect(path, recursive, true, &mut files)?;
        if files.is_empty() {
            return wrong(format!("error reading [{name}]: recognized file extensions are [.json .yaml .yml]"));
        }
        for file in files {
            let opened = std::fs::File::open(&file).map_err(|e| Failure::text(format!("open {}: {e}", file.display())))?;
            parse(&read_all(opened)?, &file.display().to_string(), &mut out)?;
        }
    }
    if out.is_empty() { wrong("no objects passed to command") } else { Ok(out) }
}

/// Takes a text of documents apart.
pub(crate) fn parse(text: &str, source: &str, out: &mut Vec<Manifest>) -> Outcome {
    let documents = codec::yaml::documents(text).map_err(|e| Failure::text(format!("error parsing {source}: error converting YAML to JSON: {e}")))?;
    for document in documents {
        if let Some(e) = document.strict_error() {
            return wrong(format!("error parsing {source}: error converting YAML to JSON: {e}"));
        }
        flatten(document.value, source, out)?;
    }
    Ok(())
}

fn flatten(object: Value, source: &str, out: &mut Vec<Manifest>) -> Outcome {
    if object.as_object().is_none_or(|m| m.is_empty()) {
        return if object.is_object() { Ok(()) } else { wrong(format!("error validating \"{source}\": error validating data: invalid object to validate; if you choose to ignore these errors, turn validation off with --validate=false")) };
    }
    let mut missing: Vec<&str> = Vec::new();
    for (key, name) in [("apiVersion", "apiVersion not set"), ("kind", "kind not set")] {
        if object[key].as_str().is_none_or(str::is_empty) {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        let text = if missing.len() == 1 { missing[0].to_owned() } else { format!("[{}]", missing.join(", ")) };
        return wrong(format!("error validating \"{source}\": error validating data: {text}; if you choose to ignore these errors, turn validation off with --validate=false"));
    }
    if object["kind"].as_str().is_some_and(|k| k.ends_with("List")) && object["items"].is_array() {
        let mut object = object;
        if let Value::Array(items) = object["items"].take() {
            for item in items {
                flatten(item, source, out)?;
            }
        }
        return Ok(());
    }
    out.push(Manifest { object, source: source.to_owned() });
    Ok(())
}
