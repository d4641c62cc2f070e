//! Pods that wait for a node: active (to be tried now, by priority), backing off, or unschedulable until something
//! happens that helps.
//!
//! KEP-4247 (queueing hints), KEP-3521 (gates). While nothing is active, pods that back off because no node fitted are
//! tried early; pods that back off because of an error are not.
//!
//! ```text
//!  add ──> active ── pop ──> in flight ──> (bound: gone)
//!            ^   ^               │ refused                │ error
//!            │   └── backing off <──── an event helps ── stuck <┘
//! ```
//! Laws: a pod is in exactly one place; a gated pod is never popped; nobody waits longer than five minutes for an event.

#[cfg(test)]
mod tests;
mod waiting;

pub use waiting::{BACKOFF, Place, Waiting};

use crate::event::Event;
use crate::podinfo::PodInfo;
use crate::reason::Unschedulable;
use jiff::{SignedDuration, Timestamp};
use kinds::ObjectKey;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Unschedulable pods are tried again after this long even if nothing happened.
pub const STUCK_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Remembered arrivals for metrics between two readings.
const ARRIVALS_MAX: usize = 4096;

type ActiveKey = (Reverse<i32>, Timestamp, u64, ObjectKey);

/// Where pods arrive and because of what, for metrics.
pub type Arrival = (&'static str, &'static str);

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    pods: HashMap<ObjectKey, Waiting>,
    active: BTreeSet<ActiveKey>,
    /// By the end of the back-off.
    backoff: BTreeSet<(Timestamp, ObjectKey)>,
    errors: BTreeSet<(Timestamp, ObjectKey)>,
    /// By the time they got stuck. Gated pods are not among them.
    stuck: BTreeSet<(Timestamp, ObjectKey)>,
    /// In flight with a verdict: their victims are being evicted.
    held: BTreeSet<ObjectKey>,
    serial: u64,
    arrivals: Vec<Arrival>,
}

/// How many pods wait where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    pub active: usize,
    pub backoff: usize,
    pub unschedulable: usize,
    pub gated: usize,
}

impl Queue {
    fn detach(&mut self, key: &ObjectKey) -> Option<Waiting> {
        let w = self.pods.remove(key)?;
        self.held.remove(key);
        match &w.place {
            Place::Active { at } => {
                self.active.remove(&(Reverse(w.pod.priority), w.since, *at, key.clone()));
            }
            Place::Backoff { until, error: false } => {
                self.backoff.remove(&(*until, key.clone()));
            }
            Place::Backoff { until, error: true } => {
                self.errors.remove(&(*until, key.clone()));
            }
            Place::Stuck => {
                self.stuck.remove(&(w.since, key.clone()));
            }
            Place::Gated | Place::InFlight => {}
        }
        Some(w)
    }

    fn attach(&mut self, mut w: Waiting, place: Place, event: &'static str) {
        let key = w.pod.key.clone();
        match &place {
            Place::Active { at } => {
                self.active.insert((Reverse(w.pod.priority), w.since, *at, key.clone()));
            }
            Place::Backoff { until, error: false } => {
                self.backoff.insert((*until, key.clone()));
            }
            Place::Backoff { until, error: true } => {
                self.errors.insert((*until, key.clone()));
            }
            Place::Stuck => {
                self.stuck.insert((w.since, key.clone()));
            }
            Place::Gated | Place::InFlight => {}
        }
        if let Some(queue) = place.name().filter(|_| self.arrivals.len() < ARRIVALS_MAX) {
            self.arrivals.push((queue, event));
        }
        w.place = place;
        self.pods.insert(key, w);
    }

    fn activate(&mut self, w: Waiting, event: &'static str) {
        self.serial += 1;
        let at = self.serial;
        self.attach(w, Place::Active { at }, event);
    }

    /// A new pod; `gate` is the plugin that keeps it out.
    pub fn add(&mut self, pod: Arc<PodInfo>, gate: Option<&'static str>, now: Timestamp) {
        self.detach(&pod.key.clone());
        let mut w = Waiting::new(pod, now);
        match gate {
            Some(plugin) => {
                w.rejectors = BTreeSet::from([plugin]);
                self.attach(w, Place::Gated, "PodAdd");
            }
            None => self.activate(w, "PodAdd"),
        }
    }

    /// A waiting pod changed. `gate` as in [`Queue::add`]; `helps(plugin)`: whether the change helps with that plugin.
    pub fn update(&mut self, pod: Arc<PodInfo>, gate: Option<&'static str>, helps: impl Fn(&str) -> bool, now: Timestamp) {
        let held = self.held.contains(&pod.key);
        let Some(mut w) = self.detach(&pod.key) else { return self.add(pod, gate, now) };
        if w.pod.uid != pod.uid {
            return self.add(pod, gate, now);
        }
        w.pod = pod;
        match (w.place.clone(), gate) {
            (Place::InFlight, _) => {
                if held {
                    self.held.insert(w.pod.key.clone());
                }
                self.pods.insert(w.pod.key.clone(), w);
            }
            (_, Some(plugin)) => {
                w.rejectors = BTreeSet::from([plugin]);
                self.attach(w, Place::Gated, "PodUpdate");
            }
            (Place::Gated, None) => {
                w.since = now;
                self.activate(w, "PodUpdate");
            }
            (Place::Stuck, None) if w.rejectors.iter().any(|p| helps(p)) => self.wake(w, "PodUpdate", now),
            (place @ (Place::Stuck | Place::Active { .. } | Place::Backoff { .. }), None) => {
                // Re-attached where it was; that is no arrival.
                let n = self.arrivals.len();
                self.attach(w, place, "PodUpdate");
                self.arrivals.truncate(n);
            }
        }
    }

