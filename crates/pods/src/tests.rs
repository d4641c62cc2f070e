//! Whole lives of pods against a runtime that always obeys: scripted, and by chance (the worker's laws).

use crate::view::{ContainerView, ImageFacts, RunState, SandboxView, View};
use crate::worker::{Act, EffectId, Effects, Failure, Input, Origin, Outcome, Stage, Worker};
use crate::{Facts, Note, World};
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::*;
use kinds::{ObjectMeta, Time};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Empty;

impl World for Empty {
    fn config_map(&self, _: &str, _: &str) -> Option<Arc<ConfigMap>> {
        None
    }
    fn secret(&self, _: &str, _: &str) -> Option<Arc<Secret>> {
        None
    }
    fn services(&self, _: &str) -> Vec<Arc<Service>> {
        Vec::new()
    }
    fn claim(&self, _: &str, _: &str) -> Option<Arc<PersistentVolumeClaim>> {
        None
    }
    fn volume(&self, _: &str) -> Option<Arc<PersistentVolume>> {
        None
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        node_name: "n1".into(),
        host_ips: vec!["192.168.1.1".parse().unwrap()],
        cluster_dns: vec!["10.96.0.10".parse().unwrap()],
        cluster_domain: "cluster.local".into(),
        resolver: crate::facts::HostResolver { nameservers: vec!["1.1.1.1".into()], ..Default::default() },
        host_hosts: String::new(),
        hostname: "n1".into(),
        root_dir: "/var/lib/kubelet".into(),
        log_dir: "/var/log/pods".into(),
        cpu_milli: 2000,
        memory_bytes: 8 << 30,
        runtime_name: "timonel".into(),
    }
}

pub(crate) fn container(name: &str) -> Container {
    Container { name: name.into(), image: Some("busybox:1".into()), ..Container::default() }
}

fn sidecar(name: &str) -> Container {
    Container { restart_policy: Some("Always".into()), ..container(name) }
}

