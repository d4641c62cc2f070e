//! One resource's objects, ordered by namespace and name. Cloning is cheap: the tree is shared.

use crate::cooling::Cooling;
use crate::entry::Entry;
use crate::snapshot::Change;
use imbl::OrdMap;
use kinds::selector::{Labels, Operator};
use kinds::{ObjectKey, Selector};
use std::ops::Bound;
use std::sync::Arc;

/// The objects of one resource. Keys are shared too: after a snapshot every write copies the nodes on its way, and a node
/// has sixteen keys of two strings each.
#[derive(Clone, Debug, Default)]
pub struct Table(OrdMap<Arc<ObjectKey>, Slot>);

/// An object with what a scan must know of it without looking at it.
#[derive(Clone, Debug)]
struct Slot {
    entry: Arc<Entry>,
    marks: Marks,
}

/// A Bloom filter of labels: objects without all the marks that a selector demands are passed over where they stand, which
/// costs a scan a fraction of a nanosecond each instead of a walk through memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// Those of an object.
    #[must_use]
    pub fn of(labels: Option<&Labels>) -> Self {
        labels.into_iter().flatten().fold(Self::default(), |all, (key, value)| all.and(key, value))
    }

    /// Those that every object has that the selector matches.
    #[must_use]
    pub fn demanded(selector: &Selector) -> Self {
        let Selector::All(requirements) = selector else { return Self::default() };
        let equal = requirements.iter().filter(|r| r.operator == Operator::In && r.values.len() == 1);
        equal.fold(Self::default(), |all, r| all.and(&r.key, &r.values[0]))
    }

    fn and(self, key: &str, value: &str) -> Self {
        // FNV-1a: short texts, and nobody gains by making objects look alike.
        let bytes = key.bytes().chain([0xff]).chain(value.bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(self.0 | 1 << (hash >> 58) | 1 << (hash >> 52 & 63))
    }

    fn has(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }
}

impl Table {
    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Entry>> {
        self.0.get(key).map(|s| &s.entry)
    }
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.values().map(|s| &s.entry)
    }
    /// Those of one namespace (empty: all), after `after` if given, in order.
    pub fn range<'a>(
        &'a self,
        namespace: &str,
        after: Option<&ObjectKey>,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        self.marked(namespace, after, Marks::default())
    }
    /// The same without most of those that do not have all the marks.
    pub fn marked<'a>(
        &'a self,
        namespace: &str,
        after: Option<&ObjectKey>,
        marks: Marks,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let from = match after {
            Some(k) => Bound::Excluded(k.clone()),
            None if namespace.is_empty() => Bound::Unbounded,
            None => Bound::Included(ObjectKey::new(namespace, "")),
        };
        // "0" is the character behind the slash: nothing lies between `n/…` and `n0/`.
        let to = match namespace {
            "" => Bound::Unbounded,
            n => Bound::Excluded(ObjectKey::new(format!("{n}0"), "")),
        };
        self.0.range::<_, ObjectKey>((from, to)).filter(move |(_, s)| s.marks.has(marks)).map(|(_, s)| &s.entry)
    }

    /// The table as it stood before changes of its resource, which are given oldest first.
    #[must_use]
    pub fn before(&self, changes: &[Arc<Change>]) -> Self {
        let mut table = self.clone();
        for change in changes.iter().rev() {
            match &change.old {
                Some(old) => table.insert(Arc::clone(old)),
                None => table.remove(change.key()),
            };
        }
        table
    }

    /// Puts entries without decoded objects in the place of those that nobody reads.
    pub(crate) fn cool(&mut self, round: &mut Cooling) {
        let cooled: Vec<_> = self.iter().filter_map(|e| round.entry(e)).collect();
        for entry in cooled {
            if let Some(slot) = self.0.get_mut(&entry.key) {
                slot.entry = entry;
            }
        }
    }

    pub(crate) fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let key = self.0.get_key_value(&entry.key).map(|(k, _)| Arc::clone(k));
        let key = key.unwrap_or_else(|| Arc::new(entry.key.clone()));
        let marks = Marks::of(entry.meta().labels.as_ref());
        self.0.insert(key, Slot { entry, marks }).map(|s| s.entry)
    }
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Entry>> {
        self.0.remove(key).map(|s| s.entry)
    }
}
