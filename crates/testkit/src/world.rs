//! The world: objects in the cache's own tables, written through the verbs of the API as far as deciders can tell.

use crate::clock::{FakeClock, FakeIds};
use crate::parts::{keep_status, only_status, spec_differs};
use base::{Clock, Ids};
use bytes::Bytes;
use cache::{Batch, Change, Entry, Interest, Snapshot, Source, Subscription, Tables, Write};
use kinds::api::core::v1::{Namespace, NamespaceSpec, NamespaceStatus, Pod, PodCondition, PodStatus};
use kinds::{
    Api, ApiError, DeleteOptions, Fut, Object, ObjectKey, OwnerReference, Patch, Resource, Revision, Target, Time, Typed, WriteOptions,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

const DEFAULT_GRACE_S: i64 = 30;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

type Refusal = Box<dyn Fn(&str, &Object) -> Option<ApiError> + Send>;

#[derive(Default)]
struct Inner {
    tables: Tables,
    revision: u64,
    changes: Vec<Arc<Change>>,
    wakers: Vec<Waker>,
    refuse: Option<Refusal>,
}

/// All objects of one test.
pub struct World {
    inner: Arc<Mutex<Inner>>,
    pub clock: Arc<FakeClock>,
    pub ids: Arc<FakeIds>,
    encode: fn(&Object) -> Bytes,
}

impl Default for World {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            clock: Arc::default(),
            ids: Arc::default(),
            encode: |_| Bytes::from_static(b"{}"),
        }
    }
}

