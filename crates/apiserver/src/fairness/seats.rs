//! Seats taken and given back: permits, waiters, and the estimate of what a request takes.

use super::Fairness;
use super::plan::{Flow, Level};
use crate::request::RequestInfo;
use kinds::Kind;
use registry::Registry;
use rules::User;
use rules::fairness::{self, Asked, Listing, Ticket, Work};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// So many objects tell how large those of a kind are.
const SAMPLE: usize = 16;

/// Where a waiting request's turn arrives.
pub(super) type Turn = oneshot::Receiver<Ticket>;

/// A request that waits, as its level keeps it.
pub(super) struct Waiter {
    turn: oneshot::Sender<Ticket>,
    pub(super) schema: String,
    pub(super) distinguisher: String,
    pub(super) user: String,
    pub(super) info: RequestInfo,
}

impl Waiter {
    pub(super) fn new(flow: &Flow, asked: &Asked<'_>, info: &RequestInfo) -> (Self, Turn) {
        let (turn, rx) = oneshot::channel();
        let waiter = Self {
            turn,
            schema: flow.schema.name.clone(),
            distinguisher: flow.schema.distinguish(asked).to_owned(),
            user: asked.user.name.clone(),
            info: info.clone(),
        };
        (waiter, rx)
    }
}

/// Who asks for what.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) user: Arc<User>,
    pub(super) info: Arc<RequestInfo>,
}

/// A request that has its seats.
pub(super) struct Runner {
    pub(super) flow: Arc<Flow>,
    pub(super) asker: Asker,
    pub(super) ticket: Ticket,
    pub(super) arrived_ns: u64,
}

/// What runs in a level: places that are used again, so that a request allocates nothing.
#[derive(Default)]
pub(super) struct Running {
    places: Vec<Option<Runner>>,
    free: Vec<usize>,
}

impl Running {
    fn put(&mut self, runner: Runner) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.places[place] = Some(runner);
                place
            }
            None => {
                self.places.push(Some(runner));
                self.places.len() - 1
            }
        }
    }

    fn take(&mut self, place: usize) -> Option<Runner> {
        self.free.push(place);
        self.places[place].take()
    }

    /// Everything that runs.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Runner> {
        self.places.iter().flatten()
    }
}

/// Seats in use; they are given back when it is dropped.
pub struct Permit {
    held: Held,
}

enum Held {
    Fair { door: Arc<Fairness>, flow: Arc<Flow>, ticket: Ticket, watch: bool, place: usize },
    Inflight { _place: super::inflight::Place },
}

impl Permit {
    pub(super) fn new(door: &Arc<Fairness>, flow: Arc<Flow>, ticket: Ticket, (asker, waited): (&Asker, Duration)) -> Self {
        flow.level.dispatched.fetch_add(1, Ordering::Relaxed);
        flow.meters.began(ticket.work(), waited.as_secs_f64());
        let watch = asker.info.verb == "watch";
        let waited_ns = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        let runner = Runner { flow: Arc::clone(&flow), asker: asker.clone(), ticket, arrived_ns: ticket.started_ns().saturating_sub(waited_ns) };
        let place = flow.level.running.lock().put(runner);
        Self { held: Held::Fair { door: Arc::clone(door), flow, ticket, watch, place } }
    }

    pub(super) fn inflight(place: super::inflight::Place) -> Self {
        Self { held: Held::Inflight { _place: place } }
    }

