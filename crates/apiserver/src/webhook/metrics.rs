//! Metrics of what is called out to, under Kubernetes' names.

use base::metrics::{Counter, Family, Histogram, Registry};
use std::sync::Arc;
use std::time::Duration;

/// Buckets of `apiserver_admission_webhook_admission_duration_seconds`.
const ADMISSION_BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
/// Buckets of `apiserver_conversion_webhook_duration_seconds`.
const CONVERSION_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0];
/// Codes above are counted as this one.
const CODE_MAX: u16 = 600;

/// Why a webhook's call led to a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorType {
    Calling,
    ApiServer,
    None,
}

impl ErrorType {
    fn text(self) -> &'static str {
        match self {
            Self::Calling => "calling_webhook_error",
            Self::ApiServer => "apiserver_internal_error",
            Self::None => "no_error",
        }
    }
}

/// The families.
pub struct HookMetrics {
    durations: Arc<Family<Histogram>>,
    rejections: Arc<Family<Counter>>,
    fail_open: Arc<Family<Counter>>,
    requests: Arc<Family<Counter>>,
    conversions: Arc<Family<Counter>>,
    conversion_durations: Arc<Family<Histogram>>,
}

impl HookMetrics {
    /// Registers the families.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            durations: registry.histogram(
                "apiserver_admission_webhook_admission_duration_seconds",
                "Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
                &["name", "operation", "rejected", "type"],
                ADMISSION_BUCKETS,
            ),
            rejections: registry.counter(
                "apiserver_admission_webhook_rejection_count",
                "Admission webhook rejection count, identified by name and broken out for each admission type, operation, error type and rejection code.",
                &["error_type", "name", "operation", "rejection_code", "type"],
            ),
            fail_open: registry.counter(
                "apiserver_admission_webhook_fail_open_count",
                "Admission webhook fail open count, identified by name and broken out for each admission type.",
                &["name", "type"],
            ),
            requests: registry.counter(
                "apiserver_admission_webhook_request_total",
                "Admission webhook request total, identified by name and broken out for each admission type and operation.",
                &["code", "name", "operation", "rejected", "type"],
            ),
            conversions: registry.counter(
                "apiserver_conversion_webhook_request_total",
                "Counter for conversion webhook requests with success/failure and failure error type",
                &["failure_type", "result"],
            ),
            conversion_durations: registry.histogram(
                "apiserver_conversion_webhook_duration_seconds",
                "Conversion webhook request latency",
                &["failure_type", "result"],
                CONVERSION_BUCKETS,
            ),
        }
    }

    pub(super) fn called(&self, kind: &str, name: &str, operation: &str, (rejected, code): (bool, u16), took: Duration) {
        let (rejected, code) = (if rejected { "true" } else { "false" }, code.min(CODE_MAX).to_string());
        self.durations.with(&[name, operation, rejected, kind]).observe(took.as_secs_f64());
        self.requests.with(&[&code, name, operation, rejected, kind]).inc();
    }

    pub(super) fn rejected(&self, kind: &str, name: &str, operation: &str, error: ErrorType, code: u16) {
        let code = code.min(CODE_MAX).to_string();
        self.rejections.with(&[error.text(), name, operation, &code, kind]).inc();
    }

    pub(super) fn failed_open(&self, kind: &str, name: &str) {
        self.fail_open.with(&[name, kind]).inc();
    }

    /// A finished conversion; no failure type: it succeeded.
    pub(super) fn converted(&self, failure: Option<&str>, took: Duration) {
        let (failure, result) = (failure.unwrap_or_default(), if failure.is_some() { "failure" } else { "success" });
        self.conversions.with(&[failure, result]).inc();
        self.conversion_durations.with(&[failure, result]).observe(took.as_secs_f64());
    }
}
