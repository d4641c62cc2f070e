//! One pod's task: news in, a step of the brain, acts out. It decides nothing.

use crate::hands::Hands;
use crate::recorder::pod_reference;
use crate::world::SnapshotWorld;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use kinds::api::core::v1::{Pod, PodStatus};
use parking_lot::RwLock;
use pods::{EffectId, Effects, Failure, Input, Outcome, Stage, View, Worker};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// News that may wait for a pod's task.
pub(crate) const MAILBOX_MAX: usize = 256;
/// A sleep without an end: until news comes.
const IDLE: Duration = Duration::from_secs(3600);

/// What others may see of a pod's worker.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) pod: Arc<Pod>,
    pub(crate) view: View,
    pub(crate) stage: Stage,
    pub(crate) status: Option<PodStatus>,
    pub(crate) holds_resources: bool,
}

impl Seen {
    pub(crate) fn of(worker: &Worker) -> Self {
        Self {
            pod: Arc::clone(worker.pod()),
            view: worker.view().clone(),
            stage: worker.stage(),
            status: worker.status().cloned(),
            holds_resources: worker.holds_resources(),
        }
    }
}

/// A pod's task, as others hold it.
#[derive(Clone)]
pub(crate) struct PodHandle {
    pub(crate) mailbox: mpsc::Sender<Input>,
    pub(crate) seen: Arc<RwLock<Seen>>,
}

type Acts = FuturesUnordered<BoxFuture<'static, (EffectId, Outcome)>>;

struct Task {
    worker: Worker,
    hands: Arc<Hands>,
    acts: Acts,
    seen: Arc<RwLock<Seen>>,
    wake_at: Instant,
}

/// Starts the task of a pod. It ends when the worker is finished, and tells its uid to `ended`.
pub(crate) fn spawn(worker: Worker, hands: Arc<Hands>, ended: mpsc::UnboundedSender<String>) -> PodHandle {
    let (mailbox, news) = mpsc::channel(MAILBOX_MAX);
    let seen = Arc::new(RwLock::new(Seen::of(&worker)));
    let handle = PodHandle { mailbox, seen: Arc::clone(&seen) };
    let uid = pods::roster::uid(worker.pod()).to_owned();
    let task = Task { worker, hands, acts: Acts::new(), seen, wake_at: Instant::now() + IDLE };
    tokio::spawn(async move {
        task.run(news).await;
        // Nobody listens any more when the node is shutting down.
        let _ = ended.send(uid);
    });
    handle
}

impl Task {
    async fn run(mut self, mut news: mpsc::Receiver<Input>) {
        loop {
            let input = tokio::select! {
                biased;
                Some((id, outcome)) = self.acts.next() => Input::Done(id, outcome),
                input = news.recv() => match input {
                    Some(input) => input,
                    None => return,
                },
                () = sleep_until(self.wake_at) => Input::Tick,
            };
            if self.step(input) {
                return;
            }
        }
    }

    /// One step. Gives whether the pod is finished.
    fn step(&mut self, input: Input) -> bool {
        let now = self.hands.clock.now();
        let world = SnapshotWorld(self.hands.source.snapshot(), &self.hands.config.node_name);
        let Effects { acts, notes, wake_at, finished } = self.worker.step(input, &world, now);
        let pod = Arc::clone(self.worker.pod());
        for note in notes {
            self.hands.recorder.note(pod_reference(&pod), note);
        }
        for (id, act) in acts {
            tracing::debug!(pod = %kinds::ObjectKey::of(&pod.metadata), id, ?act, "Acting");
            let (hands, pod, view) = (Arc::clone(&self.hands), Arc::clone(&pod), self.worker.view().clone());
            let act = tokio::spawn(async move { hands.act(&pod, &view, act).await });
            self.acts.push(Box::pin(async move {
                (id, act.await.unwrap_or_else(|e| Outcome::Failed(Failure::new(format!("an act failed: {e}")))))
            }));
        }
        self.wake_at = Instant::now() + until(wake_at, now);
        *self.seen.write() = Seen::of(&self.worker);
        finished
    }
}

fn until(wake_at: Option<Timestamp>, now: Timestamp) -> Duration {
    let wait = wake_at.map(|t| t.duration_since(now));
    wait.map_or(IDLE, |w| Duration::try_from(w).unwrap_or_default().min(IDLE))
}
