//! The proxy's metrics, by kube-proxy's names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::metrics::{Counter, Family as Metric, Gauge, Histogram, Registry};
use proxy::Family;

const BUCKETS: [f64; 15] =
    [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];
const FAMILY: &[&str] = &["ip_family"];

pub(super) struct Metrics {
    duration: Arc<Metric<Histogram>>,
    last: Arc<Metric<Gauge>>,
    failures: Arc<Metric<Counter>>,
    forgotten: Arc<Metric<Counter>>,
}

fn label(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

impl Metrics {
    pub(super) fn new(r: &Registry) -> Self {
        Self {
            duration: r.histogram(
                "kubeproxy_sync_proxy_rules_duration_seconds",
                "How long it took to bring the service rules up to date.",
                FAMILY,
                &BUCKETS,
            ),
            last: r.gauge(
                "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                "When the service rules were last brought up to date.",
                FAMILY,
            ),
            failures: r.counter(
                "kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
                "How often the kernel refused the service rules.",
                FAMILY,
            ),
            forgotten: r.counter(
                "kubeproxy_conntrack_reconciler_deleted_entries_total",
                "Tracked flows to former endpoints that were forgotten.",
                FAMILY,
            ),
        }
    }

    /// One attempt to write rules, and how many flows were forgotten after it.
    pub(super) fn synced(&self, families: &[Family], took: Duration, forgotten: Option<&super::Forgotten>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for family in families {
            let label = &[label(*family)];
            match forgotten {
                Some(f) => {
                    self.duration.with(label).observe(took.as_secs_f64());
                    self.last.with(label).set(now.as_secs_f64());
                    self.forgotten.with(label).add(if *family == Family::V4 { f.v4 } else { f.v6 });
                }
                None => self.failures.with(label).inc(),
            }
        }
    }
}