pub(crate) fn pod(init: Vec<Container>, apps: Vec<Container>, policy: &str) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("default".into()),
            uid: Some("u1".into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            init_containers: Some(init),
            containers: apps,
            restart_policy: Some(policy.into()),
            termination_grace_period_seconds: Some(30),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// A worker, a clock, and a runtime that obeys.
struct Rig {
    worker: Worker,
    now: Timestamp,
    queue: Vec<(EffectId, Act)>,
    log: Vec<String>,
    notes: Vec<Note>,
    published: Vec<PodStatus>,
    wake_at: Option<Timestamp>,
    finished: bool,
    images: Vec<&'static str>,
    next: u32,
}

impl Rig {
    fn new(p: Pod) -> Self {
        let p = Arc::new(p);
        let mut rig = Self {
            worker: Worker::new(Arc::clone(&p), Origin::Api, Arc::new(facts())),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            queue: Vec::new(),
            log: Vec::new(),
            notes: Vec::new(),
            published: Vec::new(),
            wake_at: None,
            finished: false,
            images: vec!["busybox:1"],
            next: 0,
        };
        rig.give(Input::Spec(p));
        rig.give(Input::Runtime(View::default()));
        rig
    }

    fn give(&mut self, input: Input) {
        let Effects { acts, notes, wake_at, finished } = self.worker.step(input, &Empty, self.now);
        self.queue.extend(acts);
        self.notes.extend(notes);
        self.wake_at = wake_at;
        self.finished |= finished;
    }

    fn view(&self, sandbox: &str, name: &str, attempt: u32, id: u32) -> ContainerView {
        ContainerView {
            id: format!("c{id}"),
            sandbox_id: sandbox.into(),
            name: name.into(),
            attempt,
            state: RunState::Running,
            created_at: self.now,
            started_at: Some(self.now),
            finished_at: None,
            exit_code: 0,
            signal: 0,
            reason: String::new(),
            message: String::new(),
            image_id: "sha256:1".into(),
            image: "docker.io/library/busybox:1".into(),
            spec_hash: String::new(),
            user: None,
        }
    }

    fn obey(&mut self, act: Act) -> Outcome {
        self.next += 1;
        let image = || ImageFacts { id: "sha256:1".into(), size_bytes: 7, ..ImageFacts::default() };
        match act {
            Act::CreateSandbox(p) => {
                self.log.push(format!("sandbox {}", p.attempt));
                let ips = vec![format!("10.244.0.{}", self.next)];
                let (id, created_at) = (format!("s{}", self.next), self.now);
                Outcome::Sandbox(SandboxView { id, attempt: p.attempt, ready: true, created_at, ips })
            }
            Act::FindImage(i) => Outcome::Image(self.images.contains(&i.as_str()).then(image)),
            Act::PullImage { image: i, .. } if i.contains("missing") => {
                self.log.push(format!("pull {i}"));
                Outcome::Failed(Failure::new("not there"))
            }
            Act::PullImage { image: i, .. } => {
                self.log.push(format!("pull {i}"));
                Outcome::Pulled { image: image(), took_ms: 1234, waited_ms: 1300 }
            }
            Act::Start { sandbox, plan } => {
                self.log.push(format!("start {} {}", plan.name, plan.attempt));
                Outcome::Container(Some(self.view(&sandbox, &plan.name, plan.attempt, self.next)))
            }
            Act::Stop { container, grace_s } => {
                let mut c = self.worker.view().container(&container).cloned().expect("known");
                self.log.push(format!("stop {} {grace_s}", c.name));
                c.state = RunState::Exited;
                c.exit_code = 143;
                c.finished_at = Some(self.now);
                Outcome::Container(Some(c))
            }
            Act::Publish(s) => {
                self.published.push(*s);
                Outcome::Done
            }
            Act::Mount(_) => Outcome::Mounted { refresh_at: None },
            Act::Probe { .. } => Outcome::Probed(crate::probe::Verdict::Success),
            other => {
                let text = format!("{other:?}");
                self.log.push(text.split(['(', ' ']).next().unwrap_or_default().to_lowercase());
                Outcome::Done
            }
        }
    }

    /// Until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..1000 {
            if self.queue.is_empty() {
                return;
            }
            let (id, act) = self.queue.remove(0);
            let outcome = self.obey(act);
            self.give(Input::Done(id, outcome));
        }
        panic!("does not settle: {:?}", self.queue);
    }

    fn pass(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        while let Some(t) = self.wake_at.filter(|t| *t <= end) {
            self.now = t;
            self.give(Input::Tick);
            self.settle();
        }
        self.now = end;
        self.give(Input::Tick);
        self.settle();
    }

    fn exit(&mut self, name: &str, code: i32) {
        let mut c = self.worker.view().newest(name).cloned().expect("was started");
        c.state = RunState::Exited;
        c.exit_code = code;
        c.finished_at = Some(self.now);
        self.give(Input::Container(c));
        self.settle();
    }

    fn delete(&mut self, grace_s: i64) {
        let mut p = (**self.worker.pod()).clone();
        p.metadata.deletion_timestamp = Some(Time(self.now));
        p.metadata.deletion_grace_period_seconds = Some(grace_s);
        self.give(Input::Spec(Arc::new(p)));
    }

    fn last(&self) -> &PodStatus {
        self.published.last().expect("published")
    }
    fn phase(&self) -> &str {
        self.last().phase.as_deref().unwrap_or_default()
    }
    fn waiting(&self, i: usize) -> (String, String) {
        let s = &self.last().container_statuses.as_ref().unwrap()[i];
        let w = s.state.as_ref().unwrap().waiting.clone().unwrap_or_default();
        (w.reason.unwrap_or_default(), w.message.unwrap_or_default())
    }
    fn condition(&self, kind: &str) -> PodCondition {
        self.last().conditions.iter().flatten().find(|c| c.type_ == kind).cloned().expect("there")
    }
    fn last_start(&self) -> &str {
        self.log.iter().rfind(|l| l.starts_with("start")).map(String::as_str).unwrap_or_default()
    }
    fn told(&self) -> Vec<String> {
        self.notes.iter().map(|n| format!("{} {}", n.reason, n.message)).collect()
    }
}

