//! How a feed comes to a revision that was nobody's here: a consistent read waits until the feeds have seen etcd's newest
//! revision, and what others write outside our keys moves that without an event. Then a key of ours is written, whose
//! event tells the feed, in its order, that everything before it was sent. Asking for progress would be cheaper, but is
//! not to be relied upon (see `feed`).

use super::{Shared, convert};
use crate::api::{Expect, Txn};
use base::Revision;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Below the root of everything, and no object's key.
const KEY: &str = "/registry/timonel/seen";
/// Feeds are looked at so often. One that stands still for that long is given an event.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// First and last pause after an event that did not help, because a feed has no stream just now.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(2);
/// Nobody waits longer than that for one revision.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long writing the key may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Which revision is waited for, and whether somebody sees to it.
#[derive(Default)]
pub(super) struct Touch {
    wanted: AtomicU64,
    busy: AtomicBool,
}

/// Whether that is the key, which says nothing beside its revision.
pub(super) fn is(key: &[u8]) -> bool {
    key == KEY.as_bytes()
}

/// Sees to it that all feeds come to `target`.
pub(super) fn until_seen(shared: &Arc<Shared>, target: Revision) {
    if has_seen(shared, target) {
        return;
    }
    shared.touch.wanted.fetch_max(target.0, Ordering::AcqRel);
    if shared.touch.busy.swap(true, Ordering::AcqRel) {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        watch_over(&shared).await;
        shared.touch.busy.store(false, Ordering::Release);
        // Who came in the last moment saw somebody at it.
        let wanted = Revision(shared.touch.wanted.load(Ordering::Acquire));
        if !shared.feeds.are_closed() && !has_seen(&shared, wanted) {
            until_seen(&shared, wanted);
        }
    });
}

fn has_seen(shared: &Shared, target: Revision) -> bool {
    shared.feeds.seen().is_none_or(|seen| seen >= target)
}

async fn watch_over(shared: &Shared) {
    let begun = tokio::time::Instant::now();
    let (mut last, mut pause) = (shared.feeds.seen(), PAUSE_FIRST);
    while begun.elapsed() < PATIENCE && !shared.feeds.are_closed() {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = shared.feeds.seen();
        if has_seen(shared, Revision(shared.touch.wanted.load(Ordering::Acquire))) {
            return;
        }
        if seen == last {
            write(shared).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        } else {
            pause = PAUSE_FIRST;
        }
        last = seen;
    }
}

/// A failure is no matter: it is tried again while somebody waits.
async fn write(shared: &Shared) {
    let mut txn = Txn::put(KEY, "", Expect::Any);
    for op in &mut txn.ops {
        op.key = shared.root.outward(std::mem::take(&mut op.key));
    }
    let _ = shared.pool.txn(convert::txn(&txn, 0), WRITE_TIMEOUT).await;
}
