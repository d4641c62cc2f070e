//! A machine with a fake container runtime and a fake pod network. It outlives the program: containers go on while the
//! control plane is down, and end when their time has come or the power goes.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use pods::plan::sandbox::label;
use pods::plan::{ContainerPlan, SandboxPlan};
use pods::{ContainerView, RunState, SandboxView, View};
use std::collections::BTreeMap;

/// How long the containers of a Job work.
const WORK_S: i64 = 4;
/// Exit code of a process that was killed.
const KILLED: i32 = 137;
const TERMINATED: i32 = 143;

#[derive(Clone, Debug)]
struct Running {
    view: ContainerView,
    pod: String,
    ends: Option<(Timestamp, i32)>,
}

#[derive(Clone, Debug)]
struct Pod {
    uid: String,
    name: String,
    view: SandboxView,
}

#[derive(Default)]
struct State {
    up: bool,
    sandboxes: BTreeMap<String, Pod>,
    containers: BTreeMap<String, Running>,
    made: u64,
    failing_starts: u32,
    /// What must never happen and did.
    offences: Vec<String>,
}

/// One machine.
pub struct Machine {
    /// Its node's name.
    pub name: String,
    number: u8,
    state: Mutex<State>,
}

impl Machine {
    /// A machine that is switched on.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let state = State { up: true, ..State::default() };
        Self { name: format!("n{number}"), number, state: Mutex::new(state) }
    }
    /// Its address.
    #[must_use]
    pub fn ip(&self) -> String {
        format!("10.0.0.{}", self.number + 1)
    }
    /// Whether it has power.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.lock().up
    }
    /// The power goes: all processes are gone, what is on disk stays.
    pub fn power_off(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state.up = false;
        for s in state.sandboxes.values_mut() {
            s.view.ready = false;
        }
        for c in state.containers.values_mut() {
            end(c, now, KILLED);
        }
    }
    /// The power is back.
    pub fn power_on(&self) {
        self.state.lock().up = true;
    }
    /// The next so many containers do not start.
    pub fn fail_starts(&self, count: u32) {
        self.state.lock().failing_starts = count;
    }
    /// What must never happen and did, on this machine.
    #[must_use]
    pub fn offences(&self) -> Vec<String> {
        self.state.lock().offences.clone()
    }
    /// `namespace/name` of every pod with a running process, with its uid.
    #[must_use]
    pub fn running(&self) -> Vec<(String, String)> {
        let state = self.state.lock();
        let runs = |s: &&Pod| state.containers.values().any(|c| c.view.sandbox_id == s.view.id && c.view.is_running());
        state.sandboxes.values().filter(runs).map(|s| (s.name.clone(), s.uid.clone())).collect()
    }
    /// Uids of all pods of which something is left.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.state.lock().sandboxes.values().map(|s| s.uid.clone()).collect()
    }

    /// Everything that the runtime has, by pod.
    #[must_use]
    pub fn survey(&self, now: Timestamp) -> BTreeMap<String, View> {
        let mut state = self.state.lock();
        settle(&mut state, now);
        let mut views: BTreeMap<String, View> = BTreeMap::new();
        for s in state.sandboxes.values() {
            views.entry(s.uid.clone()).or_default().sandboxes.push(s.view.clone());
        }
        for c in state.containers.values() {
            views.entry(c.pod.clone()).or_default().containers.push(c.view.clone());
        }
        views
    }
    /// Containers that have ended by themselves by now: pod and view.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Vec<(String, ContainerView)> {
        settle(&mut self.state.lock(), now)
    }
    /// When the next container ends by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.state.lock().containers.values().filter(|c| c.view.is_running()).filter_map(|c| c.ends.map(|e| e.0)).min()
    }

    /// Makes a sandbox.
    ///
    /// # Errors
    /// Chance said so.
    pub fn create_sandbox(&self, plan: &SandboxPlan, now: Timestamp) -> Result<SandboxView, String> {
        let mut state = self.state.lock();
        let name = format!("{}/{}", plan.namespace, plan.name);
        if state.sandboxes.values().any(|s| s.uid == plan.uid && s.view.ready) {
            state.offences.push(format!("{name} was given a second sandbox while the first was ready"));
        }
        state.made += 1;
        let id = format!("{}-s{}", self.name, state.made);
        let ip = format!("10.{}.{}.{}", 100 + self.number, state.made / 250 % 250, state.made % 250 + 2);
        let ips = if plan.host_network { Vec::new() } else { vec![ip] };
        let view = SandboxView { id: id.clone(), attempt: plan.attempt, ready: true, created_at: now, ips };
        state.sandboxes.insert(id, Pod { uid: plan.uid.clone(), name, view: view.clone() });
        Ok(view)
    }
    /// Stops a sandbox and what runs in it; gives the containers that ended by that.
    pub fn stop_sandbox(&self, id: &str, now: Timestamp) -> Vec<ContainerView> {
        let mut state = self.state.lock();
        if let Some(s) = state.sandboxes.get_mut(id) {
            s.view.ready = false;
        }
        let inside = state.containers.values_mut().filter(|c| c.view.sandbox_id == id);
        inside.filter_map(|c| end(c, now, KILLED).then(|| c.view.clone())).collect()
    }
    /// Removes a sandbox with its containers.
    pub fn remove_sandbox(&self, id: &str) {
        let mut state = self.state.lock();
        if state.containers.values().any(|c| c.view.sandbox_id == id && c.view.is_running()) {
            state.offences.push(format!("sandbox {id} was removed under a running container"));
        }
        state.sandboxes.remove(id);
        state.containers.retain(|_, c| c.view.sandbox_id != id);
    }
    /// Starts a container.
    ///
    /// # Errors
    /// The runtime's message, and what is left of the container.
    pub fn start(&self, sandbox: &str, plan: &ContainerPlan, now: Timestamp) -> Result<ContainerView, (String, Option<ContainerView>)> {
        let mut state = self.state.lock();
        let Some(pod) = state.sandboxes.get(sandbox).filter(|s| s.view.ready).map(|s| s.uid.clone()) else {
            return Err((format!("sandbox {sandbox} is not ready"), None));
        };
        let twin = |c: &Running| c.view.sandbox_id == sandbox && c.view.name == plan.name && c.view.is_running();
        if state.containers.values().any(twin) {
            state.offences.push(format!("container {} of pod {pod} was started twice", plan.name));
        }
        state.made += 1;
        let id = format!("{}-c{}", self.name, state.made);
        let fails = state.failing_starts > 0;
        state.failing_starts = state.failing_starts.saturating_sub(1);
        let view = view(&id, sandbox, plan, now, fails);
        let ends = ends(plan, now);
        state.containers.insert(id, Running { view: view.clone(), pod, ends });
        if fails { Err(("failed to create containerd task: chance said so".into(), Some(view))) } else { Ok(view) }
    }
    /// Stops a container; gives it as it stands then.
    pub fn stop(&self, id: &str, now: Timestamp) -> Option<ContainerView> {
        let mut state = self.state.lock();
        let c = state.containers.get_mut(id)?;
        end(c, now, TERMINATED);
        Some(c.view.clone())
    }
    /// Removes a container.
    pub fn remove(&self, id: &str) {
        self.state.lock().containers.remove(id);
    }
}