#[test]
fn a_simple_pod_becomes_ready_with_one_write() {
    let mut rig = Rig::new(pod(vec![], vec![container("web")], "Always"));
    rig.settle();
    assert_eq!(rig.log, ["sandbox 0", "start web 0"]);
    assert_eq!(rig.published.len(), 1);
    assert_eq!((rig.phase(), rig.condition("Ready").status.as_str()), ("Running", "True"));
    assert_eq!(rig.last().pod_ip.as_deref().map(|i| i.starts_with("10.244.0.")), Some(true));
    let status = &rig.last().container_statuses.as_ref().unwrap()[0];
    assert!(status.container_id.as_deref().unwrap().starts_with("timonel://"));
    assert_eq!(
        rig.told(),
        [
            "Pulled Container image \"busybox:1\" already present on machine and can be accessed by the pod",
            "Created Container created",
            "Started Container started"
        ]
    );
    assert_eq!(rig.notes[0].field_path, "spec.containers{web}");
}

#[test]
fn deletion_stops_cleans_and_deletes() {
    let mut rig = Rig::new(pod(vec![], vec![container("web")], "Always"));
    rig.settle();
    rig.delete(10);
    rig.settle();
    assert_eq!(&rig.log[2..], ["stop web 10", "stopsandbox", "unmount", "removesandbox", "delete"]);
    assert_eq!(rig.phase(), "Failed");
    assert!(rig.finished);
    assert!(rig.told().contains(&"Killing Stopping container web".to_owned()));
}

#[test]
fn a_grace_beyond_all_time_ends_too() {
    let mut p = pod(vec![], vec![container("web")], "Always");
    p.spec.get_or_insert_default().active_deadline_seconds = Some(i64::MAX);
    let mut rig = Rig::new(p);
    rig.settle();
    rig.delete(i64::MAX);
    rig.settle();
    assert!(rig.finished);
}

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let mut rig = Rig::new(pod(vec![container("a"), sidecar("s"), container("b")], vec![container("web")], "Always"));
    rig.settle();
    assert_eq!(rig.log, ["sandbox 0", "start a 0"]);
    rig.pass(1);
    assert_eq!(rig.phase(), "Pending");
    let why = rig.condition("Initialized");
    assert_eq!(why.message.as_deref(), Some("containers with incomplete status: [a s b]"));
    assert_eq!(rig.waiting(0).0, "PodInitializing");
    rig.exit("a", 0);
    assert_eq!(&rig.log[2..], ["start s 0", "start b 0"]);
    rig.exit("b", 0);
    assert_eq!(&rig.log[4..], ["start web 0"]);
    assert_eq!(rig.phase(), "Running");
    rig.exit("s", 1);
    assert_eq!(&rig.log[5..], ["start s 1"]);
    rig.delete(30);
    rig.settle();
    assert_eq!(&rig.log[6..8], ["stop web 30", "stop s 30"]);
}

#[test]
fn a_crashing_container_backs_off() {
    let mut rig = Rig::new(pod(vec![], vec![container("web")], "Always"));
    rig.settle();
    rig.exit("web", 1);
    assert_eq!(rig.last_start(), "start web 1");
    rig.exit("web", 1);
    rig.pass(2);
    let (reason, message) = rig.waiting(0);
    assert_eq!(reason, "CrashLoopBackOff");
    assert_eq!(message, "back-off 10s restarting failed container=web pod=web_default(u1)");
    let status = rig.last().container_statuses.as_ref().unwrap()[0].clone();
    assert_eq!(status.restart_count, 1);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 1);
    assert_eq!(rig.phase(), "Running");
    assert_eq!(rig.condition("Ready").message.as_deref(), Some("containers with unready status: [web]"));
    rig.pass(9);
    assert_eq!(rig.last_start(), "start web 2");
    rig.exit("web", 1);
    rig.pass(15);
    assert_eq!(rig.last_start(), "start web 2");
    rig.pass(6);
    assert_eq!(rig.last_start(), "start web 3");
}

#[test]
fn a_job_pod_succeeds_and_keeps_its_remains() {
    let mut rig = Rig::new(pod(vec![sidecar("s")], vec![container("web")], "Never"));
    rig.settle();
    rig.exit("web", 0);
    assert_eq!(&rig.log[3..], ["stop s 30", "stopsandbox", "unmount"]);
    assert_eq!(rig.phase(), "Succeeded");
    assert_eq!(rig.condition("Ready").reason.as_deref(), Some("PodCompleted"));
    assert!(!rig.finished);
    rig.delete(30);
    rig.settle();
    assert!(rig.finished);
}

