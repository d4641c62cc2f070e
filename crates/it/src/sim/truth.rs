//! What really happened, as two independent witnesses tell it: the store's own feed, and the image's journal. It outlives
//! the program, so that after each restart everything that anyone was told can be looked for.

use cache::{Change, Entry, Interest, Snapshot, Source};
use kinds::{ObjectKey, Resource, Revision};
use parking_lot::Mutex;
use registry::{Feed, Registry};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Engine, WatchRequest};

/// Everything that was witnessed.
#[derive(Default)]
pub struct Truth {
    /// Every change that the image published in this life, in order.
    pub changes: Vec<Arc<Change>>,
    /// Every event of the store in this life: revision, key, whether it was a put.
    events: Vec<(Revision, Vec<u8>, bool)>,
    /// The newest image that anyone saw.
    last: Option<Snapshot>,
    offences: Vec<String>,
    /// Where each life's witnessing began.
    pub starts: Vec<Revision>,
}

impl Truth {
    /// Notes what must never happen and did.
    pub fn offend(&mut self, what: String) {
        self.offences.push(what);
    }
    /// Notes what is seen last before the program goes down.
    pub fn last_seen(&mut self, snapshot: Snapshot) {
        self.last = Some(snapshot);
    }
    /// Law: after a restart everything that was shown is there unchanged, or a newer write took its place.
    ///
    /// # Errors
    /// What was lost.
    pub fn reopened(&mut self, now: &Snapshot) -> Result<(), String> {
        self.starts.push(now.revision());
        self.changes.clear();
        self.events.clear();
        let Some(before) = self.last.take() else { return Ok(()) };
        let seen = before.revision();
        if now.revision() < seen {
            return Err(format!("revision {seen} was shown, and after the restart the newest is {}", now.revision()));
        }
        let newer = |e: Option<&Arc<Entry>>| e.map_or(now.revision() > seen, |e| e.revision > seen);
        for (resource, table) in before.tables() {
            for e in table.iter() {
                let found = now.entry(resource, &e.key);
                let same = found.is_some_and(|f| f.revision == e.revision && f.json == e.json);
                if !same && !newer(found) {
                    return Err(format!("{} {} of revision {} is lost", resource.plural(), e.key, e.revision));
                }
            }
        }
        for (resource, table) in now.tables() {
            for e in table.iter().filter(|e| e.revision <= seen) {
                if before.entry(resource, &e.key).is_none() {
                    return Err(format!("{} {} was deleted and is back", resource.plural(), e.key));
                }
            }
        }
        Ok(())
    }

    /// Law: both witnesses tell the same story, in order, nothing twice; and nothing else has gone wrong.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self) -> Result<(), String> {
        if let Some(first) = self.offences.first() {
            return Err(first.clone());
        }
        let told = |c: &Arc<Change>| (c.revision, registry::keys::encode(&c.resource, c.key()).into_bytes(), c.new.is_some());
        let mut image = self.changes.iter().map(told);
        for e in &self.events {
            let other = image.next();
            if other.as_ref() != Some(e) {
                let key = String::from_utf8_lossy(&e.1);
                return Err(format!("the store tells {} {key}, the image {other:?}", e.0));
            }
        }
        if let Some(more) = image.next() {
            return Err(format!("the image tells of {} that the store does not know", more.0));
        }
        let unordered = self.changes.windows(2).find(|w| w[0].revision > w[1].revision);
        unordered.map_or(Ok(()), |w| Err(format!("revision {} came after {}", w[1].revision, w[0].revision)))
    }

    /// What `(from, to]` changed of a resource.
    pub fn span(&self, resource: &Resource, from: Revision, to: Revision) -> impl Iterator<Item = &Arc<Change>> {
        let begin = self.changes.partition_point(|c| c.revision <= from);
        let resource = resource.clone();
        self.changes[begin..].iter().take_while(move |c| c.revision <= to).filter(move |c| c.resource == resource)
    }
    /// Revisions of every object of a resource as both witnesses leave it.
    #[must_use]
    pub fn held(snapshot: &Snapshot, resource: &Resource) -> BTreeMap<ObjectKey, Revision> {
        let rows = snapshot.table(resource).into_iter().flat_map(|t| t.iter());
        rows.map(|e| (e.key.clone(), e.revision)).collect()
    }
}

/// Witnesses until the store closes.
pub fn follow(truth: Arc<Mutex<Truth>>, registry: Arc<Registry>, engine: &dyn Engine) -> impl Future<Output = ()> + use<> {
    let start = registry.snapshot().revision();
    let feed = engine.watch(WatchRequest::prefix(registry::keys::ROOT, start.next()));
    let source = Feed(Arc::clone(registry.image()));
    async move {
        let mut feed = match feed {
            Ok(feed) => feed,
            Err(e) => return truth.lock().offend(format!("no feed from the store: {e}")),
        };
        let mut changes = source.subscribe(Interest::Everything);
        let first = changes.next().await;
        if first.is_none_or(|b| b.snapshot.revision() != start) {
            return truth.lock().offend("the witness came late".into());
        }
        loop {
            tokio::select! {
                biased;
                batch = feed.next() => match batch {
                    Ok(batch) => {
                        let told = batch.events.into_iter().map(|e| (e.revision, e.key.to_vec(), e.put.is_some()));
                        truth.lock().events.extend(told);
                    }
                    Err(store::FeedError::Closed) => return,
                    Err(e) => return truth.lock().offend(format!("the store's feed broke: {e}")),
                },
                batch = changes.next() => match batch {
                    Some(b) if b.lagged => return truth.lock().offend("the witness fell behind".into()),
                    Some(b) => truth.lock().changes.extend(b.changes),
                    None => return,
                },
            }
        }
    }
}
