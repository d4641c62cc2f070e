//! kube-scheduler's hands: it hears changes, asks `scheduler::Brain` (which is pure) about one pod after the other, binds
//! through the API as `system:kube-scheduler`, and tells pods and people why when no node will do.
//!
//! Docs: "Kubernetes Scheduler", "Scheduling Framework" (scheduling and binding cycles).
//!
//! ```text
//!  Subscription ── batches ──> Brain::hear ──> Brain::step ──> Decision ──> bind (many at once) ──> Brain::bound | failed
//!                                                   └── refused: condition, event ── preempt: victims deleted
//! ```
//! No polling: the loop sleeps until a change, an end of a binding, or the queue's next date.

mod act;
mod metrics;
mod report;
mod volumes;
#[cfg(test)]
mod tests;

use crate::events::Recorder;
use act::{Done, Hands, Work};
use base::metrics::Registry;
use base::{Clock, Ids};
use cache::{Batch, Interest, Source};
use kinds::{Api, ObjectKey};
use metrics::Metrics;
use parking_lot::Mutex;
use scheduler::{Brain, Decision, Outcome, ProfileConfig, Unschedulable};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

/// Bindings and other writes under way at once.
const WORK_MAX: usize = 64;
/// Pods that wait for their volumes at once, besides those.
const SLOW_MAX: usize = 1024;
/// Cycles in a row before the loop looks at what else has happened.
const CYCLES_A_TURN: usize = 16;
/// Batches that wait between the subscription and the loop.
const BATCHES_MAX: usize = 16;

/// What the scheduler is told at its start.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    pub profiles: Vec<ProfileConfig>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { profiles: vec![ProfileConfig::default()] }
    }
}

/// What the scheduler stands on.
pub struct SchedulerDeps {
    pub source: Arc<dyn Source>,
    /// Acts as `system:kube-scheduler`.
    pub api: Arc<dyn Api>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// The manager's.
    pub recorder: Recorder,
    pub metrics: Registry,
    /// With several servers: whether this one leads. `None`: it always does.
    pub leading: Option<watch::Receiver<bool>>,
    pub shutdown: CancellationToken,
}

/// The running scheduler.
pub struct SchedulerHandle {
    task: JoinHandle<()>,
    brain: Arc<Mutex<Brain>>,
    source: Arc<dyn Source>,
}

impl SchedulerHandle {
    /// Why a pod has no node: per node and plugin, as the last cycle found it.
    #[must_use]
    pub fn why(&self, pod: &ObjectKey) -> Option<Arc<Unschedulable>> {
        self.brain.lock().why(pod)
    }
    /// Waits until the scheduler's task has ended by itself, which it never should; gives what it said. Pods would stay
    /// pending for ever without anybody being told, so the process must not go on.
    pub async fn failed(&mut self) -> String {
        match (&mut self.task).await {
            Ok(()) => "its source of changes has ended".to_owned(),
            Err(e) => match e.try_into_panic() {
                Ok(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
                    format!("panic: {}", text.unwrap_or("of unknown kind"))
                }
                Err(e) => e.to_string(),
            },
        }
    }
    /// Recomputes the node table from the newest snapshot and compares it with the one that was kept up to date change
    /// by change. For moments in which nothing is under way.
    ///
    /// # Errors
    /// What differs.
    pub fn audit(&self) -> Result<(), String> {
        self.brain.lock().table.audit(&self.source.snapshot())
    }
    /// Waits until it has stopped: every started write is over.
    pub async fn stopped(self) {
        if let Err(e) = self.task.await {
            error!(error = %e, "the scheduler ended badly");
        }
    }
}

