//! What the init path needs to start one container, as a plain value: composed once in the main process (`compose`),
//! written beside the container, read by the forked child that becomes the container. Ours, not OCI's `config.json`:
//! the parts that are the same for every container are code in `init`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cri::{Mount, NamespaceMode, Resources};

/// Everything about one container's processes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Spec {
    pub(crate) argv: Vec<String>,
    /// `KEY=value`, later entries win.
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) tty: bool,
    pub(crate) root: Root,
    pub(crate) binds: Vec<Mount>,
    pub(crate) devices: Vec<DeviceNode>,
    pub(crate) cgroup: CgroupSpec,
    pub(crate) pid_mode: NamespaceMode,
    /// The node's IPC namespace: its `/dev/shm` and `/dev/mqueue` too.
    pub(crate) host_ipc: bool,
    pub(crate) privileged: bool,
    pub(crate) user: UserSpec,
    pub(crate) capabilities: u64,
    pub(crate) no_new_privs: bool,
    pub(crate) seccomp: Seccomp,
    /// AppArmor profile to change to at exec.
    pub(crate) apparmor: Option<String>,
    pub(crate) masked_paths: Vec<String>,
    pub(crate) readonly_paths: Vec<String>,
    pub(crate) oom_score_adj: Option<i32>,
}

/// The overlay that becomes `/`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Root {
    /// Topmost first, as overlayfs wants them.
    pub(crate) lowerdirs: Vec<PathBuf>,
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
    /// An empty directory to mount on (in the container's own mount namespace).
    pub(crate) merged: PathBuf,
    pub(crate) readonly: bool,
}

/// A device node of the host made visible.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceNode {
    pub(crate) path: PathBuf,
    pub(crate) block: bool,
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Of `rwm`.
    pub(crate) permissions: String,
}

/// Where the container's processes are accounted and limited.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CgroupSpec {
    /// Relative to each hierarchy's mount.
    pub(crate) path: String,
    pub(crate) resources: Resources,
}

/// Who the first process is, before the image's passwd and group files are read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UserSpec {
    /// `user`, `user:group`, numbers or names; empty is root.
    pub(crate) user: String,
    pub(crate) supplemental: Vec<u32>,
    /// Do not add the groups that the image's `/etc/group` gives the user.
    pub(crate) strict: bool,
}

/// The system call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seccomp {
    #[default]
    Unconfined,
    Default,
    /// A JSON profile on the node.
    File(PathBuf),
}

/// Who the first process became.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}
