//! The whole scheduler as one value: it hears changes, gives one decision a step, and is told how that went.

use crate::cycle::{Outcome, Turn, cycle};
use crate::event::Event;
use crate::framework::World;
use crate::hearing;
use crate::nodes::{NodeTable, counts};
use crate::podinfo::PodInfo;
use crate::profile::{Profile, ProfileConfig};
use crate::queue::{Place, Queue};
use crate::reason::Unschedulable;
use cache::{Change, Snapshot};
use jiff::Timestamp;
use kinds::ObjectKey;
use kinds::api::core::v1::Pod;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What became of one pod in one cycle.
#[derive(Clone, Debug)]
pub struct Decision {
    pub pod: Arc<PodInfo>,
    /// The profile's name.
    pub profile: String,
    pub outcome: Outcome,
    pub attempts: u32,
    pub first_attempt: Timestamp,
    /// It was tried only because it had waited for too long.
    pub flushed: bool,
}

/// Queue, node table and profiles together.
pub struct Brain {
    pub profiles: Vec<Profile>,
    pub table: NodeTable,
    pub queue: Queue,
    turn: Turn,
}

impl Brain {
    /// A scheduler that knows nothing yet.
    #[must_use]
    pub fn new(profiles: &[ProfileConfig]) -> Self {
        let profiles = profiles.iter().map(Profile::new).collect();
        Self { profiles, table: NodeTable::default(), queue: Queue::default(), turn: Turn::default() }
    }

    fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|p| p.name == name)
    }

    /// Looks at everything: at the start, and when changes were missed. Assumptions that can still come true stay.
    pub fn rebuild(&mut self, s: &Snapshot, now: Timestamp) {
        let mut table = NodeTable::from_snapshot(s);
        let waits = |key: &ObjectKey, uid: &str| {
            s.find::<Pod>(key).filter(|p| !counts(p) && p.metadata.uid.as_deref().unwrap_or_default() == uid)
        };
        let mut assumed: Vec<_> = self.table.assumed().collect();
        assumed.sort_by(|a, b| a.0.pod.key.cmp(&b.0.pod.key));
        for (p, node) in assumed.into_iter().filter(|(p, _)| waits(&p.pod.key, &p.pod.uid).is_some()) {
            table.assume(Arc::clone(&p.pod), &node.name);
        }
        table.volumes = std::mem::take(&mut self.table.volumes);
        self.table = table;
        let gone: Vec<ObjectKey> =
            self.queue.iter().filter(|w| waits(&w.pod.key, &w.pod.uid).is_none()).map(|w| w.pod.key.clone()).collect();
        for key in gone {
            self.queue.remove(&key);
        }
        for p in s.list::<Pod>("").filter(|p| !counts(p)) {
            self.enqueue(None, p, s, now);
        }
        self.hear_event(&Event::Flush, s, now);
    }

    /// Takes in one change. Changes come in order.
    pub fn hear(&mut self, s: &Snapshot, change: &Change, now: Timestamp) {
        for event in hearing::apply(&mut self.table, change) {
            self.hear_event(&event, s, now);
        }
        let (old, new) = (change.old_as::<Pod>(), change.new_as::<Pod>());
        match (old, new) {
            (None, None) => {}
            (Some(old), None) => self.forget_waiting(&ObjectKey::of(&old.metadata)),
            (old, Some(new)) => self.enqueue(old, new, s, now),
        }
    }

    fn forget_waiting(&mut self, key: &ObjectKey) {
        if let Some(pod) = self.queue.remove(key) {
            self.table.nominate(&pod, None);
        }
    }

    fn hear_event(&mut self, event: &Event, s: &Snapshot, now: Timestamp) {
        let world = World { nodes: &self.table, objects: s };
        let profiles = &self.profiles;
        let helps = |pod: &PodInfo, plugin: &str| would_help(profiles, event, pod, plugin, &world);
        self.queue.hear(event, helps, now);
    }

    /// A pod without a node: into the queue, or out of it.
    fn enqueue(&mut self, old: Option<&Arc<Pod>>, new: &Arc<Pod>, s: &Snapshot, now: Timestamp) {
        let key = ObjectKey::of(&new.metadata);
        if counts(new) || kinds::pod::is_terminal(new) || new.metadata.deletion_timestamp.is_some() {
            return self.forget_waiting(&key);
        }
        let pod = Arc::new(PodInfo::new(Arc::clone(new)));
        let assumed = self.table.placement(&key).is_some_and(|(p, _)| p.assumed && p.pod.uid == pod.uid);
        if assumed && self.queue.get(&key).is_none() {
            // Bound already, only not seen yet.
            return;
        }
        let Some(profile) = self.profile(pod.scheduler()) else { return self.forget_waiting(&key) };
        let gate = profile.closed(&pod).map(|(plugin, _)| plugin);
        self.table.nominate(&pod, pod.nominated());
        let old = old.map(|o| Arc::new(PodInfo::new(Arc::clone(o))));
        let old = old.unwrap_or_else(|| Arc::clone(&pod));
        let event = Event::PodEdited { old, new: Arc::clone(&pod) };
        let world = World { nodes: &self.table, objects: s };
        let profiles = &self.profiles;
        self.queue.update(Arc::clone(&pod), gate, |plugin| would_help(profiles, &event, &pod, plugin, &world), now);
    }

    /// Takes the next pod, decides, and assumes what it decided. `None`: nothing is to be done now.
    pub fn step(&mut self, s: &Snapshot, seed: u64, now: Timestamp) -> Option<Decision> {
        self.table.refresh();
        let w = self.queue.pop(now)?;
        let (pod, attempts, flushed) = (Arc::clone(&w.pod), w.attempts, w.flushed);
        let first_attempt = w.first_attempt.unwrap_or(now);
        self.turn.seed = seed;
        let profile = self.profiles.iter().find(|p| p.name == pod.scheduler())?;
        let world = World { nodes: &self.table, objects: s };
        let outcome = cycle(&world, profile, &pod, &mut self.turn);
        let profile = profile.name.clone();
        self.settle(&pod, &outcome, now);
        Some(Decision { pod, profile, outcome, attempts, first_attempt, flushed })
    }

    fn settle(&mut self, pod: &Arc<PodInfo>, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Bind { node, volumes, .. } => {
                self.table.nominate(pod, None);
                self.table.assume(Arc::clone(pod), node);
                hearing::reserve(&mut self.table, pod, node, volumes);
            }
            Outcome::Unschedulable(why) if why.error().is_some() => self.queue.failed(&pod.key, now),
            Outcome::Unschedulable(why) => {
                if pod.nominated().is_some() && !why.keeps_hope {
                    self.table.nominate(pod, None);
                }
                self.queue.refused(&pod.key, Arc::new(why.clone()), now);
            }
            Outcome::Preempt { node, why, .. } => {
                let hopeful = nominated(pod, node);
                self.table.nominate(&hopeful, Some(node));
                self.queue.hold(&hopeful, Arc::new(why.clone()));
            }
        }
    }

    /// The binding was written. The pod stays assumed until it is seen on its node.
    pub fn bound(&mut self, pod: &PodInfo) {
        if self.queue.get(&pod.key).is_some_and(|w| w.pod.uid == pod.uid && w.place == Place::InFlight) {
            self.queue.remove(&pod.key);
        }
    }

    /// The victims were told to go.
    pub fn preempted(&mut self, pod: &PodInfo, now: Timestamp) {
        self.queue.unhold(&pod.key, now);
    }

    /// Binding (or preempting) failed: what was assumed is taken back, and the pod is tried again after a while.
    pub fn failed(&mut self, s: &Snapshot, pod: &Arc<PodInfo>, now: Timestamp) {
        let assumed = self.table.placement(&pod.key).is_some_and(|(p, _)| p.assumed && p.pod.uid == pod.uid);
        if assumed {
            self.table.unplace(&pod.key);
        }
        hearing::release(&mut self.table, pod);
        if self.queue.get(&pod.key).is_some_and(|w| w.pod.uid == pod.uid) {
            self.queue.failed(&pod.key, now);
        }
        if assumed {
            self.hear_event(&Event::PodLeft(Arc::clone(pod)), s, now);
        }
    }

    /// Why a waiting pod has no node, for people who ask.
    #[must_use]
    pub fn why(&self, key: &ObjectKey) -> Option<Arc<Unschedulable>> {
        self.queue.get(key)?.why.clone()
    }

    /// The plugins that keep a waiting pod waiting.
    #[must_use]
    pub fn rejectors(&self, key: &ObjectKey) -> BTreeSet<&'static str> {
        self.queue.get(key).map(|w| w.rejectors.clone()).unwrap_or_default()
    }
}

/// The pod as it will be when its status is written.
fn nominated(pod: &PodInfo, node: &str) -> Arc<PodInfo> {
    let mut hopeful = Pod::clone(&pod.pod);
    hopeful.status.get_or_insert_default().nominated_node_name = Some(node.to_owned());
    Arc::new(PodInfo { pod: Arc::new(hopeful), ..pod.clone() })
}

fn would_help(profiles: &[Profile], event: &Event, pod: &PodInfo, plugin: &str, world: &World<'_>) -> bool {
    let profile = profiles.iter().find(|p| p.name == pod.scheduler());
    profile.and_then(|p| p.plugin(plugin)).is_none_or(|p| p.would_help(event, pod, world))
}
