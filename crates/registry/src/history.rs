//! Lists of the past: pages go on at the revision of their first one, and `resourceVersionMatch=Exact` names one. The
//! newest table is rewound by the journal of its resource while that reaches back far enough; further back the store is
//! read, which keeps every revision since the last compaction. Docs: "Kubernetes API Concepts: Retrieving large results
//! sets in chunks", "Resource versions".

use crate::keys;
use crate::list::{Continue, Filter, ListQuery, Listing, VersionMatch, expired_page, future, too_old};
use crate::registry::Registry;
use bytes::Bytes;
use cache::Table;
use kinds::{ApiError, ObjectKey, Resource, Revision};
use std::sync::Arc;
use std::time::Duration;
use store::{RangeError, RangeRequest};

/// How long a list waits for a revision that has not come yet.
const CATCH_UP: Duration = Duration::from_secs(3);
/// Objects read from the store in one go.
const CHUNK: usize = 500;

/// Where a list looks.
pub(crate) enum Past {
    /// At this table, which shows the revision; without a table nothing of the resource was ever stored.
    Known(Option<Table>, Revision),
    /// Into the store.
    Stored(Revision),
}

/// A page as it grows.
struct Page {
    entries: Vec<Arc<cache::Entry>>,
    /// The last key that was looked at.
    last: Option<ObjectKey>,
    full: bool,
}

impl Registry {
    /// Where the list that is asked for looks.
    ///
    /// # Errors
    /// 504 for revisions that have not happened.
    pub(crate) fn past_for(&self, resource: &Resource, query: &ListQuery) -> Result<Past, ApiError> {
        let (newest, table) = self.image.newest(resource);
        let page = query.page.as_ref().map(|p| p.revision).filter(|r| *r != Revision::ZERO);
        let at = page.or_else(|| exact(query));
        match at.or(query.revision) {
            Some(r) if r > newest => {
                let mut e = future(r, newest);
                // Of an exact revision the store is asked, which does not say when to come again.
                if let (Some(d), true) = (&mut e.details, at.is_some()) {
                    d.retry_after_s = None;
                }
                Err(e)
            }
            _ => Ok(at.map_or(Past::Known(table, newest), |r| self.image.table_at(resource, r))),
        }
    }

    /// Waits for what another server told of and is on its way here.
    ///
    /// # Errors
    /// 504 when it does not come.
    pub async fn at_least(&self, revision: Revision) -> Result<(), ApiError> {
        let _ = tokio::time::timeout(CATCH_UP, self.image.reached(revision)).await;
        let now = self.image.snapshot().revision();
        if revision > now { Err(future(revision, now)) } else { Ok(()) }
    }

    /// Lists a resource at any revision since the last compaction.
    ///
    /// # Errors
    /// 400 for contradictory options, 410 `Expired` for revisions that are compacted, 504 for future ones.
    pub async fn list_at(&self, resource: &Resource, query: &ListQuery) -> Result<Listing, ApiError> {
        if let Some(r) = query.revision.filter(|_| query.version_match != VersionMatch::Exact) {
            // What another server told of is on its way here; when it does not come, that is said.
            let _ = tokio::time::timeout(CATCH_UP, self.image.reached(r)).await;
        }
        match self.past_for(resource, query)? {
            Past::Known(table, revision) => self.list_table(resource, query, table.as_ref(), revision),
            Past::Stored(revision) => self.list_stored(resource, query, revision).await,
        }
    }

    async fn list_stored(&self, resource: &Resource, query: &ListQuery, revision: Revision) -> Result<Listing, ApiError> {
        let definition = self.definition(&self.image.snapshot(), resource);
        let filter = Filter::new(resource, query, definition.as_deref())?;
        let mut request = range_of(resource, query, revision);
        let mut page = Page { entries: Vec::new(), last: None, full: false };
        let remaining = loop {
            let found = self.engine.range(request.clone()).await.map_err(|e| refused(query, revision, &e))?;
            let (mut looked, count) = (0_u64, found.count);
            for kv in &found.kvs {
                if page.full {
                    break;
                }
                looked += 1;
                request.start = after(&kv.key);
                let Some(entry) = self.image.entry_of(kv).await.map_err(ApiError::internal)? else { continue };
                page.last = Some(entry.key.clone());
                if filter.matches(&entry) {
                    page.entries.push(Arc::new(entry));
                    page.full = page.entries.len() == query.limit;
                }
            }
            if page.full || !found.more {
                break count.saturating_sub(looked);
            }
        };
        let next = page.last.filter(|_| remaining > 0).map(|key| Continue::behind(revision, &key, &query.namespace));
        let exact = query.labels.is_everything() && query.fields.is_empty();
        let remaining = next.as_ref().filter(|_| exact).map(|_| usize::try_from(remaining).unwrap_or(usize::MAX));
        Ok(Listing { entries: page.entries, revision, next, remaining })
    }
}

/// The revision that must be shown exactly. A limit beside a resource version means so too.
fn exact(query: &ListQuery) -> Option<Revision> {
    let means = match query.version_match {
        VersionMatch::Exact => true,
        VersionMatch::Unset => query.limit > 0 && query.page.is_none(),
        VersionMatch::NotOlderThan => false,
    };
    query.revision.filter(|r| means && *r != Revision::ZERO)
}

/// The keys that the list may show.
fn range_of(resource: &Resource, query: &ListQuery, at: Revision) -> RangeRequest {
    let mut prefix = keys::prefix(resource);
    if resource.namespaced() && !query.namespace.is_empty() {
        prefix = format!("{prefix}{}/", query.namespace);
    }
    let mut request = RangeRequest { at: Some(at), limit: CHUNK, ..RangeRequest::prefix(prefix) };
    if let Some(page) = &query.page {
        let last = page.after(resource.namespaced(), &query.namespace);
        request.start = request.start.max(after(keys::encode(resource, &last).as_bytes()));
    }
    request
}

/// The first key behind a key.
fn after(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

fn refused(query: &ListQuery, revision: Revision, error: &RangeError) -> ApiError {
    match (error, &query.page) {
        (RangeError::Compacted { .. }, Some(page)) => expired_page(page),
        (RangeError::Compacted { .. }, None) => too_old(),
        (RangeError::Future { current }, _) => future(revision, *current),
        _ => ApiError::unavailable(error.to_string()),
    }
}
