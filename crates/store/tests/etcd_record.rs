//! etcd's published correctness bugs since v3.4, one test each: what would have shown the bug here. They are the thirteen of its
//! robustness tests' track record and the four of that kind that its changelogs have had since (3.6.5 and 3.6.9). Those of
//! several members or of authorization have no counterpart in an embedded engine; the test says what stands in their
//! place, and `tests/etcd.rs` asks real members. The table of all: docs/store-format.md.

mod history;

use std::sync::Arc;

use bytes::Bytes;
use history::{block, options};
use store::disk::Faults;
use store::{
    Batch, CommitError, Embedded, Engine, Expect, Feed, FeedError, MemoryDisk, Op, Options, RangeError, RangeRequest, Revision, Txn,
    WatchRequest,
};

fn open(disk: &MemoryDisk) -> Embedded {
    Embedded::open_on(Arc::new(disk.clone()), options()).expect("it opens")
}

fn put(store: &Embedded, key: &str, value: &str) -> Revision {
    block(store.commit(Txn::put(key.to_owned(), value.to_owned(), Expect::Any))).expect("committed").revision
}

fn delete(store: &Embedded, key: &str) -> Revision {
    block(store.commit(Txn::delete(key.to_owned(), Expect::Any))).expect("committed").revision
}

fn next(feed: &mut dyn Feed) -> Batch {
    block(feed.next()).expect("a batch")
}

/// Every event until a revision, as (revision, key, put).
fn until(feed: &mut dyn Feed, last: Revision) -> Vec<(u64, String, bool)> {
    let mut all = Vec::new();
    loop {
        let batch = next(feed);
        let told = batch.events.iter().map(|e| (e.revision.0, String::from_utf8_lossy(&e.key).into_owned(), e.put.is_some()));
        all.extend(told);
        if batch.revision >= last {
            return all;
        }
    }
}

/// #13766: the revision after a crash under load was another than the one that the data belonged to.
#[test]
fn issue_13766_revision_and_data_agree_after_a_crash_under_load() {
    for seed in 0..40 {
        let disk = MemoryDisk::default();
        disk.set_faults(Faults { crash_in: Some(5 + seed * 3), ..Faults::default() });
        let Ok(store) = Embedded::open_on(Arc::new(disk.clone()), options()) else { continue };
        let mut acknowledged = Revision::ZERO;
        for n in 0..60 {
            let txn = Txn::put(format!("k{}", n % 7), format!("{n}"), Expect::Any);
            let Ok(done) = block(store.commit(txn)) else { break };
            acknowledged = done.revision;
        }
        drop(store);
        let store = open(&disk.after_crash(seed));
        let all = block(store.range(RangeRequest::prefix(""))).expect("readable");
        let newest = all.kvs.iter().map(|kv| kv.mod_revision).max().unwrap_or_default();
        assert_eq!(newest, store.revision(), "seed {seed}: without deletes the newest value has the newest revision");
        assert!(store.revision() >= acknowledged, "seed {seed}");
        let after = put(&store, "next", "1");
        assert_eq!(after, newest.next(), "seed {seed}: and the history goes on from there");
    }
}

/// #14370: a single member acknowledged a write before it was on disk.
#[test]
fn issue_14370_what_is_acknowledged_survives_a_crash_right_after() {
    for seed in 0..20 {
        let disk = MemoryDisk::default();
        let store = open(&disk);
        for n in 0..=seed {
            put(&store, &format!("k{n}"), "v");
        }
        // The power goes before anything else can happen: not even a close.
        let found = open(&disk.after_crash(seed));
        let last = block(found.get(Bytes::from(format!("k{seed}")), None)).expect("readable");
        assert!(last.is_some(), "seed {seed}");
    }
}

/// #14571 (authorization made members apply differently): no member applies anything by itself here; the nearest thing is a
/// transaction that is refused, which must leave no trace on either side of a restart.
#[test]
fn issue_14571_a_refused_transaction_changes_nothing_anywhere() {
    let disk = MemoryDisk::default();
    let store = open(&disk);
    put(&store, "a", "1");
    let refused = Txn::put("b", "1", Expect::Absent).and_put("a", "2", Expect::Absent, None);
    assert!(block(store.commit(refused)).is_err());
    let (revision, all) = (store.revision(), block(store.range(RangeRequest::prefix(""))).expect("readable"));
    let again = open(&disk.after_crash(1));
    assert_eq!((revision, all), (again.revision(), block(again.range(RangeRequest::prefix(""))).expect("readable")));
}