impl World {
    /// A world whose entries carry encoded JSON.
    #[must_use]
    pub fn encoding(encode: fn(&Object) -> Bytes) -> Self {
        Self { encode, ..Self::default() }
    }
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The time as API objects carry it.
    #[must_use]
    pub fn time(&self) -> Time {
        Time(self.clock.now())
    }
    /// Everything as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().tables.snapshot()
    }
    /// Every change so far.
    #[must_use]
    pub fn changes(&self) -> Vec<Arc<Change>> {
        self.lock().changes.clone()
    }
    /// Makes writes fail where `refuse(verb, object)` says so.
    pub fn refuse(&self, refuse: impl Fn(&str, &Object) -> Option<ApiError> + Send + 'static) {
        self.lock().refuse = Some(Box::new(refuse));
    }
    /// Lets every write through again.
    pub fn accept(&self) {
        self.lock().refuse = None;
    }

    fn refused(&self, verb: &str, object: &Object) -> Result<(), ApiError> {
        self.lock().refuse.as_ref().and_then(|r| r(verb, object)).map_or(Ok(()), Err)
    }

    fn put(&self, mut object: Object) -> Object {
        let mut inner = self.lock();
        inner.revision += 1;
        let revision = Revision(inner.revision);
        object.meta_mut().resource_version = Some(revision.to_string());
        let (resource, key) = (object.resource(), object.key());
        let entry = Entry::new(key.clone(), object.clone(), (self.encode)(&object), revision);
        apply(&mut inner, Write { resource, key, revision, entry: Some(Arc::new(entry)) });
        object
    }

    fn remove(&self, resource: Resource, key: ObjectKey) {
        let mut inner = self.lock();
        inner.revision += 1;
        let revision = Revision(inner.revision);
        apply(&mut inner, Write { resource, key, revision, entry: None });
    }

    fn find(&self, resource: &Resource, key: &ObjectKey) -> Result<Object, ApiError> {
        let found = self.snapshot().entry(resource, key).map(|e| e.object().clone());
        found.ok_or_else(|| ApiError::not_found(resource, &key.name))
    }

    /// Stores an object as it is, giving it a uid and a creation time if it has none: the test's own hand.
    pub fn given<K: Typed>(&self, object: K) -> Arc<K>
    where
        Object: From<K>,
    {
        let mut object = Object::from(object);
        let meta = object.meta_mut();
        meta.uid.get_or_insert_with(|| self.ids.uid());
        meta.creation_timestamp.get_or_insert_with(|| self.time());
        meta.generation.get_or_insert(1);
        Arc::clone(self.put(object).typed().expect("of its own kind"))
    }
    /// One object; it must exist.
    #[must_use]
    pub fn get<K: Typed>(&self, namespace: &str, name: &str) -> Arc<K> {
        let found = self.snapshot().get::<K>(namespace, name).cloned();
        found.unwrap_or_else(|| panic!("{} {namespace}/{name} does not exist", K::KIND.info().plural))
    }
    /// All objects of a kind.
    #[must_use]
    pub fn all<K: Typed>(&self) -> Vec<Arc<K>> {
        self.snapshot().list::<K>("").cloned().collect()
    }
    /// Changes an object in place, status and spec alike; a changed spec is a new generation.
    pub fn edit<K: Typed>(&self, namespace: &str, name: &str, change: impl FnOnce(&mut K))
    where
        Object: From<K>,
    {
        let old = self.get::<K>(namespace, name);
        let mut new = K::clone(&old);
        change(&mut new);
        let (mut new, old) = (Object::from(new), Arc::clone(&old).into_object());
        if spec_differs(&new, &old) {
            bump(&mut new);
        }
        self.put(new);
    }
    /// Takes an object away whatever its finalizers say.
    pub fn erase<K: Typed>(&self, namespace: &str, name: &str) {
        self.remove(K::KIND.into(), ObjectKey::new(namespace, name));
    }

    /// The verb `create`.
    ///
    /// # Errors
    /// As the API: the name exists, or the test refuses.
    pub fn create(&self, mut object: Object) -> Result<Object, ApiError> {
        self.refused("create", &object)?;
        let meta = object.meta_mut();
        if meta.name.as_deref().unwrap_or_default().is_empty() {
            let base = meta.generate_name.clone().unwrap_or_default();
            meta.name = Some(format!("{base}{}", self.ids.suffix(5)));
        }
        let (resource, key) = (object.resource(), object.key());
        if self.find(&resource, &key).is_ok() {
            return Err(ApiError::already_exists(&resource, &key.name));
        }
        let meta = object.meta_mut();
        (meta.uid, meta.generation) = (Some(self.ids.uid()), Some(1));
        meta.creation_timestamp = Some(self.time());
        Ok(self.put(fresh(object)))
    }

    /// The verb `update`, of the object or a subresource.
    ///
    /// # Errors
    /// As the API: not found, or modified since.
    pub fn update(&self, object: Object, subresource: &str) -> Result<Object, ApiError> {
        let (resource, key) = (object.resource(), object.key());
        let old = self.find(&resource, &key)?;
        let verb = if subresource.is_empty() { "update" } else { subresource };
        self.refused(verb, &object)?;
        let version = object.meta().resource_version.as_deref().unwrap_or_default();
        if !version.is_empty() && Some(version) != old.meta().resource_version.as_deref() {
            return Err(ApiError::modified(&resource, &key.name));
        }
        let mut new = match subresource {
            "status" => only_status(object, &old),
            _ => {
                let mut new = object;
                keep_status(&mut new, &old);
                new
            }
        };
        let meta = new.meta_mut();
        meta.uid.clone_from(&old.meta().uid);
        meta.creation_timestamp.clone_from(&old.meta().creation_timestamp);
        meta.deletion_timestamp.clone_from(&old.meta().deletion_timestamp);
        meta.resource_version.clone_from(&old.meta().resource_version);
        if subresource.is_empty() && spec_differs(&new, &old) {
            bump(&mut new);
        }
        if new == old {
            return Ok(old);
        }
        if is_over(&new) {
            self.remove(resource, key);
            return Ok(new);
        }
        Ok(self.put(new))
    }

    /// The verb `patch`, as far as controllers need it: a merge patch of owner references, finalizers, labels and
    /// annotations (and an event's count and message).
    ///
    /// # Errors
    /// As the API: not found, or modified since.
    pub fn patch(&self, target: &Target, patch: &Patch) -> Result<Object, ApiError> {
        let mut object = self.find(&target.resource, &target.key)?;
        let body: serde_json::Value = serde_json::from_slice(&patch.body).map_err(|e| ApiError::bad_request(e.to_string()))?;
        merge(&mut object, &body);
        self.update(object, target.subresource)
    }

    /// The verb `delete`. The answer is what lingers.
    ///
    /// # Errors
    /// As the API: not found, or another uid or revision.
    pub fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Option<Object>, ApiError> {
        let mut object = self.find(&target.resource, &target.key)?;
        self.refused("delete", &object)?;
        if let Some(p) = &options.preconditions {
            let other = |want: &Option<String>, have: &Option<String>| want.is_some() && want != have;
            if other(&p.uid, &object.meta().uid) || other(&p.resource_version, &object.meta().resource_version) {
                return Err(ApiError::conflict(&target.resource, &target.key.name, "the precondition does not hold"));
            }
        }
        let bound = object.typed::<Pod>().and_then(|p| p.spec.as_ref()).is_some_and(|s| s.node_name.is_some());
        let over = object.typed::<Pod>().is_some_and(|p| kinds::pod::is_terminal(p));
        let now = self.time();
        let meta = object.meta_mut();
        let finalizers = meta.finalizers.get_or_insert_default();
        match options.propagation_policy.as_deref() {
            Some("Foreground") if !finalizers.iter().any(|f| f == FOREGROUND) => finalizers.push(FOREGROUND.to_owned()),
            Some("Orphan") if !finalizers.iter().any(|f| f == ORPHAN) => finalizers.push(ORPHAN.to_owned()),
            _ => {}
        }
        meta.finalizers = meta.finalizers.take().filter(|f| !f.is_empty());
        let grace = options.grace_period_seconds.unwrap_or(DEFAULT_GRACE_S);
        let lingers = bound && !over && grace > 0;
        meta.deletion_timestamp.get_or_insert(now);
        meta.deletion_grace_period_seconds = Some(if lingers { grace } else { 0 });
        if let Object::Namespace(n) = &mut object {
            Arc::make_mut(n).status.get_or_insert_default().phase = Some("Terminating".to_owned());
        }
        if is_over(&object) {
            self.remove(target.resource.clone(), target.key.clone());
            return Ok(None);
        }
        Ok(Some(self.put(object)))
    }
}

