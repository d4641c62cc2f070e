//! One heap of delayed additions for all queues. A subject has at most one date a queue: the earliest asked for.

use controllers::Subject;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use tokio::time::Instant;

/// A controller's number and a subject.
pub(crate) type Item = (usize, Subject);

/// The dates.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize, Subject)>>,
    due: HashMap<Item, Instant>,
}

impl Timers {
    /// Sets a date unless an earlier one is set.
    pub(crate) fn set(&mut self, item: Item, at: Instant) {
        if self.due.get(&item).is_some_and(|d| *d <= at) {
            return;
        }
        self.due.insert(item.clone(), at);
        self.heap.push(Reverse((at, item.0, item.1)));
    }
    /// The next date.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }
    /// One item whose date has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Item> {
        loop {
            if self.next()? > now {
                return None;
            }
            let Reverse((at, n, subject)) = self.heap.pop()?;
            let item = (n, subject);
            // A date that an earlier one replaced is no longer in the table.
            if self.due.get(&item) == Some(&at) {
                self.due.remove(&item);
                return Some(item);
            }
        }
    }
}