/// #14685: a crash during defragmentation. Ours is the rewriting of worn segments: crash at each of its steps.
#[test]
fn issue_14685_a_crash_while_segments_are_rewritten_changes_nothing() {
    for crash in 1..60 {
        let disk = MemoryDisk::default();
        let store = open(&disk);
        for n in 0..50 {
            put(&store, &format!("k{}", n % 3), &"v".repeat(100));
        }
        let (revision, all) = (store.revision(), block(store.range(RangeRequest::prefix(""))).expect("readable"));
        disk.set_faults(Faults { crash_in: Some(crash), ..Faults::default() });
        // Compaction sets the keeper to work; which of the two is cut off depends on the step.
        let _ = block(store.compact(Revision(revision.0 - 1)));
        drop(store);
        let again = open(&disk.after_crash(crash));
        assert_eq!((revision, all), (again.revision(), block(again.range(RangeRequest::prefix(""))).expect("readable")));
    }
}

/// #15220: a progress notification told of a revision whose events had not been delivered.
#[test]
fn issue_15220_progress_never_runs_ahead_of_events() {
    let store = open(&MemoryDisk::default());
    let mut feed = store.watch(WatchRequest::prefix("a", Revision(1))).expect("a feed");
    let mut delivered = 0;
    for n in 0..40 {
        // Others' keys move the revision on; ours must come no later than the progress that covers them.
        put(&store, &format!("b{n}"), "v");
        put(&store, &format!("a{n}"), "v");
        let batch = next(&mut *feed);
        delivered += batch.events.len() as u64;
        assert_eq!(delivered, batch.revision.0 / 2, "at {}", batch.revision);
    }
}

/// #15271: a watch that was resumed after a partition went back in time. A feed that is opened again where another stopped
/// tells neither what was told nor less than what is new, also after a restart.
#[test]
fn issue_15271_a_resumed_watch_does_not_go_back_in_time() {
    let disk = MemoryDisk::default();
    let store = open(&disk);
    for n in 0..10 {
        put(&store, &format!("k{n}"), "v");
    }
    let mut feed = store.watch(WatchRequest::prefix("k", Revision(1))).expect("a feed");
    until(&mut *feed, Revision(10));
    let from = feed.position();
    assert_eq!(from, Revision(11));
    drop(feed);
    drop(store);
    let store = open(&disk);
    for n in 10..20 {
        put(&store, &format!("k{n}"), "v");
    }
    let mut feed = store.watch(WatchRequest::prefix("k", from)).expect("a feed");
    let told: Vec<u64> = until(&mut *feed, Revision(20)).into_iter().map(|e| e.0).collect();
    assert_eq!(told, (11..=20).collect::<Vec<u64>>());
}

/// #17247: a cached transaction was applied, and told, twice.
#[test]
fn issue_17247_a_transaction_is_told_once() {
    let store = open(&MemoryDisk::default());
    let txn = Txn::put("a", "1", Expect::Any).and_put("b", "1", Expect::Any, None).and("c", Expect::Absent, Op::Check);
    for _ in 0..20 {
        block(store.commit(txn.clone())).expect("committed");
    }
    let mut feed = store.watch(WatchRequest::prefix("", Revision(1))).expect("a feed");
    let told = until(&mut *feed, Revision(20));
    let once: std::collections::BTreeSet<_> = told.iter().cloned().collect();
    assert_eq!((told.len(), once.len()), (40, 40));
}

/// #17529: a slow watch on a busy stream lost events. A feed that falls far behind the recent events reads them back.
#[test]
fn issue_17529_a_starved_watch_loses_nothing() {
    let store = open(&MemoryDisk::default());
    let mut feed = store.watch(WatchRequest::prefix("k", Revision(1))).expect("a feed");
    let mut told = Vec::new();
    for round in 0..10 {
        for n in 0..50 {
            put(&store, &format!("k{n}"), &round.to_string());
        }
        // One bite only, whatever it holds.
        told.extend(next(&mut *feed).events.iter().map(|e| e.revision.0));
    }
    told.extend(until(&mut *feed, Revision(500)).into_iter().map(|e| e.0));
    assert_eq!(told, (1..=500).collect::<Vec<u64>>());
}