    /// The headers that name the flow.
    pub(crate) fn marks(&self) -> Option<super::Marks> {
        match &self.held {
            Held::Fair { flow, .. } => Some(super::Marks::of(flow)),
            Held::Inflight { .. } => None,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Held::Fair { door, flow, ticket, watch, place } = &self.held else { return };
        flow.level.running.lock().take(*place);
        let now = door.now_ns();
        flow.meters.ended(ticket.work(), now.saturating_sub(ticket.started_ns()), *watch);
        give_back(door, &flow.level, ticket);
    }
}

/// Ends one request and wakes whoever may run instead.
fn give_back(door: &Arc<Fairness>, level: &Arc<Level>, ticket: &Ticket) {
    let mut next = Vec::new();
    level.core.lock().finish(ticket, door.now_ns(), &mut next);
    wake(door, level, next);
}

/// Hands turns to waiters. One that has gone gives its turn back, which may wake others.
pub(super) fn wake(door: &Arc<Fairness>, level: &Arc<Level>, mut next: Vec<(Waiter, Ticket)>) {
    while let Some((waiter, ticket)) = next.pop() {
        if let Err(ticket) = waiter.turn.send(ticket) {
            level.core.lock().finish(&ticket, door.now_ns(), &mut next);
        }
    }
    let due = level.core.lock().dispatch(door.now_ns(), &mut next);
    if !next.is_empty() {
        wake(door, level, next);
    } else if let Some(due) = due {
        wake_later(door, level, due);
    }
}

/// Seats that a write's consequences hold come free by time alone: someone must look then.
fn wake_later(door: &Arc<Fairness>, level: &Arc<Level>, due_ns: u64) {
    if level.alarmed.swap(true, Ordering::AcqRel) {
        return;
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (door, level) = (Arc::clone(door), Arc::clone(level));
    runtime.spawn(async move {
        tokio::time::sleep(Duration::from_nanos(due_ns.saturating_sub(door.now_ns()))).await;
        level.alarmed.store(false, Ordering::Release);
        wake(&door, &level, Vec::new());
    });
}

/// A place in a queue; leaving it (time-out, a client that went away) frees it.
pub(super) struct Waits<'a> {
    door: &'a Arc<Fairness>,
    flow: &'a Arc<Flow>,
    id: u64,
    rx: Turn,
    done: bool,
}

impl<'a> Waits<'a> {
    pub(super) fn new(door: &'a Arc<Fairness>, flow: &'a Arc<Flow>, id: u64, rx: Turn) -> Self {
        Self { door, flow, id, rx, done: false }
    }

    /// Waits for the turn.
    pub(super) async fn turn(&mut self) -> Option<Ticket> {
        let ticket = (&mut self.rx).await.ok();
        self.done = true;
        ticket
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.done || self.flow.level.core.lock().leave(self.id, self.door.now_ns()) {
            return;
        }
        // The turn is on its way: either it is here already, or the sender learns that nobody takes it.
        self.rx.close();
        if let Ok(ticket) = self.rx.try_recv() {
            give_back(self.door, &self.flow.level, &ticket);
        }
    }
}

/// What a request is expected to take.
pub(super) fn estimate(door: &Fairness, registry: &Registry, info: &RequestInfo, flow: &Flow) -> Work {
    if !info.is_resource {
        return Work::ONE;
    }
    let widest = flow.level.widest.load(Ordering::Relaxed);
    match info.verb {
        "list" | "watch" => {
            let gates = &registry.settings().gates;
            let lists = info.verb == "list" || gates.on("WatchList") && (info.flag("sendInitialEvents") || from_start(info));
            if !lists {
                return Work::ONE;
            }
            let snapshot = registry.snapshot();
            let table = table(&snapshot, info);
            let by_size = gates.on("SizeBasedListCostEstimate");
            let listing = Listing {
                stored: table.map_or(0, cache::Table::len),
                limit: info.param("limit").and_then(|l| l.parse().ok()).unwrap_or(0),
                object_bytes: by_size.then(|| table.map_or(0, object_bytes)),
                single: !info.name.is_empty(),
            };
            Work { seats: fairness::list_seats(&listing, widest), ..Work::ONE }
        }
        "create" | "update" | "patch" | "delete" if info.subresource != "token" => fairness::write_work(door.watchers(info), widest),
        _ => Work::ONE,
    }
}

fn from_start(info: &RequestInfo) -> bool {
    info.param("resourceVersion").is_none_or(|v| v.is_empty() || v == "0")
}

/// How large an object of a table is, going by a few of them.
fn object_bytes(table: &cache::Table) -> usize {
    let (count, bytes) = table.iter().take(SAMPLE).fold((0, 0), |(n, sum), e| (n + 1, sum + e.json.len()));
    bytes / count.max(1)
}

fn table<'s>(snapshot: &'s cache::Snapshot, info: &RequestInfo) -> Option<&'s cache::Table> {
    match Kind::from_gvr(&info.group, &info.version, &info.resource) {
        Some(kind) => snapshot.table(&kind.stored_as().into()),
        None => snapshot.tables().find(|(r, _)| r.plural() == info.resource && r.group() == info.group).map(|(_, t)| t),
    }
}
