//! What is on disk: a directory a sandbox, in it one a container. Every file is replaced atomically, so a reader finds the
//! old or the new. The main process finds all of its pods again by reading these and connecting to each shim.
//!
//! ```text
//! pods/<sandbox>/sandbox.json        config, written before the shim starts
//!                shim.sock shim.log  the shim's socket and its last words
//!                hostname resolv.conf
//!                c/<container>/config.json  as created (main process)
//!                              spec.json    how to start it (main process)
//!                              state.json   what became of it (shim)
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cri::{ContainerConfig, SandboxConfig};

pub(crate) const SANDBOX: &str = "sandbox.json";
pub(crate) const SHIM_LOG: &str = "shim.log";
pub(crate) const CONTAINERS: &str = "c";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const SPEC: &str = "spec.json";
pub(crate) const STATE: &str = "state.json";

/// `sandbox.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SandboxFile {
    pub(crate) id: String,
    pub(crate) created_at_ns: i64,
    /// `cgroup_parent` is already below the runtime's root.
    pub(crate) config: SandboxConfig,
    /// It was stopped (or lost) and stays as a record until it is removed.
    pub(crate) stopped: bool,
}

impl SandboxFile {
    /// The shim's own group.
    pub(crate) fn cgroup(&self) -> String {
        format!("{}/{}", self.config.cgroup_parent, self.id)
    }
}

/// `config.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerFile {
    pub(crate) id: String,
    pub(crate) created_at_ns: i64,
    pub(crate) config: ContainerConfig,
    /// What stops it: the pod's wish or the image's.
    pub(crate) stop_signal: i32,
    pub(crate) cgroup: String,
}

/// Reads one of these files.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(path)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display())))
}

/// Replaces one of these files.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value).map_err(io::Error::other)?;
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, path)
}

/// Nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