/// Starts the scheduler.
#[must_use]
pub fn start_scheduler(config: &SchedulerConfig, deps: SchedulerDeps) -> SchedulerHandle {
    let brain = Arc::new(Mutex::new(Brain::new(&config.profiles)));
    // One leak a profile, at the start: the recorder wants names that live as long as the process.
    let names = config.profiles.iter().map(|p| (p.name.clone(), &*Box::leak(p.name.clone().into_boxed_str()))).collect();
    let batches = feed(Arc::clone(&deps.source), deps.shutdown.clone());
    let hands = Hands { api: deps.api, source: Arc::clone(&deps.source), clock: Arc::clone(&deps.clock), recorder: deps.recorder, names };
    let source = Arc::clone(&deps.source);
    let shell = Shell {
        brain: Arc::clone(&brain),
        source: deps.source,
        clock: deps.clock,
        ids: deps.ids,
        hands: Arc::new(hands),
        metrics: Metrics::new(&deps.metrics),
        leading: deps.leading,
        work: JoinSet::new(),
        slow: 0,
        reporting: HashSet::new(),
        reports: HashMap::new(),
        ready: false,
    };
    SchedulerHandle { task: tokio::spawn(shell.run(batches, deps.shutdown)), brain, source }
}

/// Pulls batches in a task of its own, so that nothing cuts a pull short.
fn feed(source: Arc<dyn Source>, shutdown: CancellationToken) -> mpsc::Receiver<Batch> {
    let (tx, rx) = mpsc::channel(BATCHES_MAX);
    tokio::spawn(async move {
        let mut subscription = source.subscribe(Interest::Only(scheduler::hearing::interests()));
        loop {
            let batch = tokio::select! {
                () = shutdown.cancelled() => return,
                b = subscription.next() => b,
            };
            let Some(batch) = batch else { return };
            if tx.send(batch).await.is_err() {
                return;
            }
        }
    });
    rx
}

struct Shell {
    brain: Arc<Mutex<Brain>>,
    source: Arc<dyn Source>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    hands: Arc<Hands>,
    metrics: Metrics,
    leading: Option<watch::Receiver<bool>>,
    work: JoinSet<Done>,
    /// How many of them wait for volumes.
    slow: usize,
    /// Pods whose status is being written, and what is to be written next.
    reporting: HashSet<ObjectKey>,
    reports: HashMap<ObjectKey, Work>,
    /// The first batch has been heard.
    ready: bool,
}

