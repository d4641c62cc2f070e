//! The key index: for each key the revisions at which it was written, oldest first, and where their values lie. It
//! answers to etcd's key index: a delete is a revision of its own (a tombstone) that ends a generation of the key; the
//! next write begins a new generation with a new create revision and version 1.
//!
//! ```text
//!   key a:  put 3 (created 3, v1)   put 7 (created 3, v2)   del 9   put 12 (created 12, v1)
//!   at 2: none    at 3..6: 3    at 7..8: 7    at 9..11: none    at 12..: 12
//!   compact(7) drops 3;  compact(10) drops 3, 7 and 9: a generation that has ended by then is not kept
//! ```
//! Laws: (1) revisions of a key only grow; (2) compaction to C changes no answer at C or later; (3) after it, a key has
//! at most one item at or below C, and that one is no tombstone.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use base::Revision;
use bytes::Bytes;
use smallvec::SmallVec;

/// One revision of one key. `L` says where the value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<L> {
    /// When it was written.
    pub(crate) revision: Revision,
    /// When the key came into being.
    pub(crate) created: Revision,
    /// The how manieth write since; 0 marks a tombstone.
    pub(crate) version: u32,
    /// Where the record lies.
    pub(crate) at: L,
}

impl<L> Item<L> {
    /// Whether it is a delete.
    pub(crate) const fn is_tombstone(&self) -> bool {
        self.version == 0
    }
}

type History<L> = SmallVec<[Item<L>; 1]>;

/// All keys and their revisions.
#[derive(Debug)]
pub(crate) struct KeyIndex<L> {
    keys: BTreeMap<Bytes, History<L>>,
    /// Keys that a compaction has something to do with: more than one revision, or a tombstone.
    worn: HashSet<Bytes>,
}

impl<L: Copy> KeyIndex<L> {
    pub(crate) fn new() -> Self {
        Self { keys: BTreeMap::new(), worn: HashSet::new() }
    }

    /// The newest revision of a key, unless that is a delete.
    pub(crate) fn head(&self, key: &[u8]) -> Option<&Item<L>> {
        self.keys.get(key)?.last().filter(|i| !i.is_tombstone())
    }

    /// What a key holds as of a revision.
    pub(crate) fn at(&self, key: &[u8], revision: Revision) -> Option<&Item<L>> {
        visible(self.keys.get(key)?, revision)
    }

    /// The item that was written exactly then, tombstones included.
    pub(crate) fn exactly(&self, key: &[u8], revision: Revision) -> Option<&Item<L>> {
        let history = self.keys.get(key)?;
        history.binary_search_by_key(&revision, |i| i.revision).ok().map(|n| &history[n])
    }

    /// The keys of `[start, end)` that exist as of a revision, in order; an empty `end` is the end of all keys.
    pub(crate) fn range<'a>(
        &'a self,
        start: &'a [u8],
        end: &'a [u8],
        revision: Revision,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Item<L>)> + 'a {
        let upper = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let empty = !end.is_empty() && end <= start;
        let bounds = (!empty).then_some((Bound::Included(start), upper));
        bounds
            .into_iter()
            .flat_map(|b| self.keys.range::<[u8], _>(b))
            .filter_map(move |(key, history)| Some((key, visible(history, revision)?)))
    }

    /// Adds a revision of a key; it must be newer than those known.
    pub(crate) fn insert(&mut self, key: &[u8], item: Item<L>) {
        if let Some(history) = self.keys.get_mut(key) {
            debug_assert!(history.last().is_none_or(|last| last.revision < item.revision));
            history.push(item);
            let (key, _) = self.keys.get_key_value(key).expect("the key was found just now");
            self.worn.insert(key.clone());
            return;
        }
        // A copy: the caller's bytes may be a slice that would keep a whole request alive.
        let key = Bytes::copy_from_slice(key);
        if item.is_tombstone() {
            self.worn.insert(key.clone());
        }
        self.keys.insert(key, SmallVec::from_buf([item]));
    }

    /// Drops what was overwritten or deleted at or before `to`, and tells each dropped item.
    pub(crate) fn compact(&mut self, to: Revision, mut dropped: impl FnMut(&Item<L>)) {
        let Self { keys, worn } = self;
        worn.retain(|key| {
            let Some(history) = keys.get_mut(key) else { return false };
            let past = history.partition_point(|i| i.revision <= to);
            if past > 0 {
                let keep = usize::from(!history[past - 1].is_tombstone());
                history.drain(..past - keep).for_each(|i| dropped(&i));
                history.shrink_to_fit();
            }
            if history.is_empty() {
                keys.remove(key);
                return false;
            }
            history.len() > 1 || history[0].is_tombstone()
        });
        worn.shrink_to(WORN_KEEP);
    }

    /// Notes that the record of one revision now lies elsewhere; false if that revision is gone.
    pub(crate) fn relocate(&mut self, key: &[u8], revision: Revision, at: L) -> bool {
        let Some(history) = self.keys.get_mut(key) else { return false };
        let Ok(n) = history.binary_search_by_key(&revision, |i| i.revision) else { return false };
        history[n].at = at;
        true
    }
}

/// Room for worn keys that stays allocated after a compaction.
const WORN_KEEP: usize = 1024;

fn visible<L>(history: &History<L>, revision: Revision) -> Option<&Item<L>> {
    let newest = match history.last() {
        Some(last) if last.revision <= revision => last,
        _ => &history[history.partition_point(|i| i.revision <= revision).checked_sub(1)?],
    };
    (!newest.is_tombstone()).then_some(newest)
}
