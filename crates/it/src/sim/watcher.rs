//! Clients that list and watch as client-go's reflector does: they resume from where they were, from bookmarks too, fall
//! behind, are cut off, and start again on 410. Laws: ordered, unique, complete, resumable, bookmarkable.

use super::chance::Chance;
use super::truth::Truth;
use kinds::{Kind, ObjectKey, Resource, Revision, Selector};
use parking_lot::Mutex;
use registry::{ListQuery, Registry, Watch, WatchEvent, WatchQuery};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// What a line said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Added,
    Modified,
    Deleted,
}

#[derive(Default)]
struct State {
    /// `None`: the next thing is a list.
    at: Option<Revision>,
    /// Where the present unbroken story begins.
    since: Revision,
    story: Vec<(Revision, Said, ObjectKey)>,
    held: BTreeMap<ObjectKey, Revision>,
    offences: Vec<String>,
}

/// One client.
pub struct Watcher {
    resource: Resource,
    labels: Selector,
    state: Mutex<State>,
}

/// The clients of every simulation.
#[must_use]
pub fn all() -> Vec<Arc<Watcher>> {
    let of = |kind: Kind, labels: &str| {
        let labels = Selector::parse(labels).expect("a selector");
        Arc::new(Watcher { resource: kind.into(), labels, state: Mutex::default() })
    };
    vec![of(Kind::Pod, ""), of(Kind::Pod, "tier=a"), of(Kind::EndpointSlice, ""), of(Kind::Deployment, ""), of(Kind::Node, "")]
}

impl Watcher {
    /// Lists and watches until its future is dropped.
    pub async fn run(self: Arc<Self>, registry: Arc<Registry>, chance: Arc<Chance>) {
        loop {
            let from = self.state.lock().at;
            match from {
                None => self.list(&registry),
                Some(from) => self.watch(&registry, from, &chance).await,
            }
            sleep(Duration::from_millis(1 + chance.below(3000))).await;
        }
    }

    fn query(&self) -> ListQuery {
        ListQuery { labels: self.labels.clone(), ..ListQuery::default() }
    }

    fn list(&self, registry: &Registry) {
        let mut state = self.state.lock();
        match registry.list(&self.resource, &self.query()) {
            Ok(listing) => {
                if listing.revision < state.since {
                    let told = format!("{}: a list went back from {} to {}", self.resource.plural(), state.since, listing.revision);
                    state.offences.push(told);
                }
                state.held = listing.entries.iter().map(|e| (e.key.clone(), e.revision)).collect();
                (state.at, state.since) = (Some(listing.revision), listing.revision);
                state.story.clear();
            }
            Err(e) => state.offences.push(format!("{}: a plain list failed: {e}", self.resource.plural())),
        }
    }

    /// One connection, for a while.
    async fn watch(&self, registry: &Registry, from: Revision, chance: &Chance) {
        let query = WatchQuery { list: self.query(), from: Some(from), send_initial: false };
        let Ok(mut watch) = registry.watch(&self.resource, &query) else {
            self.state.lock().at = None;
            return;
        };
        let lines = 1 + chance.below(40);
        let patience = Duration::from_millis(500 + chance.below(30_000));
        let _ = tokio::time::timeout(patience, self.read(&mut watch, lines, chance)).await;
        if chance.one_in(2) && self.state.lock().at.is_some() {
            // A bookmark, as the server sends it to a connection before it closes. Only what was handed out counts.
            while let Ok(Some(event)) = watch.poll_ready() {
                self.take(event);
            }
            let revision = watch.progress();
            self.state.lock().at = Some(revision);
        }
    }

    async fn read(&self, watch: &mut Watch, lines: u64, chance: &Chance) {
        for _ in 0..lines {
            match watch.next().await {
                Ok(event) => self.take(event),
                Err(_) => {
                    self.state.lock().at = None;
                    return;
                }
            }
            if chance.one_in(20) {
                sleep(Duration::from_millis(chance.below(5_000))).await;
            }
        }
    }

    fn take(&self, event: WatchEvent) {
        let mut state = self.state.lock();
        let (said, revision, key) = match event {
            WatchEvent::Added(e) => (Said::Added, e.revision, e.key.clone()),
            WatchEvent::Modified { new: e, .. } => (Said::Modified, e.revision, e.key.clone()),
            WatchEvent::Deleted { object, revision, .. } => (Said::Deleted, revision, object.key()),
            WatchEvent::Bookmark { revision, .. } => {
                state.at = Some(revision);
                return;
            }
        };
        let known = if said == Said::Deleted { state.held.remove(&key) } else { state.held.insert(key.clone(), revision) };
        let sound = known.is_some() == (said != Said::Added) && state.at.is_none_or(|at| revision >= at);
        if !sound {
            let told = format!("{}: {said:?} {key} at {revision}, known {known:?}, place {:?}", self.resource.plural(), state.at);
            state.offences.push(told);
        }
        state.at = Some(revision);
        state.story.push((revision, said, key));
    }

    /// Compares what was told with what happened.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, truth: &Truth) -> Result<(), String> {
        let state = self.state.lock();
        if let Some(first) = state.offences.first() {
            return Err(first.clone());
        }
        let Some(at) = state.at else { return Ok(()) };
        if truth.starts.iter().any(|s| *s > state.since) {
            // The story goes on from before a restart; nobody witnessed the revisions between.
            return Ok(());
        }
        let matches = |e: &Arc<cache::Entry>| self.labels.matches(e.meta().labels.as_ref());
        let expected: Vec<_> = truth
            .span(&self.resource, state.since, at)
            .filter_map(|c| {
                let said = match (c.old.as_ref().is_some_and(matches), c.new.as_ref().is_some_and(matches)) {
                    (false, true) => Said::Added,
                    (true, true) => Said::Modified,
                    (true, false) => Said::Deleted,
                    (false, false) => return None,
                };
                Some((c.revision, said, c.key().clone()))
            })
            .collect();
        if expected == state.story {
            return Ok(());
        }
        let differs = expected.iter().zip(&state.story).find(|(a, b)| a != b);
        let (want, have) = (expected.len(), state.story.len());
        Err(format!("watch of {} {}: {have} lines instead of {want}, {differs:?}", self.resource.plural(), self.labels))
    }

    /// Forgets what was compared already.
    pub fn compared(&self) {
        let mut state = self.state.lock();
        state.since = state.at.unwrap_or(state.since);
        state.story.clear();
    }
}
