//! One priority level: seats, queues, and which waiting request runs next.
//!
//! Fair queuing imagines a server that gives every active queue the same share of the seats, byte by byte. Its progress is
//! the virtual time; a queue's next request finishes there at `next_start + seats x time`. The real server runs the
//! request that would finish first. A running request is charged an estimate, corrected when it ends.
//!
//! Laws: 1. seats in use exceed the limit only by a single request wider than it, or after the limit fell. 2. what waits
//! is dispatched as soon as it fits and is first by virtual finish. 3. a queue never holds more than its length limit.

use super::Work;
use super::queue::{Queue, QueueView, Waiting, WaitingView};
use super::shard::Dealer;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a request is assumed to take before it is known.
const ESTIMATED_S: f64 = 0.003;
const NS: f64 = 1e9;

/// The queues of a level that queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queuing {
    pub queues: u32,
    pub hand: u32,
    pub length_max: u32,
}

/// How a level behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Never refuses, never waits.
    pub exempt: bool,
    /// `None`: what does not fit is refused at once.
    pub queuing: Option<Queuing>,
}

/// Why a request does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    QueueFull,
    ConcurrencyLimit,
}

/// A running request's receipt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticket {
    queue: u32,
    work: Work,
    started_ns: u64,
}

impl Ticket {
    /// What the request takes.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }
    /// The queue that it came by; of a level without queues there is one that nobody sees.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.queue
    }
    /// When it began to run.
    #[must_use]
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }
}

/// What became of a newcomer.
#[derive(Debug, PartialEq)]
pub enum Begun {
    Runs(Ticket),
    /// It waits under this number.
    Waits(u64),
    Refused(Refusal),
}

/// Counts for metrics, dumps and borrowing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    pub limit: u32,
    pub seats: u64,
    pub executing: u64,
    pub waiting: u64,
    pub waiting_seats: u64,
    pub virtual_now: f64,
    pub active_queues: u32,
}

/// A priority level. `W` is whatever wakes a waiting request.
#[derive(Debug)]
pub struct Level<W> {
    config: Config,
    limit: u32,
    dealer: Dealer,
    queues: Vec<Queue<W>>,
    seats: u64,
    executing: u64,
    waiting: u64,
    waiting_seats: u64,
    active: u32,
    virtual_now: f64,
    moved_ns: u64,
    robin: usize,
    last_id: u64,
    /// Seats still taken by consequences of finished writes: (until, queue, seats).
    holds: BinaryHeap<Reverse<(u64, u32, u32)>>,
    demand: Meter,
}

/// Integrates the demand for seats over time.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    since_ns: u64,
    sum: f64,
    squares: f64,
    high: f64,
}

impl<W> Level<W> {
    /// A level with `limit` seats.
    #[must_use]
    pub fn new(config: Config, limit: u32, now_ns: u64) -> Self {
        let mut level = Self {
            config,
            limit,
            dealer: Dealer::new(1, 1),
            queues: Vec::new(),
            seats: 0,
            executing: 0,
            waiting: 0,
            waiting_seats: 0,
            active: 0,
            virtual_now: 0.0,
            moved_ns: now_ns,
            robin: 0,
            last_id: 0,
            holds: BinaryHeap::new(),
            demand: Meter { since_ns: now_ns, ..Meter::default() },
        };
        level.configure(config);
        level
    }

