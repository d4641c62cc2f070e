//! Kubeconfig files: the administrator's own, and merging it into the user's.

use anyhow::{Context, Result};
use apiserver::pki::Issued;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of cluster, user and context.
pub(crate) const CONTEXT: &str = "timonel";

/// One kubeconfig as a tree.
pub(crate) fn document(server: &str, ca_pem: &str, admin: &Issued) -> Value {
    let data = |pem: &str| STANDARD.encode(pem);
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": CONTEXT, "preferences": {},
        "clusters": [{ "name": CONTEXT, "cluster": { "server": server, "certificate-authority-data": data(ca_pem) } }],
        "users": [{ "name": CONTEXT, "user": {
            "client-certificate-data": data(&admin.certificate), "client-key-data": data(&admin.key) } }],
        "contexts": [{ "name": CONTEXT, "context": { "cluster": CONTEXT, "user": CONTEXT } }],
    })
}

/// The file that kubectl reads when nothing else is said.
pub(crate) fn user_file() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
        return std::env::split_paths(&list).find(|p| !p.as_os_str().is_empty());
    }
    std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".kube/config"))
}

/// Writes a kubeconfig that only its owner can read, atomically.
pub(crate) fn write(path: &Path, document: &Value) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(doing)?;
    }
    let temp = path.with_extension("timonel-new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temp).with_context(doing)?;
    file.write_all(codec::yaml::write(document).as_bytes()).with_context(doing)?;
    file.sync_all().with_context(doing)?;
    fs::rename(&temp, path).with_context(doing)
}

/// Puts our cluster, user and context into an existing kubeconfig and makes the context current; other entries stay.
pub(crate) fn merge(path: &Path, ours: &Value) -> Result<()> {
    let existing = match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            codec::yaml::parse(&text).with_context(|| format!("{} is no kubeconfig", path.display()))?.value
        }
        Ok(_) => Value::Null,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Value::Null,
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    let mut merged = if existing.is_object() { existing } else { ours.clone() };
    for list in ["clusters", "users", "contexts"] {
        let own = ours[list][0].clone();
        let entries = merged[list].as_array().cloned().unwrap_or_default();
        let mut entries: Vec<Value> = entries.into_iter().filter(|e| e["name"] != CONTEXT).collect();
        entries.push(own);
        merged[list] = Value::Array(entries);
    }
    merged["current-context"] = CONTEXT.into();
    write(path, &merged)
}

/// Takes our entries out of a kubeconfig again.
pub(crate) fn forget(path: &Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(()) };
    let Ok(document) = codec::yaml::parse(&text) else { return Ok(()) };
    let mut tree = document.value;
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = tree[list].as_array_mut() {
            entries.retain(|e| e["name"] != CONTEXT);
        }
    }
    if tree["current-context"] == CONTEXT {
        tree["current-context"] = "".into();
    }
    write(path, &tree)
}
