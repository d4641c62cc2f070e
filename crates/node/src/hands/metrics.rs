//! Figures of what the hands do, under the kubelet's names.

use base::metrics::{Counter, Family, Histogram, Registry};
use kinds::api::core::v1::Pod;
use pods::roster::{self, Role};
use pods::{Act, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// The kubelet's buckets: 5 ms and then 2.5 times as much, fourteen of them.
const FIRST_S: f64 = 0.005;
const FACTOR: f64 = 2.5;
const BUCKETS: i32 = 14;

pub(crate) struct Metrics {
    operations: Arc<Family<Counter>>,
    errors: Arc<Family<Counter>>,
    durations: Arc<Family<Histogram>>,
    pods: Arc<Family<Counter>>,
    pod_errors: Arc<Family<Counter>>,
    containers: Arc<Family<Counter>>,
    container_errors: Arc<Family<Counter>>,
}

/// What an act is to the figures.
pub(crate) struct Operation {
    name: &'static str,
    /// Of starts: `container`, `init_container`, `ephemeral_container`, or `podsandbox`.
    started: Option<&'static str>,
}

/// The act as the figures call it; `None`: nothing of the runtime's.
pub(crate) fn operation(pod: &Pod, act: &Act) -> Option<Operation> {
    let plain = |name| Some(Operation { name, started: None });
    match act {
        Act::CreateSandbox(_) => Some(Operation { name: "run_podsandbox", started: Some("podsandbox") }),
        Act::StopSandbox(_) => plain("stop_podsandbox"),
        Act::RemoveSandbox(_) => plain("remove_podsandbox"),
        Act::FindImage(_) => plain("image_status"),
        Act::PullImage { .. } => plain("pull_image"),
        Act::Start { plan, .. } => {
            let started = match roster::find(pod, &plan.name).map(|(role, _)| role) {
                Some(Role::Init | Role::Sidecar) => "init_container",
                Some(Role::Ephemeral) => "ephemeral_container",
                _ => "container",
            };
            Some(Operation { name: "start_container", started: Some(started) })
        }
        Act::Stop { .. } => plain("stop_container"),
        Act::RemoveContainer(_) => plain("remove_container"),
        Act::Resize { .. } => plain("update_container"),
        Act::ResizePod { .. } => plain("update_podsandbox"),
        _ => None,
    }
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let bounds: Vec<f64> = (0..BUCKETS).map(|n| FIRST_S * FACTOR.powi(n)).collect();
        let by = &["operation_type"];
        Self {
            operations: registry.counter("kubelet_runtime_operations_total", "Cumulative number of runtime operations by operation type.", by),
            errors: registry.counter("kubelet_runtime_operations_errors_total", "Cumulative number of runtime operation errors by operation type.", by),
            durations: registry.histogram("kubelet_runtime_operations_duration_seconds", "Duration in seconds of runtime operations. Broken down by operation type.", by, &bounds),
            pods: registry.counter("kubelet_started_pods_total", "Cumulative number of pods started", &[]),
            pod_errors: registry.counter("kubelet_started_pods_errors_total", "Cumulative number of errors when starting pods", &[]),
            containers: registry.counter("kubelet_started_containers_total", "Cumulative number of containers started", &["container_type"]),
            container_errors: registry.counter("kubelet_started_containers_errors_total", "Cumulative number of errors when starting containers", &["container_type", "code"]),
        }
    }

    /// Counts one operation that has ended.
    pub(crate) fn record(&self, operation: &Operation, took: Duration, outcome: &Outcome) {
        let failed = matches!(outcome, Outcome::Failed(_));
        self.operations.with(&[operation.name]).inc();
        self.durations.with(&[operation.name]).observe(took.as_secs_f64());
        if failed {
            self.errors.with(&[operation.name]).inc();
        }
        match operation.started {
            None => {}
            Some("podsandbox") if failed => self.pod_errors.with(&[]).inc(),
            Some("podsandbox") => self.pods.with(&[]).inc(),
            Some(kind) => {
                self.containers.with(&[kind]).inc();
                if failed {
                    self.container_errors.with(&[kind, "StartError"]).inc();
                }
            }
        }
    }
}
