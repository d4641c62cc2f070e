//! One queue of a level: requests of the flows that were dealt to it, first in first out.

use super::Work;
use std::collections::VecDeque;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting<W> {
    pub(super) id: u64,
    pub(super) work: Work,
    pub(super) arrived_ns: u64,
    pub(super) payload: W,
}

/// A queue. It is active while anything of it waits or runs.
#[derive(Debug)]
pub(super) struct Queue<W> {
    pub(super) waiting: VecDeque<Waiting<W>>,
    pub(super) waiting_seats: u64,
    pub(super) executing: u32,
    pub(super) executing_seats: u64,
    /// Virtual time (seat seconds) at which the next request would begin in the imagined fair server.
    pub(super) next_start: f64,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), waiting_seats: 0, executing: 0, executing_seats: 0, next_start: 0.0 }
    }
}

impl<W> Queue<W> {
    pub(super) fn is_active(&self) -> bool {
        self.executing > 0 || !self.waiting.is_empty()
    }

    /// Seats that wait or run: what a newcomer has before it.
    pub(super) fn load(&self) -> u64 {
        self.waiting_seats + self.executing_seats
    }
}

/// A queue as the debug endpoint shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueView {
    pub index: usize,
    pub waiting: usize,
    pub executing: u32,
    pub executing_seats: u64,
    pub next_start: f64,
    pub waiting_seats: u64,
    pub waiting_seats_max: u64,
    /// Seat seconds of all that waits.
    pub work_sum: f64,
}

/// A waiting request as the debug endpoint shows it.
#[derive(Debug)]
pub struct WaitingView<'a, W> {
    pub queue: usize,
    pub position: usize,
    pub arrived_ns: u64,
    pub work: Work,
    pub payload: &'a W,
}