    /// The pod is gone or has a node.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        self.detach(key).map(|w| w.pod)
    }

    /// To the back-off queue, or straight to the active one when it has waited enough.
    fn wake(&mut self, w: Waiting, event: &'static str, now: Timestamp) {
        let until = w.backoff_until();
        if until > now {
            self.attach(w, Place::Backoff { until, error: false }, event);
        } else {
            self.activate(w, event);
        }
    }

    /// Something happened: the stuck pods that it may help are to be tried again.
    pub fn hear(&mut self, event: &Event, helps: impl Fn(&PodInfo, &str) -> bool, now: Timestamp) {
        if self.stuck.is_empty() && self.held.is_empty() {
            return;
        }
        // Whom no plugin refused there was no node for.
        let worth = |w: &Waiting| match event {
            Event::NodeAdded(_) if w.rejectors.is_empty() => true,
            _ => w.rejectors.iter().any(|p| helps(&w.pod, p)),
        };
        let keys: Vec<ObjectKey> = self
            .stuck
            .iter()
            .map(|(_, k)| k)
            .filter(|k| matches!(event, Event::Flush) || self.pods.get(*k).is_some_and(worth))
            .cloned()
            .collect();
        for key in self.held.clone() {
            if let Some(w) = self.pods.get_mut(&key).filter(|w| worth(w)) {
                w.missed = true;
            }
        }
        for key in keys {
            if let Some(w) = self.detach(&key) {
                self.wake(w, event.name(), now);
            }
        }
    }

    /// No node would do, but one will when the victims are gone: the pod stays in flight until they are told to go.
    pub fn hold(&mut self, pod: &Arc<PodInfo>, why: Arc<Unschedulable>) {
        let Some(mut w) = self.detach(&pod.key) else { return };
        w.pod = Arc::clone(pod);
        w.rejectors = why.plugins();
        w.why = Some(why);
        w.missed = false;
        self.attach(w, Place::InFlight, "");
        self.held.insert(pod.key.clone());
    }

    /// The victims were told to go; if some are gone already, the pod is tried at once.
    pub fn unhold(&mut self, key: &ObjectKey, now: Timestamp) {
        if !self.held.contains(key) {
            return;
        }
        let Some(mut w) = self.detach(key) else { return };
        w.since = now;
        (w.refusals, w.errors) = (w.refusals + 1, 0);
        if w.missed {
            self.wake(w, "ScheduleAttemptFailure", now);
        } else {
            self.attach(w, Place::Stuck, "ScheduleAttemptFailure");
        }
    }

    /// Ends back-offs and waits that are over.
    fn flush(&mut self, now: Timestamp) {
        for errors in [false, true] {
            while let Some((_, key)) = (if errors { &self.errors } else { &self.backoff }).first().filter(|(t, _)| *t <= now) {
                let key = key.clone();
                if let Some(w) = self.detach(&key) {
                    self.activate(w, "BackoffComplete");
                }
            }
        }
        while let Some((_, key)) = self.stuck.first().filter(|(t, _)| now.duration_since(*t) >= STUCK_MAX) {
            let key = key.clone();
            if let Some(mut w) = self.detach(&key) {
                w.flushed = true;
                self.wake(w, Event::Flush.name(), now);
            }
        }
    }

    /// The pod to try next; it is in flight until it is bound, refused or failed.
    pub fn pop(&mut self, now: Timestamp) -> Option<&Waiting> {
        self.flush(now);
        let active = self.active.first().map(|k| k.3.clone());
        let key = active.or_else(|| self.backoff.first().map(|k| k.1.clone()))?;
        let mut w = self.detach(&key)?;
        w.attempts += 1;
        w.first_attempt.get_or_insert(now);
        self.attach(w, Place::InFlight, "");
        self.pods.get(&key)
    }

    /// No node would do; these plugins said no.
    pub fn refused(&mut self, key: &ObjectKey, why: Arc<Unschedulable>, now: Timestamp) {
        let Some(mut w) = self.detach(key) else { return };
        w.rejectors = why.plugins();
        w.why = Some(why);
        w.since = now;
        (w.refusals, w.errors) = (w.refusals + 1, 0);
        self.attach(w, Place::Stuck, "ScheduleAttemptFailure");
    }

    /// Something went wrong that trying again may mend.
    pub fn failed(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(mut w) = self.detach(key) else { return };
        w.since = now;
        w.errors += 1;
        let until = w.backoff_until();
        self.attach(w, Place::Backoff { until, error: true }, "ScheduleAttemptFailure");
    }

    /// When to look again if nothing else happens.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let backoff = self.backoff.first().map(|k| k.0);
        let errors = self.errors.first().map(|k| k.0);
        let stuck = self.stuck.first().map(|k| k.0.saturating_add(STUCK_MAX).unwrap_or(Timestamp::MAX));
        [backoff, errors, stuck].into_iter().flatten().min()
    }

    /// Whether a pop now would give a pod, not counting waits that end.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty() || !self.backoff.is_empty()
    }

    /// A waiting pod.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Waiting> {
        self.pods.get(key)
    }
    /// All waiting pods.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.pods.values()
    }
    /// How many wait where.
    #[must_use]
    pub fn depths(&self) -> Depths {
        let gated = self.pods.values().filter(|w| w.place == Place::Gated).count();
        let backoff = self.backoff.len() + self.errors.len();
        Depths { active: self.active.len(), backoff, unschedulable: self.stuck.len(), gated }
    }
    /// What arrived since the last reading.
    pub fn take_arrivals(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals)
    }
}
