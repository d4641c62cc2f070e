//! The API server's metrics, under Kubernetes' names.

use crate::request::RequestInfo;
use base::metrics::{Counter, Family, Histogram, Registry};
use std::sync::Arc;
use std::time::Duration;

/// Buckets of `apiserver_request_duration_seconds`.
const DURATION_BUCKETS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// All of them.
pub struct Metrics {
    registry: Registry,
    requests: Arc<Family<Counter>>,
    durations: Arc<Family<Histogram>>,
}

impl Metrics {
    /// Registers the families.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        let requests = registry.counter(
            "apiserver_request_total",
            "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
            &["code", "component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version"],
        );
        let durations = registry.histogram(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
            &["component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version"],
            DURATION_BUCKETS,
        );
        Self { registry, requests, durations }
    }

    /// Everything as text.
    #[must_use]
    pub fn expose(&self) -> String {
        self.registry.expose()
    }

    /// Counts one finished request.
    pub fn request(&self, verb: &str, info: &RequestInfo, code: u16, took: Duration) {
        if !info.is_resource {
            return;
        }
        let verb = match verb {
            "create" => "POST",
            "update" => "PUT",
            "patch" => "PATCH",
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            "list" => "LIST",
            "watch" => "WATCH",
            _ => "GET",
        };
        let scope = match (info.is_collection(), info.namespace.is_empty()) {
            (true, true) => "cluster",
            (true, false) => "namespace",
            (false, _) => "resource",
        };
        let dry = if info.param("dryRun").is_some() { "All" } else { "" };
        let (g, r, s, v) = (&info.group, &info.resource, &info.subresource, &info.version);
        let code = code.to_string();
        self.requests.with(&[&code, "apiserver", dry, g, r, scope, s, verb, v]).inc();
        if verb != "WATCH" {
            self.durations.with(&["apiserver", dry, g, r, scope, s, verb, v]).observe(took.as_secs_f64());
        }
    }
}
