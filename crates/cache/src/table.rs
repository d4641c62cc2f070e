//! One resource's objects, ordered by namespace and name. Cloning is cheap: the tree is shared.

use crate::entry::Entry;
use imbl::OrdMap;
use kinds::ObjectKey;
use std::ops::Bound;
use std::sync::Arc;

/// The objects of one resource. Keys are shared too: after a snapshot every write copies the nodes on its way, and a node
/// has sixteen keys of two strings each.
#[derive(Clone, Debug, Default)]
pub struct Table(OrdMap<Arc<ObjectKey>, Arc<Entry>>);

impl Table {
    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Entry>> {
        self.0.get(key)
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
        self.0.values()
    }
    /// Those of one namespace (empty: all), after `after` if given, in order.
    pub fn range<'a>(&'a self, namespace: &'a str, after: Option<&ObjectKey>) -> impl Iterator<Item = &'a Arc<Entry>> {
        let from = match after {
            Some(k) => Bound::Excluded(k.clone()),
            None if namespace.is_empty() => Bound::Unbounded,
            None => Bound::Included(ObjectKey::new(namespace, "")),
        };
        self.0
            .range::<_, ObjectKey>((from, Bound::Unbounded))
            .map(|(_, e)| e)
            .take_while(move |e| namespace.is_empty() || e.key.namespace == namespace)
    }

    pub(crate) fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let key = self.0.get_key_value(&entry.key).map(|(k, _)| Arc::clone(k));
        self.0.insert(key.unwrap_or_else(|| Arc::new(entry.key.clone())), entry)
    }
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<Entry>> {
        self.0.remove(key)
    }
}
