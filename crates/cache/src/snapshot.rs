//! All tables at one revision, and the writer's side of them.

use crate::cooling::Cooling;
use crate::entry::Entry;
use crate::index::Indexes;
use crate::table::Table;
use imbl::OrdMap;
use kinds::{ObjectKey, Resource, Revision, Typed};
use std::sync::Arc;

/// Everything as it stood at one revision. Cloning is cheap; it never changes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(Arc<Tables>);

/// The tables themselves: the writer keeps one and hands out snapshots of it.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    revision: Revision,
    /// Shared with snapshots: a write after a snapshot copies its way to one table, not all of them.
    tables: OrdMap<Resource, Table>,
    indexes: Indexes,
}

/// One committed write, to be applied.
#[derive(Clone, Debug)]
pub struct Write {
    pub resource: Resource,
    pub key: ObjectKey,
    pub revision: Revision,
    /// `None`: deleted.
    pub entry: Option<Arc<Entry>>,
}

/// One applied write: what was there before and what is there now.
#[derive(Clone, Debug)]
pub struct Change {
    pub resource: Resource,
    pub revision: Revision,
    pub old: Option<Arc<Entry>>,
    pub new: Option<Arc<Entry>>,
}

impl Change {
    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.new.as_ref().or(self.old.as_ref()).expect("a change has a side").key
    }
    /// The typed object before, when it is of that kind.
    #[must_use]
    pub fn old_as<K: Typed>(&self) -> Option<&Arc<K>> {
        self.old.as_ref().and_then(|e| e.object().typed())
    }
    /// The typed object now, when it is of that kind.
    #[must_use]
    pub fn new_as<K: Typed>(&self) -> Option<&Arc<K>> {
        self.new.as_ref().and_then(|e| e.object().typed())
    }
}

impl Tables {
    /// Applies one write. Deleting what is not there changes nothing and gives no change.
    ///
    /// # Panics
    /// When revisions go backwards: the image would be corrupt, so the process must stop.
    pub fn apply(&mut self, write: Write) -> Option<Change> {
        assert!(write.revision >= self.revision, "revision {} after {}", write.revision, self.revision);
        self.revision = write.revision;
        let table = self.tables.entry(write.resource.clone()).or_default();
        let old = match &write.entry {
            Some(e) => table.insert(Arc::clone(e)),
            None => table.remove(&write.key),
        };
        if old.is_none() && write.entry.is_none() {
            return None;
        }
        self.indexes.change(&write.resource, old.as_deref(), write.entry.as_deref());
        Some(Change { resource: write.resource, revision: write.revision, old, new: write.entry })
    }

    /// Lets go of decoded objects of a resource that nobody reads. What the tables show stays the same.
    pub fn cool(&mut self, resource: &Resource, round: &mut Cooling) {
        if let Some(table) = self.tables.get_mut(resource) {
            table.cool(round);
        }
    }

    /// Every resource that has a table.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.tables.keys()
    }

    /// Moves the revision on without a write (progress of a remote source).
    pub fn advance(&mut self, to: Revision) {
        self.revision = self.revision.max(to);
    }

    /// The image as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::new(self.clone()))
    }

    /// The revision of the last applied write.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Recomputes every index from scratch and compares: corruption is told as text.
    ///
    /// # Errors
    /// The name of the index that differs.
    pub fn audit(&self) -> Result<(), &'static str> {
        let mut fresh = Indexes::default();
        for (r, t) in &self.tables {
            t.iter().for_each(|e| fresh.change(r, None, Some(e)));
        }
        match () {
            () if fresh.owned != self.indexes.owned => Err("owned"),
            () if fresh.on_node != self.indexes.on_node => Err("on_node"),
            () if fresh.of_service != self.indexes.of_service => Err("of_service"),
            () => Ok(()),
        }
    }
}

impl Snapshot {
    /// The revision it shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.revision
    }
    /// The table of a resource; `None` when nothing of it was ever stored.
    #[must_use]
    pub fn table(&self, resource: &Resource) -> Option<&Table> {
        self.0.tables.get(resource)
    }
    /// Every table that exists.
    pub fn tables(&self) -> impl Iterator<Item = (&Resource, &Table)> {
        self.0.tables.iter()
    }
    /// As [`Tables::audit`].
    ///
    /// # Errors
    /// The name of the index that differs.
    pub fn audit(&self) -> Result<(), &'static str> {
        self.0.audit()
    }
    /// One entry.
    #[must_use]
    pub fn entry(&self, resource: &Resource, key: &ObjectKey) -> Option<&Arc<Entry>> {
        self.table(resource)?.get(key)
    }
    /// One typed object.
    #[must_use]
    pub fn get<K: Typed>(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.entry(&K::KIND.into(), &ObjectKey::new(namespace, name))?.object().typed()
    }
    /// One typed object by key.
    #[must_use]
    pub fn find<K: Typed>(&self, key: &ObjectKey) -> Option<&Arc<K>> {
        self.entry(&K::KIND.into(), key)?.object().typed()
    }
    /// All typed objects of a namespace (empty: of all), in order.
    pub fn list<'a, K: Typed>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let table = self.table(&K::KIND.into());
        table.into_iter().flat_map(move |t| t.range(namespace, None)).filter_map(|e| e.object().typed())
    }
    /// What the object with that uid owns (through any owner reference), of any resource.
    pub fn owned<'a>(&'a self, uid: &str) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.0.indexes.owned.get(uid).filter_map(|(r, k)| self.entry(r, k))
    }
    /// What it owns, of one kind.
    pub fn owned_as<'a, K: Typed>(&'a self, uid: &str) -> impl Iterator<Item = &'a Arc<K>> {
        self.owned(uid).filter_map(|e| e.object().typed())
    }
    /// The pods bound to a node.
    pub fn pods_on<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a Arc<kinds::api::core::v1::Pod>> {
        self.0.indexes.on_node.get(node).filter_map(|(r, k)| self.entry(r, k)).filter_map(|e| e.object().typed())
    }
    /// The EndpointSlices of a service.
    pub fn slices_of<'a>(
        &'a self,
        namespace: &str,
        service: &str,
    ) -> impl Iterator<Item = &'a Arc<kinds::api::discovery::v1::EndpointSlice>> {
        let word = format!("{namespace}/{service}");
        let found: Vec<_> = self.0.indexes.of_service.get(&word).collect();
        found.into_iter().filter_map(|(r, k)| self.entry(r, k)).filter_map(|e| e.object().typed())
    }
}
