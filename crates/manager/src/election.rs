//! Who leads when several servers share one store: a Lease that one of them holds and renews.
//! Docs: "Leases" (leader election); the timing is that of kube-controller-manager's `--leader-elect-*` defaults.
//!
//! Laws: 1 nobody takes a lease over before he himself has watched it unrenewed for its whole duration: clocks of
//! different machines are never compared. 2 A holder that could not renew for [`RENEW_DEADLINE`] stops leading, which is
//! before anybody else may start. 3 Who stops in order gives the lease back, so that the next one need not wait.

use base::Clock;
use kinds::api::coordination::v1::{Lease, LeaseSpec};
use kinds::{Api, ApiError, Kind, MicroTime, ObjectKey, ObjectMeta, Target, Typed, WriteOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a lease stands unrenewed before others may take it.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long the holder goes on without a renewal that went through.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is tried.
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// The lease's duration once it is given back.
const GIVEN_BACK_S: i32 = 1;
/// Where leases of the control plane lie.
const NAMESPACE: &str = "kube-system";

/// A candidate.
pub struct Candidate {
    /// Name of the lease: `kube-controller-manager`, `kube-scheduler`.
    pub lease: &'static str,
    /// Who this is: differs between all servers and all their starts.
    pub identity: String,
    pub api: Arc<dyn Api>,
    pub clock: Arc<dyn Clock>,
    pub shutdown: CancellationToken,
}

/// What was seen of the lease, and when by our own watch.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

/// What is to be done with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// It is ours.
    Renew,
    /// It is nobody's, or was not renewed in time.
    Take,
    /// Somebody else's.
    Wait,
}

/// Runs the election until shutdown; the door tells whether this candidate leads now.
#[must_use]
pub fn elect(candidate: Candidate) -> watch::Receiver<bool> {
    let (tell, leading) = watch::channel(false);
    tokio::spawn(async move { Race { candidate, seen: None, renewed: None, tell }.run().await });
    leading
}

struct Race {
    candidate: Candidate,
    seen: Option<Seen>,
    /// When the try began that last wrote the lease, while we lead: others may count from then on.
    renewed: Option<Instant>,
    tell: watch::Sender<bool>,
}

impl Race {
    async fn run(mut self) {
        let shutdown = self.candidate.shutdown.clone();
        loop {
            let begun = Instant::now();
            let tried = tokio::time::timeout_at(self.deadline(begun), self.step());
            tokio::select! {
                outcome = tried => self.note(begun, outcome.unwrap_or_else(|_| Err(ApiError::internal("no answer in time")))),
                () = shutdown.cancelled() => break,
            }
            let now = Instant::now();
            tokio::select! {
                () = tokio::time::sleep_until((now + RETRY_PERIOD).min(self.deadline(now))) => {}
                () = shutdown.cancelled() => break,
            }
        }
        if self.renewed.is_some() {
            self.tell.send_replace(false);
            // Others wait the lease out when this fails.
            let _ = tokio::time::timeout(RETRY_PERIOD, self.give_back()).await;
        }
    }

    /// Until when a try may take that begins now: who leads stops at a fixed distance from the last renewal.
    fn deadline(&self, now: Instant) -> Instant {
        self.renewed.unwrap_or(now) + RENEW_DEADLINE
    }

    fn note(&mut self, begun: Instant, outcome: Result<bool, ApiError>) {
        let now = Instant::now();
        match outcome {
            Ok(true) => self.renewed = Some(begun),
            Ok(false) => self.renewed = None,
            // Another writer was faster, or the store did not answer: the deadline decides.
            Err(e) => warn!(lease = self.candidate.lease, err = %e, "The lease could not be written"),
        }
        let leads = self.renewed.is_some_and(|at| now.duration_since(at) < RENEW_DEADLINE);
        if !leads {
            self.renewed = None;
        }
        if self.tell.send_replace(leads) != leads {
            info!(lease = self.candidate.lease, identity = self.candidate.identity, leads, "Leadership changed");
        }
    }

    /// Looks once and acts; whether the lease is ours.
    async fn step(&mut self) -> Result<bool, ApiError> {
        let now = MicroTime(self.candidate.clock.now());
        let found = match self.candidate.api.get(self.target()).await {
            Ok(found) => Lease::from_object(found).map(|l| (*l).clone()).unwrap_or_default(),
            Err(e) if e.is_not_found() => return self.create(now).await,
            Err(e) => return Err(e),
        };
        let spec = found.spec.clone().unwrap_or_default();
        self.observe(&spec, Instant::now());
        let act = self.seen.as_ref().map_or(Act::Wait, |s| decide(s, &self.candidate.identity, Instant::now()));
        if act == Act::Wait {
            return Ok(false);
        }
        let mut next = found;
        next.spec = Some(written(&spec, &self.candidate.identity, act, &now));
        let answer = self.candidate.api.update(self.target(), next.into(), WriteOptions::default()).await?;
        self.remember(answer);
        Ok(true)
    }

    async fn create(&mut self, now: MicroTime) -> Result<bool, ApiError> {
        let spec = written(&LeaseSpec::default(), &self.candidate.identity, Act::Renew, &now);
        let metadata = ObjectMeta {
            name: Some(self.candidate.lease.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        };
        let lease = Lease { metadata, spec: Some(LeaseSpec { acquire_time: Some(now), lease_transitions: Some(0), ..spec }) };
        let answer = self.candidate.api.create(self.target(), lease.into(), WriteOptions::default()).await?;
        self.remember(answer);
        Ok(true)
    }

    async fn give_back(&self) -> Result<(), ApiError> {
        let found = self.candidate.api.get(self.target()).await?;
        let mut lease = Lease::from_object(found).map(|l| (*l).clone()).unwrap_or_default();
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.candidate.identity) {
            return Ok(());
        }
        let now = MicroTime(self.candidate.clock.now());
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(GIVEN_BACK_S);
        (spec.renew_time, spec.acquire_time) = (Some(now.clone()), Some(now));
        self.candidate.api.update(self.target(), lease.into(), WriteOptions::default()).await.map(|_| ())
    }

    fn target(&self) -> Target {
        Target::new(Kind::Lease, ObjectKey::new(NAMESPACE, self.candidate.lease))
    }

    fn remember(&mut self, answer: kinds::Object) {
        let spec = Lease::from_object(answer).ok().and_then(|l| l.spec.clone()).unwrap_or_default();
        self.observe(&spec, Instant::now());
    }

    /// A lease that changed is a lease that was renewed just now.
    fn observe(&mut self, spec: &LeaseSpec, now: Instant) {
        if self.seen.as_ref().is_none_or(|s| s.spec != *spec) {
            self.seen = Some(Seen { spec: spec.clone(), since: now });
        }
    }
}

fn decide(seen: &Seen, me: &str, now: Instant) -> Act {
    let holder = seen.spec.holder_identity.as_deref().unwrap_or_default();
    let stands = seen.spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map_or(LEASE_DURATION, Duration::from_secs);
    match holder {
        h if h == me => Act::Renew,
        "" => Act::Take,
        _ if now.duration_since(seen.since) >= stands => Act::Take,
        _ => Act::Wait,
    }
}

/// The lease as it is written by its (new) holder.
fn written(old: &LeaseSpec, me: &str, act: Act, now: &MicroTime) -> LeaseSpec {
    let taken = act == Act::Take;
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
        renew_time: Some(now.clone()),
        acquire_time: if taken { Some(now.clone()) } else { old.acquire_time.clone() },
        lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(taken)),
        ..old.clone()
    }
}

#[cfg(test)]
mod tests;
