//! The one decoded image of the store, and the task that moves it on.
//!
//! ```text
//!   commit(N) -> engine -> feed -> follow(): decode (or take the writer's own object) -> Tables::apply -> publish
//!                                               |-> the writer that waits for N      |-> journals -> watchers
//! ```
//! One writer, in revision order; everyone else reads snapshots. A write returns when the image has reached it.

use crate::door::{Door, Visitor};
use crate::history::Past;
use crate::keys;
use crate::prepared::Prepared;
use crate::sealing::{self, Seals};
use bytes::Bytes;
use cache::{Change, Cooling, Entry, Journal, Lost, Snapshot, Table, Tables, Write};
use kinds::api::core::v1::Pod;
use kinds::{Object, Resource, Revision};
use parking_lot::RwLock;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Engine, Event, Feed, FeedError, KeyValue, RangeRequest, WatchRequest};
use tokio::sync::watch;

struct State {
    tables: Tables,
    snapshot: Snapshot,
    all: Journal,
    journals: BTreeMap<Resource, Journal>,
    wakes: BTreeMap<Resource, watch::Sender<Revision>>,
}

/// The image and its readers' doors.
pub struct Image {
    state: RwLock<State>,
    /// The newest snapshot once more, behind a lock that is never held while the image moves on.
    current: RwLock<Snapshot>,
    published: Arc<Door>,
    customs: RwLock<BTreeMap<(String, String), Resource>>,
    seals: Arc<Seals>,
}

