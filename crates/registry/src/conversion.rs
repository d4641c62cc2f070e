//! Custom resources in other versions than the one they are stored in: by name alone (strategy None), or by asking a
//! conversion webhook through the port. Docs: "Versions in CustomResourceDefinitions".

#[cfg(test)]
mod tests;

use crate::admit::Speaks;
use crate::fieldowners::whole;
use crate::list::{Filter, ListQuery, Listing};
use crate::registry::{Caller, Registry};
use cache::{Entry, Snapshot};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{ApiError, Object, Resource};
use std::sync::Arc;

/// The definition behind a resource, when a webhook converts its objects.
pub(crate) fn by_webhook<'s>(snapshot: &'s Snapshot, resource: &Resource) -> Option<&'s Arc<CustomResourceDefinition>> {
    let Resource::Custom(c) = resource else { return None };
    let crd = snapshot.get::<CustomResourceDefinition>("", &format!("{}.{}", c.plural, c.group))?;
    crd.spec.conversion.as_ref().is_some_and(|c| c.strategy == "Webhook").then_some(crd)
}

fn rename(object: &mut Object, api_version: &str) {
    if let Object::Dynamic(d) = object {
        if d.api_version != api_version {
            Arc::make_mut(d).api_version = api_version.to_owned();
        }
    }
}

impl Registry {
    /// Objects of one custom resource in the version `to` (`group/version`), in their order.
    ///
    /// # Errors
    /// What the conversion webhook could not do.
    pub async fn convert(&self, resource: &Resource, objects: Vec<Object>, to: &str) -> Result<Vec<Object>, ApiError> {
        let snapshot = self.snapshot();
        self.convert_at(&snapshot, resource, objects, to).await
    }

    pub(crate) async fn convert_at(
        &self,
        snapshot: &Snapshot,
        resource: &Resource,
        mut objects: Vec<Object>,
        to: &str,
    ) -> Result<Vec<Object>, ApiError> {
        if objects.iter().all(|o| o.api_version() == to) {
            return Ok(objects);
        }
        if let (Some(crd), Some(hooks)) = (by_webhook(snapshot, resource), self.hooks()) {
            let (positions, asked): (Vec<usize>, Vec<Object>) =
                objects.iter().enumerate().filter(|(_, o)| o.api_version() != to).map(|(i, o)| (i, o.clone())).unzip();
            let turned = hooks.convert(snapshot, crd, asked, to).await?;
            let definition = self.definition(snapshot, resource);
            for (i, mut object) in positions.into_iter().zip(turned) {
                crate::customs::prune(definition.as_deref(), &mut object);
                objects[i] = object;
            }
            return Ok(objects);
        }
        objects.iter_mut().for_each(|o| rename(o, to));
        Ok(objects)
    }

    /// Stored entries as one served version shows them; those that are in it already stay as they are.
    ///
    /// # Errors
    /// As [`Registry::convert`].
    pub async fn spoken(&self, resource: &Resource, to: &str, mut entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, ApiError> {
        let snapshot = self.snapshot();
        if by_webhook(&snapshot, resource).is_none() {
            return Ok(entries);
        }
        let (positions, asked): (Vec<usize>, Vec<Object>) = entries
            .iter()
            .enumerate()
            .filter(|(_, e)| e.object().api_version() != to)
            .map(|(i, e)| (i, whole(e.object(), &e.json)))
            .unzip();
        let turned = self.convert_at(&snapshot, resource, asked, to).await?;
        for (i, object) in positions.into_iter().zip(turned) {
            entries[i] = Arc::new(shown(&entries[i], object));
        }
        Ok(entries)
    }

    /// Lists a resource in the version that the query names; fields of that version are judged after the conversion, so that
    /// a page may hold fewer than its limit.
    ///
    /// # Errors
    /// As [`Registry::list`] and [`Registry::convert`].
    pub async fn list_spoken(&self, resource: &Resource, query: &ListQuery) -> Result<Listing, ApiError> {
        let mut listing = self.list_at(resource, query).await?;
        let Some(definition) = self.definition(&self.snapshot(), resource).filter(|d| d.by_webhook) else { return Ok(listing) };
        let filter = Filter::new(resource, query, Some(&definition))?;
        let to = format!("{}/{}", definition.group, definition.version(&query.version).name);
        listing.entries = self.spoken(resource, &to, listing.entries).await?;
        listing.entries.retain(|e| filter.matches_spoken(e));
        Ok(listing)
    }

    /// A stored entry as the request of `caller` speaks of it; `None`: as it is stored.
    pub(crate) async fn seen(
        &self,
        caller: &Caller,
        snapshot: &Snapshot,
        resource: &Resource,
        stored: &Arc<Entry>,
        sent: Option<&Object>,
    ) -> Result<Option<Entry>, ApiError> {
        let Resource::Custom(c) = resource else { return Ok(None) };
        let to = match (&caller.speaks, sent) {
            (_, Some(o)) => o.api_version(),
            (Speaks::Version(v), None) => format!("{}/{v}", c.group),
            _ => return Ok(None),
        };
        if stored.object().api_version() == to {
            return Ok(None);
        }
        let mut turned = self.convert_at(snapshot, resource, vec![whole(stored.object(), &stored.json)], &to).await?;
        Ok(turned.pop().map(|object| shown(stored, object)))
    }

    /// An object in the version that is stored.
    pub(crate) async fn store_as(&self, snapshot: &Snapshot, resource: &Resource, object: Object) -> Result<Object, ApiError> {
        let Some(definition) = self.definition(snapshot, resource) else { return Ok(object) };
        let stored = definition.stored_as();
        if object.api_version() == stored {
            return Ok(object);
        }
        let version = object.meta().resource_version.clone();
        let mut turned = self.convert_at(snapshot, resource, vec![object], &stored).await?;
        let mut object = turned.pop().ok_or_else(|| ApiError::internal("a conversion without a result"))?;
        object.meta_mut().resource_version = version;
        Ok(object)
    }
}

fn shown(stored: &Entry, mut object: Object) -> Entry {
    object.meta_mut().resource_version.clone_from(&stored.meta().resource_version);
    let json = codec::encode(&object).into();
    Entry::new(stored.key.clone(), object, json, stored.revision)
}
