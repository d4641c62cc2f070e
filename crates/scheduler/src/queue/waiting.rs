//! One waiting pod and its history.

use crate::podinfo::PodInfo;
use crate::reason::Unschedulable;
use base::Backoff;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// `podInitialBackoffSeconds` and `podMaxBackoffSeconds`.
pub const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(10) };

/// Where a pod waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Active { at: u64 },
    Backoff { until: Timestamp, error: bool },
    Stuck,
    Gated,
    InFlight,
}

impl Place {
    /// The queue as metrics name it.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Active { .. } => Some("active"),
            Self::Backoff { .. } => Some("backoff"),
            Self::Stuck => Some("unschedulable"),
            Self::Gated => Some("gated"),
            Self::InFlight => None,
        }
    }
}

/// A waiting pod.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub pod: Arc<PodInfo>,
    pub place: Place,
    /// Since when it is where it is.
    pub since: Timestamp,
    pub first_attempt: Option<Timestamp>,
    pub attempts: u32,
    /// Cycles that found no node.
    pub refusals: u32,
    /// Failures in a row for other reasons.
    pub errors: u32,
    /// The plugins whose no is to be overcome. None: any event may help.
    pub rejectors: BTreeSet<&'static str>,
    /// What the last cycle that found no node had to say.
    pub why: Option<Arc<Unschedulable>>,
    /// Something that helps happened while it was held.
    pub missed: bool,
    /// It was tried again only because it had waited for too long.
    pub flushed: bool,
}

impl Waiting {
    pub(super) fn new(pod: Arc<PodInfo>, now: Timestamp) -> Self {
        Self {
            pod,
            place: Place::InFlight,
            since: now,
            first_attempt: None,
            attempts: 0,
            refusals: 0,
            errors: 0,
            rejectors: BTreeSet::new(),
            why: None,
            missed: false,
            flushed: false,
        }
    }

    /// Until when it must wait after its last attempt.
    #[must_use]
    pub fn backoff_until(&self) -> Timestamp {
        let n = if self.errors > 0 { self.errors } else { self.refusals };
        self.since.saturating_add(BACKOFF.delay(n)).unwrap_or(Timestamp::MAX)
    }
}
