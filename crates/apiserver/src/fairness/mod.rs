//! Priority and fairness at the door: every request takes seats of its priority level, or waits in a queue, or is sent
//! away with 429. Docs: "API Priority and Fairness". The decisions are `rules::fairness`; here are the locks, the wakers,
//! the clock and the metrics.
//!
//! A request that finds room costs a walk over the flow schemas, one uncontended lock and some atomics; nothing is
//! allocated. Streams (watch, exec, logs, ...) take no seats while they run; a watch takes them until it has begun.

mod dump;
mod inflight;
mod keeper;
mod meters;
mod plan;
mod seats;

#[cfg(test)]
mod tests;

use crate::request::RequestInfo;
use crate::respond::{self, Body, Reply};
use arc_swap::ArcSwap;
use http::{HeaderValue, header};
use parking_lot::Mutex;
use registry::Registry;
use rules::User;
use rules::fairness::{Asked, Begun, Refusal, flow_hash};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use dump::answer as debug;
pub use keeper::keep;
use meters::Meters;
use plan::{Flow, Plan};
pub use seats::Permit;
use seats::{Asker, Waiter, Waits};

/// The header with the flow schema's uid.
const SCHEMA_HEADER: &str = "x-kubernetes-pf-flowschema-uid";
/// The header with the priority level's uid.
const LEVEL_HEADER: &str = "x-kubernetes-pf-prioritylevel-uid";
/// Answers larger than this keep their seats until the client has them.
const HELD_BODY_BYTES: u64 = 64 * 1024;
/// A request waits at most this part of its timeout.
const WAIT_PART: u32 = 4;

/// Limits at the door; the flags of kube-apiserver.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--enable-priority-and-fairness`.
    pub fair: bool,
    /// `--max-requests-inflight`.
    pub reads: u32,
    /// `--max-mutating-requests-inflight`.
    pub writes: u32,
    /// `--request-timeout`.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fair: true, reads: 400, writes: 200, timeout: Duration::from_secs(60) }
    }
}

/// The door.
pub struct Fairness {
    limits: Limits,
    began: Instant,
    plan: ArcSwap<Plan>,
    meters: Meters,
    inflight: inflight::Inflight,
    watches: Mutex<std::collections::HashMap<(String, String), usize>>,
}

/// Whom the door let in, and what it answers if it did not.
pub(crate) enum Entry {
    In(Option<Permit>),
    Refused(Reply),
}

impl Fairness {
    /// A door that knows the mandatory objects only; [`keep`] makes it follow the cluster's.
    #[must_use]
    pub fn new(limits: Limits, metrics: &base::metrics::Registry) -> Arc<Self> {
        let meters = Meters::new(metrics);
        let began = Instant::now();
        let plan = plan::build(&[], &[], None, limits.reads + limits.writes, &meters, 0);
        let inflight = inflight::Inflight::new(limits.reads, limits.writes);
        Arc::new(Self { limits, began, plan: ArcSwap::from_pointee(plan), meters, inflight, watches: Mutex::default() })
    }

    /// How long a request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Lets a request in, now or when it is its turn.
    pub(crate) async fn enter(self: &Arc<Self>, registry: &Registry, user: &Arc<User>, info: &Arc<RequestInfo>) -> Entry {
        if info.is_long_running() && info.verb != "watch" {
            return Entry::In(None);
        }
        if !self.limits.fair {
            return self.inflight.enter(user, info);
        }
        let asked = asked(user, info);
        let plan = self.plan.load();
        let flow = plan.classify(&asked);
        let work = if flow.level.exempt { rules::fairness::Work::ONE } else { seats::estimate(self, registry, info, flow) };
        let hash = flow_hash(&flow.schema, flow.schema.distinguish(&asked));
        let now = self.now_ns();
        let mut receiver = None;
        let begun = flow.level.core.lock().begin(now, hash, work, |_| {
            let (waiter, rx) = Waiter::new(flow, &asked, info);
            receiver = Some(rx);
            waiter
        });
        flow.meters.arrived(work);
        let flow = Arc::clone(flow);
        drop(plan);
        let asker = Asker { user: Arc::clone(user), info: Arc::clone(info) };
        match (begun, receiver) {
            (Begun::Runs(ticket), _) => Entry::In(Some(Permit::new(self, flow, ticket, (&asker, Duration::ZERO)))),
            (Begun::Waits(id), Some(rx)) => {
                // Nobody may be left to give seats back: those that consequences hold come free by time alone.
                seats::wake(self, &flow.level, Vec::new());
                self.wait(flow, id, rx, &asker).await
            }
            (Begun::Refused(Refusal::QueueFull), _) => Entry::Refused(refuse(&flow, "queue-full")),
            _ => Entry::Refused(refuse(&flow, "concurrency-limit")),
        }
    }

