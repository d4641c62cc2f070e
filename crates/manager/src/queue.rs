//! One controller's work queue: every subject at most once waiting and at most once running.
//!
//! A subject that is added while it runs waits until that round is over, and then runs again.

use controllers::Subject;
use std::collections::{HashMap, HashSet, VecDeque};
use tokio::time::Instant;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    ready: VecDeque<Subject>,
    /// Waiting subjects and since when.
    since: HashMap<Subject, Instant>,
    running: HashMap<Subject, Instant>,
    /// Added while running.
    dirty: HashSet<Subject>,
    failures: HashMap<Subject, u32>,
}

impl Queue {
    /// Adds a subject; tells whether that was news.
    pub(crate) fn add(&mut self, subject: Subject, now: Instant) -> bool {
        if self.running.contains_key(&subject) {
            return self.dirty.insert(subject);
        }
        if self.since.contains_key(&subject) {
            return false;
        }
        self.since.insert(subject.clone(), now);
        self.ready.push_back(subject);
        true
    }

    /// The next subject to run and since when it waited.
    pub(crate) fn take(&mut self, now: Instant) -> Option<(Subject, Instant)> {
        let subject = self.ready.pop_front()?;
        let since = self.since.remove(&subject).unwrap_or(now);
        self.running.insert(subject.clone(), now);
        Some((subject, since))
    }

    /// A round is over; when it started, and whether the subject waits again already.
    pub(crate) fn done(&mut self, subject: &Subject, now: Instant) -> (Instant, bool) {
        let started = self.running.remove(subject).unwrap_or(now);
        let again = self.dirty.remove(subject);
        if again {
            self.add(subject.clone(), now);
        }
        (started, again)
    }

    /// Counts a failure in a row and tells how many there were.
    pub(crate) fn failed(&mut self, subject: &Subject) -> u32 {
        let n = self.failures.entry(subject.clone()).or_default();
        *n += 1;
        *n
    }
    /// Forgets failures.
    pub(crate) fn succeeded(&mut self, subject: &Subject) {
        self.failures.remove(subject);
    }
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }
    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }
    /// When the oldest running round began, and the sum of all their ages in seconds.
    pub(crate) fn ages(&self, now: Instant) -> (f64, f64) {
        let ages = self.running.values().map(|t| now.duration_since(*t).as_secs_f64());
        ages.fold((0.0, 0.0), |(max, sum), a| (max.max(a), sum + a))
    }
}