/// Why the image could not be built or moved on; the process must stop.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("the store cannot be read: {0}")]
    Range(#[from] store::RangeError),
    #[error("the store's feed ended: {0}")]
    Feed(#[from] FeedError),
    #[error("{key} in the store is no valid object: {why}")]
    Decode { key: String, why: String },
}

impl Image {
    /// Reads everything and returns the image with the feed that continues it.
    ///
    /// # Errors
    /// A store that cannot be read, or holds what is no object.
    pub async fn load(engine: &dyn Engine, seals: Arc<Seals>) -> Result<(Arc<Self>, Box<dyn Feed>), ImageError> {
        let all = engine.range(RangeRequest::prefix(keys::ROOT)).await?;
        let feed = engine.watch(WatchRequest::prefix(keys::ROOT, all.revision.next()))?;
        let image = Self::empty(all.revision, seals);
        // Definitions first: objects of custom resources are found through them.
        let (crds, rest): (Vec<_>, Vec<_>) = all.kvs.into_iter().partition(|kv| is_definition(&kv.key));
        let mut writes = Vec::new();
        for kv in crds.iter().chain(&rest) {
            let kv = image.opened(kv).await?;
            if let Some(w) = image.decode(&kv)? {
                image.learn(&w);
                writes.push(w);
            }
        }
        writes.sort_by_key(|w| w.revision);
        image.start_from(writes, all.revision);
        Ok((Arc::new(image), feed))
    }

    fn empty(at: Revision, seals: Arc<Seals>) -> Self {
        let tables = Tables::default();
        let snapshot = tables.snapshot();
        let current = RwLock::new(snapshot.clone());
        let state = State {
            tables,
            snapshot,
            all: Journal::new(at),
            journals: BTreeMap::new(),
            wakes: BTreeMap::new(),
        };
        Self { state: RwLock::new(state), current, published: Arc::default(), customs: RwLock::default(), seals }
    }

    fn start_from(&self, writes: Vec<Write>, at: Revision) {
        let mut state = self.state.write();
        for w in writes {
            state.tables.apply(w);
        }
        state.tables.advance(at);
        state.snapshot = state.tables.snapshot();
        self.current.write().clone_from(&state.snapshot);
        drop(state);
        self.published.open(at);
    }

    /// Follows the feed until it ends. The error is fatal: an image that stops is worse than a process that stops.
    ///
    /// # Errors
    /// The feed's end, or an object that cannot be decoded.
    pub async fn follow(self: Arc<Self>, mut feed: Box<dyn Feed>) -> Result<(), ImageError> {
        loop {
            let mut batch = match feed.next().await {
                Ok(batch) => batch,
                Err(FeedError::Closed) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            self.open_events(&mut batch.events).await?;
            self.apply(&batch.events, batch.revision)?;
        }
    }

    /// A stored value as JSON: opened where it is sealed, read where it is in Kubernetes' own form.
    async fn opened<'a>(&self, kv: &'a KeyValue) -> Result<Cow<'a, KeyValue>, ImageError> {
        let Some((resource, _)) = self.locate(&kv.key) else { return Ok(Cow::Borrowed(kv)) };
        let path = || kv.key.escape_ascii().to_string();
        let plain = if kv.value.starts_with(sealing::MARK) {
            let opened = self.seals.open(&resource, &String::from_utf8_lossy(&kv.key), &kv.value).await;
            opened.map_err(|why| ImageError::Decode { key: path(), why })?
        } else {
            None
        };
        Self::unpacked(&resource, kv, plain)
    }

    /// A stored value as JSON, which may have been sealed.
    fn unpacked<'a>(resource: &Resource, kv: &'a KeyValue, plain: Option<Vec<u8>>) -> Result<Cow<'a, KeyValue>, ImageError> {
        // What others wrote may be older than a default.
        let default = crate::registry::rules_of(resource).default;
        let json = codec::storage::from_stored(resource, plain.as_deref().unwrap_or(&kv.value), default)
            .map_err(|e| ImageError::Decode { key: kv.key.escape_ascii().to_string(), why: e.to_string() })?;
        match json.or(plain) {
            Some(value) => Ok(Cow::Owned(KeyValue { value: value.into(), ..kv.clone() })),
            None => Ok(Cow::Borrowed(kv)),
        }
    }

    /// Opens what others wrote; our own writes bring what they sealed along.
    async fn open_events(&self, events: &mut [Event]) -> Result<(), ImageError> {
        for event in events.iter_mut().filter(|e| e.companion.is_none()) {
            let Some(kv) = &event.put else {
                self.seals.note(&String::from_utf8_lossy(&event.key), None);
                continue;
            };
            if let Cow::Owned(plain) = self.opened(kv).await? {
                event.put = Some(plain);
            }
        }
        Ok(())
    }

    fn apply(&self, events: &[Event], at: Revision) -> Result<(), ImageError> {
        let mut ready = Vec::with_capacity(events.len());
        for event in events {
            let prepared = event.companion.as_ref().and_then(|c| c.clone().downcast::<Prepared>().ok());
            if let Some(write) = self.write_of(event, prepared.as_deref())? {
                self.learn(&write);
                ready.push((write, prepared));
            }
        }
        let mut state = self.state.write();
        let mut done = Vec::with_capacity(ready.len());
        for (write, prepared) in ready {
            let entry = write.entry.clone();
            if let Some(change) = state.tables.apply(write) {
                state.record(Arc::new(change));
            }
            done.extend(prepared.zip(entry));
        }
        state.tables.advance(at);
        state.snapshot = state.tables.snapshot();
        let newest = state.snapshot.clone();
        *self.current.write() = newest;
        drop(state);
        done.into_iter().for_each(|(p, e)| p.finish(e));
        self.published.open(at);
        self.wake(events.len());
        Ok(())
    }

    fn wake(&self, changed: usize) {
        if changed == 0 {
            return;
        }
        let state = self.state.read();
        for (resource, wake) in &state.wakes {
            let at = state.journals.get(resource).map_or(Revision::ZERO, Journal::newest);
            wake.send_if_modified(|seen| std::mem::replace(seen, at) != at);
        }
    }

    fn write_of(&self, event: &Event, prepared: Option<&Prepared>) -> Result<Option<Write>, ImageError> {
        match (&event.put, prepared.and_then(Prepared::take)) {
            (Some(kv), Some((resource, mut object))) => {
                let meta = object.meta_mut();
                meta.resource_version = Some(kv.mod_revision.to_string());
                meta.managed_fields = None;
                compact(&mut object);
                let plain = prepared.and_then(Prepared::plain);
                let json = codec::with_revision(plain.unwrap_or(&kv.value), kv.mod_revision);
                let key = object.key();
                let entry = Entry::new(key.clone(), object, json, kv.mod_revision).decoded_by(resource.clone(), again);
                Ok(Some(Write { resource, key, revision: kv.mod_revision, entry: Some(Arc::new(entry)) }))
            }
            (Some(kv), None) => self.decode(kv),
            (None, _) => {
                let found = self.locate(&event.key);
                Ok(found.map(|(resource, key)| Write { resource, key, revision: event.revision, entry: None }))
            }
        }
    }

    fn decode(&self, kv: &KeyValue) -> Result<Option<Write>, ImageError> {
        let Some((resource, key)) = self.locate(&kv.key) else { return Ok(None) };
        // Values of the time before fields without a value were printed lack those.
        let printed = resource.builtin().and_then(|kind| codec::unset::print_unset(kind, &kv.value));
        let json = codec::with_revision(printed.as_deref().unwrap_or(&kv.value), kv.mod_revision);
        let object = slim(&resource, &json)
            .map_err(|e| ImageError::Decode { key: kv.key.escape_ascii().to_string(), why: e.to_string() })?;
        let entry = Entry::new(key.clone(), object, json, kv.mod_revision).decoded_by(resource.clone(), again);
        Ok(Some(Write { resource, key, revision: kv.mod_revision, entry: Some(Arc::new(entry)) }))
    }

    fn locate(&self, key: &Bytes) -> Option<(Resource, kinds::ObjectKey)> {
        let customs = self.customs.read();
        keys::decode(key, |group, plural| customs.get(&(group.to_owned(), plural.to_owned())).cloned())
    }

    /// Learns of custom resources as their definitions pass by. A definition that goes leaves its name known: its
    /// objects may still be on their way out.
    fn learn(&self, write: &Write) {
        let definition = write.entry.as_ref().and_then(|e| {
            e.object().typed::<kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>()
        });
        if let Some(crd) = definition {
            let r = crate::customs::resource_of(crd);
            self.customs.write().insert((r.group().to_owned(), r.plural().to_owned()), r);
        }
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.current.read().clone()
    }

    /// The newest revision, and the table of a resource as it stands there.
    pub(crate) fn newest(&self, resource: &Resource) -> (Revision, Option<Table>) {
        let now = self.current.read();
        (now.revision(), now.table(resource).cloned())
    }

    /// The table of a resource as it stood at a revision that has happened: the newest one, with all that its journal
    /// tells of since then undone.
    pub(crate) fn table_at(&self, resource: &Resource, revision: Revision) -> Past {
        let state = self.state.read();
        let table = state.snapshot.table(resource);
        let since = match state.journals.get(resource) {
            Some(journal) => journal.after(revision, cache::journal::CHANGES_MAX),
            None if revision < state.all.start() => return Past::Stored(revision),
            None => Ok(Vec::new()),
        };
        let table = table.cloned();
        drop(state);
        match since {
            Ok(changes) => Past::Known(table.map(|t| t.before(&changes)), revision),
            Err(Lost { .. }) => Past::Stored(revision),
        }
    }

    /// What a value out of the store's past was; `None` when its key is no object's.
    pub(crate) async fn entry_of(&self, kv: &KeyValue) -> Result<Option<Entry>, ImageError> {
        let Some((resource, _)) = self.locate(&kv.key) else { return Ok(None) };
        let path = kv.key.escape_ascii().to_string();
        let looked = self.seals.look(&resource, &String::from_utf8_lossy(&kv.key), &kv.value).await;
        let plain = looked.map_err(|why| ImageError::Decode { key: path, why })?.map(|(plain, _)| plain);
        let write = self.decode(&*Self::unpacked(&resource, kv, plain)?)?;
        Ok(write.and_then(|w| w.entry).map(Arc::unwrap_or_clone))
    }

    /// Waits until the image shows `revision`.
    pub async fn reached(&self, revision: Revision) {
        self.published.reached(revision).await;
    }

    /// A door that opens whenever anything is published.
    pub(crate) fn published(&self) -> Visitor {
        self.published.visit()
    }

    /// A door that opens when something of that resource changed.
    #[must_use]
    pub fn changes_of(&self, resource: &Resource) -> watch::Receiver<Revision> {
        if let Some(w) = self.state.read().wakes.get(resource) {
            return w.subscribe();
        }
        let mut state = self.state.write();
        state.wakes.entry(resource.clone()).or_insert_with(|| watch::Sender::new(Revision::ZERO)).subscribe()
    }

    /// Changes of one resource after a revision.
    ///
    /// # Errors
    /// [`Lost`] when they are not kept any more.
    pub fn after(&self, resource: &Resource, revision: Revision, max: usize) -> Result<Vec<Arc<Change>>, Lost> {
        let state = self.state.read();
        match state.journals.get(resource) {
            Some(j) => j.after(revision, max),
            None if revision < state.all.start() => Err(Lost { complete_after: state.all.start() }),
            None => Ok(Vec::new()),
        }
    }

    /// Changes of everything after a revision, with the snapshot that includes them.
    ///
    /// # Errors
    /// [`Lost`] when they are not kept any more.
    pub fn all_after(&self, revision: Revision, max: usize) -> (Snapshot, Result<Vec<Arc<Change>>, Lost>) {
        let state = self.state.read();
        (state.snapshot.clone(), state.all.after(revision, max))
    }

    /// Lets go of decoded objects that nobody asked for since the last time, and tells how many. Readers notice nothing: what
    /// is asked for later is decoded again.
    pub fn cool(&self) -> usize {
        let mut round = Cooling::new();
        let resources: Vec<_> = self.state.read().tables.resources().cloned().collect();
        for resource in &resources {
            let mut state = self.state.write();
            let State { tables, journals, .. } = &mut *state;
            tables.cool(resource, &mut round);
            if let Some(journal) = journals.get_mut(resource) {
                journal.cool(&mut round);
            }
        }
        let mut state = self.state.write();
        state.all.cool(&mut round);
        if round.dropped() > 0 {
            state.snapshot = state.tables.snapshot();
            self.current.write().clone_from(&state.snapshot);
        }
        round.dropped()
    }

    /// Forgets history up to a revision (compaction).
    pub fn forget(&self, revision: Revision) {
        let mut state = self.state.write();
        state.all.forget(revision);
        state.journals.values_mut().for_each(|j| j.forget(revision));
    }
}

