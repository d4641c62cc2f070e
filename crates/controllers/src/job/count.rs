//! Counting pods that are over, each exactly once.
//!
//! Docs: "Jobs: job tracking with finalizers"; KEP-2307.

use super::TRACKING;
use super::indexes::{format, index_of, parse};
use super::observe::{Seen, Standing, release};
use super::policy::{Verdict, verdict};
use crate::garbage::has_finalizer;
use crate::numbers::{count, filled};
use crate::plan::Step;
use kinds::api::batch::v1::{JobStatus, UncountedTerminatedPods};
use kinds::api::core::v1::Pod;
use std::collections::BTreeSet;

/// At most this many uids wait in the status.
const UNCOUNTED_MAX: usize = 500;
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// Where counting stands after this round.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub succeeded: i32,
    pub failed: i32,
    pub completed: BTreeSet<i32>,
    pub failed_indexes: BTreeSet<i32>,
    uncounted_succeeded: Vec<String>,
    uncounted_failed: Vec<String>,
    /// Finalizers that may go now.
    pub releases: Vec<Step>,
    /// Pods that are over and still held.
    held: usize,
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// Failures of its index before this pod.
pub(super) fn failures_before(pod: &Pod) -> i32 {
    pod.metadata.annotations.as_ref().and_then(|a| a.get(FAILURES)).and_then(|n| n.parse().ok()).unwrap_or(0)
}

pub(super) const FAILURE_COUNT: &str = FAILURES;

impl Tally {
    /// Counts.
    pub(super) fn new(seen: &Seen) -> Self {
        let status = seen.status();
        let completions = seen.spec().completions.unwrap_or(0);
        let stored = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let mut t = Self {
            succeeded: status.succeeded.unwrap_or(0),
            failed: status.failed.unwrap_or(0),
            ..Self::default()
        };
        let known_indexes = parse(status.completed_indexes.as_deref(), completions);
        if seen.indexed() {
            t.completed.clone_from(&known_indexes);
            t.failed_indexes = parse(status.failed_indexes.as_deref(), completions);
        }
        let held: BTreeSet<String> = seen
            .pods
            .iter()
            .filter(|(p, _)| has_finalizer(&p.metadata, TRACKING))
            .map(|(p, _)| uid(p))
            .collect();
        t.settle(stored.succeeded.unwrap_or_default(), &held, true);
        t.settle(stored.failed.unwrap_or_default(), &held, false);
        for (pod, standing) in &seen.pods {
            match standing {
                Standing::Succeeded => t.over(seen, pod, true, &known_indexes),
                Standing::Failed => t.over(seen, pod, false, &known_indexes),
                Standing::Active | Standing::Leaving => {}
            }
        }
        if seen.indexed() {
            t.succeeded = i32::try_from(t.completed.len()).unwrap_or(i32::MAX);
            t.failed_indexes = t.failed_indexes.difference(&t.completed).copied().collect();
        }
        t
    }

    /// What the status names and nothing holds any more is counted; the rest goes on waiting.
    fn settle(&mut self, uids: Vec<String>, held: &BTreeSet<String>, good: bool) {
        let (wait, done): (Vec<_>, Vec<_>) = uids.into_iter().partition(|u| held.contains(u));
        let n = i32::try_from(done.len()).unwrap_or(i32::MAX);
        if good {
            self.succeeded += n;
            self.uncounted_succeeded = wait;
        } else {
            self.failed += n;
            self.uncounted_failed = wait;
        }
    }

    fn over(&mut self, seen: &Seen, pod: &Pod, good: bool, known: &BTreeSet<i32>) {
        let index = index_of(pod).filter(|_| seen.indexed());
        if !good {
            self.fail_index(seen, pod, index);
        }
        if !has_finalizer(&pod.metadata, TRACKING) {
            return;
        }
        self.held += 1;
        let named = |list: &[String]| list.contains(&uid(pod));
        if seen.indexed() && good {
            let Some(i) = index.filter(|i| *i < seen.spec().completions.unwrap_or(0)) else {
                return self.releases.push(release(pod));
            };
            self.completed.insert(i);
            if known.contains(&i) {
                self.releases.push(release(pod));
            }
            return;
        }
        if named(&self.uncounted_succeeded) || named(&self.uncounted_failed) {
            return self.releases.push(release(pod));
        }
        let uncounted = self.uncounted_succeeded.len() + self.uncounted_failed.len();
        match () {
            () if !good && uncounts(seen, pod) => self.releases.push(release(pod)),
            () if uncounted >= UNCOUNTED_MAX => {}
            () if good => self.uncounted_succeeded.push(uid(pod)),
            () => self.uncounted_failed.push(uid(pod)),
        }
    }

    fn fail_index(&mut self, seen: &Seen, pod: &Pod, index: Option<i32>) {
        let (Some(i), Some(limit)) = (index, seen.spec().backoff_limit_per_index) else { return };
        let said = verdict(seen.spec(), pod);
        if said == Verdict::FailIndex || (said == Verdict::Count && failures_before(pod) >= limit) {
            self.failed_indexes.insert(i);
        }
    }

    /// Succeeded and failed pods, named ones included.
    pub(super) fn totals(&self) -> (i32, i32) {
        let n = |v: &Vec<String>| i32::try_from(v.len()).unwrap_or(i32::MAX);
        (self.succeeded + n(&self.uncounted_succeeded), self.failed + n(&self.uncounted_failed))
    }

    /// Whether every pod that is over has been counted and let go.
    pub(super) fn is_settled(&self) -> bool {
        self.held == 0 && self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty()
    }

    /// Writes itself into a status.
    pub(super) fn write(&self, seen: &Seen, status: &mut JobStatus) {
        status.succeeded = count(self.succeeded);
        status.failed = count(self.failed);
        status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
            succeeded: filled(self.uncounted_succeeded.clone()),
            failed: filled(self.uncounted_failed.clone()),
        });
        if seen.indexed() {
            status.completed_indexes = Some(format(&self.completed)).filter(|t| !t.is_empty());
            if seen.spec().backoff_limit_per_index.is_some() {
                status.failed_indexes = Some(format(&self.failed_indexes));
            }
        }
    }
}

/// A failed pod that does not count: the policy ignores it, or the job was suspended under it.
fn uncounts(seen: &Seen, pod: &Pod) -> bool {
    let suspended = seen.suspended() && pod.metadata.deletion_timestamp.is_some();
    suspended || (kinds::pod::phase(pod) == "Failed" && verdict(seen.spec(), pod) == Verdict::Ignore)
}
