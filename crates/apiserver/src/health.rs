//! `/healthz`, `/livez`, `/readyz`, `/metrics` and `/metrics/slis` (how the health checks went). Docs: "Kubernetes API health
//! endpoints", "Kubernetes Component SLI Metrics".

use crate::call::Call;
use crate::respond::{self, Reply};
use std::fmt::Write;

/// The checks by name, as `verbose` lists them.
const CHECKS: &[&str] = &["ping", "log", "etcd", "informer-sync", "poststarthook/rbac/bootstrap-roles", "shutdown"];

/// Prometheus' text format.
const METRICS_MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An answer, when the path is one of health's.
pub(crate) fn answer(call: &Call) -> Option<Reply> {
    let path = call.info.path.trim_end_matches('/');
    match path {
        "/metrics" => return Some(respond::with_media(200, call.shared.metrics.expose().into_bytes().into(), METRICS_MEDIA)),
        "/metrics/slis" => return Some(checks(call)),
        _ => {}
    }
    let (endpoint, one) = match path.trim_start_matches('/').split_once('/') {
        Some((e, check)) => (e, Some(check)),
        None => (path.trim_start_matches('/'), None),
    };
    if !matches!(endpoint, "healthz" | "livez" | "readyz") {
        return None;
    }
    let failed = failure(call, endpoint);
    if let Some(check) = one {
        if CHECKS.contains(&check) {
            call.shared.metrics.checked(check, endpoint, failed != Some(check));
        }
        return Some(match (CHECKS.contains(&check), failed == Some(check)) {
            (false, _) => respond::plain_error(404, "404 page not found\n"),
            (true, false) => respond::text(200, "ok"),
            (true, true) => respond::plain_error(500, "internal server error: not ready\n"),
        });
    }
    Some(whole(call, endpoint, failed))
}

/// How each check went that anybody asked for.
fn checks(call: &Call) -> Reply {
    let mut reply = respond::with_media(200, call.shared.metrics.checks().into_bytes().into(), METRICS_MEDIA);
    let started = http::HeaderValue::from(call.shared.start.at.as_second());
    reply.headers_mut().insert("process-start-time-unix", started);
    reply
}

fn failure(call: &Call, endpoint: &str) -> Option<&'static str> {
    if endpoint == "readyz" && *call.shared.stopping.borrow() {
        return Some("shutdown");
    }
    if endpoint == "livez" { None } else { (call.shared.readiness)().err() }
}

fn whole(call: &Call, endpoint: &str, failed: Option<&str>) -> Reply {
    let excluded: Vec<&str> = call.info.params("exclude").collect();
    let failed = failed.filter(|f| !excluded.contains(f));
    for check in CHECKS.iter().filter(|c| !excluded.contains(c)) {
        call.shared.metrics.checked(check, endpoint, failed != Some(*check));
    }
    if failed.is_none() && call.info.param("verbose").is_none() {
        return respond::text(200, "ok");
    }
    let mut body = String::new();
    for check in CHECKS {
        let _ = match (excluded.contains(check), failed == Some(check)) {
            (true, _) => writeln!(body, "[+]{check} excluded: ok"),
            (false, true) => writeln!(body, "[-]{check} failed: reason withheld"),
            (false, false) => writeln!(body, "[+]{check} ok"),
        };
    }
    let verdict = if failed.is_some() { "failed" } else { "passed" };
    let _ = writeln!(body, "{endpoint} check {verdict}");
    respond::plain_error(if failed.is_some() { 500 } else { 200 }, body)
}