fn end(c: &mut Running, now: Timestamp, code: i32) -> bool {
    let ran = c.view.is_running();
    if ran {
        c.view.state = RunState::Exited;
        c.view.exit_code = code;
        c.view.finished_at = Some(now);
    }
    ran
}

fn settle(state: &mut State, now: Timestamp) -> Vec<(String, ContainerView)> {
    let mut ended = Vec::new();
    for c in state.containers.values_mut() {
        if let Some((at, code)) = c.ends.filter(|(at, _)| *at <= now) {
            if end(c, at, code) {
                ended.push((c.pod.clone(), c.view.clone()));
            }
        }
    }
    ended
}

/// What the image says of itself: `work` ends well, `fail` ends badly, anything else runs on.
fn ends(plan: &ContainerPlan, now: Timestamp) -> Option<(Timestamp, i32)> {
    let code = match plan.image_ref.rsplit('/').next().unwrap_or_default().split(':').next() {
        Some("work") => 0,
        Some("fail") => 1,
        _ => return None,
    };
    Some((now.checked_add(SignedDuration::from_secs(WORK_S)).expect("a simulation is short"), code))
}

fn view(id: &str, sandbox: &str, plan: &ContainerPlan, now: Timestamp, fails: bool) -> ContainerView {
    ContainerView {
        id: id.to_owned(),
        sandbox_id: sandbox.to_owned(),
        name: plan.labels.get(label::CONTAINER_NAME).cloned().unwrap_or_else(|| plan.name.clone()),
        attempt: plan.attempt,
        state: if fails { RunState::Exited } else { RunState::Running },
        created_at: now,
        started_at: (!fails).then_some(now),
        finished_at: fails.then_some(now),
        exit_code: if fails { 128 } else { 0 },
        signal: 0,
        reason: if fails { "StartError".to_owned() } else { String::new() },
        message: String::new(),
        image_id: plan.image_id.clone(),
        image: plan.image_ref.clone(),
        spec_hash: plan.annotations.get(pods::plan::container::annotation::HASH).cloned().unwrap_or_default(),
        user: None,
    }
}
