//! The recent events, values included, in whole revisions: feeds that keep up never touch the disk. Bounded in events
//! and in bytes; what falls out is read back from the log.

use std::collections::VecDeque;

use base::Revision;

use crate::api::Event;

/// The most recent events.
#[derive(Debug)]
pub(crate) struct Ring {
    events: VecDeque<Event>,
    /// Every event after this revision is here.
    complete_after: Revision,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Ring {
    /// An empty ring for a history that stands at `revision`.
    pub(crate) fn new(revision: Revision, max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), complete_after: revision, bytes: 0, max_events, max_bytes }
    }

    /// Adds the newest event; revisions only grow.
    pub(crate) fn push(&mut self, event: Event) {
        debug_assert!(event.revision > self.complete_after);
        self.bytes += cost(&event);
        self.events.push_back(event);
        while self.events.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= cost(&oldest);
            self.complete_after = oldest.revision;
        }
    }

    /// Every event after this revision is at hand.
    pub(crate) const fn complete_after(&self) -> Revision {
        self.complete_after
    }

    /// All events from a revision on, or `None` if some of them fell out.
    pub(crate) fn since(&self, from: Revision) -> Option<impl Iterator<Item = &Event>> {
        (from > self.complete_after).then(|| {
            let n = self.events.partition_point(|e| e.revision < from);
            self.events.range(n..)
        })
    }
}

/// What an event keeps in memory beside its bytes.
const EVENT_OVERHEAD_BYTES: usize = 256;

fn cost(event: &Event) -> usize {
    EVENT_OVERHEAD_BYTES + event.key.len() + event.put.as_ref().map_or(0, |kv| kv.value.len())
}
