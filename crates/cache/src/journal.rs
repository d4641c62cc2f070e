//! The recent changes of one resource, for watchers: each keeps only its place (a revision) and pulls from here, so a
//! slow watcher costs nothing and falls off the end instead of growing a queue.

use crate::cooling::Cooling;
use crate::snapshot::Change;
use kinds::{Kind, Revision};
use std::collections::VecDeque;
use std::sync::Arc;

/// At most this many changes are kept a resource.
pub const CHANGES_MAX: usize = 16_384;
/// At most this many bytes of encoded objects are kept alive by the journal of one resource.
pub const JOURNAL_BYTES_MAX: usize = 16 << 20;

/// The asked-for changes are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The oldest revision after which everything is known.
    pub complete_after: Revision,
}

/// A bounded, ordered history of one resource.
#[derive(Debug)]
pub struct Journal {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    start: Revision,
    complete_after: Revision,
}

impl Journal {
    /// An empty journal that knows everything that happened after `revision`.
    #[must_use]
    pub fn new(revision: Revision) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, start: revision, complete_after: revision }
    }

    /// Adds the newest change.
    pub fn push(&mut self, change: Arc<Change>) {
        self.bytes += weight(&change);
        self.changes.push_back(change);
        while self.changes.len() > CHANGES_MAX || (self.bytes > JOURNAL_BYTES_MAX && self.changes.len() > 1) {
            self.drop_oldest();
        }
    }

    /// Forgets everything up to and including `revision` (compaction).
    pub fn forget(&mut self, revision: Revision) {
        while self.changes.front().is_some_and(|c| c.revision <= revision) {
            self.drop_oldest();
        }
        self.complete_after = self.complete_after.max(revision);
    }

    /// Lets go of decoded objects that nobody reads.
    pub fn cool(&mut self, round: &mut Cooling) {
        for change in &mut self.changes {
            if let Some(cooled) = round.change(change) {
                *change = cooled;
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(c) = self.changes.pop_front() {
            self.bytes -= weight(&c);
            self.complete_after = self.complete_after.max(c.revision);
        }
    }

    /// At most `max` changes after `revision`, oldest first. Several changes of one revision stay together as long as
    /// the caller asks again with the last one's revision only when it got fewer than `max` or a whole revision.
    ///
    /// # Errors
    /// [`Lost`] when some of them are gone.
    pub fn after(&self, revision: Revision, max: usize) -> Result<Vec<Arc<Change>>, Lost> {
        if revision < self.complete_after {
            return Err(Lost { complete_after: self.complete_after });
        }
        let from = self.changes.partition_point(|c| c.revision <= revision);
        let mut end = (from + max).min(self.changes.len());
        while end > from && end < self.changes.len() && self.changes[end].revision == self.changes[end - 1].revision {
            end += 1;
        }
        Ok(self.changes.range(from..end).cloned().collect())
    }

    /// The revision at which this journal began; a resource without a change since then has no journal of its own.
    #[must_use]
    pub fn start(&self) -> Revision {
        self.start
    }

    /// The revision of the newest change that is kept; zero when there is none.
    #[must_use]
    pub fn newest(&self) -> Revision {
        self.changes.back().map_or(Revision::ZERO, |c| c.revision)
    }

    /// The oldest revision after which everything is known.
    #[must_use]
    pub fn complete_after(&self) -> Revision {
        self.complete_after
    }
}

/// How many times larger a definition is decoded than encoded: each field of its schemas is a struct of a kilobyte.
const DEFINITION_WEIGHT: usize = 16;

fn weight(c: &Change) -> usize {
    let times = if c.resource == Kind::CustomResourceDefinition.into() { DEFINITION_WEIGHT } else { 1 };
    let sides = [&c.new, &c.old].into_iter().flatten();
    sides.map(|e| e.json.len() * times).sum::<usize>() + 128
}
