//! The webhook backend: events gathered into batches and posted as an `EventList`. Docs: "Auditing: Webhook backend",
//! "Event batching". What does not fit the buffer is counted and lost: requests never wait for the webhook.

use super::{AuditError, Record};
use base::metrics::Counter;
use bytes::Bytes;
use client::{Client, RequestBody};
use http::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A batch is tried this often, with pauses that grow by half.
const TRIES: u32 = 5;
const PAUSE_FACTOR: f64 = 1.5;
/// One post may take this long.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// How events are gathered.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    pub buffer: usize,
    pub most: usize,
    pub wait: Duration,
    /// Batches a second, and in a burst; `None`: no throttle.
    pub throttle: Option<(f32, u32)>,
}

impl Default for Batching {
    fn default() -> Self {
        Self { buffer: 10_000, most: 400, wait: Duration::from_secs(30), throttle: Some((10.0, 15)) }
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
    pub batching: Batching,
    pub initial_backoff: Duration,
}

/// The way to the webhook's task.
pub(super) struct Sender {
    tx: mpsc::Sender<Bytes>,
    truncate: Option<usize>,
    lost: Arc<Counter>,
}

impl Sender {
    pub(super) fn send(&self, record: &Record) {
        let event = record.fitting(self.truncate).cloned();
        if event.is_none_or(|e| self.tx.try_send(e).is_err()) {
            self.lost.inc();
        }
    }
}

pub(super) fn start(options: WebhookOptions, lost: Arc<Counter>) -> Result<Sender, AuditError> {
    let client = Client::new(options.config.clone()).map_err(|e| AuditError::Webhook(e.to_string()))?;
    let (tx, rx) = mpsc::channel(options.batching.buffer.max(1));
    let (errors, truncate) = (Arc::clone(&lost), options.truncate);
    tokio::spawn(async move { Courier { client, options, rx, held: None, errors, tokens: 0.0, filled: Instant::now() }.run().await });
    Ok(Sender { tx, truncate, lost })
}

struct Courier {
    client: Client,
    options: WebhookOptions,
    rx: mpsc::Receiver<Bytes>,
    /// An event that did not fit into the last batch.
    held: Option<Bytes>,
    errors: Arc<Counter>,
    tokens: f32,
    filled: Instant,
}

impl Courier {
    async fn run(mut self) {
        self.tokens = self.options.batching.throttle.map_or(0.0, |t| t.1 as f32);
        while let Some(batch) = self.gather().await {
            self.throttle().await;
            self.deliver(&batch).await;
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

    async fn deliver(&self, batch: &[Bytes]) {
        let body = list(batch);
        let mut pause = self.options.initial_backoff;
        for attempt in 1..=TRIES {
            let post = self.client.bytes(Method::POST, "", "application/json", RequestBody::Bytes("application/json", body.clone()));
            let why = match tokio::time::timeout(POST_TIMEOUT, post).await {
                Ok(Ok(_)) => return,
                Ok(Err(e)) => e.to_string(),
                Err(_) => "context deadline exceeded".to_owned(),
            };
            if attempt == TRIES {
                self.errors.add(batch.len() as u64);
                tracing::error!(err = %why, events = batch.len(), "Audit events could not be delivered");
                return;
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(PAUSE_FACTOR);
        }
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