#[test]
fn a_failed_pull_is_worded_and_held_back() {
    let web = Container { image: Some("missing:1".into()), ..container("web") };
    let mut rig = Rig::new(pod(vec![], vec![web], "Always"));
    rig.settle();
    assert_eq!(rig.waiting(0), ("ErrImagePull".into(), "not there".into()));
    rig.pass(2);
    let text = "Back-off pulling image \"missing:1\": ErrImagePull: not there";
    assert_eq!(rig.waiting(0), ("ImagePullBackOff".into(), text.into()));
    assert_eq!(
        rig.told(),
        [
            "Pulling Pulling image \"missing:1\"",
            "Failed Failed to pull image \"missing:1\": not there",
            "Failed Error: ErrImagePull",
            "BackOff Back-off pulling image \"missing:1\"",
            "Failed Error: ImagePullBackOff",
        ]
    );
    assert_eq!(rig.phase(), "Pending");
    rig.pass(9);
    assert_eq!(rig.log.iter().filter(|l| l.starts_with("pull")).count(), 2);
}

#[test]
fn a_name_that_is_none_is_told() {
    let web = Container { image: Some("UPPER".into()), ..container("web") };
    let mut rig = Rig::new(pod(vec![], vec![web], "Always"));
    rig.settle();
    let (reason, message) = rig.waiting(0);
    assert_eq!(reason, "InvalidImageName");
    assert_eq!(
        message,
        "Failed to apply default image tag \"UPPER\": couldn't parse image name \"UPPER\": invalid reference format: repository name (library/UPPER) must be lowercase"
    );
}

#[test]
fn liveness_restarts_with_its_own_grace() {
    let probe = Probe {
        tcp_socket: Some(TCPSocketAction { port: kinds::IntOrString::Int(80), ..TCPSocketAction::default() }),
        failure_threshold: Some(2),
        period_seconds: Some(5),
        termination_grace_period_seconds: Some(7),
        ..Probe::default()
    };
    let web = Container { liveness_probe: Some(probe), ..container("web") };
    let mut rig = Rig::new(pod(vec![], vec![web], "Always"));
    for _ in 0..20 {
        while let Some((id, act)) = (!rig.queue.is_empty()).then(|| rig.queue.remove(0)) {
            let outcome = match act {
                Act::Probe { .. } => Outcome::Probed(crate::probe::Verdict::Failure("dial tcp: refused".into())),
                act => rig.obey(act),
            };
            rig.give(Input::Done(id, outcome));
        }
        if rig.log.iter().any(|l| l.starts_with("stop web")) {
            break;
        }
        rig.now = rig.wake_at.expect("a probe is due");
        rig.give(Input::Tick);
    }
    assert_eq!(rig.log[2..4], ["stop web 7", "start web 1"]);
    let told = rig.told();
    assert!(told.contains(&"Unhealthy Liveness probe failed: dial tcp: refused".to_owned()), "{told:?}");
    assert!(told.contains(&"Killing Container web failed liveness probe, will be restarted".to_owned()));
}