impl Shell {
    async fn run(mut self, mut batches: mpsc::Receiver<Batch>, shutdown: CancellationToken) {
        info!("scheduler started");
        while !shutdown.is_cancelled() {
            while let Ok(b) = batches.try_recv() {
                self.heard(&b);
            }
            while let Some(done) = self.work.try_join_next() {
                self.done(done);
            }
            let more = self.cycles();
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            self.metrics.depths(&mut self.brain.lock());
            let wake = self.wake_after();
            let date = async { sleep(wake.unwrap_or_default()).await };
            let mut leading = self.leading.clone();
            let lead_changes = async { if let Some(l) = &mut leading { l.changed().await.is_ok() } else { false } };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(done) = self.work.join_next(), if !self.work.is_empty() => self.done(done),
                batch = batches.recv() => match batch {
                    Some(b) => self.heard(&b),
                    None => break,
                },
                () = date, if wake.is_some() => {}
                true = lead_changes, if self.leading.is_some() => self.leads(),
            }
        }
        while self.work.join_next().await.is_some() {}
        info!("scheduler stopped");
    }

    fn leads(&mut self) {
        if let Some(l) = &mut self.leading {
            l.mark_unchanged();
        }
        self.brain.lock().rebuild(&self.source.snapshot(), self.clock.now());
    }

    fn is_active(&self) -> bool {
        self.ready && self.leading.as_ref().is_none_or(|l| *l.borrow())
    }

    /// How long to sleep at most; `None`: until something happens.
    fn wake_after(&self) -> Option<Duration> {
        if !self.is_active() || self.is_busy() {
            return None;
        }
        let at = self.brain.lock().queue.next_wake()?;
        Some(Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default())
    }

    fn heard(&mut self, batch: &Batch) {
        let (now, mut brain) = (self.clock.now(), self.brain.lock());
        if batch.lagged {
            brain.rebuild(&batch.snapshot, now);
            self.ready = true;
            return;
        }
        for change in &batch.changes {
            brain.hear(&batch.snapshot, change, now);
        }
    }

    /// Runs cycles; tells whether there is more to do at once.
    fn cycles(&mut self) -> bool {
        if !self.is_active() {
            return false;
        }
        let snapshot = self.source.snapshot();
        for _ in 0..CYCLES_A_TURN {
            if self.is_busy() {
                return false;
            }
            let began = Instant::now();
            let seed = self.ids.below(u64::MAX);
            let Some(decision) = self.brain.lock().step(&snapshot, seed, self.clock.now()) else { return false };
            self.metrics.decided(&decision, began.elapsed());
            self.act(decision, began);
        }
        true
    }

    fn act(&mut self, decision: Decision, began: Instant) {
        match &decision.outcome {
            Outcome::Bind { node, evaluated, feasible, .. } => {
                debug!(pod = %decision.pod.key, %node, evaluated, feasible, "found a node");
                self.spawn(Work::Bind { decision, began });
            }
            Outcome::Unschedulable(why) => {
                debug!(pod = %decision.pod.key, why = why.message(), "found no node");
                self.report(Work::Refused { decision });
            }
            Outcome::Preempt { node, victims, .. } => {
                info!(pod = %decision.pod.key, %node, victims = victims.len(), "makes room by eviction");
                self.report(Work::Refused { decision: decision.clone() });
                self.spawn(Work::Preempt { decision });
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.work.len() - self.slow >= WORK_MAX || self.slow >= SLOW_MAX
    }

    fn spawn(&mut self, work: Work) {
        self.slow += usize::from(work.is_slow());
        self.work.spawn(act::carry_out(Arc::clone(&self.hands), self.source.snapshot(), work));
    }

    /// Status writes of one pod go one after the other; only the newest that waits is written.
    fn report(&mut self, work: Work) {
        let key = work.pod().key.clone();
        if self.reporting.insert(key.clone()) {
            self.spawn(work);
        } else {
            self.reports.insert(key, work);
        }
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let done = match done {
            Ok(d) => d,
            // Work neither panics nor is it aborted.
            Err(e) => return error!(error = %e, "a binding vanished"),
        };
        let now = self.clock.now();
        self.slow -= usize::from(done.work.is_slow());
        match (done.work, done.result) {
            (Work::Bind { decision, began }, Ok(())) => {
                self.brain.lock().bound(&decision.pod);
                self.metrics.bound(&decision, began.elapsed(), now);
            }
            (Work::Bind { decision, began }, Err(e)) => {
                // Pods are deleted while they are bound: nobody has to look into that.
                match e.is_not_found() {
                    true => debug!(pod = %decision.pod.key, error = %e, "could not bind"),
                    false => warn!(pod = %decision.pod.key, error = %e, "could not bind"),
                }
                self.metrics.failed(&decision, began.elapsed());
                self.brain.lock().failed(&self.source.snapshot(), &decision.pod, now);
                if !e.is_not_found() {
                    self.report(Work::Failed { decision, error: e.message });
                }
            }
            (Work::Preempt { decision }, Err(e)) => {
                warn!(pod = %decision.pod.key, error = %e, "could not make room");
                let mut brain = self.brain.lock();
                brain.table.nominate(&decision.pod, None);
                brain.failed(&self.source.snapshot(), &decision.pod, now);
            }
            (Work::Preempt { decision }, Ok(())) => self.brain.lock().preempted(&decision.pod, now),
            (work @ (Work::Refused { .. } | Work::Failed { .. }), result) => {
                let key = &work.pod().key;
                if let Err(e) = result.as_ref().map_err(|e| (e, e.is_not_found())) {
                    if !e.1 {
                        warn!(pod = %key, error = %e.0, "could not write the pod's status");
                    }
                }
                self.reporting.remove(key);
                if let Some(next) = self.reports.remove(key) {
                    self.report(next);
                }
            }
        }
    }
}
