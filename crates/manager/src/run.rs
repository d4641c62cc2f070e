//! The loop: batches of changes wake subjects, queues hand them out, rounds end in an outcome, dates come.

use crate::events::Recorder;
use crate::execute::Hands;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::round::{CATCH_UP, Outcome, Shared, round};
use crate::timers::Timers;
use crate::{ApiFactory, Config, user_of};
use base::metrics::Registry;
use base::{Backoff, Clock, Ids};
use cache::{Batch, Interest, Source};
use controllers::{Controller, Subject};
use futures_util::FutureExt;
use kinds::Revision;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Rounds of one controller that run at once.
const WORKERS: usize = 5;
/// The same for the controllers with many small subjects.
const WORKERS_MANY: usize = 20;
/// Batches that wait between the subscription and the loop.
const BATCHES_MAX: usize = 4;
/// After failures that pass (as client-go's default rate limiter).
const TRANSIENT: Backoff = Backoff { initial: Duration::from_millis(5), max: Duration::from_secs(1000) };
/// After refusals, which a retry alone does not mend.
const REFUSED: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(300) };

/// What the manager stands on.
pub struct Deps {
    pub source: Arc<dyn Source>,
    pub api: ApiFactory,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub metrics: Registry,
    /// With several servers: whether this one leads. `None`: it always does.
    pub leading: Option<watch::Receiver<bool>>,
    pub shutdown: CancellationToken,
}

/// The running manager.
pub struct Handle {
    task: JoinHandle<()>,
    /// Tells events; the scheduler shares it.
    pub recorder: Recorder,
}

impl Handle {
    /// Waits until it has stopped: every started round is over.
    pub async fn stopped(self) {
        if let Err(e) = self.task.await {
            error!(error = %e, "the manager ended badly");
        }
    }
}

/// What kube-apiserver runs itself: it stays when all controllers are off.
const OF_THE_SERVER: &str = "crd";

/// Starts all controllers that are not disabled.
#[must_use]
pub fn start(config: Config, deps: Deps) -> Handle {
    let recorder = Recorder::start(Arc::clone(&deps.api), Arc::clone(&deps.clock), deps.shutdown.clone());
    let chosen = controllers::ALL.iter().copied().filter(|c| !config.disabled.iter().any(|d| d == c.name || (d == "*" && c.name != OF_THE_SERVER)));
    let lanes = chosen.map(|c| Lane::new(c, &deps.api, &recorder)).collect();
    let started = config.controllers.started.or_else(|| Some(deps.clock.now()));
    let shared = Arc::new(Shared {
        source: Arc::clone(&deps.source),
        clock: deps.clock,
        ids: deps.ids,
        config: controllers::Config { started, ..config.controllers },
    });
    let manager = Manager {
        lanes,
        shared,
        timers: Timers::default(),
        rounds: JoinSet::new(),
        metrics: Metrics::new(&deps.metrics),
        leading: deps.leading,
    };
    let batches = feed(deps.source, deps.shutdown.clone());
    let task = tokio::spawn(manager.run(batches, deps.shutdown));
    Handle { task, recorder }
}

