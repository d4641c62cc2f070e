//! Takes the descriptions of API types out of the documentation comments of the resolved `k8s-openapi` source, so that
//! `kubectl explain` has something to say; the text is packed into the build directory and never committed.
//! The source is looked for in cargo's registry, then (vendored, other registries) asked of `cargo metadata`.

use std::collections::{BTreeMap, hash_map::DefaultHasher};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The module of `k8s-openapi` that holds this Kubernetes version.
const VERSION_MODULE: &str = "v1_36";

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let lock = lock_file(&manifest);
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rerun-if-changed=build.rs");
    let source = locate(&fs::read_to_string(&lock).expect("Cargo.lock is readable")).expect(
        "the source of k8s-openapi is neither in cargo's registry nor known to `cargo metadata`; run `cargo fetch`",
    );
    let mut found = BTreeMap::new();
    visit(&source.join("src").join(VERSION_MODULE), &mut found);
    let text = render(&found);
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).expect("writing to memory");
    let packed = encoder.finish().expect("writing to memory");
    fs::write(out.join("descriptions.deflate"), packed).expect("OUT_DIR is writable");
    println!("cargo::rustc-env=OPENAPI_REVISION={}", revision(&manifest, &text));
}

/// A word that changes whenever a generated document could: it stands in the URLs that clients cache for ever.
fn revision(manifest: &Path, text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    for folder in [manifest.join("src/openapi"), manifest.join("src/openapi/gnostic"), manifest.join("../schema/data")] {
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        for file in files.iter().filter(|f| f.is_file() && !f.ends_with("tests.rs")) {
            fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
    }
    format!("{:016x}", hasher.finish())
}

fn lock_file(manifest: &Path) -> PathBuf {
    let candidates = manifest.ancestors().map(|d| d.join("Cargo.lock"));
    candidates.into_iter().find(|p| p.is_file()).expect("a Cargo.lock stands above the crate")
}

fn locate(lock: &str) -> Option<PathBuf> {
    let package = lock.split("[[package]]").find(|p| p.contains("name = \"k8s-openapi\""))?;
    let version = package.lines().find_map(|l| l.strip_prefix("version = "))?.trim_matches('"');
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|h| PathBuf::from(h).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
    let unpacked = registries.map(|r| r.path().join(format!("k8s-openapi-{version}")));
    unpacked.filter(|p| p.join("src").join(VERSION_MODULE).is_dir()).min().or_else(ask_cargo)
}

fn ask_cargo() -> Option<PathBuf> {
    let cargo = env::var_os("CARGO")?;
    let target = env::var("TARGET").ok()?;
    let arguments = ["metadata", "--format-version=1", "--offline", "--filter-platform", target.as_str()];
    let answer = Command::new(cargo).args(arguments).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let manifests = text.split("\"manifest_path\":\"").skip(1).filter_map(|t| t.split('"').next());
    let found = manifests.map(|m| PathBuf::from(m.replace("\\\\", "\\"))).filter_map(|m| Some(m.parent()?.to_owned()));
    found.into_iter().find(|d| {
        d.file_name().is_some_and(|n| n.to_string_lossy().starts_with("k8s-openapi"))
            && d.join("src").join(VERSION_MODULE).is_dir()
    })
}

/// Descriptions of one type: its own under the empty name, its fields' under their JSON names.
type Texts = BTreeMap<String, String>;

fn visit(path: &Path, found: &mut BTreeMap<String, Texts>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            visit(&entry, found);
        } else if let Some((name, texts)) = fs::read_to_string(&entry).ok().as_deref().and_then(read) {
            found.insert(name, texts);
        }
    }
}

fn read(source: &str) -> Option<(String, Texts)> {
    let name = source.lines().find_map(|l| l.strip_prefix("// Generated from definition "))?;
    let json: BTreeMap<&str, &str> = source.lines().filter_map(json_name).collect();
    let mut texts = Texts::new();
    let mut comment: Vec<String> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let trimmed = line.trim_start();
        if let Some(text) = trimmed.strip_prefix("///") {
            comment.push(unescape(text.strip_prefix(' ').unwrap_or(text)));
            continue;
        }
        let text = std::mem::take(&mut comment).join("\n");
        if !inside && (trimmed.starts_with("pub struct ") || trimmed.starts_with("pub enum ")) {
            insert(&mut texts, "", text);
            inside = trimmed.ends_with('{');
            if !inside {
                break;
            }
        } else if inside && line.starts_with('}') {
            break;
        } else if let Some((field, _)) = trimmed.strip_prefix("pub ").and_then(|f| f.split_once(':')) {
            insert(&mut texts, json.get(field).copied().unwrap_or(field), text);
        } else if trimmed.starts_with("#[") {
            comment = text.lines().map(str::to_owned).collect();
        }
    }
    Some((name.to_owned(), texts))
}

fn insert(texts: &mut Texts, name: &str, text: String) {
    if !text.is_empty() {
        texts.insert(name.to_owned(), text);
    }
}

/// `"minReadySeconds" => Field::Key_min_ready_seconds,` says how a field is called in JSON.
fn json_name(line: &str) -> Option<(&str, &str)> {
    let (json, rest) = line.trim().strip_prefix('"')?.split_once("\" => Field::Key_")?;
    Some((rest.trim_end_matches(','), json))
}

/// Undoes the escapes that rustdoc needs.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for mark in ["[", "]", "<", ">"] {
        plain = plain.replace(&format!("\\{mark}"), mark);
    }
    plain
}

/// `=type` opens a type; `name<TAB>text` lines follow, with line feeds as `\x01`.
fn render(found: &BTreeMap<String, Texts>) -> String {
    let mut text = String::new();
    for (name, texts) in found {
        let _ = writeln!(text, "={name}");
        for (field, about) in texts {
            let _ = writeln!(text, "{field}\t{}", about.replace('\n', "\x01"));
        }
    }
    text
}
