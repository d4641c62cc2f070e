//! The audit log: who asked for what and what came of it, as the policy wants it, to a file and to a webhook.
//! Docs: "Auditing"; kinds of `audit.k8s.io/v1`.
//!
//! ```text
//!  authenticated request ──policy──> level None: no cost at all
//!        │                 └───────> Trail: RequestReceived … (ResponseStarted) … ResponseComplete ──> sinks
//! ```

mod event;
mod log;
mod policy;
mod trail;
mod webhook;

#[cfg(test)]
mod tests;

use crate::request::RequestInfo;
use base::metrics::{Counter, Family, Registry as MetricRegistry};
use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use rules::User;
use std::net::SocketAddr;
use std::sync::Arc;

pub use log::{Format, LogOptions, Mode, Target};
pub use policy::{Level, Policy};
pub use trail::Trail;
pub use webhook::{Batching, WebhookOptions};

/// What the flags say of auditing.
#[derive(Clone, Debug)]
pub struct Options {
    pub policy: Policy,
    pub log: Option<LogOptions>,
    pub webhook: Option<WebhookOptions>,
}

/// Why auditing cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("loading the audit policy file: {0}")]
    Policy(String),
    #[error("opening the audit log {path}: {source}")]
    Log { path: String, source: std::io::Error },
    #[error("initializing the audit webhook: {0}")]
    Webhook(String),
}

/// One event, ready for the sinks.
pub(crate) struct Record {
    pub(crate) json: Bytes,
    /// The same without its objects, where some sink may want it smaller.
    pub(crate) short: Option<Bytes>,
    /// The line of the legacy format.
    pub(crate) legacy: String,
}

impl Record {
    /// The event in the form that is no larger; `None` when there is none.
    fn fitting(&self, most: Option<usize>) -> Option<&Bytes> {
        let fits = |json: &&Bytes| most.is_none_or(|m| json.len() <= m);
        Some(&self.json).filter(fits).or_else(|| self.short.as_ref().filter(fits))
    }
}

/// The auditor.
pub struct Audit {
    policy: Policy,
    log: Option<log::Log>,
    webhook: Option<webhook::Sender>,
    /// Events above this size may have to be shorter for some sink.
    truncate: Option<usize>,
    events: Arc<Counter>,
    levels: Arc<Family<Counter>>,
}

/// Where and when a request came in.
pub(crate) struct Arrival<'a> {
    pub(crate) audit_id: &'a str,
    pub(crate) uri: String,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) at: Timestamp,
}

impl Audit {
    /// Opens the sinks; the webhook's task runs until the auditor is dropped.
    ///
    /// # Errors
    /// A log that cannot be written, a webhook configuration that is none.
    pub fn open(options: Options, metrics: &MetricRegistry) -> Result<Arc<Self>, AuditError> {
        let errors = metrics.counter("apiserver_audit_error_total", "Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.", &["plugin"]);
        let limits = [options.log.as_ref().and_then(|l| l.truncate), options.webhook.as_ref().and_then(|w| w.truncate)];
        let webhook = options.webhook.map(|w| webhook::start(w, errors.with(&["webhook"]))).transpose()?;
        Ok(Arc::new(Self {
            policy: options.policy,
            log: options.log.map(|l| log::Log::open(l, errors.with(&["log"]))).transpose()?,
            webhook,
            truncate: limits.into_iter().flatten().min(),
            events: metrics.counter("apiserver_audit_event_total", "Counter of audit events generated and sent to the audit backend.", &[]).with(&[]),
            levels: metrics.counter("apiserver_audit_level_total", "Counter of policy levels for audit events (1 per request).", &["level"]),
        }))
    }

    /// Begins the trail of a request; `None` when the policy wants nothing of it.
    pub(crate) fn begin(self: &Arc<Self>, info: &RequestInfo, user: Option<&User>, arrival: &Arrival<'_>) -> Option<Arc<Trail>> {
        let wanted = self.policy.judge(info, user);
        self.levels.with(&[wanted.level.name()]).inc();
        if wanted.level == Level::None {
            return None;
        }
        let trail = Trail::new(Arc::clone(self), wanted, info, user, arrival);
        if user.is_some() {
            trail.received();
        }
        Some(Arc::new(trail))
    }

    /// Writes an event; `false` when its request must not go on, and where to wait for a webhook that is waited for.
    pub(crate) fn write(&self, record: Record) -> (bool, Option<webhook::Delivered>) {
        self.events.inc();
        let written = self.log.as_ref().is_none_or(|log| log.write(&record));
        (written, self.webhook.as_ref().and_then(|w| w.send(&record)))
    }

    /// Whether requests wait for their events to be delivered.
    fn is_waited_for(&self) -> bool {
        self.webhook.as_ref().is_some_and(webhook::Sender::is_waited_for)
    }

    /// Whether a request fails whose arrival is not delivered.
    fn is_strict(&self) -> bool {
        self.webhook.as_ref().is_some_and(webhook::Sender::is_strict)
    }
}
