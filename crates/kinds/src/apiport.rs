//! The one verb port: what controllers, scheduler and node may ask of the API, in-process or across the network.
//!
//! An `Api` handle acts as one user. Writes return once the caller's own cache has seen them.

use crate::error::ApiError;
use crate::key::ObjectKey;
use crate::object::Object;
use crate::resource::Resource;
use crate::{DeleteOptions, Revision};
use std::future::Future;
use std::pin::Pin;

/// A boxed future, so that the port is object-safe.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// What a verb acts on: an object, or a subresource of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub resource: Resource,
    pub key: ObjectKey,
    /// `status`, `scale`, `binding`, `eviction`, `ephemeralcontainers`, `token`, … or empty.
    pub subresource: &'static str,
}

impl Target {
    /// The object itself.
    pub fn new(resource: impl Into<Resource>, key: ObjectKey) -> Self {
        Self { resource: resource.into(), key, subresource: "" }
    }
    /// One of its subresources.
    #[must_use]
    pub fn sub(mut self, subresource: &'static str) -> Self {
        self.subresource = subresource;
        self
    }
}

/// The patch formats of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// A patch document, JSON-encoded.
#[derive(Clone, Debug)]
pub struct Patch {
    pub kind: PatchKind,
    pub body: Vec<u8>,
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub force: bool,
}

/// The verbs.
pub trait Api: Send + Sync {
    /// Reads one object.
    fn get(&self, target: Target) -> Fut<'_, Object>;
    /// Reads all objects of a resource, in one namespace or (empty) in all.
    fn list(&self, resource: Resource, namespace: String) -> Fut<'_, (Vec<Object>, Revision)>;
    /// Creates an object, or posts to a subresource. With an empty name in `target.key` the object's own name or
    /// `generateName` counts.
    fn create(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object>;
    /// Replaces an object or its status; conflicts unless `metadata.resourceVersion` is current (or empty).
    fn update(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object>;
    /// Patches an object or a subresource.
    fn patch(&self, target: Target, patch: Patch, options: WriteOptions) -> Fut<'_, Object>;
    /// Deletes an object. The answer is the object as it stands when it lingers (grace, finalizers), else `None`.
    fn delete(&self, target: Target, options: DeleteOptions) -> Fut<'_, Option<Object>>;
}
