//! The status of one container: waiting, running or terminated, what it was before, and whether it is ready.

use super::{Seen, time};
use crate::restart;
use crate::roster::{self, Role};
use crate::view::{ContainerView, RunState};
use kinds::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, ResourceRequirements, VolumeMountStatus,
};

fn waiting(reason: &str, message: &str) -> ContainerState {
    let message = Some(message.to_owned()).filter(|m| !m.is_empty());
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(c: &ContainerView, runtime: &str) -> ContainerState {
    let reason = match (c.reason.as_str(), c.exit_code) {
        ("", 0) => "Completed",
        ("", _) => "Error",
        (r, _) => r,
    };
    let ended = ContainerStateTerminated {
        container_id: Some(format!("{runtime}://{}", c.id)),
        exit_code: c.exit_code,
        signal: Some(c.signal).filter(|s| *s != 0),
        reason: Some(reason.to_owned()),
        message: Some(c.message.clone()).filter(|m| !m.is_empty()),
        started_at: Some(time(c.started_at.unwrap_or(c.created_at))),
        finished_at: Some(time(c.finished_at.unwrap_or(c.created_at))),
    };
    ContainerState { terminated: Some(ended), ..ContainerState::default() }
}

/// What is said of a container that nobody can find any more.
fn lost() -> ContainerState {
    let ended = ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some("The container could not be located when the pod was terminated".to_owned()),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(ended), ..ContainerState::default() }
}

fn default_waiting(seen: &Seen<'_>, role: Role) -> ContainerState {
    let has_init = roster::init(seen.pod).next().is_some();
    waiting(if role != Role::Ephemeral && has_init { "PodInitializing" } else { "ContainerCreating" }, "")
}

/// Whether a container that the runtime knows nothing of should have run: app containers once all init containers are
/// through, init containers up to the last that was tried. The others were never reached and go on waiting.
fn was_due(seen: &Seen<'_>, role: Role, name: &str) -> bool {
    let tried = |c: &Container| seen.view.newest(&c.name).is_some() || remembered(seen, Role::Init, &c.name).is_some();
    let inits: Vec<&Container> = roster::init(seen.pod).collect();
    if matches!(role, Role::Init | Role::Sidecar) {
        let reached = inits.iter().rposition(|c| tried(c)).unwrap_or(0);
        return inits.iter().take(reached + 1).any(|c| c.name == name);
    }
    let Some(last) = inits.last().filter(|_| role == Role::App) else { return true };
    let begun = roster::apps(seen.pod).any(|c| seen.view.newest(&c.name).is_some() || remembered(seen, Role::App, &c.name).is_some());
    let through = match seen.view.newest(&last.name) {
        Some(v) if kinds::pod::is_sidecar(last) => v.started_at.is_some(),
        Some(v) => v.is_exited() && v.exit_code == 0,
        None => false,
    };
    begun || through
}

/// Whether a container that ended is started again: only then its status says what it waits for.
fn returns(seen: &Seen<'_>, role: Role, c: &Container, exit_code: i32) -> bool {
    let spec = roster::spec(seen.pod);
    match role {
        Role::Ephemeral => false,
        Role::Sidecar => true,
        Role::Init => restart::init_restarts(c, spec, exit_code),
        Role::App => restart::restarts(c, spec, exit_code),
    }
}

fn state(seen: &Seen<'_>, role: Role, spec: &Container) -> (ContainerState, Option<ContainerState>) {
    let name = spec.name.as_str();
    let runtime = &seen.facts.runtime_name;
    let memo = seen.memo(name);
    let (newest, previous) = (seen.view.newest(name), seen.view.previous(name));
    let before = previous.filter(|p| p.is_exited()).map(|p| terminated(p, runtime));
    let pending = || match &memo.waiting {
        Some(w) => waiting(&w.reason, &w.message),
        None => default_waiting(seen, role),
    };
    match newest {
        None if seen.over && was_due(seen, role, name) => (lost(), None),
        None if seen.over => (default_waiting(seen, role), None),
        None => (pending(), None),
        Some(c) => match c.state {
            RunState::Running if memo.post_start_pending && !seen.ending_now => (default_waiting(seen, role), before),
            RunState::Running => {
                let running = ContainerStateRunning { started_at: Some(time(c.started_at.unwrap_or(c.created_at))) };
                (ContainerState { running: Some(running), ..ContainerState::default() }, before)
            }
            RunState::Exited if memo.waiting.is_some() && !seen.ending_now && returns(seen, role, spec, c.exit_code) => {
                (pending(), Some(terminated(c, runtime)))
            }
            RunState::Exited => (terminated(c, runtime), before),
            RunState::Created | RunState::Unknown if seen.over => (lost(), before),
            RunState::Created => (pending(), before),
            RunState::Unknown => (lost(), before),
        },
    }
}

