//! One stored object: encoded as every reader of its JSON gets it, and decoded for as long as somebody reads it so.

use bytes::Bytes;
use kinds::{Object, ObjectKey, ObjectMeta, Resource, Revision};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Decodes the JSON of an entry again. It was decoded before: that it is no valid object is corruption.
pub type Decode = fn(&Resource, &Bytes) -> Object;

/// An object at one revision.
#[derive(Debug)]
pub struct Entry {
    pub key: ObjectKey,
    /// The object as JSON in its storage version, resourceVersion included.
    pub json: Bytes,
    /// The revision of its last write.
    pub revision: Revision,
    object: OnceLock<Object>,
    /// How to decode it when that is needed again; entries without this stay as they are.
    again: Option<(Resource, Decode)>,
    /// Whether somebody asked for the object since [`Entry::cooled`] looked last.
    read: AtomicBool,
}

impl Entry {
    /// An entry that keeps its decoded object. The object's `metadata.resourceVersion` is `revision`; its `managedFields` are
    /// left out: as trees they weigh more than all the rest, and who needs them finds them in `json`.
    #[must_use]
    pub fn new(key: ObjectKey, object: Object, json: Bytes, revision: Revision) -> Self {
        Self { key, json, revision, object: OnceLock::from(object), again: None, read: AtomicBool::new(true) }
    }

    /// The same, but its decoded object may be dropped while nobody reads it.
    #[must_use]
    pub fn decoded_by(self, resource: Resource, decode: Decode) -> Self {
        Self { again: Some((resource, decode)), ..self }
    }

    /// The decoded object.
    #[must_use]
    pub fn object(&self) -> &Object {
        if !self.read.load(Relaxed) {
            self.read.store(true, Relaxed);
        }
        self.object.get_or_init(|| {
            let (resource, decode) = self.again.as_ref().expect("an entry has its object or knows how to decode it");
            decode(resource, &self.json)
        })
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        self.object().meta()
    }

    /// Its uid, empty when it has none.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    /// Whether its object is decoded at present.
    #[must_use]
    pub fn is_decoded(&self) -> bool {
        self.object.get().is_some()
    }

    /// The same without the decoded object, when nobody asked for that since this was called last. Its bytes are a copy: the old
    /// ones lie between parts of decoded objects, and a page of memory goes back only when all of it is free.
    #[must_use]
    pub fn cooled(&self) -> Option<Self> {
        if self.again.is_none() || self.read.swap(false, Relaxed) || !self.is_decoded() {
            return None;
        }
        Some(Self {
            key: self.key.clone(),
            json: Bytes::copy_from_slice(&self.json),
            revision: self.revision,
            object: OnceLock::new(),
            again: self.again.clone(),
            read: AtomicBool::new(false),
        })
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            json: self.json.clone(),
            revision: self.revision,
            object: self.object.clone(),
            again: self.again.clone(),
            read: AtomicBool::new(true),
        }
    }
}