    /// Takes a changed configuration. Queues that are no longer dealt to run empty.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
        let (count, hand) = config.queuing.map_or((1, 1), |q| (q.queues.max(1), q.hand.max(1)));
        self.dealer = Dealer::new(count, hand);
        while self.queues.len() < count as usize {
            self.queues.push(Queue::default());
        }
        while self.queues.len() > count as usize && self.queues.last().is_some_and(|q| !q.is_active()) {
            self.queues.pop();
        }
        self.robin = 0;
    }

    /// Changes the number of seats; returns what may run now.
    pub fn set_limit(&mut self, limit: u32, now_ns: u64, out: &mut Vec<(W, Ticket)>) {
        self.advance(now_ns);
        self.limit = limit;
        self.dispatch(now_ns, out);
    }

    /// A newcomer of a flow. `payload` is only asked for when it must wait.
    pub fn begin(&mut self, now_ns: u64, flow: u64, work: Work, payload: impl FnOnce(u64) -> W) -> Begun {
        self.advance(now_ns);
        let index = if self.config.exempt { 0 } else { self.shortest(flow) };
        if self.config.exempt || (self.waiting == 0 && self.fits(work)) {
            let ticket = self.start(index, work, now_ns);
            self.note_demand();
            return Begun::Runs(ticket);
        }
        let Some(queuing) = self.config.queuing else { return Begun::Refused(Refusal::ConcurrencyLimit) };
        if self.queues[index].waiting.len() >= queuing.length_max as usize {
            return Begun::Refused(Refusal::QueueFull);
        }
        self.last_id += 1;
        let id = self.last_id;
        self.wake_queue(index);
        let queue = &mut self.queues[index];
        queue.waiting_seats += u64::from(work.widest());
        queue.waiting.push_back(Waiting { id, work, arrived_ns: now_ns, payload: payload(id) });
        self.waiting += 1;
        self.waiting_seats += u64::from(work.widest());
        self.note_demand();
        Begun::Waits(id)
    }

    /// A request ended; returns what may run now.
    pub fn finish(&mut self, ticket: &Ticket, now_ns: u64, out: &mut Vec<(W, Ticket)>) {
        self.advance(now_ns);
        let took_s = now_ns.saturating_sub(ticket.started_ns) as f64 / NS;
        let index = ticket.queue as usize;
        let work = ticket.work;
        let queue = &mut self.queues[index];
        queue.next_start -= (ESTIMATED_S - took_s) * f64::from(work.seats);
        queue.executing_seats -= u64::from(work.widest());
        self.seats -= u64::from(work.widest());
        self.executing -= 1;
        if work.final_seats > 0 && work.extra_ns > 0 && !self.config.exempt {
            queue.executing_seats += u64::from(work.final_seats);
            self.seats += u64::from(work.final_seats);
            self.holds.push(Reverse((now_ns + work.extra_ns, ticket.queue, work.final_seats)));
        } else {
            queue.executing -= 1;
            self.rest(index);
        }
        if self.waiting > 0 {
            self.dispatch(now_ns, out);
        }
    }

    /// A waiting request gives up; `false` when it runs already (its ticket is on the way).
    pub fn leave(&mut self, id: u64, now_ns: u64) -> bool {
        self.advance(now_ns);
        for index in 0..self.queues.len() {
            let queue = &mut self.queues[index];
            let Some(at) = queue.waiting.iter().position(|w| w.id == id) else { continue };
            if let Some(gone) = queue.waiting.remove(at) {
                let seats = u64::from(gone.work.widest());
                queue.waiting_seats -= seats;
                self.waiting -= 1;
                self.waiting_seats -= seats;
                self.rest(index);
            }
            return true;
        }
        false
    }

    /// Runs what fits; also returns when held seats will next come free while something waits.
    pub fn dispatch(&mut self, now_ns: u64, out: &mut Vec<(W, Ticket)>) -> Option<u64> {
        self.advance(now_ns);
        while self.waiting > 0 {
            let Some(index) = self.next_queue() else { break };
            let Some(first) = self.queues[index].waiting.front().map(|w| w.work) else { break };
            if !self.fits(first) {
                break;
            }
            // Started while it still waits: the queue stays active, and keeps its place in virtual time.
            let ticket = self.start(index, first, now_ns);
            let Some(next) = self.queues[index].waiting.pop_front() else { break };
            let seats = u64::from(first.widest());
            self.queues[index].waiting_seats -= seats;
            self.waiting -= 1;
            self.waiting_seats -= seats;
            self.robin = index;
            out.push((next.payload, ticket));
        }
        if self.waiting > 0 { self.holds.peek().map(|h| h.0.0) } else { None }
    }

    fn start(&mut self, index: usize, work: Work, now_ns: u64) -> Ticket {
        self.wake_queue(index);
        let queue = &mut self.queues[index];
        queue.next_start += Self::cost(work);
        queue.executing += 1;
        queue.executing_seats += u64::from(work.widest());
        self.seats += u64::from(work.widest());
        self.executing += 1;
        Ticket { queue: index as u32, work, started_ns: now_ns }
    }

    /// A queue that becomes active begins at the present virtual time: idling earns nothing.
    fn wake_queue(&mut self, index: usize) {
        let queue = &mut self.queues[index];
        if !queue.is_active() {
            queue.next_start = self.virtual_now;
            self.active += 1;
        }
    }

    fn rest(&mut self, index: usize) {
        if !self.queues[index].is_active() {
            self.active -= 1;
        }
    }

    fn cost(work: Work) -> f64 {
        f64::from(work.seats) * ESTIMATED_S + f64::from(work.final_seats) * (work.extra_ns as f64 / NS)
    }

    fn fits(&self, work: Work) -> bool {
        let want = u64::from(work.widest());
        if want > u64::from(self.limit) {
            return self.executing == 0 && self.limit > 0;
        }
        self.seats + want <= u64::from(self.limit)
    }

    fn shortest(&self, flow: u64) -> usize {
        let mut best = (u64::MAX, 0);
        self.dealer.deal(flow, |card| {
            let load = self.queues[card as usize].load();
            if load < best.0 {
                best = (load, card as usize);
            }
        });
        best.1
    }

    fn next_queue(&self) -> Option<usize> {
        let count = self.queues.len();
        let mut best: Option<(f64, usize)> = None;
        for step in 1..=count {
            let index = (self.robin + step) % count;
            let queue = &self.queues[index];
            let Some(first) = queue.waiting.front() else { continue };
            let finish = queue.next_start + Self::cost(first.work);
            if best.is_none_or(|(least, _)| finish < least) {
                best = Some((finish, index));
            }
        }
        best.map(|(_, i)| i)
    }

    /// Moves virtual time and the demand's integral up to now, and frees held seats that are due.
    fn advance(&mut self, now_ns: u64) {
        while let Some(Reverse((until, queue, seats))) = self.holds.peek().copied() {
            if until > now_ns {
                break;
            }
            self.holds.pop();
            self.pass(until);
            let index = queue as usize;
            self.queues[index].executing_seats -= u64::from(seats);
            self.queues[index].executing -= 1;
            self.seats -= u64::from(seats);
            self.rest(index);
        }
        self.pass(now_ns);
    }

    fn pass(&mut self, now_ns: u64) {
        if now_ns <= self.moved_ns {
            return;
        }
        let dt = (now_ns - self.moved_ns) as f64 / NS;
        self.moved_ns = now_ns;
        let wanted = self.wanted();
        self.demand.sum += wanted * dt;
        self.demand.squares += wanted * wanted * dt;
        if self.active > 0 {
            self.virtual_now += dt * wanted.min(f64::from(self.limit)) / f64::from(self.active);
        }
    }

    fn wanted(&self) -> f64 {
        (self.seats + self.waiting_seats) as f64
    }

    fn note_demand(&mut self) {
        self.demand.high = self.demand.high.max(self.wanted());
    }

    /// The demand since the last call: average, deviation and highest.
    pub fn take_demand(&mut self, now_ns: u64) -> super::Demand {
        self.advance(now_ns);
        let seconds = now_ns.saturating_sub(self.demand.since_ns) as f64 / NS;
        let (mut average, mut deviation) = (self.wanted(), 0.0);
        if seconds > 0.0 {
            average = self.demand.sum / seconds;
            deviation = (self.demand.squares / seconds - average * average).max(0.0).sqrt();
        }
        let high = self.demand.high.max(self.wanted());
        self.demand = Meter { since_ns: now_ns, high: self.wanted(), ..Meter::default() };
        super::Demand { average, deviation, high }
    }

    /// Counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            limit: self.limit,
            seats: self.seats,
            executing: self.executing,
            waiting: self.waiting,
            waiting_seats: self.waiting_seats,
            virtual_now: self.virtual_now,
            active_queues: self.active,
        }
    }

    /// Every queue.
    pub fn queues(&self) -> impl Iterator<Item = QueueView> {
        let shown = if self.config.queuing.is_some() { self.queues.len() } else { 0 };
        self.queues.iter().take(shown).enumerate().map(|(index, q)| QueueView {
            index,
            waiting: q.waiting.len(),
            executing: q.executing,
            executing_seats: q.executing_seats,
            next_start: q.next_start,
            waiting_seats: q.waiting.iter().map(|w| u64::from(w.work.seats)).sum(),
            waiting_seats_max: q.waiting_seats,
            work_sum: q.waiting.iter().map(|w| Self::cost(w.work)).sum(),
        })
    }

    /// Everything that waits.
    pub fn waiting(&self) -> impl Iterator<Item = WaitingView<'_, W>> {
        self.queues.iter().enumerate().flat_map(|(queue, q)| {
            q.waiting.iter().enumerate().map(move |(position, w)| WaitingView {
                queue,
                position,
                arrived_ns: w.arrived_ns,
                work: w.work,
                payload: &w.payload,
            })
        })
    }

    /// Recomputes every count from the queues; tests compare.
    ///
    /// # Errors
    /// The count that is wrong.
    pub fn audit(&self) -> Result<(), &'static str> {
        let sum = |f: fn(&Queue<W>) -> u64| self.queues.iter().map(f).sum::<u64>();
        let same = |a: u64, b: u64, what| if a == b { Ok(()) } else { Err(what) };
        same(sum(|q| q.waiting.len() as u64), self.waiting, "waiting")?;
        same(sum(|q| q.waiting_seats), self.waiting_seats, "waiting seats")?;
        same(sum(|q| q.executing_seats), self.seats, "seats")?;
        same(sum(|q| u64::from(q.executing)), self.executing + self.holds.len() as u64, "executing")?;
        same(sum(|q| u64::from(q.is_active())), u64::from(self.active), "active queues")
    }
}