/// Merges the few fields that controllers patch.
fn merge(object: &mut Object, body: &serde_json::Value) {
    if let Object::Event(e) = object {
        let e = Arc::make_mut(e);
        e.count = body["count"].as_i64().and_then(|n| i32::try_from(n).ok());
        e.message = body["message"].as_str().map(ToOwned::to_owned);
    }
    if let Object::Pod(p) = object {
        merge_pod_status(Arc::make_mut(p), &body["status"]);
    }
    let Some(patch) = body["metadata"].as_object() else { return };
    let text = |v: &serde_json::Value| v.as_str().map(ToOwned::to_owned);
    let meta = object.meta_mut();
    if let Some(v) = patch.get("resourceVersion").and_then(text) {
        meta.resource_version = Some(v);
    }
    if let Some(v) = patch.get("finalizers") {
        meta.finalizers = v.as_array().map(|a| a.iter().filter_map(text).collect());
    }
    if let Some(v) = patch.get("ownerReferences") {
        let owner = |o: &serde_json::Value| OwnerReference {
            api_version: text(&o["apiVersion"]).unwrap_or_default(),
            kind: text(&o["kind"]).unwrap_or_default(),
            name: text(&o["name"]).unwrap_or_default(),
            uid: text(&o["uid"]).unwrap_or_default(),
            controller: o["controller"].as_bool(),
            block_owner_deletion: o["blockOwnerDeletion"].as_bool(),
        };
        meta.owner_references = v.as_array().map(|a| a.iter().map(owner).collect());
    }
    for (field, of) in [("labels", &mut meta.labels), ("annotations", &mut meta.annotations)] {
        for (k, v) in patch.get(field).and_then(|v| v.as_object()).into_iter().flatten() {
            match text(v) {
                Some(v) => of.get_or_insert_default().insert(k.clone(), v),
                None => of.get_or_insert_default().remove(k),
            };
        }
    }
}

fn merge_pod_status(pod: &mut Pod, patch: &serde_json::Value) {
    if patch.is_null() {
        return;
    }
    let text = |v: &serde_json::Value| v.as_str().map(ToOwned::to_owned);
    let status = pod.status.get_or_insert_default();
    if let Some(phase) = text(&patch["phase"]) {
        status.phase = Some(phase);
    }
    for c in patch["conditions"].as_array().into_iter().flatten() {
        let all = status.conditions.get_or_insert_default();
        let kind = text(&c["type"]).unwrap_or_default();
        all.retain(|c| c.type_ != kind);
        all.push(PodCondition {
            type_: kind,
            status: text(&c["status"]).unwrap_or_default(),
            reason: text(&c["reason"]),
            message: text(&c["message"]),
            ..PodCondition::default()
        });
    }
}