#[test]
fn a_rejected_pod_says_so_once() {
    let p = Arc::new(pod(vec![], vec![container("web")], "Always"));
    let refusal = crate::admission::Refusal { reason: "OutOfcpu".into(), message: "Node didn't".into() };
    let mut w = Worker::rejected(Arc::clone(&p), refusal.ending(), Arc::new(facts()));
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let out = w.step(Input::Spec(p), &Empty, now);
    let [(id, Act::Publish(s))] = out.acts.as_slice() else { panic!("{out:?}") };
    assert_eq!((s.phase.as_deref(), s.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    assert_eq!(s.message.as_deref(), Some("Pod was rejected: Node didn't"));
    let out = w.step(Input::Done(*id, Outcome::Done), &Empty, now + SignedDuration::from_secs(5));
    assert!(out.acts.is_empty());
}

#[test]
fn a_missing_config_map_is_told_and_mounted_later() {
    let mut p = pod(vec![], vec![container("web")], "Always");
    let source = ConfigMapVolumeSource { name: "conf".into(), ..ConfigMapVolumeSource::default() };
    p.spec.as_mut().unwrap().volumes = Some(vec![Volume { name: "v".into(), config_map: Some(source), ..Volume::default() }]);
    let mut rig = Rig::new(p);
    rig.settle();
    assert_eq!(rig.told()[0], "FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"conf\" not found");
    assert!(!rig.log.iter().any(|l| l.starts_with("start")));
}

#[derive(Clone, Debug)]
enum Step {
    Do(usize),
    Fail(usize),
    Exit(usize, i32),
    Wait(i64),
    Delete(i64),
    Gone,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0usize..4).prop_map(Step::Do),
        1 => (0usize..4).prop_map(Step::Fail),
        2 => ((0usize..4), (0..2i32)).prop_map(|(i, c)| Step::Exit(i, c)),
        2 => (0i64..20).prop_map(Step::Wait),
        1 => (0i64..60).prop_map(Step::Delete),
        1 => Just(Step::Gone),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Runs a script and gives every act with the instant at which it was asked for.
fn run(script: &[Step], policy: &str) -> (Vec<(i64, Act)>, Stage) {
    let spec = pod(vec![container("i"), sidecar("s")], vec![container("a"), container("b")], policy);
    let mut rig = Rig::new(spec);
    let mut asked: Vec<(i64, Act)> = Vec::new();
    let names = ["i", "s", "a", "b"];
    let mut running: BTreeMap<String, String> = BTreeMap::new();
    let mut ending = false;
    let mut until = i64::MAX;
    let mut recorded = 0;
    let mut all: Vec<(EffectId, Act)> = rig.queue.clone();
    for step in script {
        match step {
            Step::Do(i) | Step::Fail(i) if !rig.queue.is_empty() => {
                let at = i % rig.queue.len();
                let (id, act) = rig.queue.remove(at);
                let outcome = if matches!(step, Step::Fail(_)) { Outcome::Failed(Failure::new("no")) } else { rig.obey(act) };
                if let Outcome::Container(Some(c)) = &outcome {
                    if c.is_running() { running.insert(c.id.clone(), c.name.clone()) } else { running.remove(&c.id) };
                }
                rig.give(Input::Done(id, outcome));
            }
            Step::Exit(i, code) => {
                if let Some(c) = rig.worker.view().newest(names[*i]).filter(|c| c.is_running()).cloned() {
                    running.remove(&c.id);
                    let ended = ContainerView { state: RunState::Exited, exit_code: *code, finished_at: Some(rig.now), ..c };
                    rig.give(Input::Container(ended));
                }
            }
            Step::Wait(s) => {
                rig.now += SignedDuration::from_secs(*s);
                rig.give(Input::Tick);
            }
            Step::Delete(g) => rig.delete(*g),
            Step::Gone => rig.give(Input::Gone),
            _ => {}
        }
        all.extend(rig.queue.iter().filter(|(id, _)| !all.iter().any(|(o, _)| o == id)).cloned().collect::<Vec<_>>());
        for (_, act) in &all[recorded..] {
            let now = rig.now.as_second();
            if ending {
                assert!(!matches!(act, Act::Start { .. } | Act::CreateSandbox(_) | Act::PullImage { .. }), "{act:?} while ending");
            }
            if let Act::Stop { grace_s, .. } = act
                && ending
            {
                let at = now + i64::try_from(*grace_s).unwrap();
                assert!(at <= until.max(now + 2) + 1, "grace grew: {at} > {until}");
            }
            if matches!(act, Act::Unmount) {
                assert!(running.is_empty(), "volumes go while {running:?} run");
            }
            asked.push((now, act.clone()));
        }
        recorded = all.len();
        if let Stage::Terminating { grace_until } = rig.worker.stage() {
            assert!(grace_until.as_second() <= until, "grace grew");
            until = grace_until.as_second();
        }
        ending |= rig.worker.stage() != Stage::Syncing;
    }
    (asked, rig.worker.stage())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn laws_hold_by_chance(script in steps(), policy in prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")]) {
        let (first, stage) = run(&script, policy);
        let (again, stage_again) = run(&script, policy);
        prop_assert_eq!(first, again);
        prop_assert_eq!(stage, stage_again);
    }

    /// Whatever happened, a pod that is deleted and whose runtime obeys is gone in the end.
    #[test]
    fn deletion_always_ends(script in steps()) {
        let mut rig = Rig::new(pod(vec![container("i"), sidecar("s")], vec![container("a")], "Always"));
        for step in script {
            match step {
                Step::Do(i) if !rig.queue.is_empty() => {
                    let at = i % rig.queue.len();
                    let (id, act) = rig.queue.remove(at);
                    let outcome = rig.obey(act);
                    rig.give(Input::Done(id, outcome));
                }
                Step::Fail(i) if !rig.queue.is_empty() => {
                    let at = i % rig.queue.len();
                    let (id, _) = rig.queue.remove(at);
                    rig.give(Input::Done(id, Outcome::Failed(Failure::new("no"))));
                }
                Step::Wait(s) => {
                    rig.now += SignedDuration::from_secs(s);
                    rig.give(Input::Tick);
                }
                _ => {}
            }
        }
        rig.delete(5);
        rig.settle();
        rig.pass(600);
        prop_assert!(rig.finished, "{:?} {:?}", rig.worker.stage(), rig.log);
    }
}

fn with_cpu(c: Container, request: &str, limit: &str) -> Container {
    let list = |q: &str| Some(BTreeMap::from([("cpu".to_owned(), kinds::QuantityText(q.to_owned()))]));
    Container { resources: Some(ResourceRequirements { requests: list(request), limits: list(limit), claims: None }), ..c }
}

#[test]
fn a_resize_is_granted_applied_and_told() {
    let mut rig = Rig::new(pod(vec![], vec![with_cpu(container("web"), "20m", "30m")], "Always"));
    rig.settle();
    let mut wider = pod(vec![], vec![with_cpu(container("web"), "25m", "35m")], "Always");
    wider.metadata.generation = Some(2);
    rig.give(Input::Spec(Arc::new(wider)));
    let shown = |rig: &Rig| {
        let status = &rig.last().container_statuses.as_ref().unwrap()[0];
        let cpu = |l: &Option<BTreeMap<String, kinds::QuantityText>>| l.as_ref().unwrap()["cpu"].0.clone();
        (cpu(&status.allocated_resources), cpu(&status.resources.as_ref().unwrap().limits))
    };
    rig.settle();
    assert_eq!(&rig.log[2..], ["resizepod", "resize"]);
    assert_eq!(shown(&rig), ("25m".to_owned(), "35m".to_owned()));
    assert!(rig.last().conditions.iter().flatten().all(|c| !c.type_.starts_with("PodResize")));
    let text = "{\"containers\":[{\"name\":\"web\",\"resources\":{\"limits\":{\"cpu\":\"35m\"},\"requests\":{\"cpu\":\"25m\"}}}],\"generation\":2}";
    let told = rig.told();
    assert!(told.contains(&format!("ResizeStarted Pod resize started: {text}")), "{told:?}");
    assert!(told.contains(&format!("ResizeCompleted Pod resize completed: {text}")), "{told:?}");
}

#[test]
fn a_resize_may_want_a_restart() {
    let policy = ContainerResizePolicy { resource_name: "cpu".into(), restart_policy: "RestartContainer".into() };
    let web = |request: &str, limit: &str| Container { resize_policy: Some(vec![policy.clone()]), ..with_cpu(container("web"), request, limit) };
    let mut rig = Rig::new(pod(vec![], vec![web("20m", "30m")], "Always"));
    rig.settle();
    rig.give(Input::Spec(Arc::new(pod(vec![], vec![web("10m", "15m")], "Always"))));
    rig.settle();
    assert_eq!(&rig.log[2..], ["stop web 30", "resizepod", "start web 1"]);
    assert!(rig.told().contains(&"Killing Container web resize requires restart".to_owned()), "{:?}", rig.told());
}

#[test]
fn what_was_never_reached_goes_on_waiting() {
    let mut rig = Rig::new(pod(vec![container("a")], vec![container("web")], "Never"));
    rig.settle();
    rig.exit("a", 1);
    rig.pass(1);
    assert_eq!((rig.phase(), rig.waiting(0).0.as_str()), ("Failed", "PodInitializing"));
}
