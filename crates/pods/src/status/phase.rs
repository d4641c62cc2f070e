//! The phase of a pod (docs: "Pod phase").

use super::Seen;
use crate::restart;
use crate::roster::{self, Role};
use kinds::api::core::v1::{Container, ContainerStatus};
use kinds::pod::is_sidecar;

/// `Succeeded` or `Failed`.
#[must_use]
pub fn is_terminal(phase: Option<&str>) -> bool {
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[derive(Default)]
struct Count {
    running: usize,
    /// Ended, also those that wait to be restarted.
    stopped: usize,
    succeeded: usize,
    waiting: usize,
    /// Ended, and to be started again.
    returning: usize,
}

fn exit_code(s: &ContainerStatus) -> Option<i32> {
    s.state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| t.exit_code)
}

fn last_exit_code(s: &ContainerStatus) -> Option<i32> {
    s.last_state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| t.exit_code)
}

fn runs(s: &ContainerStatus) -> bool {
    s.state.as_ref().is_some_and(|s| s.running.is_some())
}

enum Initialization {
    Done,
    Pending,
    Failed,
}

fn initialization(seen: &Seen<'_>, inits: &[ContainerStatus]) -> Initialization {
    let spec = roster::spec(seen.pod);
    let mut pending = false;
    for (c, s) in roster::init(seen.pod).zip(inits) {
        if is_sidecar(c) {
            // A sidecar holds the pod back only until it has started once.
            pending |= s.started != Some(true) && last_exit_code(s).is_none() && exit_code(s).is_none();
            continue;
        }
        match (exit_code(s), last_exit_code(s)) {
            (Some(0), _) => {}
            (Some(code), _) if seen.ending_now || !restart::init_restarts(c, spec, code) => return Initialization::Failed,
            _ => pending = true,
        }
    }
    if pending { Initialization::Pending } else { Initialization::Done }
}

fn count(seen: &Seen<'_>, containers: &[&Container], statuses: &[ContainerStatus]) -> Count {
    let spec = roster::spec(seen.pod);
    let mut n = Count::default();
    for (c, s) in containers.iter().zip(statuses) {
        if runs(s) {
            n.running += 1;
        } else if let Some(code) = exit_code(s) {
            n.stopped += 1;
            n.succeeded += usize::from(code == 0);
            n.returning += usize::from(restart::restarts(c, spec, code));
        } else if last_exit_code(s).is_some() {
            n.stopped += 1;
            n.returning += 1;
        } else {
            n.waiting += 1;
        }
    }
    n
}

/// The phase as the containers have it, though sidecars may still run.
#[must_use]
pub fn verdict(seen: &Seen<'_>, inits: &[ContainerStatus], apps: &[ContainerStatus]) -> &'static str {
    if seen.ending.is_some() {
        return "Failed";
    }
    let containers: Vec<&Container> = roster::apps(seen.pod).collect();
    let n = count(seen, &containers, apps);
    let initialization = initialization(seen, inits);
    if matches!(initialization, Initialization::Failed) && (!seen.ending_now || seen.over) {
        return "Failed";
    }
    let ended = if n.succeeded == n.stopped { "Succeeded" } else { "Failed" };
    if seen.over {
        return if n.stopped == apps.len() { ended } else { "Failed" };
    }
    if seen.ending_now && n.running == 0 && n.stopped == apps.len() {
        return ended;
    }
    let pending = matches!(initialization, Initialization::Pending) && n.running + n.stopped == 0;
    match (n.running, n.stopped) {
        _ if n.waiting > 0 || pending => "Pending",
        (0, 0) => "Pending",
        (0, _) if n.returning == 0 => ended,
        _ => "Running",
    }
}

/// The phase. A terminal one is told only when every process, of sidecars too, is gone.
#[must_use]
pub fn of(seen: &Seen<'_>, inits: &[ContainerStatus], apps: &[ContainerStatus]) -> &'static str {
    match verdict(seen, inits, apps) {
        "Succeeded" | "Failed" if !seen.over && seen.view.running().next().is_some() => "Running",
        phase => phase,
    }
}

/// Whether the pod's work is done, for good or bad.
#[must_use]
pub fn is_done(seen: &Seen<'_>) -> bool {
    let inits = seen.statuses(|r| matches!(r, Role::Init | Role::Sidecar));
    let apps = seen.statuses(|r| r == Role::App);
    is_terminal(Some(verdict(seen, &inits, &apps)))
}
