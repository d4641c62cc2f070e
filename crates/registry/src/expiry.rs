//! Events do not live for ever: `--event-ttl` of kube-apiserver, one hour since their last write. Where the store removes keys by
//! itself (etcd's leases) it does so; what came there without a lease, out of a backup, is swept a while later.

use crate::registry::Registry;
use jiff::{SignedDuration, Timestamp};
use kinds::Kind;
use kinds::api::core::v1::Event;
use std::time::Duration;
use store::Expect;

/// How long an Event stays after it was last seen (kube-apiserver's default).
const EVENT_TTL: SignedDuration = SignedDuration::from_hours(1);
/// The same for the store.
pub(crate) const EVENT_LIVES: Duration = Duration::from_hours(1);
/// The sweep leaves this time to a store that removes keys by itself.
const STORE_SLACK: SignedDuration = SignedDuration::from_mins(10);
/// Events removed in one go.
const SWEEP_MAX: usize = 10_000;

impl Registry {
    /// Removes Events that were last seen longer ago than their time to live. Returns how many went.
    pub async fn expire_events(&self) -> usize {
        let slack = if self.engine.expires() { STORE_SLACK } else { SignedDuration::ZERO };
        let Ok(before) = self.now().checked_sub(EVENT_TTL + slack) else { return 0 };
        let snapshot = self.snapshot();
        let old: Vec<_> = snapshot
            .table(&Kind::Event.into())
            .into_iter()
            .flat_map(|t| t.iter())
            .filter(|e| e.object().typed::<Event>().is_some_and(|o| last_seen(o) < before))
            .take(SWEEP_MAX)
            .map(|e| (e.key.clone(), e.revision))
            .collect();
        let mut gone = 0;
        for (key, revision) in old {
            // One that was written meanwhile stays.
            gone += usize::from(self.remove(&Kind::Event.into(), &key, Expect::At(revision)).await.is_ok());
        }
        gone
    }
}

fn last_seen(e: &Event) -> Timestamp {
    let times = [
        e.metadata.creation_timestamp.as_ref().map(|t| t.0),
        e.last_timestamp.as_ref().map(|t| t.0),
        e.event_time.as_ref().map(|t| t.0),
        e.series.as_ref().and_then(|s| s.last_observed_time.as_ref()).map(|t| t.0),
    ];
    times.into_iter().flatten().max().unwrap_or(Timestamp::MAX)
}
