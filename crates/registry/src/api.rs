//! `kinds::Api` in this process: no HTTP, no encoding for the wire, the same order of steps.

use crate::delete::Deleted;
use crate::fieldowners::unfolded;
use crate::list::ListQuery;
use crate::registry::{Caller, Registry};
use kinds::{
    Api, ApiError, DeleteOptions, Fut, Object, Patch, Resource, Revision, Target, WriteOptions,
};
use std::sync::Arc;

/// A handle that acts as one user.
#[derive(Clone)]
pub struct LocalApi {
    registry: Arc<Registry>,
    caller: Caller,
}

impl LocalApi {
    /// A handle for that caller.
    #[must_use]
    pub fn new(registry: Arc<Registry>, caller: Caller) -> Self {
        Self { registry, caller }
    }
}

impl LocalApi {
    /// The status of a definition comes from controllers, who see it without its schemas: admission sees the whole.
    fn with_schemas(&self, target: &Target, mut object: Object) -> Object {
        let Object::CustomResourceDefinition(new) = &mut object else { return object };
        let stored = self.registry.get(&target.resource, &target.key).map(unfolded);
        if target.subresource == "status"
            && let Ok(Object::CustomResourceDefinition(old)) = stored.as_ref().map(|e| e.object())
        {
            Arc::make_mut(new).spec.clone_from(&old.spec);
        }
        object
    }
}

impl Api for LocalApi {
    fn get(&self, target: Target) -> Fut<'_, Object> {
        Box::pin(async move { self.registry.get(&target.resource, &target.key).map(|e| unfolded(e).object().clone()) })
    }

    fn list(&self, resource: Resource, namespace: String) -> Fut<'_, (Vec<Object>, Revision)> {
        Box::pin(async move {
            let listing = self.registry.list(&resource, &ListQuery { namespace, ..ListQuery::default() })?;
            Ok((listing.entries.into_iter().map(|e| unfolded(e).object().clone()).collect(), listing.revision))
        })
    }

    fn create(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(async move {
            let (registry, caller) = (&self.registry, &self.caller);
            let answer = match (target.subresource, &object) {
                ("", _) => registry.create(caller, &target, object, &options).await?,
                ("binding", Object::Binding(b)) => registry.bind(caller, &target.key, b, &options).await?,
                ("eviction", Object::Eviction(e)) => {
                    registry.evict(caller, &target.key, e, options.dry_run).await?;
                    return Ok(object);
                }
                ("token", Object::TokenRequest(_)) => {
                    let shown = registry.admit_posted(caller, &target, object, &options).await?;
                    let Object::TokenRequest(t) = &shown else { return Err(ApiError::internal("no token request")) };
                    return registry.issue_token(&target.key, t).map(Object::from);
                }
                (other, _) => return Err(ApiError::bad_request(format!("{other} cannot be created in-process"))),
            };
            Ok(answer.entry.object().clone())
        })
    }

    fn update(&self, target: Target, object: Object, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(async move {
            let object = self.with_schemas(&target, object);
            let answer = self.registry.update(&self.caller, &target, object, &options).await?;
            Ok(answer.entry.object().clone())
        })
    }

    fn patch(&self, target: Target, patch: Patch, options: WriteOptions) -> Fut<'_, Object> {
        Box::pin(async move {
            let answer = self.registry.patch(&self.caller, &target, &patch, &options).await?;
            Ok(answer.entry.object().clone())
        })
    }

    fn delete(&self, target: Target, options: DeleteOptions) -> Fut<'_, Option<Object>> {
        Box::pin(async move {
            match self.registry.delete(&self.caller, &target, &options).await? {
                Deleted::Gone(_) => Ok(None),
                Deleted::Lingers(entry) => Ok(Some(entry.object().clone())),
            }
        })
    }
}
