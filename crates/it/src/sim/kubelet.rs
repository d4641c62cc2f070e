//! The kubelet of a simulated machine: the real brain (`pods::Worker`, `pods::admission`) over fake hands. One task for
//! all pods of the machine, so that the order of everything follows from the seed.

use super::chance::{Chance, SimClock};
use super::machine::Machine;
use base::Clock;
use cache::{Batch, Change, Interest, Snapshot, Source};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use kinds::api::core::v1::{Node, Pod, PodStatus};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use kinds::{Api, ApiError, DeleteOptions, Kind, ObjectKey, Target, Typed, WriteOptions};
use node::SnapshotWorld;
use pods::probe::Verdict;
use pods::{Act, EffectId, Facts, Failure, ImageFacts, Input, Origin, Outcome, View, Worker, admission, roster};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// A status that meets a newer object is merged and tried again this often.
const CONFLICTS_MAX: u32 = 5;
/// A sleep without an end: until news comes.
const IDLE: Duration = Duration::from_secs(3600);

/// What a kubelet stands on.
#[derive(Clone)]
pub struct Deps {
    pub machine: Arc<Machine>,
    pub api: Arc<dyn Api>,
    pub source: Arc<dyn Source>,
    pub clock: SimClock,
    pub chance: Arc<Chance>,
}

struct Held {
    worker: Worker,
    wake_at: Option<Timestamp>,
}

struct Kubelet {
    deps: Deps,
    facts: Arc<Facts>,
    held: BTreeMap<String, Held>,
    acts: FuturesUnordered<BoxFuture<'static, (String, EffectId, Outcome)>>,
    left: BTreeMap<String, View>,
    synced: bool,
}

/// Runs the kubelet; it ends when its future is dropped.
pub async fn run(deps: Deps) {
    let facts = facts(&deps.machine);
    let left = deps.machine.survey(deps.clock.now());
    let kubelet = Kubelet { deps, facts, held: BTreeMap::new(), acts: FuturesUnordered::new(), left, synced: false };
    kubelet.run().await;
}

fn facts(machine: &Machine) -> Arc<Facts> {
    Arc::new(Facts {
        node_name: machine.name.clone(),
        host_ips: vec![machine.ip().parse().expect("an address")],
        cluster_dns: Vec::new(),
        cluster_domain: "cluster.local".into(),
        resolver: pods::facts::HostResolver::default(),
        host_hosts: String::new(),
        hostname: machine.name.clone(),
        root_dir: "/sim".into(),
        log_dir: "/sim/log".into(),
        cpu_milli: super::heart::CPUS * 1000,
        memory_bytes: super::heart::MEMORY_BYTES,
        runtime_name: "sim".into(),
    })
}

