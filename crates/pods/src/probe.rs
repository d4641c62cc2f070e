//! Probes as state machines (docs: "Configure liveness, readiness and startup probes"): when the next one is due, what
//! its outcome means, and what is asked of the hands. A startup probe gates the other two.
//!
//! A container that is not ready yet is asked more often than its period says (Kubernetes allows that, "to make the pod
//! ready faster"): network probes start 25 ms apart and double up to the period.

use crate::roster;
use jiff::{SignedDuration, Timestamp};
use kinds::IntOrString;
use kinds::api::core::v1::{Container, GRPCAction, HTTPGetAction, LifecycleHandler, Pod, Probe, TCPSocketAction};

/// The first delay between hasty readiness probes.
const HASTY_MS: i64 = 25;

/// Which of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    /// All, in the order in which they matter.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// As events spell it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
    /// As messages spell it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
    /// The container's probe of this kind.
    #[must_use]
    pub fn of(self, c: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => c.startup_probe.as_ref(),
            Self::Liveness => c.liveness_probe.as_ref(),
            Self::Readiness => c.readiness_probe.as_ref(),
        }
    }
}

/// What the hands do for a probe or a lifecycle hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    Exec(Vec<String>),
    Http { scheme: String, host: String, port: u16, path: String, headers: Vec<(String, String)> },
    Tcp { host: String, port: u16 },
    Grpc { host: String, port: u16, service: String },
    Sleep { seconds: i64 },
}

/// What a probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Success,
    /// Healthy, but with something to tell (an HTTP redirect to another host).
    Warning(String),
    Failure(String),
    /// The probe itself could not be made.
    Error(String),
}

/// The state of one probe of one running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeState {
    /// The container that it watches; another id means another life.
    pub container_id: String,
    pub next_at: Timestamp,
    pub in_flight: bool,
    /// The last verdict that crossed its threshold; `None`: none has.
    pub healthy: Option<bool>,
    successes: i32,
    failures: i32,
    hasty: Option<i64>,
}

impl ProbeState {
    /// A fresh state for a container that started at `started_at`.
    #[must_use]
    pub fn new(kind: ProbeKind, probe: &Probe, container_id: &str, started_at: Timestamp) -> Self {
        let delay_s = i64::from(probe.initial_delay_seconds.unwrap_or(0));
        let network = probe.exec.is_none();
        Self {
            container_id: container_id.to_owned(),
            next_at: started_at + SignedDuration::from_secs(delay_s),
            in_flight: false,
            healthy: None,
            successes: 0,
            failures: 0,
            hasty: (network && kind == ProbeKind::Readiness).then_some(HASTY_MS),
        }
    }

    /// Takes a verdict in. Gives the event to tell, if any.
    pub fn record(&mut self, kind: ProbeKind, probe: &Probe, verdict: &Verdict, now: Timestamp) -> Option<(&'static str, String)> {
        self.in_flight = false;
        let period_ms = i64::from(probe.period_seconds.unwrap_or(10).max(1)) * 1000;
        let mut quiet = false;
        let mut wait_ms = period_ms;
        match verdict {
            Verdict::Success | Verdict::Warning(_) => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= probe.success_threshold.unwrap_or(1) {
                    self.healthy = Some(true);
                    self.hasty = None;
                } else if let Some(ms) = self.hasty {
                    wait_ms = ms.min(period_ms);
                }
            }
            Verdict::Failure(_) => {
                self.successes = 0;
                if let Some(ms) = self.hasty.filter(|ms| *ms < period_ms) {
                    (quiet, wait_ms, self.hasty) = (true, ms, Some(ms * 2));
                } else {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures >= probe.failure_threshold.unwrap_or(3) {
                        self.healthy = Some(false);
                    }
                }
            }
            Verdict::Error(_) => {}
        }
        self.next_at = now + SignedDuration::from_millis(wait_ms);
        match verdict {
            Verdict::Failure(text) if !quiet => Some(("Unhealthy", format!("{} probe failed: {text}", kind.title()))),
            Verdict::Error(text) => {
                Some(("Unhealthy", format!("{} probe errored and resulted in unknown state: {text}", kind.title())))
            }
            Verdict::Warning(text) => Some(("ProbeWarning", format!("{} probe warning: {text}", kind.title()))),
            _ => None,
        }
    }
}

