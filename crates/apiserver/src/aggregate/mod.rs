//! Aggregated API servers: APIServices that name a service are checked, proxied to as the user who asks, and shown in
//! discovery and OpenAPI as if they were ours; APIServices of custom resources are registered by themselves.
//! Docs: "Kubernetes API Aggregation Layer", "Configure the Aggregation Layer".
//!
//! ```text
//!  APIService ─> service ─> endpoints ─> GET /apis/G/V ─> condition Available, resources for discovery
//!  /apis/G/V/… ─> Available? ─> TLS with the front-proxy identity, X-Remote-User/Group/Extra ─> its server
//! ```

mod available;
mod headers;
mod proxy;
mod register;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use proxy::{document, proxy};

use crate::webhook::place::Place;
use crate::webhook::trust::{Identity, Trust};
use crate::webhook::Caller;
use base::metrics::{Counter, Family, Gauge, Registry as Metrics};
use cache::Snapshot;
use codec::openapi::Foreign;
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec, ServiceReference};
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The port of a service that names none.
const PORT: i32 = 443;

/// What is known of one group-version that another server serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) group_priority: u32,
    pub(crate) version_priority: u32,
    /// Its APIResourceList as it last was.
    pub(crate) resources: Value,
    /// Whether its server does not answer now.
    pub(crate) stale: bool,
    /// The query of its OpenAPI v3 document, when it has one.
    pub(crate) openapi: Option<String>,
    /// What it publishes of the group-version in OpenAPI v2, and the entity tag of that.
    pub(crate) v2: Option<(String, Arc<Foreign>)>,
}

/// The aggregation layer.
pub struct Aggregator {
    caller: Arc<Caller>,
    identity: Arc<Identity>,
    remotes: RwLock<BTreeMap<String, Remote>>,
    unavailable: Arc<Family<Gauge>>,
    unavailable_total: Arc<Family<Counter>>,
}

impl Aggregator {
    /// A layer that shows `identity`, a certificate of the front-proxy authority, to the servers behind it.
    #[must_use]
    pub fn new(caller: Arc<Caller>, identity: Identity, metrics: &Metrics) -> Self {
        Self {
            caller,
            identity: Arc::new(identity),
            remotes: RwLock::default(),
            unavailable: metrics.gauge(
                "aggregator_unavailable_apiservice",
                "Gauge of APIServices which are marked as unavailable broken down by APIService name.",
                &["name"],
            ),
            unavailable_total: metrics.counter(
                "aggregator_unavailable_apiservice_total",
                "Counter of APIServices which are marked as unavailable broken down by APIService name and reason.",
                &["name", "reason"],
            ),
        }
    }

    /// The group-versions of other servers, for discovery.
    pub(crate) fn remotes(&self) -> Vec<Remote> {
        self.remotes.read().values().cloned().collect()
    }

    /// What other servers publish in OpenAPI v2, settled beside each other, each with a word that tells it apart.
    pub(crate) fn published(&self) -> Vec<(String, Foreign)> {
        let all: Vec<_> = self.remotes.read().iter().filter_map(|(name, r)| Some((name.clone(), r.v2.clone()?))).collect();
        if all.is_empty() {
            return Vec::new();
        }
        // Names that one has to give way to depend on all before it.
        let word = all.iter().fold(String::new(), |word, (name, (tag, _))| format!("{word} {name}={tag}"));
        let foreign = Foreign::settled(&all.iter().map(|(_, (_, f))| &**f).collect::<Vec<_>>());
        all.into_iter().zip(foreign).map(|((name, _), f)| (format!("{name} of{word}"), f)).collect()
    }

    /// A place at the server of a service.
    fn place(&self, snapshot: &Snapshot, spec: &APIServiceSpec, path: &str) -> Result<Place, String> {
        let none = ServiceReference::default();
        let at = service_of(spec.service.as_ref().unwrap_or(&none));
        let bundle = spec.ca_bundle.as_ref().map_or(&[][..], |b| &b.0);
        let mut place = Place::of_service(snapshot, at, path, bundle)?;
        if spec.insecure_skip_tls_verify == Some(true) {
            place.trust = Trust::Anyone;
        }
        place.identity = Some(Arc::clone(&self.identity));
        Ok(place)
    }
}

/// Namespace, name and port.
fn service_of(s: &ServiceReference) -> (&str, &str, i32) {
    (s.namespace.as_deref().unwrap_or_default(), s.name.as_deref().unwrap_or_default(), s.port.unwrap_or(PORT))
}

/// The APIService of a group-version, when another server serves it.
pub(crate) fn remote(snapshot: &Snapshot, group: &str, version: &str) -> Option<Arc<APIService>> {
    let table = snapshot.table(&kinds::Kind::APIService.into())?;
    if table.is_empty() || group.is_empty() {
        return None;
    }
    let found = snapshot.get::<APIService>("", &format!("{version}.{group}"))?;
    found.spec.as_ref().is_some_and(|s| s.service.is_some()).then(|| Arc::clone(found))
}

/// Whether its `Available` condition is true.
pub(crate) fn is_available(service: &APIService) -> bool {
    let conditions = service.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|c| c.iter().any(|c| c.type_ == "Available" && c.status == "True"))
}