    async fn wait(self: &Arc<Self>, flow: Arc<Flow>, id: u64, rx: seats::Turn, asker: &Asker) -> Entry {
        let from = Instant::now();
        flow.meters.queued(1.0);
        let mut waits = Waits::new(self, &flow, id, rx);
        let turn = tokio::time::timeout(self.limits.timeout / WAIT_PART, waits.turn()).await;
        flow.meters.queued(-1.0);
        let waited = from.elapsed();
        match turn {
            Ok(Some(ticket)) => Entry::In(Some(Permit::new(self, Arc::clone(&flow), ticket, (asker, waited)))),
            Ok(None) => Entry::Refused(refuse(&flow, "cancelled")),
            Err(_) => {
                drop(waits);
                flow.level.timed_out.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                flow.meters.waited(false, waited.as_secs_f64());
                Entry::Refused(refuse(&flow, "time-out"))
            }
        }
    }

    /// Counts a watch from now until the guard is dropped.
    pub(crate) fn watching(self: &Arc<Self>, info: &RequestInfo) -> Watching {
        let key = (info.group.clone(), info.resource.clone());
        *self.watches.lock().entry(key.clone()).or_default() += 1;
        Watching { fairness: Arc::clone(self), key }
    }

    fn watchers(&self, info: &RequestInfo) -> usize {
        let watches = self.watches.lock();
        watches.iter().find(|(k, _)| k.1 == info.resource && k.0 == info.group).map_or(0, |(_, n)| *n)
    }
}

/// A running watch, counted for the width of writes.
pub(crate) struct Watching {
    fairness: Arc<Fairness>,
    key: (String, String),
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watches = self.fairness.watches.lock();
        if let Some(n) = watches.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                watches.remove(&self.key);
            }
        }
    }
}

fn asked<'a>(user: &'a User, info: &'a RequestInfo) -> Asked<'a> {
    Asked {
        user,
        verb: info.verb,
        is_resource: info.is_resource,
        group: &info.group,
        resource: &info.resource,
        subresource: &info.subresource,
        namespace: &info.namespace,
        path: &info.path,
    }
}

fn refuse(flow: &Flow, reason: &'static str) -> Reply {
    flow.level.rejected.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    flow.meters.rejected(reason);
    let mut reply = too_many();
    Marks::of(flow).put(&mut reply);
    reply
}

/// The answer of a full house.
fn too_many() -> Reply {
    let mut reply = respond::text(429, "Too many requests, please try again later.\n");
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Marks an answer with its flow, and lets a large one keep its seats until the client has taken it.
pub(crate) fn hold(mut reply: Reply, marks: Option<Marks>, permit: Option<Permit>) -> Reply {
    if let Some(marks) = marks {
        marks.put(&mut reply);
    }
    let Some(permit) = permit else { return reply };
    let size = match reply.body() {
        Body::Pieces(pieces) => pieces.iter().map(|p| p.len() as u64).sum(),
        _ => 0,
    };
    if size > HELD_BODY_BYTES {
        let body = std::mem::replace(reply.body_mut(), Vec::new().into());
        if let Body::Pieces(pieces) = body {
            *reply.body_mut() = Body::Held(pieces, permit);
        }
    }
    reply
}

/// The headers that name a request's flow.
pub(crate) struct Marks {
    schema: HeaderValue,
    level: HeaderValue,
}

impl Marks {
    fn of(flow: &Flow) -> Self {
        Self { schema: flow.schema_uid.clone(), level: flow.level_uid.clone() }
    }

    fn put(self, reply: &mut Reply) {
        reply.headers_mut().insert(SCHEMA_HEADER, self.schema);
        reply.headers_mut().insert(LEVEL_HEADER, self.level);
    }
}