impl State {
    fn record(&mut self, change: Arc<Change>) {
        let start = self.all.start();
        let journal = self.journals.entry(change.resource.clone()).or_insert_with(|| Journal::new(start));
        journal.push(Arc::clone(&change));
        self.all.push(change);
    }
}

/// The object of an entry's JSON as the image keeps it.
fn slim(resource: &Resource, json: &Bytes) -> Result<Object, codec::DecodeError> {
    let mut object = codec::decode_resource(resource, json)?;
    object.meta_mut().managed_fields = None;
    compact(&mut object);
    Ok(object)
}

/// The same for bytes that were decoded before, or came out of an object.
fn again(resource: &Resource, json: &Bytes) -> Object {
    slim(resource, json).expect("what the image holds was decoded before")
}

/// Gives back the room that decoding and defaulting left in the lists of pods, of which there are most: a list of one
/// variable has room for four. A copy has what it needs and no more. Definitions leave their schemas out: as typed trees they
/// weigh ten to forty times their JSON, and who needs them takes that.
fn compact(object: &mut Object) {
    match object {
        Object::Pod(pod) => *pod = Arc::new(Pod::clone(pod)),
        Object::CustomResourceDefinition(crd) => {
            let crd = Arc::make_mut(crd);
            crd.spec.versions.iter_mut().for_each(|v| v.schema = None);
            crd.spec.versions.shrink_to_fit();
        }
        _ => {}
    }
}

fn is_definition(key: &[u8]) -> bool {
    key.starts_with(b"/registry/apiextensions.k8s.io/customresourcedefinitions/")
}
