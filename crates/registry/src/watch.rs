//! Watches: a place in a resource's journal, and the translation of changes into what a selector sees of them.

use crate::image::Image;
use crate::list::{Filter, ListQuery};
use crate::registry::Registry;
use bytes::Bytes;
use cache::{Change, Entry};
use kinds::{ApiError, Object, Resource, Revision};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Changes read from the journal in one go.
const PULL_MAX: usize = 256;

/// What a watch asks for: a list's selectors, and where to start.
#[derive(Clone, Debug, Default)]
pub struct WatchQuery {
    pub list: ListQuery,
    /// `None`: start with the objects as they are ("get state and start at any").
    pub from: Option<Revision>,
    /// Send the initial objects (and then a bookmark that says so).
    pub send_initial: bool,
}

/// One line of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    Added(Arc<Entry>),
    Modified { old: Arc<Entry>, new: Arc<Entry> },
    /// The object as it last was for this watcher, at the revision of its going.
    Deleted { object: Object, json: Bytes, revision: Revision },
    /// Everything up to here was sent; `initial` closes the initial objects.
    Bookmark { revision: Revision, initial: bool },
}

impl WatchEvent {
    /// The going of an object, or its ceasing to match.
    #[must_use]
    pub fn left(entry: &Entry, revision: Revision) -> Self {
        let mut object = entry.object().clone();
        object.meta_mut().resource_version = Some(revision.to_string());
        let json = codec::replace_revision(&entry.json, entry.revision, revision);
        Self::Deleted { object, json, revision }
    }
}

/// A running watch.
pub struct Watch {
    image: Arc<Image>,
    resource: Resource,
    filter: Filter,
    at: Revision,
    door: watch::Receiver<Revision>,
    ready: VecDeque<WatchEvent>,
}

impl Registry {
    /// Starts a watch.
    ///
    /// # Errors
    /// 410 `Expired` when the starting point is not kept, 400 for bad selectors.
    pub fn watch(&self, resource: &Resource, query: &WatchQuery) -> Result<Watch, ApiError> {
        let definition = self.definition(&self.image.snapshot(), resource);
        let filter = Filter::new(resource, &query.list, definition.as_deref())?;
        let door = self.image.changes_of(resource);
        let mut ready = VecDeque::new();
        let at = match query.from {
            Some(r) if !query.send_initial => {
                self.image.after(resource, r, 1).map_err(|lost| gone(r, lost.complete_after))?;
                r
            }
            _ => {
                let listing = self.list(resource, &query.list)?;
                ready.extend(listing.entries.into_iter().map(WatchEvent::Added));
                if query.send_initial {
                    ready.push_back(WatchEvent::Bookmark { revision: listing.revision, initial: true });
                }
                listing.revision
            }
        };
        Ok(Watch { image: Arc::clone(&self.image), resource: resource.clone(), filter, at, door, ready })
    }
}

fn gone(asked: Revision, complete_after: Revision) -> ApiError {
    ApiError::expired(format!("too old resource version: {asked} ({complete_after})"))
}

impl Watch {
    /// The revision up to which everything was handed out (a bookmark's content).
    #[must_use]
    pub fn position(&self) -> Revision {
        self.at
    }

    /// What its objects have to match.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Moves on to what is published when nothing of this resource is pending, for bookmarks of quiet resources.
    pub fn progress(&mut self) -> Revision {
        if self.ready.is_empty() {
            let now = self.image.snapshot().revision();
            if let Ok(changes) = self.image.after(&self.resource, self.at, 1) {
                if changes.is_empty() {
                    self.at = self.at.max(now);
                }
            }
        }
        self.at
    }

    /// Whether something can be handed out at once.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn poll_ready(&mut self) -> Result<Option<WatchEvent>, ApiError> {
        if self.ready.is_empty() {
            self.pull()?;
        }
        Ok(self.ready.pop_front())
    }

    /// Waits for the next line. Cancel-safe.
    ///
    /// # Errors
    /// 410 when the watcher was too slow and its place is forgotten.
    pub async fn next(&mut self) -> Result<WatchEvent, ApiError> {
        loop {
            self.door.mark_unchanged();
            if let Some(event) = self.poll_ready()? {
                return Ok(event);
            }
            if self.door.changed().await.is_err() {
                return Err(ApiError::unavailable("the server is shutting down"));
            }
        }
    }

    fn pull(&mut self) -> Result<(), ApiError> {
        loop {
            let from = self.at;
            let changes = self.image.after(&self.resource, from, PULL_MAX).map_err(|l| gone(from, l.complete_after))?;
            let Some(last) = changes.last() else { return Ok(()) };
            self.at = last.revision;
            self.ready.extend(changes.iter().filter_map(|c| translate(&self.filter, c)));
            if !self.ready.is_empty() {
                return Ok(());
            }
        }
    }
}

/// What a change is for a watcher: objects that begin to match are added, objects that cease to match are deleted.
fn translate(filter: &Filter, change: &Change) -> Option<WatchEvent> {
    let old = change.old.as_ref().filter(|e| filter.matches(e));
    let new = change.new.as_ref().filter(|e| filter.matches(e));
    match (old, new) {
        (None, Some(e)) => Some(WatchEvent::Added(Arc::clone(e))),
        (Some(old), Some(new)) => Some(WatchEvent::Modified { old: Arc::clone(old), new: Arc::clone(new) }),
        (Some(e), None) => Some(WatchEvent::left(e, change.revision)),
        (None, None) => None,
    }
}
