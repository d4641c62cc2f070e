//! The workqueue metrics, by their Kubernetes names.

use base::metrics::{Counter, Family, Gauge, Histogram, Registry};
use std::sync::Arc;

const SECONDS: [f64; 10] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0];

/// The families.
pub(crate) struct Metrics {
    pub adds: Arc<Family<Counter>>,
    pub depth: Arc<Family<Gauge>>,
    pub queued: Arc<Family<Histogram>>,
    pub worked: Arc<Family<Histogram>>,
    pub retries: Arc<Family<Counter>>,
    pub unfinished: Arc<Family<Gauge>>,
    pub longest: Arc<Family<Gauge>>,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn new(r: &Registry) -> Self {
        const NAME: &[&str] = &["name"];
        Self {
            adds: r.counter("workqueue_adds_total", "Total number of adds handled by workqueue", NAME),
            depth: r.gauge("workqueue_depth", "Current depth of workqueue", NAME),
            queued: r.histogram(
                "workqueue_queue_duration_seconds",
                "How long in seconds an item stays in workqueue before being requested.",
                NAME,
                &SECONDS,
            ),
            worked: r.histogram(
                "workqueue_work_duration_seconds",
                "How long in seconds processing an item from workqueue takes.",
                NAME,
                &SECONDS,
            ),
            retries: r.counter("workqueue_retries_total", "Total number of retries handled by workqueue", NAME),
            unfinished: r.gauge(
                "workqueue_unfinished_work_seconds",
                "Seconds of work in progress that work_duration has not observed yet.",
                NAME,
            ),
            longest: r.gauge(
                "workqueue_longest_running_processor_seconds",
                "How many seconds the longest running round has been running.",
                NAME,
            ),
        }
    }
}