fn user(c: &ContainerView) -> Option<ContainerUser> {
    let u = c.user.as_ref()?;
    let groups = Some(u.groups.clone()).filter(|g| !g.is_empty());
    let linux = LinuxContainerUser { uid: u.uid, gid: u.gid, supplemental_groups: groups };
    Some(ContainerUser { linux: Some(linux) })
}

fn mounts(c: &Container) -> Option<Vec<VolumeMountStatus>> {
    let list: Vec<VolumeMountStatus> = c
        .volume_mounts
        .iter()
        .flatten()
        .map(|m| VolumeMountStatus {
            mount_path: m.mount_path.clone(),
            name: m.name.clone(),
            read_only: m.read_only.filter(|r| *r),
            recursive_read_only: m.read_only.filter(|r| *r).map(|_| {
                let asked = m.recursive_read_only.as_deref();
                if matches!(asked, Some("Enabled" | "IfPossible")) { "Enabled" } else { "Disabled" }.to_owned()
            }),
            volume_status: None,
        })
        .collect();
    Some(list).filter(|l| !l.is_empty())
}

/// What the node has granted the container.
fn granted(seen: &Seen<'_>, c: &Container) -> ResourceRequirements {
    let mut all = roster::init(&seen.granted).chain(roster::apps(&seen.granted));
    all.find(|g| g.name == c.name).and_then(|g| g.resources.clone()).unwrap_or_default()
}

/// What is in force for the container.
fn resources(seen: &Seen<'_>, c: &Container) -> ResourceRequirements {
    let own = seen.memo(&c.name).in_force.unwrap_or_else(|| granted(seen, c));
    ResourceRequirements { claims: None, limits: own.limits, requests: own.requests }
}

/// Whether a container counts as started: it runs, its start hook is done and its startup probe has passed.
#[must_use]
pub fn is_started(seen: &Seen<'_>, c: &Container) -> bool {
    let memo = seen.memo(&c.name);
    let running = seen.view.newest(&c.name).is_some_and(ContainerView::is_running);
    running && !memo.post_start_pending && memo.startup_passed(c)
}

fn is_ready(seen: &Seen<'_>, role: Role, c: &Container, started: bool) -> bool {
    match role {
        Role::Init => seen.view.newest(&c.name).is_some_and(|v| v.is_exited() && v.exit_code == 0),
        Role::Ephemeral => false,
        Role::App | Role::Sidecar => started && seen.memo(&c.name).readiness_passed(c),
    }
}

/// What was last said of a container that had ended, for when the runtime has forgotten it.
fn remembered(seen: &Seen<'_>, role: Role, name: &str) -> Option<ContainerStatus> {
    let before = seen.previous?;
    let list = match role {
        Role::Init | Role::Sidecar => &before.init_container_statuses,
        Role::App => &before.container_statuses,
        Role::Ephemeral => &before.ephemeral_container_statuses,
    };
    let found = list.iter().flatten().find(|s| s.name == name)?;
    found.state.as_ref()?.terminated.as_ref()?;
    Some(found.clone())
}

/// The status of one container.
#[must_use]
pub fn status(seen: &Seen<'_>, role: Role, c: &Container) -> ContainerStatus {
    if seen.over
        && seen.view.newest(&c.name).is_none()
        && let Some(before) = remembered(seen, role, &c.name)
    {
        return before;
    }
    let (state, last) = state(seen, role, c);
    let newest = seen.view.newest(&c.name);
    let runs = state.running.is_some();
    let started = is_started(seen, c);
    let asked = granted(seen, c).requests.filter(|r| !r.is_empty());
    ContainerStatus {
        name: c.name.clone(),
        image: newest.map(|v| v.image.clone()).filter(|i| !i.is_empty()).or_else(|| c.image.clone()).unwrap_or_default(),
        image_id: newest.map(|v| v.image_id.clone()).unwrap_or_default(),
        container_id: newest.map(|v| format!("{}://{}", seen.facts.runtime_name, v.id)),
        ready: is_ready(seen, role, c, started),
        started: (role != Role::Ephemeral).then_some(started),
        restart_count: newest.map_or(0, |v| i32::try_from(v.attempt).unwrap_or(i32::MAX)),
        state: Some(state),
        last_state: Some(last.unwrap_or_default()),
        resources: (runs && role != Role::Ephemeral).then(|| resources(seen, c)),
        allocated_resources: asked.filter(|_| runs && role != Role::Ephemeral),
        user: newest.filter(|_| runs).and_then(user),
        volume_mounts: mounts(c),
        stop_signal: c.lifecycle.as_ref().and_then(|l| l.stop_signal.clone()),
        ..ContainerStatus::default()
    }
}