impl Kubelet {
    async fn run(mut self) {
        let kinds = [Kind::Pod, Kind::ConfigMap, Kind::Secret];
        let mut changes = self.deps.source.subscribe(Interest::Only(kinds.map(Into::into).to_vec()));
        loop {
            let wake = self.wake_at();
            tokio::select! {
                biased;
                Some((uid, id, outcome)) = self.acts.next(), if !self.acts.is_empty() => {
                    self.step(&uid, Input::Done(id, outcome));
                }
                batch = changes.next() => match batch {
                    Some(batch) => self.heard(&batch),
                    None => return,
                },
                () = sleep_until(wake) => self.woken(),
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let now = self.deps.clock.now();
        let dates = self.held.values().filter_map(|h| h.wake_at).chain(self.deps.machine.next_end());
        let wait = dates.min().map_or(IDLE, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        Instant::now() + wait
    }

    fn woken(&mut self) {
        let now = self.deps.clock.now();
        for (uid, view) in self.deps.machine.ended(now) {
            self.step(&uid, Input::Container(view));
        }
        let due: Vec<String> =
            self.held.iter().filter(|(_, h)| h.wake_at.is_some_and(|at| at <= now)).map(|(u, _)| u.clone()).collect();
        for uid in due {
            self.step(&uid, Input::Tick);
        }
    }

    fn heard(&mut self, batch: &Batch) {
        if batch.lagged {
            self.look_at_all(&batch.snapshot);
        }
        for change in &batch.changes {
            self.change(change);
        }
        if !std::mem::replace(&mut self.synced, true) {
            self.remove_orphans();
        }
    }

    fn look_at_all(&mut self, snapshot: &Snapshot) {
        let mut mine: Vec<Arc<Pod>> = snapshot.pods_on(&self.deps.machine.name).cloned().collect();
        mine.sort_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0));
        let there: BTreeSet<String> = mine.iter().map(|p| roster::uid(p).to_owned()).collect();
        mine.into_iter().for_each(|p| self.put(p));
        let gone: Vec<String> = self.held.keys().filter(|u| !there.contains(*u)).cloned().collect();
        gone.iter().for_each(|u| self.step(u, Input::Gone));
    }

    fn change(&mut self, change: &Change) {
        if change.resource.builtin() != Some(Kind::Pod) {
            let all: Vec<String> = self.held.keys().cloned().collect();
            return all.iter().for_each(|u| self.step(u, Input::World));
        }
        let name = self.deps.machine.name.clone();
        let mine = |p: &&Arc<Pod>| p.spec.as_ref().and_then(|s| s.node_name.as_deref()) == Some(&*name);
        let (old, new) = (change.old_as::<Pod>().filter(mine), change.new_as::<Pod>().filter(mine));
        if let Some(old) = old.filter(|o| new.is_none_or(|n| n.metadata.uid != o.metadata.uid)) {
            self.step(roster::uid(old), Input::Gone);
        }
        if let Some(new) = new {
            self.put(Arc::clone(new));
        }
    }

    fn put(&mut self, pod: Arc<Pod>) {
        let uid = roster::uid(&pod).to_owned();
        if self.held.contains_key(&uid) {
            return self.step(&uid, Input::Spec(pod));
        }
        let left = self.left.remove(&uid);
        if left.is_none() && kinds::pod::is_terminal(&pod) && pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let worker = self.admit(&pod, left.is_none());
        self.held.insert(uid.clone(), Held { worker, wake_at: None });
        self.step(&uid, Input::Spec(pod));
        self.step(&uid, Input::Runtime(left.unwrap_or_default()));
    }

    fn admit(&self, pod: &Arc<Pod>, fresh: bool) -> Worker {
        let facts = Arc::clone(&self.facts);
        let snapshot = self.deps.source.snapshot();
        let node = snapshot.get::<Node>("", &self.deps.machine.name);
        let (true, Some(node)) = (fresh && pod.metadata.deletion_timestamp.is_none(), node) else {
            return Worker::new(Arc::clone(pod), Origin::Api, facts);
        };
        let holding = self.held.values().filter(|h| h.worker.holds_resources());
        let others: Vec<Arc<Pod>> = holding.map(|h| Arc::clone(h.worker.pod())).collect();
        match admission::admit(pod, node, &others) {
            Ok(()) => Worker::new(Arc::clone(pod), Origin::Api, facts),
            Err(refusal) => Worker::rejected(Arc::clone(pod), refusal.ending(), facts),
        }
    }

    fn step(&mut self, uid: &str, input: Input) {
        let Some(held) = self.held.get_mut(uid) else { return };
        let now = self.deps.clock.now();
        let effects = held.worker.step(input, &SnapshotWorld(self.deps.source.snapshot(), &self.deps.machine.name), now);
        held.wake_at = effects.wake_at;
        for (id, act) in effects.acts {
            let (deps, uid, pod) = (self.deps.clone(), uid.to_owned(), Arc::clone(held.worker.pod()));
            self.acts.push(Box::pin(async move { (uid, id, perform(&deps, &pod, act).await) }));
        }
        if effects.finished {
            self.held.remove(uid);
            let snapshot = self.deps.source.snapshot();
            let again = snapshot.pods_on(&self.deps.machine.name).find(|p| roster::uid(p) == uid).cloned();
            if let Some(pod) = again.filter(|p| !kinds::pod::is_terminal(p)) {
                self.put(pod);
            }
        }
    }

    /// What an earlier life left and nobody wants.
    fn remove_orphans(&mut self) {
        for view in std::mem::take(&mut self.left).into_values() {
            for s in view.sandboxes {
                self.deps.machine.stop_sandbox(&s.id, self.deps.clock.now());
                self.deps.machine.remove_sandbox(&s.id);
            }
        }
    }
}

/// Does one act, in its time.
async fn perform(deps: &Deps, pod: &Pod, act: Act) -> Outcome {
    sleep(Duration::from_millis(5 + deps.chance.below(60))).await;
    let (machine, now) = (&deps.machine, deps.clock.now());
    match act {
        Act::Mount(_) => Outcome::Mounted { refresh_at: None },
        Act::Unmount | Act::Hook { .. } | Act::Resize { .. } | Act::ResizePod { .. } => Outcome::Done,
        Act::CreateSandbox(plan) => match machine.create_sandbox(&plan, now) {
            Ok(view) => Outcome::Sandbox(view),
            Err(why) => Outcome::Failed(Failure::new(why)),
        },
        Act::StopSandbox(id) => {
            machine.stop_sandbox(&id, now);
            Outcome::Done
        }
        Act::RemoveSandbox(id) => {
            machine.remove_sandbox(&id);
            Outcome::Done
        }
        Act::FindImage(name) => Outcome::Image(Some(image(&name))),
        Act::PullImage { image: name, .. } => Outcome::Pulled { image: image(&name), took_ms: 1, waited_ms: 1 },
        Act::Start { sandbox, plan } => match machine.start(&sandbox, &plan, now) {
            Ok(view) => Outcome::Container(Some(view)),
            Err((why, left)) => Outcome::Failed(Failure { container: left.map(Box::new), ..Failure::new(why) }),
        },
        Act::Probe { .. } => Outcome::Probed(Verdict::Success),
        Act::Stop { container, grace_s } => {
            sleep(Duration::from_millis(deps.chance.below(2000).min(grace_s * 1000))).await;
            Outcome::Container(machine.stop(&container, deps.clock.now()))
        }
        Act::RemoveContainer(id) => {
            machine.remove(&id);
            Outcome::Done
        }
        Act::Publish(status) => publish(deps, pod, *status).await,
        Act::Delete => delete(deps, pod).await,
    }
}

fn image(name: &str) -> ImageFacts {
    ImageFacts { id: format!("sha256:{name}"), shown_id: name.into(), shown_name: name.into(), ..ImageFacts::default() }
}

fn target(pod: &Pod) -> Target {
    Target::new(Kind::Pod, ObjectKey::of(&pod.metadata))
}

fn gone() -> Outcome {
    Outcome::Failed(Failure { gone: true, ..Failure::new("the pod is gone from the API") })
}

fn refused(e: &ApiError) -> Outcome {
    Outcome::Failed(Failure { gone: e.is_not_found(), ..Failure::new(e.to_string()) })
}

fn options() -> WriteOptions {
    WriteOptions { field_manager: "kubelet".to_owned(), ..WriteOptions::default() }
}

async fn current(deps: &Deps, pod: &Pod, fresh: bool) -> Result<Option<Arc<Pod>>, ApiError> {
    let found = if fresh {
        match deps.api.get(target(pod)).await {
            Ok(o) => Pod::from_object(o).ok(),
            Err(e) if e.is_not_found() => None,
            Err(e) => return Err(e),
        }
    } else {
        deps.source.snapshot().get::<Pod>(roster::namespace(pod), roster::name(pod)).cloned()
    };
    Ok(found.filter(|f| f.metadata.uid == pod.metadata.uid))
}

async fn publish(deps: &Deps, pod: &Pod, status: PodStatus) -> Outcome {
    for attempt in 0..CONFLICTS_MAX {
        let current = match current(deps, pod, attempt > 0).await {
            Ok(Some(p)) => p,
            Ok(None) => return gone(),
            Err(e) => return refused(&e),
        };
        let merged = pods::status::merge(&current.status.clone().unwrap_or_default(), &status);
        if current.status.as_ref() == Some(&merged) {
            return Outcome::Done;
        }
        let next = Pod { status: Some(merged), ..(*current).clone() };
        match deps.api.update(target(pod).sub("status"), next.into(), options()).await {
            Ok(_) => return Outcome::Done,
            Err(e) if e.is_conflict() => {}
            Err(e) => return refused(&e),
        }
    }
    Outcome::Failed(Failure::new("the status met a newer object again and again"))
}

async fn delete(deps: &Deps, pod: &Pod) -> Outcome {
    let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let options = DeleteOptions {
        grace_period_seconds: Some(0),
        preconditions: Some(preconditions),
        ..DeleteOptions::default()
    };
    match deps.api.delete(target(pod), options).await {
        Ok(_) => Outcome::Done,
        Err(e) if e.is_conflict() => gone(),
        Err(e) => refused(&e),
    }
}
