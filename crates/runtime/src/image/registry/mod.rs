//! Talking to image registries.
//!
//! Answers to the OCI distribution specification 1.1 (pull), Docker's token authentication, and containerd's habits:
//! mirrors are asked with `?ns=`, `localhost` speaks plain HTTP, and errors are worded as containerd words them.

mod auth;
mod body;
mod http;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use url::Url;

use super::ImageError;
use super::reference::{DEFAULT_REGISTRY, Reference};

pub(crate) use body::Download;
pub(crate) use session::Session;

/// Where `docker.io` really is.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// Mirrors under this key serve every registry without mirrors of its own.
const ANY_REGISTRY: &str = "_default";

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct RegistryConfig {
    /// Registry host (or `_default`) to base URLs that are asked first, in order, e.g. `http://10.0.0.5:5000`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries (`host` or `host:port`) that are spoken to over plain HTTP.
    pub insecure: BTreeSet<String>,
    /// PEM files with certificate authorities to trust beside the system's.
    pub ca_files: Vec<PathBuf>,
}

/// One server that may hold an image.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    base: Url,
    /// The registry that a mirror stands in for.
    namespace: Option<String>,
}

impl Endpoint {
    /// The URL of `/v2/<rest>`.
    fn url(&self, rest: &str) -> Result<Url, ImageError> {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').trim_end_matches("/v2").to_owned();
        url.set_path(&format!("{prefix}/v2/{rest}"));
        if let Some(namespace) = &self.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    /// The registry itself, not a mirror: only it is given the user's credentials.
    fn is_upstream(&self) -> bool {
        self.namespace.is_none()
    }
}

impl RegistryConfig {
    /// Who is asked for an image, in order.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, ImageError> {
        let registry = reference.registry.as_str();
        let mirrors = self.mirrors.get(registry).or_else(|| self.mirrors.get(ANY_REGISTRY));
        let mut endpoints = Vec::new();
        for text in mirrors.into_iter().flatten() {
            let base = Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
            let base = base.ok_or_else(|| ImageError::Registry(format!("mirror {text:?} is not an http(s) URL")))?;
            endpoints.push(Endpoint { base, namespace: Some(registry.to_owned()) });
        }
        let host = if registry == DEFAULT_REGISTRY { DOCKER_HUB } else { registry };
        let scheme = if self.plain_http(registry) { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|e| ImageError::Registry(format!("registry {registry:?}: {e}")))?;
        endpoints.push(Endpoint { base, namespace: None });
        Ok(endpoints)
    }

    fn plain_http(&self, registry: &str) -> bool {
        if self.insecure.contains(registry) {
            return true;
        }
        let (host, port) = match registry.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (registry, ""),
        };
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let local = host == "localhost" || address.is_ok_and(|a| a.is_loopback());
        self.insecure.contains(host) || (local && port != "443")
    }
}
