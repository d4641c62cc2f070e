//! Dropping decoded objects that nobody reads. A decoded pod weighs three times its JSON, and of ten thousand objects of a quiet
//! cluster almost none is looked at; what is needed again is decoded again, once for all readers.
//!
//! ```text
//!   a round: table by table, then journal by journal      read since the last round -> stays, and is asked again next time
//!                                                         not read                  -> an entry without its object in its place
//! ```
//! Entries are shared between tables, changes and snapshots, so one [`Cooling`] goes through all of them and remembers what it
//! put in whose place. Snapshots that somebody holds keep what they have.

use crate::entry::Entry;
use crate::snapshot::Change;
use std::collections::HashMap;
use std::sync::Arc;

/// At most so many objects are dropped in one round: until it ends, what took their place lies beside them.
const ROUND_MAX: usize = 32_768;

/// One round.
#[derive(Debug, Default)]
pub struct Cooling {
    /// By address. The originals are held, so that no address comes to mean another one during the round.
    entries: HashMap<*const Entry, (Arc<Entry>, Option<Arc<Entry>>)>,
    changes: HashMap<*const Change, (Arc<Change>, Option<Arc<Change>>)>,
    dropped: usize,
}

impl Cooling {
    /// A new round.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many decoded objects were dropped.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// What takes the entry's place, if anything.
    pub(crate) fn entry(&mut self, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        let dropped = &mut self.dropped;
        let (_, cooled) = self.entries.entry(Arc::as_ptr(entry)).or_insert_with(|| {
            let cooled = if *dropped < ROUND_MAX { entry.cooled().map(Arc::new) } else { None };
            *dropped += usize::from(cooled.is_some());
            (Arc::clone(entry), cooled)
        });
        cooled.clone()
    }

    /// What takes the change's place, if anything.
    pub(crate) fn change(&mut self, change: &Arc<Change>) -> Option<Arc<Change>> {
        if let Some((_, cooled)) = self.changes.get(&Arc::as_ptr(change)) {
            return cooled.clone();
        }
        let mut side = |entry: &Option<Arc<Entry>>| entry.as_ref().and_then(|e| self.entry(e));
        let (old, new) = (side(&change.old), side(&change.new));
        let cooled = (old.is_some() || new.is_some()).then(|| {
            let (old, new) = (old.or_else(|| change.old.clone()), new.or_else(|| change.new.clone()));
            Arc::new(Change { resource: change.resource.clone(), revision: change.revision, old, new })
        });
        self.changes.insert(Arc::as_ptr(change), (Arc::clone(change), cooled.clone()));
        cooled
    }
}
