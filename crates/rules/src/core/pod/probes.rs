//! Probes and lifecycle hooks.

use crate::checks::{complain, not_negative_opt, port, port_or_name, present};
use crate::names;
use crate::read::{items, s};
use kinds::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, PodSpec, Probe, SleepAction, TCPSocketAction,
};
use kinds::{FieldErrors, Path};

/// The ways to act that probes and hooks share.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

fn handler(h: &Handler<'_>, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let mut n = 0;
    let mut first = |name: &str, e: &mut FieldErrors| {
        n += 1;
        if n > 1 {
            e.forbidden(&path.child(name), "may not specify more than 1 handler type");
        }
        n == 1
    };
    if let Some(x) = h.exec
        && first("exec", e)
        && items(&x.command).is_empty()
    {
        e.required(&path.child("exec").child("command"), "");
    }
    if let Some(x) = h.http
        && first("httpGet", e)
    {
        http(x, &path.child("httpGet"), e);
    }
    if let Some(x) = h.tcp
        && first("tcpSocket", e)
    {
        port_or_name(&x.port, &path.child("tcpSocket").child("port"), e);
    }
    if let Some(x) = h.grpc
        && first("grpc", e)
    {
        port(x.port, &path.child("grpc").child("port"), e);
    }
    if let Some(x) = h.sleep
        && first("sleep", e)
    {
        let grace = spec.termination_grace_period_seconds.unwrap_or_default();
        if x.seconds < 0 || x.seconds > grace {
            let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
            e.invalid(&path.child("sleep"), x.seconds, why);
        }
    }
    if n == 0 {
        e.required(path, "must specify a handler type");
    }
}

fn http(h: &HTTPGetAction, path: &Path, e: &mut FieldErrors) {
    present(s(&h.path), &path.child("path"), e);
    port_or_name(&h.port, &path.child("port"), e);
    if !["HTTP", "HTTPS"].contains(&s(&h.scheme)) {
        e.not_supported(&path.child("scheme"), s(&h.scheme), &["HTTP", "HTTPS"]);
    }
    for x in items(&h.http_headers) {
        complain(&path.child("httpHeaders"), &x.name, names::http_header(&x.name), e);
    }
}

fn probe(p: &Probe, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let h = Handler {
        exec: p.exec.as_ref(),
        http: p.http_get.as_ref(),
        tcp: p.tcp_socket.as_ref(),
        grpc: p.grpc.as_ref(),
        sleep: None,
    };
    handler(&h, spec, path, e);
    for (name, n) in [
        ("initialDelaySeconds", p.initial_delay_seconds),
        ("timeoutSeconds", p.timeout_seconds),
        ("periodSeconds", p.period_seconds),
        ("successThreshold", p.success_threshold),
        ("failureThreshold", p.failure_threshold),
    ] {
        not_negative_opt(n, &path.child(name), e);
    }
    if let Some(n) = p.termination_grace_period_seconds.filter(|n| *n <= 0) {
        e.invalid(&path.child("terminationGracePeriodSeconds"), n, "must be greater than 0");
    }
}

fn success_once(p: &Probe, path: &Path, e: &mut FieldErrors) {
    if let Some(n) = p.success_threshold.filter(|n| *n != 1) {
        e.invalid(&path.child("successThreshold"), n, "must be 1");
    }
}

/// The liveness probe.
pub(super) fn liveness(c: &Container, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(p) = &c.liveness_probe else { return };
    probe(p, spec, path, e);
    success_once(p, path, e);
}

/// The readiness probe.
pub(super) fn readiness(c: &Container, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(p) = &c.readiness_probe else { return };
    probe(p, spec, path, e);
    if let Some(n) = p.termination_grace_period_seconds {
        e.invalid(&path.child("terminationGracePeriodSeconds"), n, "must not be set for readinessProbes");
    }
}

/// The startup probe.
pub(super) fn startup(c: &Container, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(p) = &c.startup_probe else { return };
    probe(p, spec, path, e);
    success_once(p, path, e);
}

/// What containers of Linux can be stopped by.
const SIGNALS: &[&str] = &[
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO", "SIGIOT",
    "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGRTMAX", "SIGRTMAX-1", "SIGRTMAX-10", "SIGRTMAX-11",
    "SIGRTMAX-12", "SIGRTMAX-13", "SIGRTMAX-14", "SIGRTMAX-2", "SIGRTMAX-3", "SIGRTMAX-4", "SIGRTMAX-5", "SIGRTMAX-6",
    "SIGRTMAX-7", "SIGRTMAX-8", "SIGRTMAX-9", "SIGRTMIN", "SIGRTMIN+1", "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12",
    "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+2", "SIGRTMIN+3", "SIGRTMIN+4", "SIGRTMIN+5", "SIGRTMIN+6",
    "SIGRTMIN+7", "SIGRTMIN+8", "SIGRTMIN+9", "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP",
    "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ",
];

/// Hooks after the start and before the stop.
pub(super) fn lifecycle(c: &Container, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let Some(l) = &c.lifecycle else { return };
    for (name, h) in [("postStart", &l.post_start), ("preStop", &l.pre_stop)] {
        if let Some(h) = h {
            hook(h, spec, &path.child(name), e);
        }
    }
    if let Some(signal) = &l.stop_signal {
        match spec.os.as_ref().map(|o| o.name.as_str()) {
            Some("windows") if !["SIGTERM", "SIGKILL"].contains(&signal.as_str()) => {
                e.not_supported(&path.child("stopSignal"), signal, &["SIGKILL", "SIGTERM"]);
            }
            Some("linux") if !SIGNALS.contains(&signal.as_str()) => e.not_supported(&path.child("stopSignal"), signal, SIGNALS),
            Some(_) => {}
            None => e.forbidden(&path.child("stopSignal"), "may not be set for containers with empty `spec.os.name`"),
        }
    }
}

fn hook(h: &LifecycleHandler, spec: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let h = Handler {
        exec: h.exec.as_ref(),
        http: h.http_get.as_ref(),
        tcp: h.tcp_socket.as_ref(),
        grpc: None,
        sleep: h.sleep.as_ref(),
    };
    handler(&h, spec, path, e);
}
