//! Manifests: files, directories and standard input, YAML or JSON, many documents, lists taken apart.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
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

/// What `-f` and `-k` name, and `-l` leaves; `verb` is for the message when that is nothing.
pub(crate) async fn gather(given: &Given<'_>, verb: &str) -> Outcome<Vec<Manifest>> {
    let files = given.list("filename");
    let kustomize = given.text("kustomize").filter(|k| !k.is_empty());
    if !files.is_empty() && kustomize.is_some() {
        return wrong("only one of -f or -k can be specified");
    }
    let mut out = Vec::new();
    if let Some(directory) = kustomize {
        for object in crate::kustomize::build(Path::new(directory)).map_err(|e| if verb == "get" { Failure::Bare(e.plain()) } else { Failure::text(e.plain()) })? {
            out.push(Manifest { object, source: directory.to_owned() });
        }
    }
    for name in files {
        one(name, given.on("recursive"), &mut out).await?;
    }
    if let Some(text) = given.text("selector").filter(|_| !matches!(verb, "get" | "delete" | "")) {
        let selector = kinds::Selector::parse(text).map_err(|e| Failure::text(format!("the provided selector \"{text}\" is not valid: {e}")))?;
        out.retain(|m| {
            let labels = m.object["metadata"]["labels"].as_object();
            let labels = labels.map(|l| l.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect());
            selector.matches(labels.as_ref())
        });
    }
    if !out.is_empty() {
        return Ok(out);
    }
    wrong(if verb.is_empty() { "no objects passed to command".to_owned() } else { format!("no objects passed to {verb}") })
}

/// Whether the command line names manifests.
pub(crate) fn given_any(given: &Given<'_>) -> bool {
    !given.list("filename").is_empty() || given.text("kustomize").is_some_and(|k| !k.is_empty())
}

async fn fetched(url: &str) -> Outcome<String> {
    let (base, path) = url.find("://").and_then(|i| url[i + 3..].find('/').map(|j| url.split_at(i + 3 + j))).unwrap_or((url, "/"));
    let config = client::Config { server: base.to_owned(), ..client::Config::default() };
    let got = client::Client::new(config)?.bytes(http::Method::GET, path, "*/*", client::RequestBody::Empty).await;
    match got {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(client::Error::Api(e)) => {
            let reason = http::StatusCode::from_u16(e.code).ok().and_then(|c| c.canonical_reason()).unwrap_or_default();
            wrong(format!("unable to read URL \"{url}\", server reported {} {reason}, status code={}", e.code, e.code))
        }
        Err(e) => Err(e.into()),
    }
}

/// Files that a name with `*`, `?` or `[` means.
fn globbed(name: &str) -> Vec<PathBuf> {
    let path = Path::new(name);
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let pattern = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut text = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '[' | ']' | '-' | '^' => text.push(c),
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    let Ok(pattern) = regex::Regex::new(&format!("{text}$")) else { return Vec::new() };
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut out: Vec<PathBuf> = entries.filter(|n| pattern.is_match(n)).map(|n| if name.contains('/') { dir.join(n) } else { PathBuf::from(n) }).collect();
    out.sort();
    out
}

/// Reads what one `-f` names.
async fn one(name: &str, recursive: bool, out: &mut Vec<Manifest>) -> Outcome {
    if name == "-" {
        return parse(&read_all(std::io::stdin())?, "STDIN", out);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return parse(&fetched(name).await?, name, out);
    }
    let path = Path::new(name);
    let mut files = Vec::new();
    if path.exists() {
        collect(path, recursive, true, &mut files)?;
    } else {
        files = if name.contains(['*', '?', '[']) { globbed(name) } else { Vec::new() };
        if files.is_empty() {
            return wrong(format!("the path \"{name}\" does not exist"));
        }
    }
    if files.is_empty() {
        return wrong(format!("error reading [{name}]: recognized file extensions are [.json .yaml .yml]"));
    }
    for file in files {
        let opened = std::fs::File::open(&file).map_err(|e| Failure::text(format!("open {}: {e}", file.display())))?;
        parse(&read_all(opened)?, &file.display().to_string(), out)?;
    }
    Ok(())
}

/// Takes a text of documents apart.
pub(crate) fn parse(text: &str, source: &str, out: &mut Vec<Manifest>) -> Outcome {
    if text.trim_start().starts_with('{') && source_is_json(text) {
        return wrong(format!("error parsing {source}: unexpected EOF"));
    }
    // The original's scanner does not count the first line.
    let shown = |e: String| e.replacen("line 1: mapping values", "mapping values", 1);
    let documents = codec::yaml::documents(text).map_err(|e| Failure::text(format!("error parsing {source}: error converting YAML to JSON: {}", shown(e.to_string()))))?;
    for document in documents {
        if let Some(e) = document.strict_error() {
            return wrong(format!("error parsing {source}: error converting YAML to JSON: {e}"));
        }
        flatten(document.value, source, out)?;
    }
    Ok(())
}

/// Whether a text is JSON that ends too early.
fn source_is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_err_and(|e| e.is_eof())
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
