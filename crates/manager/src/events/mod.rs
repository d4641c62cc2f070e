//! Events: what controllers tell is correlated as client-go does it and written by a task of its own.
//!
//! Docs: "Event v1"; client-go's event broadcaster.

mod correlate;
#[cfg(test)]
mod tests;

pub use correlate::{Correlator, Told};

use crate::{ApiFactory, user_of};
use base::Clock;
use controllers::Event;
use futures_util::future::join_all;
use kinds::api::core::v1::Event as EventObject;
use kinds::{Api, ApiError, Kind, Object, ObjectKey, Patch, PatchKind, Target, WriteOptions};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Events that wait to be written; more are dropped, as events are told at best effort.
const QUEUE_MAX: usize = 1000;
/// Written at once.
const BATCH_MAX: usize = 32;
const SCHEDULER_USER: &str = "system:kube-scheduler";
const FIELD_MANAGER: &str = "kube-controller-manager";

/// Where events are handed in.
#[derive(Clone, Debug)]
pub struct Recorder {
    tx: mpsc::Sender<(&'static str, Event)>,
}

impl Recorder {
    /// Starts the task that writes. Events of a component are written as its service account `<component>`'s user.
    #[must_use]
    pub fn start(api: ApiFactory, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        let (tx, rx) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write_all(rx, api, clock, shutdown));
        Self { tx }
    }

    /// Hands an event in; it is dropped when too many wait.
    pub fn record(&self, component: &'static str, event: Event) {
        if self.tx.try_send((component, event)).is_err() {
            debug!(component, "an event was dropped");
        }
    }
}

/// The user that a component's events are written as. Who is no controller is a profile of the scheduler.
fn account_of(component: &str) -> String {
    let lane = controllers::ALL.iter().find(|c| c.component == component);
    lane.map_or_else(|| SCHEDULER_USER.to_owned(), |c| user_of(c.account))
}

async fn write_all(
    mut rx: mpsc::Receiver<(&'static str, Event)>,
    api: ApiFactory,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut correlator = Correlator::default();
    let mut apis: HashMap<&'static str, Arc<dyn Api>> = HashMap::new();
    let mut buffer = Vec::with_capacity(BATCH_MAX);
    loop {
        let n = tokio::select! {
            () = shutdown.cancelled() => return,
            n = rx.recv_many(&mut buffer, BATCH_MAX) => n,
        };
        if n == 0 {
            return;
        }
        // Of several tellings of one event in a batch only the last is written: it counts the others.
        let mut writes: Vec<(Told, Arc<dyn Api>)> = Vec::new();
        for (component, event) in buffer.drain(..) {
            let Some(told) = correlator.correlate(component, &event, clock.now()) else { continue };
            let api = apis.entry(component).or_insert_with(|| api(&account_of(component)));
            match writes.iter_mut().find(|(w, _)| w.event.metadata.name == told.event.metadata.name) {
                Some((w, _)) => *w = Told { first: w.first, ..told },
                None => writes.push((told, Arc::clone(api))),
            }
        }
        join_all(writes.iter().map(|(told, api)| write(told, &**api))).await;
    }
}

async fn write(told: &Told, api: &dyn Api) {
    let result = if told.first { create(told, api).await } else { count(told, api).await };
    if let Err(e) = result {
        debug!(reason = told.event.reason, error = %e, "an event could not be written");
    }
}

fn options() -> WriteOptions {
    WriteOptions { field_manager: FIELD_MANAGER.to_owned(), ..WriteOptions::default() }
}

async fn create(told: &Told, api: &dyn Api) -> Result<(), ApiError> {
    let target = Target::new(Kind::Event, ObjectKey::of(&told.event.metadata));
    api.create(target, Object::from(EventObject::clone(&told.event)), options()).await.map(drop)
}

async fn count(told: &Told, api: &dyn Api) -> Result<(), ApiError> {
    let target = Target::new(Kind::Event, ObjectKey::of(&told.event.metadata));
    let last = told.event.last_timestamp.as_ref().map(|t| t.0.to_string());
    let body = serde_json::json!({
        "count": told.event.count,
        "lastTimestamp": last,
        "message": told.event.message,
    });
    let patch = Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() };
    match api.patch(target, patch, options()).await {
        Err(e) if e.is_not_found() => create(told, api).await,
        other => other.map(drop),
    }
}
