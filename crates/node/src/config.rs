//! What a node is started with: settings, and the ports through which it reaches everything else.

use base::{Clock, Ids};
use cache::Source;
use kinds::Api;
use kinds::api::core::v1::{Pod, Taint};
use runtime::cri::ContainerRuntime;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::network::Network;

/// The settings of a node.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_name: String,
    pub hostname: String,
    /// The node's own addresses, the primary one first.
    pub node_ips: Vec<IpAddr>,
    /// The kubelet's directory: pods' volumes live below it.
    pub root_dir: PathBuf,
    /// Where pods' logs go (`/var/log/pods`).
    pub log_dir: PathBuf,
    /// Manifests of static pods, if there are any.
    pub manifest_dir: Option<PathBuf>,
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    pub pods_max: i64,
    /// When pods are evicted.
    pub eviction_hard: pods::eviction::Thresholds,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    /// Where the kubelet API listens (`0.0.0.0:10250`); `None`: it is not served.
    pub listen: Option<SocketAddr>,
    /// `v1.36.0`.
    pub kubelet_version: String,
    /// Common names of client certificates that may use the kubelet API.
    pub api_clients: Vec<String>,
}

/// The kubelet API's identity, and who may call it.
#[derive(Debug)]
pub struct Tls {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// Client certificates must be signed by one of these.
    pub client_ca: Vec<CertificateDer<'static>>,
}

/// Reads a manifest of a static pod.
pub type ReadManifest = Arc<dyn Fn(&[u8]) -> Result<Pod, String> + Send + Sync>;

/// The ports.
pub struct Deps {
    /// Acts as `system:node:NAME`.
    pub api: Arc<dyn Api>,
    pub source: Arc<dyn Source>,
    pub runtime: Arc<dyn ContainerRuntime>,
    pub network: Arc<dyn Network>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub tls: Option<Tls>,
    pub metrics: base::metrics::Registry,
    pub read_manifest: Option<ReadManifest>,
}
