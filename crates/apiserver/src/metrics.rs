//! The API server's metrics, under Kubernetes' names.

use crate::request::RequestInfo;
use base::metrics::{Counter, Family, Gauge, Histogram, Registry};
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
    /// What `/metrics/slis` tells, and `/metrics` does not.
    slis: Registry,
    check: Arc<Family<Gauge>>,
    checks: Arc<Family<Counter>>,
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
        let slis = Registry::default();
        let check = slis.gauge("kubernetes_healthcheck", "This metric records the result of a single healthcheck.", &["name", "type"]);
        let checks = slis.counter("kubernetes_healthchecks_total", "This metric records the results of all healthcheck.", &["name", "status", "type"]);
        Self { registry, requests, durations, slis, check, checks }
    }

    /// How the health checks went, as text.
    #[must_use]
    pub fn checks(&self) -> String {
        self.slis.expose()
    }

    /// Notes how a check went that an endpoint of health made.
    pub fn checked(&self, name: &str, endpoint: &str, well: bool) {
        self.check.with(&[name, endpoint]).set(f64::from(u8::from(well)));
        self.checks.with(&[name, if well { "success" } else { "error" }, endpoint]).inc();
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