fn apply(inner: &mut Inner, write: Write) {
    if let Some(change) = inner.tables.apply(write) {
        inner.changes.push(Arc::new(change));
        inner.wakers.drain(..).for_each(Waker::wake);
    }
}

fn bump(object: &mut Object) {
    let meta = object.meta_mut();
    meta.generation = Some(meta.generation.unwrap_or(0) + 1);
}

/// Marked for deletion, with nothing left to wait for.
fn is_over(object: &Object) -> bool {
    let meta = object.meta();
    let held = match object {
        Object::Namespace(n) => {
            n.spec.as_ref().and_then(|s| s.finalizers.as_ref()).is_some_and(|f| !f.is_empty())
        }
        Object::Pod(p) => p.metadata.deletion_grace_period_seconds.unwrap_or(0) > 0,
        _ => false,
    };
    meta.deletion_timestamp.is_some() && meta.finalizers.as_ref().is_none_or(Vec::is_empty) && !held
}

/// What creation fills in.
fn fresh(object: Object) -> Object {
    match object {
        Object::Pod(p) => Pod {
            status: Some(PodStatus { phase: Some("Pending".to_owned()), ..PodStatus::default() }),
            ..Pod::clone(&p)
        }
        .into(),
        Object::Namespace(n) => Namespace {
            metadata: n.metadata.clone(),
            spec: Some(NamespaceSpec { finalizers: Some(vec!["kubernetes".to_owned()]) }),
            status: Some(NamespaceStatus { phase: Some("Active".to_owned()), conditions: None }),
        }
        .into(),
        other => other,
    }
}

fn ready<'a, T: Send + 'a>(v: Result<T, ApiError>) -> Fut<'a, T> {
    Box::pin(std::future::ready(v))
}

impl Api for World {
    fn get(&self, target: Target) -> Fut<'_, Object> {
        ready(self.find(&target.resource, &target.key))
    }
    fn list(&self, resource: Resource, namespace: String) -> Fut<'_, (Vec<Object>, Revision)> {
        let s = self.snapshot();
        let all = s.table(&resource).map(|t| t.range(&namespace, None).map(|e| e.object().clone()).collect());
        ready(Ok((all.unwrap_or_default(), s.revision())))
    }
    fn create(&self, target: Target, object: Object, _: WriteOptions) -> Fut<'_, Object> {
        if !target.subresource.is_empty() {
            return ready(Err(ApiError::method_not_supported(&target.resource, "create")));
        }
        ready(World::create(self, object))
    }
    fn update(&self, target: Target, object: Object, _: WriteOptions) -> Fut<'_, Object> {
        ready(World::update(self, object, target.subresource))
    }
    fn patch(&self, target: Target, patch: Patch, _: WriteOptions) -> Fut<'_, Object> {
        ready(World::patch(self, &target, &patch))
    }
    fn delete(&self, target: Target, options: DeleteOptions) -> Fut<'_, Option<Object>> {
        ready(World::delete(self, &target, &options))
    }
}

struct Cursor {
    inner: Arc<Mutex<Inner>>,
    at: usize,
    first: bool,
    interest: Interest,
}

impl Subscription for Cursor {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Batch>> + Send + '_>> {
        Box::pin(std::future::poll_fn(move |cx| {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = |c: &Arc<Change>| match &self.interest {
                Interest::Everything => true,
                Interest::Only(some) => some.contains(&c.resource),
            };
            let changes: Vec<_> = inner.changes[self.at..].iter().filter(|c| wanted(c)).cloned().collect();
            self.at = inner.changes.len();
            if changes.is_empty() && !self.first {
                inner.wakers.push(cx.waker().clone());
                return Poll::Pending;
            }
            let lagged = std::mem::replace(&mut self.first, false);
            let changes = if lagged { Vec::new() } else { changes };
            Poll::Ready(Some(Batch { snapshot: inner.tables.snapshot(), changes, lagged }))
        }))
    }
}

impl Source for World {
    fn snapshot(&self) -> Snapshot {
        World::snapshot(self)
    }
    fn subscribe(&self, interest: Interest) -> Box<dyn Subscription> {
        let at = self.lock().changes.len();
        Box::new(Cursor { inner: Arc::clone(&self.inner), at, first: true, interest })
    }
}