/// #17780: a crash during compaction left a smaller revision (the newest record was a tombstone that was compacted away).
#[test]
fn issue_17780_the_revision_never_decreases_after_compaction() {
    for crash in 0..40 {
        let disk = MemoryDisk::default();
        let store = open(&disk);
        for n in 0..20 {
            put(&store, &format!("k{n}"), &"v".repeat(90));
        }
        let last = (0..20).map(|n| delete(&store, &format!("k{n}"))).last().expect("twenty");
        disk.set_faults(Faults { crash_in: (crash > 0).then_some(crash), ..Faults::default() });
        let _ = block(store.compact(last));
        drop(store);
        let again = open(&disk.after_crash(crash));
        assert_eq!(again.revision(), last, "crash {crash}");
        assert_eq!(put(&again, "n", "v"), last.next());
    }
}

/// #18089: compacting at the revision of a delete dropped that delete from watches of later revisions' history.
#[test]
fn issue_18089_compacting_on_a_delete_drops_no_event_after_it() {
    let store = open(&MemoryDisk::default());
    put(&store, "a", "1");
    put(&store, "b", "1");
    let at = delete(&store, "a");
    put(&store, "a", "2");
    let gone = delete(&store, "a");
    block(store.compact(at)).expect("compacted");
    // Far from the recent events, so that it is read back from the log.
    for n in 0..30 {
        put(&store, &format!("c{n}"), &"v".repeat(200));
    }
    let mut feed = store.watch(WatchRequest::prefix("a", at.next())).expect("a feed");
    assert_eq!(until(&mut *feed, gone), vec![(4, "a".into(), true), (5, "a".into(), false)]);
}

/// #18667: reading a compacted revision inside a transaction was answered otherwise by different members.
#[test]
fn issue_18667_compacted_revisions_are_refused_everywhere_alike() {
    let disk = MemoryDisk::default();
    let store = open(&disk);
    for n in 0..10 {
        put(&store, "a", &n.to_string());
    }
    block(store.compact(Revision(8))).expect("compacted");
    for store in [store, open(&disk)] {
        let at = |revision| block(store.get("a".into(), Some(Revision(revision))));
        assert!(matches!(at(7), Err(RangeError::Compacted { compacted: Revision(8) })));
        assert_eq!(at(8).expect("readable").expect("there").value, "7");
        let range = RangeRequest { at: Some(Revision(7)), ..RangeRequest::prefix("") };
        assert!(matches!(block(store.range(range)), Err(RangeError::Compacted { .. })));
        assert!(matches!(at(11), Err(RangeError::Future { current: Revision(10) })));
    }
}

/// #19179: a watch from exactly the compacted revision was let in, and missed the delete of that revision.
#[test]
fn issue_19179_a_watch_at_the_compacted_revision_is_refused() {
    let store = open(&MemoryDisk::default());
    put(&store, "a", "1");
    let at = delete(&store, "a");
    put(&store, "b", "1");
    block(store.compact(at)).expect("compacted");
    let refused = store.watch(WatchRequest::prefix("a", at));
    assert!(matches!(refused.err(), Some(FeedError::Compacted { compacted }) if compacted == at));
    assert!(store.watch(WatchRequest::prefix("a", at.next())).is_ok());
}

/// #20221: a watch from a revision that has not happened yet told of older events, or of progress before it.
#[test]
fn issue_20221_a_watch_from_the_future_tells_nothing_before_it() {
    let store = open(&MemoryDisk::default());
    put(&store, "a", "1");
    let mut feed = store.watch(WatchRequest::prefix("a", Revision(5))).expect("a feed");
    for n in 0..6 {
        put(&store, "a", &n.to_string());
    }
    let batch = next(&mut *feed);
    assert!(batch.events.iter().all(|e| e.revision >= Revision(5)), "{batch:?}");
    assert_eq!(batch.events.len(), 3);
}

/// #20418 (a member that was paused answered reads out of its past) and #21385 (so did one while the leader changed): whatever
/// a write has acknowledged, every read that begins afterwards sees, on every thread.
#[test]
fn issues_20418_and_21385_a_read_sees_all_that_was_acknowledged_before_it() {
    let store = open(&MemoryDisk::default());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..50 {
                    let key = format!("k{thread}");
                    let acknowledged = put(store, &key, &n.to_string());
                    assert!(block(store.latest()).expect("answers") >= acknowledged && store.revision() >= acknowledged);
                    let found = block(store.get(Bytes::from(key), None)).expect("readable").expect("there");
                    assert_eq!((found.mod_revision, found.value), (acknowledged, Bytes::from(n.to_string())));
                    let all = block(store.range(RangeRequest::prefix("k"))).expect("readable");
                    assert!(all.revision >= acknowledged);
                }
            });
        }
    });
}

