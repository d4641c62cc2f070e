//! `cargo xtask tidy`: the rules of the house that a machine can check (the plan: "a rule that no machine checks is a wish").
//!
//! Directions of dependency against the table below, names that may not be, files that open with what they are for,
//! files that are too long, and an architecture page that names every crate. Also prints the spread of file lengths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Longest file.
const MAX_LINES: usize = 800;
const FORBIDDEN_NAMES: [&str; 4] = ["util", "common", "helpers", "misc"];

/// The crates by ring, and what each may depend on beside what is in its ring's rule.
const RINGS: [(u8, &[&str]); 5] = [
    (0, &["base", "kinds", "schema"]),
    (1, &["codec", "patch", "cel", "rules", "cache", "controllers", "scheduler", "pods", "proxy", "dns"]),
    (2, &["store", "runtime", "net", "telemetry"]),
    (3, &["client", "registry", "apiserver", "manager", "node", "kubectl"]),
    (4, &["timonel"]),
];
/// Who may not depend on whom, beyond the rings.
const NEVER: [(&str, &[&str]); 5] = [
    ("manager", &["registry"]),
    ("node", &["registry"]),
    ("registry", &["hyper", "runtime", "net"]),
    ("apiserver", &["store"]),
    ("kubectl", &["registry", "store", "apiserver"]),
];
/// What the pure rings may not touch.
const IMPURE: [&str; 12] = ["tokio", "tracing", "rand", "uuid", "hyper", "rustix", "nix", "libc", "fjall", "rustls", "parking_lot", "tokio-util"];

/// Checks everything and prints each offence; any offence fails the task.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let mut offences = Vec::new();
    directions(root, &mut offences)?;
    let mut lengths = Vec::new();
    for top in ["crates", "examples", "xtask"] {
        files(&root.join(top), root, &mut lengths, &mut offences)?;
    }
    lengths.sort_unstable();
    if let Some(longest) = lengths.last() {
        let at = |percent: usize| lengths[(lengths.len() - 1) * percent / 100];
        println!("{} files; lines: median {}, 95th percentile {}, longest {longest}", lengths.len(), at(50), at(95));
    }
    for offence in &offences {
        println!("tidy: {offence}");
    }
    if offences.is_empty() { Ok(()) } else { bail!("{} offences", offences.len()) }
}

/// Normal dependencies of each crate of the workspace.
fn dependencies(root: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let crates = list(&metadata["packages"]).into_iter().map(|package| {
        let normal = list(&package["dependencies"]).into_iter().filter(|d| d["kind"].is_null());
        (text(&package["name"]), normal.map(|d| text(&d["name"])).collect())
    });
    Ok(crates.collect())
}

fn ring(name: &str) -> Option<u8> {
    RINGS.iter().find(|(_, names)| names.contains(&name)).map(|(ring, _)| *ring)
}

fn directions(root: &Path, offences: &mut Vec<String>) -> Result<()> {
    let crates = dependencies(root)?;
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md")).ok();
    if architecture.is_none() {
        offences.push("there is no ARCHITECTURE.md".into());
    }
    for (name, uses) in &crates {
        if ["xtask", "dockercoins", "testkit", "it"].contains(&name.as_str()) {
            continue;
        }
        let Some(own) = ring(name) else {
            offences.push(format!("crate {name} is in no ring: add it to the table in xtask/src/tidy.rs"));
            continue;
        };
        if architecture.as_ref().is_some_and(|text| !text.contains(&format!("`{name}`"))) {
            offences.push(format!("ARCHITECTURE.md does not name the crate `{name}`"));
        }
        let never = NEVER.iter().find(|(n, _)| n == name).map_or(&[][..], |(_, list)| *list);
        for used in uses {
            if never.contains(&used.as_str()) || (own < 2 && IMPURE.contains(&used.as_str())) {
                offences.push(format!("{name} may not depend on {used}"));
            }
            if used == "k8s-openapi" && name != "kinds" {
                offences.push(format!("{name} depends on k8s-openapi; only kinds may name it"));
            }
            match ring(used) {
                Some(other) if other > own => offences.push(format!("{name} (ring {own}) depends on {used} (ring {other})")),
                // Hands know no Kubernetes kind and not each other.
                Some(_) if own == 2 && used != "base" => offences.push(format!("{name} (ring 2) may use base alone, not {used}")),
                _ => {}
            }
        }
    }
    Ok(())
}

fn files(dir: &Path, root: &Path, lengths: &mut Vec<usize>, offences: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let is_rust = path.extension().is_some_and(|e| e == "rs");
        if (is_rust || path.is_dir()) && FORBIDDEN_NAMES.contains(&stem.as_str()) {
            offences.push(format!("{shown}: a module may not be called {stem}"));
        }
        if path.is_dir() && stem != "target" {
            files(&path, root, lengths, offences)?;
        } else if is_rust {
            let text = fs::read_to_string(&path)?;
            let lines = text.lines().count();
            lengths.push(lines);
            if lines > MAX_LINES {
                offences.push(format!("{shown}: {lines} lines, at most {MAX_LINES}"));
            }
            if !text.starts_with("//!") {
                offences.push(format!("{shown}: does not open with what it is for (//!)"));
            }
        }
    }
    Ok(())
}
