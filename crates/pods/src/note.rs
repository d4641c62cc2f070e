//! Events of the kubelet as values: reason and message in Kubernetes' words. The hands turn them into Event objects.

use kinds::api::core::v1::Pod;

/// One thing worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
    /// `spec.containers{web}`, or empty for the pod as a whole.
    pub field_path: String,
}

impl Note {
    /// A normal event.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into(), field_path: String::new() }
    }
    /// A warning.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(reason, message) }
    }
    /// About one container of the pod.
    #[must_use]
    pub fn about(mut self, pod: &Pod, container: &str) -> Self {
        self.field_path = field_path(pod, container);
        self
    }
}

/// Where in the pod's spec a container stands, as events point at it.
#[must_use]
pub fn field_path(pod: &Pod, container: &str) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    let list = if spec.containers.iter().any(|c| c.name == container) {
        "containers"
    } else if spec.init_containers.iter().flatten().any(|c| c.name == container) {
        "initContainers"
    } else {
        "ephemeralContainers"
    };
    format!("spec.{list}{{{container}}}")
}

/// Reasons.
pub mod reason {
    pub const PULLING: &str = "Pulling";
    pub const PULLED: &str = "Pulled";
    pub const FAILED: &str = "Failed";
    pub const INSPECT_FAILED: &str = "InspectFailed";
    pub const NEVER_PULL: &str = "ErrImageNeverPull";
    pub const BACK_OFF: &str = "BackOff";
    pub const CREATED: &str = "Created";
    pub const STARTED: &str = "Started";
    pub const KILLING: &str = "Killing";
    pub const PREEMPTING: &str = "Preempting";
    pub const EVICTED: &str = "Evicted";
    pub const UNHEALTHY: &str = "Unhealthy";
    pub const PROBE_WARNING: &str = "ProbeWarning";
    pub const FAILED_MOUNT: &str = "FailedMount";
    pub const FAILED_SANDBOX: &str = "FailedCreatePodSandBox";
    pub const SANDBOX_CHANGED: &str = "SandboxChanged";
    pub const FAILED_KILL: &str = "FailedKillPod";
    pub const FAILED_POST_START: &str = "FailedPostStartHook";
    pub const FAILED_PRE_STOP: &str = "FailedPreStopHook";
    pub const EXCEEDED_GRACE: &str = "ExceededGracePeriod";
    pub const DEADLINE: &str = "DeadlineExceeded";
    pub const DNS_CONFIG: &str = "DNSConfigForming";
}