/// How long the hands give a probe.
#[must_use]
pub fn timeout_s(probe: &Probe) -> u64 {
    u64::try_from(probe.timeout_seconds.unwrap_or(1).max(1)).unwrap_or(1)
}

fn port(of: &IntOrString, c: &Container) -> Result<u16, String> {
    let wrong = |text: String| format!("invalid port number: {text}");
    match of {
        IntOrString::Int(n) => u16::try_from(*n).ok().filter(|n| *n > 0).ok_or_else(|| wrong(n.to_string())),
        IntOrString::String(s) => {
            let named = c.ports.iter().flatten().find(|p| p.name.as_ref() == Some(s));
            let number = named.map(|p| p.container_port).or_else(|| s.parse().ok());
            number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(|| wrong(s.clone()))
        }
    }
}

fn http(h: &HTTPGetAction, c: &Container, pod_ip: &str) -> Result<Handler, String> {
    let path = h.path.clone().unwrap_or_default();
    Ok(Handler::Http {
        scheme: h.scheme.as_deref().unwrap_or("HTTP").to_ascii_lowercase(),
        host: h.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_owned()),
        port: port(&h.port, c)?,
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        headers: h.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect(),
    })
}

fn tcp(t: &TCPSocketAction, c: &Container, pod_ip: &str) -> Result<Handler, String> {
    let host = t.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_owned());
    Ok(Handler::Tcp { host, port: port(&t.port, c)? })
}

fn grpc(g: &GRPCAction, pod_ip: &str) -> Result<Handler, String> {
    let port = u16::try_from(g.port).map_err(|_| format!("invalid port number: {}", g.port))?;
    Ok(Handler::Grpc { host: pod_ip.to_owned(), port, service: g.service.clone().unwrap_or_default() })
}

/// What a probe asks of the hands.
///
/// # Errors
/// The text of a probe that cannot be made.
pub fn call(probe: &Probe, c: &Container, pod_ip: &str) -> Result<Handler, String> {
    match (&probe.exec, &probe.http_get, &probe.tcp_socket, &probe.grpc) {
        (Some(e), ..) => Ok(Handler::Exec(e.command.clone().unwrap_or_default())),
        (_, Some(h), ..) => http(h, c, pod_ip),
        (_, _, Some(t), _) => tcp(t, c, pod_ip),
        (.., Some(g)) => grpc(g, pod_ip),
        _ => Err(format!("missing probe handler for container {}", c.name)),
    }
}

/// What a lifecycle hook asks of the hands.
///
/// # Errors
/// The text of a hook that cannot be run.
pub fn hook(handler: &LifecycleHandler, c: &Container, pod_ip: &str) -> Result<Handler, String> {
    match (&handler.exec, &handler.http_get, &handler.sleep, &handler.tcp_socket) {
        (Some(e), ..) => Ok(Handler::Exec(e.command.clone().unwrap_or_default())),
        (_, Some(h), ..) => http(h, c, pod_ip),
        (_, _, Some(s), _) => Ok(Handler::Sleep { seconds: s.seconds }),
        (.., Some(t)) => tcp(t, c, pod_ip),
        _ => Err("invalid handler: <nil>".to_owned()),
    }
}

/// The probes that a container has and that apply to it (plain init and ephemeral containers have none).
pub fn kinds_of<'a>(role: roster::Role, c: &'a Container) -> impl Iterator<Item = (ProbeKind, &'a Probe)> {
    let applies = matches!(role, roster::Role::App | roster::Role::Sidecar);
    ProbeKind::ALL.into_iter().filter(move |_| applies).filter_map(move |k| Some((k, k.of(c)?)))
}

/// How long a container gets to stop after this probe failed it.
#[must_use]
pub fn grace_s(probe: Option<&Probe>, pod: &Pod) -> i64 {
    let own = probe.and_then(|p| p.termination_grace_period_seconds);
    own.or(roster::spec(pod).termination_grace_period_seconds).unwrap_or(30)
}