/// #20615: a lease that had run out was renewed, and the renewal acknowledged. Renewing is writing over the key that is there
/// here: one that went is not written over.
#[test]
fn issue_20615_what_has_gone_is_not_renewed() {
    let store = open(&MemoryDisk::default());
    let lease = |expect| Txn::put("lease", "mine", expect).living(Some(std::time::Duration::from_secs(1)));
    let taken = block(store.commit(lease(Expect::Absent))).expect("nobody's").revision;
    let renewed = block(store.commit(lease(Expect::At(taken)))).expect("it is there").revision;
    let gone = delete(&store, "lease");
    let late = block(store.commit(lease(Expect::At(renewed))));
    assert!(matches!(late, Err(CommitError::Conflict { found: None, .. })), "{late:?}");
    assert_eq!(store.revision(), gone, "and nothing was written");
}

/// #20650: a snapshot that was applied while the file was defragmented damaged the data. Ours are a backup (the pages of one
/// revision) and the rewriting of worn segments: one beside the other, both stay whole.
#[test]
fn issue_20650_the_past_is_read_while_segments_are_rewritten() {
    let store = open(&MemoryDisk::default());
    for n in 0..200 {
        put(&store, &format!("k{}", n % 20), &"v".repeat(60));
    }
    let at = store.revision();
    let page = |start: Bytes| RangeRequest { start, at: Some(at), limit: 3, ..RangeRequest::prefix("k") };
    let pages = || {
        let (mut all, mut start) = (Vec::new(), Bytes::from_static(b"k"));
        loop {
            let found = block(store.range(page(start))).expect("its revision stands");
            let last = found.kvs.last().map(|kv| kv.key.clone());
            all.extend(found.kvs);
            match last.filter(|_| found.more) {
                Some(last) => start = [&last[..], b"\0"].concat().into(),
                None => return all,
            }
        }
    };
    let whole = pages();
    assert_eq!(whole.len(), 20);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..400 {
                put(&store, &format!("k{}", n % 20), &"w".repeat(60));
                if n % 10 == 9 {
                    block(store.compact(Revision(n / 2))).expect("compacted");
                }
            }
        });
        while !writer.is_finished() {
            assert_eq!(pages(), whole);
        }
    });
    assert_eq!(pages(), whole);
}

/// Beside the record: a disk that says it has synced and has not. Nobody can keep what such a disk loses. When it loses what
/// it had not written yet, of everything from one moment on, the history up to there opens; when it loses something in the
/// middle, that is told plainly.
#[test]
fn a_disk_that_lies_about_syncs_gives_a_prefix_or_a_clear_word() {
    let mut refused = 0;
    for seed in 0..120 {
        let disk = MemoryDisk::default();
        let store = open(&disk);
        for n in 0..seed % 20 {
            put(&store, &format!("k{n}"), "v");
        }
        let truly = disk.changes();
        disk.set_faults(Faults { syncs_lie: true, ..Faults::default() });
        for n in seed % 20..40 {
            put(&store, &format!("k{n}"), &"v".repeat(seed as usize * 7));
        }
        let reopen = |disk: MemoryDisk| Embedded::open_on(Arc::new(disk), Options { on_fatal: Arc::new(|_| {}), ..options() });
        let judge = |found: &Embedded, told: &str| {
            let held = block(found.range(RangeRequest::prefix(""))).expect("readable").kvs;
            let mut revisions: Vec<u64> = held.iter().map(|kv| kv.mod_revision.0).collect();
            revisions.sort_unstable();
            assert_eq!(revisions, (1..=found.revision().0).collect::<Vec<u64>>(), "{told}");
            assert!(found.revision().0 >= seed % 20, "{told}: what was synced truly is there");
        };
        let mut before = 0;
        // Every moment of every fourth history: there are thousands.
        let moments = if seed % 4 == 0 { truly..=disk.changes() } else { disk.changes()..=disk.changes() };
        for kept in moments {
            let told = format!("seed {seed}, {kept} changes kept");
            let found = reopen(disk.after_cut(kept)).unwrap_or_else(|e| panic!("{told}: {e}"));
            judge(&found, &told);
            assert!(found.revision().0 >= before, "{told}: more is kept, and less is there");
            before = found.revision().0;
        }
        assert_eq!(before, 40, "seed {seed}: all was kept");
        match reopen(disk.after_crash(seed)) {
            Ok(found) => judge(&found, &format!("seed {seed}")),
            Err(e) => {
                assert!(e.to_string().contains("corrupt"), "seed {seed}: {e}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the disk lies too little");
}
