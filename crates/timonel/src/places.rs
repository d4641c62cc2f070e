//! Where everything lies below a data directory.

use std::path::{Path, PathBuf};

/// The data directory's rooms.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    root: PathBuf,
}

impl Places {
    pub(crate) fn new(root: &Path) -> Self {
        // Shims and sandboxes have working directories of their own.
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    /// The store of the control plane.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }
    /// Keys and certificates.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }
    /// Images, sandboxes, container state.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.root.join("runtime")
    }
    /// Pod volumes.
    pub(crate) fn pods(&self) -> PathBuf {
        self.root.join("kubelet")
    }
    /// Container logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs/pods")
    }
    /// Persistent network namespaces.
    pub(crate) fn netns(&self) -> PathBuf {
        self.root.join("netns")
    }
    /// Address leases of pods.
    pub(crate) fn ipam(&self) -> PathBuf {
        self.root.join("ipam")
    }
    /// The administrator's kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }
}
