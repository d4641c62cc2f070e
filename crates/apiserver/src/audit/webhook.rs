//! The webhook backend: events gathered into batches and posted as an `EventList`. Docs: "Auditing: Webhook backend",
//! "Event batching". In batch mode requests never wait for the webhook, and what does not fit the buffer is counted and
//! lost; in the blocking modes each event is posted by itself, and its request waits until it is there or given up.

use super::log::Mode;
use super::{AuditError, Record};
use base::metrics::Counter;
use bytes::Bytes;
use client::{Client, RequestBody};
use http::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A batch is tried this often, with pauses that grow by half.
const TRIES: u32 = 5;
const PAUSE_FACTOR: f64 = 1.5;
/// One post may take this long.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// How events are gathered.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    pub most: usize,
    pub wait: Duration,
    /// Batches a second, and in a burst; `None`: no throttle.
    pub throttle: Option<(f32, u32)>,
}

impl Default for Batching {
    fn default() -> Self {
        Self { most: 400, wait: Duration::from_secs(30), throttle: Some((10.0, 15)) }
    }
}

/// The webhook's flags.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Largest event, and largest batch, in bytes: larger events lose their objects.
    pub truncate: Option<usize>,
    pub batch_bytes: usize,
    /// From the kubeconfig file.
    pub config: client::Config,
    pub mode: Mode,
    pub batching: Batching,
    pub initial_backoff: Duration,
}

/// Tells whether an event was delivered.
pub(super) type Delivered = oneshot::Receiver<bool>;

/// The way to the webhook.
pub(super) struct Sender {
    way: Way,
    truncate: Option<usize>,
    lost: Arc<Counter>,
}

enum Way {
    /// Through the buffer of the task that makes batches.
    Buffer(mpsc::Sender<Bytes>),
    /// Each event by itself; `true`: a request whose arrival cannot be told fails.
    Each(Arc<Post>, bool),
}

impl Sender {
    /// Whether requests wait for their events.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.way, Way::Each(..))
    }

    /// Whether a request whose arrival is not delivered fails.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self.way, Way::Each(_, true))
    }

    pub(super) fn send(&self, record: &Record) -> Option<Delivered> {
        let Some(event) = record.fitting(self.truncate).cloned() else {
            self.lost.inc();
            return None;
        };
        match &self.way {
            Way::Buffer(tx) => {
                if tx.try_send(event).is_err() {
                    self.lost.inc();
                }
                None
            }
            Way::Each(post, _) => {
                let (post, (tx, rx)) = (Arc::clone(post), oneshot::channel());
                tokio::spawn(async move {
                    // Who waited may be gone meanwhile.
                    let _ = tx.send(post.deliver(&[event]).await);
                });
                Some(rx)
            }
        }
    }
}

pub(super) fn start(options: WebhookOptions, lost: Arc<Counter>) -> Result<Sender, AuditError> {
    let client = Client::new(options.config.clone()).map_err(|e| AuditError::Webhook(e.to_string()))?;
    let post = Post { client, initial_backoff: options.initial_backoff, errors: Arc::clone(&lost) };
    let truncate = options.truncate;
    let way = match options.mode {
        Mode::Batch(buffer) => {
            let (tx, rx) = mpsc::channel(buffer.max(1));
            tokio::spawn(async move { Courier { post, options, rx, held: None, tokens: 0.0, filled: Instant::now() }.run().await });
            Way::Buffer(tx)
        }
        mode => Way::Each(Arc::new(post), mode == Mode::Strict),
    };
    Ok(Sender { way, truncate, lost })
}

/// What posts.
struct Post {
    client: Client,
    initial_backoff: Duration,
    errors: Arc<Counter>,
}

struct Courier {
    post: Post,
    options: WebhookOptions,
    rx: mpsc::Receiver<Bytes>,
    /// An event that did not fit into the last batch.
    held: Option<Bytes>,
    tokens: f32,
    filled: Instant,
}

impl Courier {
    async fn run(mut self) {
        self.tokens = self.options.batching.throttle.map_or(0.0, |t| t.1 as f32);
        while let Some(batch) = self.gather().await {
            self.throttle().await;
            self.post.deliver(&batch).await;
        }
    }

    /// The next batch: full, or as old as it may become.
    async fn gather(&mut self) -> Option<Vec<Bytes>> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.rx.recv().await?,
        };
        let (mut size, mut batch) = (first.len(), vec![first]);
        let end = Instant::now() + self.options.batching.wait;
        while batch.len() < self.options.batching.most {
            match tokio::time::timeout_at(end, self.rx.recv()).await {
                Ok(Some(event)) if size + event.len() > self.options.batch_bytes => {
                    self.held = Some(event);
                    break;
                }
                Ok(Some(event)) => {
                    size += event.len();
                    batch.push(event);
                }
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    async fn throttle(&mut self) {
        let Some((rate, burst)) = self.options.batching.throttle else { return };
        let now = Instant::now();
        self.tokens = (self.tokens + (now - self.filled).as_secs_f32() * rate).min(burst as f32);
        self.filled = now;
        if self.tokens < 1.0 && rate > 0.0 {
            tokio::time::sleep(Duration::from_secs_f32((1.0 - self.tokens) / rate)).await;
            self.tokens = 1.0;
            self.filled = Instant::now();
        }
        self.tokens -= 1.0;
    }

}

impl Post {
    /// Posts events, several times if need be; `false` when all was in vain.
    async fn deliver(&self, batch: &[Bytes]) -> bool {
        let body = list(batch);
        let mut pause = self.initial_backoff;
        for attempt in 1..=TRIES {
            let post = self.client.bytes(Method::POST, "", "application/json", RequestBody::Bytes("application/json", body.clone()));
            let why = match tokio::time::timeout(POST_TIMEOUT, post).await {
                Ok(Ok(_)) => return true,
                Ok(Err(e)) => e.to_string(),
                Err(_) => "context deadline exceeded".to_owned(),
            };
            if attempt == TRIES {
                self.errors.add(batch.len() as u64);
                tracing::error!(err = %why, events = batch.len(), "Audit events could not be delivered");
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(PAUSE_FACTOR);
        }
        false
    }
}

fn list(batch: &[Bytes]) -> Bytes {
    let mut out = b"{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":[".to_vec();
    for (i, event) in batch.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event);
    }
    out.extend_from_slice(b"]}");
    out.into()
}