/// Pulls batches in a task of its own, so that a round's end never cuts a pull short.
fn feed(source: Arc<dyn Source>, shutdown: CancellationToken) -> mpsc::Receiver<Batch> {
    let (tx, rx) = mpsc::channel(BATCHES_MAX);
    tokio::spawn(async move {
        let mut subscription = source.subscribe(Interest::Everything);
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

/// One controller with its queue and its hands.
struct Lane {
    controller: &'static Controller,
    queue: Queue,
    hands: Hands,
    workers: usize,
    /// The revision of each subject's own last write, until a snapshot has shown it.
    wrote: HashMap<Subject, Revision>,
}

impl Lane {
    fn new(controller: &'static Controller, api: &ApiFactory, recorder: &Recorder) -> Self {
        let many = matches!(controller.watches, controllers::Watches::Everything);
        let hands = Hands {
            api: api(&user_of(controller.account)),
            recorder: recorder.clone(),
            component: controller.component,
        };
        let workers = if many { WORKERS_MANY } else { WORKERS };
        Self { controller, queue: Queue::default(), hands, workers, wrote: HashMap::new() }
    }
}

type Ended = (usize, Subject, Outcome);

struct Manager {
    lanes: Vec<Lane>,
    shared: Arc<Shared>,
    timers: Timers,
    rounds: JoinSet<Ended>,
    metrics: Metrics,
    leading: Option<watch::Receiver<bool>>,
}

impl Manager {
    async fn run(mut self, mut batches: mpsc::Receiver<Batch>, shutdown: CancellationToken) {
        info!(controllers = self.lanes.len(), "controllers started");
        loop {
            self.dispatch();
            let due = self.timers.next();
            let date = async { sleep_until(due.unwrap_or_else(Instant::now)).await };
            let mut leading = self.leading.clone();
            let lead_changes = async { if let Some(l) = &mut leading { l.changed().await.is_ok() } else { false } };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.rounds.join_next(), if !self.rounds.is_empty() => self.ended(ended),
                batch = batches.recv() => match batch {
                    Some(b) => self.heard(&b),
                    None => break,
                },
                () = date, if due.is_some() => self.dates(),
                true = lead_changes, if self.leading.is_some() => self.look_at_everything(),
            }
        }
        while self.rounds.join_next().await.is_some() {}
        info!("controllers stopped");
    }

    fn add(&mut self, lane: usize, subject: Subject, now: Instant) {
        let l = &mut self.lanes[lane];
        if l.queue.add(subject, now) {
            self.metrics.adds.with(&[l.controller.name]).inc();
            self.metrics.depth.with(&[l.controller.name]).set(l.queue.len() as f64);
        }
    }

    fn heard(&mut self, batch: &Batch) {
        if batch.lagged {
            return self.look_at_everything();
        }
        let now = Instant::now();
        for change in &batch.changes {
            for lane in 0..self.lanes.len() {
                let c = self.lanes[lane].controller;
                if c.watches.wants(&change.resource) {
                    for subject in (c.wakes)(change, &batch.snapshot) {
                        self.add(lane, subject, now);
                    }
                }
            }
        }
    }

    fn look_at_everything(&mut self) {
        if let Some(l) = &mut self.leading {
            l.mark_unchanged();
        }
        let (snapshot, now) = (self.shared.source.snapshot(), Instant::now());
        for lane in 0..self.lanes.len() {
            for subject in (self.lanes[lane].controller.subjects)(&snapshot) {
                self.add(lane, subject, now);
            }
        }
    }

    fn dates(&mut self) {
        let now = Instant::now();
        while let Some((lane, subject)) = self.timers.pop(now) {
            self.add(lane, subject, now);
        }
    }

    fn dispatch(&mut self) {
        if self.leading.as_ref().is_some_and(|l| !*l.borrow()) {
            return;
        }
        let now = Instant::now();
        for (n, lane) in self.lanes.iter_mut().enumerate() {
            let name = lane.controller.name;
            while lane.queue.running() < lane.workers {
                let Some((subject, since)) = lane.queue.take(now) else { break };
                self.metrics.queued.with(&[name]).observe(now.duration_since(since).as_secs_f64());
                self.metrics.depth.with(&[name]).set(lane.queue.len() as f64);
                let seen = lane.wrote.get(&subject).copied().unwrap_or_default();
                let (c, shared, hands) = (lane.controller, Arc::clone(&self.shared), lane.hands.clone());
                self.rounds.spawn(async move {
                    let run = AssertUnwindSafe(round(c, &subject, seen, &shared, &hands)).catch_unwind();
                    let outcome = run.await.unwrap_or(Outcome::Refused);
                    (n, subject, outcome)
                });
            }
        }
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let Ok((n, subject, outcome)) = ended else {
            // Rounds catch their panics and are never aborted.
            return error!("a round vanished");
        };
        let now = Instant::now();
        let lane = &mut self.lanes[n];
        let name = lane.controller.name;
        let (started, waits_again) = lane.queue.done(&subject, now);
        self.metrics.worked.with(&[name]).observe(now.duration_since(started).as_secs_f64());
        let (longest, unfinished) = lane.queue.ages(now);
        self.metrics.longest.with(&[name]).set(longest);
        self.metrics.unfinished.with(&[name]).set(unfinished);
        let after = match outcome {
            Outcome::Done { again, wrote } => {
                lane.queue.succeeded(&subject);
                if wrote > self.shared.source.snapshot().revision() {
                    lane.wrote.insert(subject.clone(), wrote);
                } else {
                    lane.wrote.remove(&subject);
                }
                again
            }
            Outcome::Behind => Some(CATCH_UP),
            Outcome::Failed => Some(TRANSIENT.delay(lane.queue.failed(&subject))),
            Outcome::Refused => Some(REFUSED.delay(lane.queue.failed(&subject))),
        };
        if matches!(outcome, Outcome::Failed | Outcome::Refused) {
            self.metrics.retries.with(&[name]).inc();
        }
        if let Some(after) = after.filter(|_| !waits_again) {
            self.timers.set((n, subject), now + after);
        }
    }
}
