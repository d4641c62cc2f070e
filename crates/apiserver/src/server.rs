//! The HTTPS front: the listener, and what all requests share.

use crate::authn;
use crate::connections;
use crate::metrics::Metrics;
use crate::tokens::Tokens;
use base::Ids;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{Kind, Resource};
use registry::{Registry, Speaks};
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections served at the same time; further ones wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 16_384;
/// How long open requests may go on after shutdown began.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What every request shares.
pub struct Shared {
    pub registry: Arc<Registry>,
    pub tokens: Arc<Tokens>,
    pub authn: Arc<authn::Authenticators>,
    pub authz: Arc<crate::authz::Authorizers>,
    pub ids: Arc<dyn Ids>,
    pub metrics: Metrics,
    /// How the process was started.
    pub start: crate::zpages::Start,
    /// The audit log, if there is a policy.
    pub audit: Option<Arc<crate::audit::Audit>>,
    /// Priority and fairness.
    pub fairness: Arc<crate::fairness::Fairness>,
    /// For connections to kubelets and proxied pods.
    pub kubelet_tls: Arc<rustls::ClientConfig>,
    /// The aggregation layer.
    pub aggregate: Arc<crate::aggregate::Aggregator>,
    /// Tells certificates of the front-proxy authority from those of clients.
    pub front_proxy: Arc<dyn ClientCertVerifier>,
    pub readiness: Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
    pub stopping: watch::Receiver<bool>,
}

/// A resource as one group and version serve it.
#[derive(Clone, Debug)]
pub struct Served {
    pub resource: Resource,
    pub group: String,
    pub version: String,
    /// The kind that is spoken, for built-ins; differs from the stored one for views.
    pub kind: Option<Kind>,
    pub definition: Option<Arc<CustomResourceDefinition>>,
    /// The same parsed.
    pub shape: Option<Arc<rules::customs::Definition>>,
}

impl Served {
    /// `group/version` or `version`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether a conversion webhook stands between this version and others.
    #[must_use]
    pub fn converts(&self) -> bool {
        let conversion = self.definition.as_ref().and_then(|d| d.spec.conversion.as_ref());
        conversion.is_some_and(|c| c.strategy == "Webhook")
    }

    /// In which version its requests speak of the stored objects.
    #[must_use]
    pub fn speaks(&self) -> Speaks {
        match self.kind {
            Some(k) if k != k.stored_as() => Speaks::View(k),
            Some(_) => Speaks::Stored,
            None => Speaks::Version(self.version.as_str().into()),
        }
    }
}

impl Shared {
    /// Finds what a group, version and plural mean.
    #[must_use]
    pub fn served(&self, group: &str, version: &str, plural: &str) -> Option<Served> {
        let text = (group.to_owned(), version.to_owned());
        if let Some(kind) = Kind::from_gvr(group, version, plural) {
            let resource = Resource::from(kind);
            return Some(Served { resource, group: text.0, version: text.1, kind: Some(kind), definition: None, shape: None });
        }
        let snapshot = self.registry.snapshot();
        let crd = snapshot.get::<CustomResourceDefinition>("", &format!("{plural}.{group}"))?;
        let established = crd.status.as_ref().and_then(|s| s.conditions.as_ref()).is_some_and(|c| {
            c.iter().any(|c| c.type_ == "Established" && c.status == "True")
        });
        if !established || !crd.spec.versions.iter().any(|v| v.name == version && v.served) {
            return None;
        }
        let resource = registry::customs::resource_of(crd);
        let shape = self.registry.definition_at(&snapshot, &resource);
        Some(Served { resource, group: text.0, version: text.1, kind: None, definition: Some(Arc::clone(crd)), shape })
    }
}

/// Serves until `stopping` turns true, then drains.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, shared: Arc<Shared>) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopping = shared.stopping.clone();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            a = listener.accept() => a,
            () = stopped(&mut stopping) => break,
        };
        let (stream, address) = match accepted {
            Ok(x) => x,
            Err(e) => {
                // Out of descriptors or the like: the listener itself goes on.
                tracing::warn!(err = %e, "Accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            connections::serve(stream, address, acceptor, shared).await;
            drop(place);
        });
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, places.acquire_many(all)).await;
}

/// Waits until shutdown begins.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|s| *s).await;
}
