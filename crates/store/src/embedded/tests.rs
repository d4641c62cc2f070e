//! The engine over a memory disk: transactions, conflicts, feeds, refusals, damage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::Revision;
use bytes::Bytes;

use super::{Embedded, Options};
use crate::api::{
    CommitError, Engine, Event, Expect, Feed, FeedError, Op, OpenError, RangeError, RangeRequest, Txn, WatchRequest,
};
use crate::disk::format::{FORMAT_FILE, segment_name};
use crate::disk::{Disk, Faults, MemoryDisk, RealDisk};

const SMALL_SEGMENT: u64 = 4096;

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn small() -> (Options, Arc<AtomicUsize>) {
    let deaths = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&deaths);
    let on_fatal = Arc::new(move |_: &str| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (Options { on_fatal, segment_bytes: SMALL_SEGMENT, ring_events: 8, ring_bytes: 1 << 20, ..Options::default() }, deaths)
}

fn open(disk: &MemoryDisk) -> Embedded {
    Embedded::open_on(Arc::new(disk.clone()), small().0).expect("it opens")
}

fn put(store: &Embedded, key: &str, value: &str, expect: Expect) -> Result<Revision, CommitError> {
    block(store.commit(Txn::put(key.to_owned(), value.to_owned(), expect))).map(|c| c.revision)
}

#[test]
fn counters_and_expectations() {
    let store = open(&MemoryDisk::default());
    assert_eq!(put(&store, "a", "1", Expect::Absent).expect("new"), Revision(1));
    assert_eq!(put(&store, "a", "2", Expect::At(Revision(1))).expect("unchanged"), Revision(2));
    match put(&store, "a", "3", Expect::At(Revision(1))) {
        Err(CommitError::Conflict { key, found: Some(found) }) => {
            assert_eq!((&key[..], &found.value[..], found.mod_revision), (&b"a"[..], &b"2"[..], Revision(2)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(put(&store, "a", "3", Expect::Absent), Err(CommitError::Conflict { found: Some(_), .. })));
    assert!(matches!(put(&store, "b", "3", Expect::At(Revision(1))), Err(CommitError::Conflict { found: None, .. })));
    let kv = block(store.get("a".into(), None)).expect("readable").expect("there");
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (Revision(1), Revision(2), 2));
    assert_eq!(block(store.get("a".into(), Some(Revision(1)))).expect("readable").expect("there").value, "1");
    let gone = block(store.commit(Txn::delete("zz", Expect::Any))).expect("no error");
    assert_eq!((gone.revision, gone.changed), (Revision(2), false));
}

#[test]
fn transactions_are_all_or_nothing() {
    let store = open(&MemoryDisk::default());
    let both = Txn::put("a", "1", Expect::Absent).and_put("b", "1", Expect::At(Revision(7)), None);
    assert!(matches!(block(store.commit(both)), Err(CommitError::Conflict { found: None, .. })));
    assert_eq!(store.revision(), Revision::ZERO);
    let both = Txn::put("a", "1", Expect::Absent).and("b", Expect::Absent, Op::Check);
    assert_eq!(block(store.commit(both)).expect("goes through").revision, Revision(1));
    let twice = Txn::put("a", "1", Expect::Any).and_put("a", "2", Expect::Any, None);
    assert!(matches!(block(store.commit(twice)), Err(CommitError::DuplicateKey(_))));
    assert!(matches!(put(&store, "a", &"x".repeat(2 << 20), Expect::Any), Err(CommitError::TooLarge)));
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_written() {
    let disk = MemoryDisk::default();
    let (options, deaths) = small();
    let store = Embedded::open_on(Arc::new(disk.clone()), options).expect("it opens");
    // Less than half a segment: the keeper is not asked for the next one, which would race with the faults below.
    put(&store, "a", &"x".repeat(1900), Expect::Any).expect("there is room");
    disk.set_faults(Faults { capacity_bytes: Some(SMALL_SEGMENT + 100), ..Faults::default() });
    let big = "y".repeat(3000);
    assert!(matches!(put(&store, "b", &big, Expect::Any), Err(CommitError::NoSpace(_))));
    assert!(matches!(put(&store, "b", &big, Expect::Any), Err(CommitError::NoSpace(_))));
    assert_eq!(store.revision(), Revision(1));
    disk.set_faults(Faults::default());
    assert_eq!(put(&store, "b", &big, Expect::Absent).expect("room again"), Revision(2));
    drop(store);
    let store = open(&disk);
    assert_eq!(store.revision(), Revision(2));
    assert_eq!(deaths.load(Ordering::SeqCst), 0);
    disk.set_faults(Faults { read_only: true, ..Faults::default() });
    assert!(matches!(put(&store, "c", "1", Expect::Any), Err(CommitError::ReadOnly(_))));
    drop(store);
    let refused = Embedded::open_on(Arc::new(disk), small().0).err();
    assert!(matches!(refused, None | Some(OpenError::ReadOnly { .. })), "{refused:?}");
}

#[test]
fn a_failed_sync_ends_the_process() {
    let disk = MemoryDisk::default();
    let (options, deaths) = small();
    let store = Embedded::open_on(Arc::new(disk.clone()), options).expect("it opens");
    put(&store, "a", "1", Expect::Any).expect("durable");
    disk.set_faults(Faults { sync_fails_in: Some(1), ..Faults::default() });
    assert!(matches!(put(&store, "a", "2", Expect::Any), Err(CommitError::Closed)));
    assert_eq!(deaths.load(Ordering::SeqCst), 1);
    assert!(matches!(put(&store, "a", "3", Expect::Any), Err(CommitError::Closed)));
}

#[test]
fn damage_is_told_with_file_and_offset() {
    let disk = MemoryDisk::default();
    let store = open(&disk);
    for n in 0..10 {
        put(&store, &format!("key-{n}"), "value", Expect::Absent).expect("durable");
    }
    drop(store);
    disk.damage(&segment_name(1), 64 + 32 + 36 + 2);
    match Embedded::open_on(Arc::new(disk), small().0).err() {
        Some(OpenError::Corrupt { file, offset: 64, what }) => {
            assert!(file.ends_with(segment_name(1)) && what.contains("follows it"), "{file:?} {what}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damage_found_by_a_reader_ends_the_process() {
    let disk = MemoryDisk::default();
    let (options, deaths) = small();
    let store = Embedded::open_on(Arc::new(disk.clone()), options).expect("it opens");
    put(&store, "a", "1", Expect::Any).expect("durable");
    disk.damage(&segment_name(1), 64 + 32 + 36);
    assert!(matches!(block(store.get("a".into(), None)), Err(RangeError::Corrupt { offset: 96, .. })));
    assert_eq!(deaths.load(Ordering::SeqCst), 1);
}

#[test]
fn a_newer_format_is_refused() {
    let disk = MemoryDisk::default();
    drop(open(&disk));
    let file = disk.open(FORMAT_FILE).expect("it is there");
    file.write_at(b"timonel-store format 9\n", 0).expect("written");
    match Embedded::open_on(Arc::new(disk), small().0).err() {
        Some(error @ OpenError::Newer { found: 9, supported: 1, .. }) => {
            assert!(error.to_string().contains("newer version"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_directory_has_one_holder() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Embedded::open(dir.path(), Options::default()).expect("it opens");
    let second = Embedded::open(dir.path(), Options::default()).err().expect("refused").to_string();
    assert!(second.contains(&format!("in use by process {}", std::process::id())), "{second}");
    put(&store, "a", "1", Expect::Any).expect("durable");
    block(store.close());
    assert!(matches!(put(&store, "a", "1", Expect::Any), Err(CommitError::Closed)));
    let again = Embedded::open(dir.path(), Options::default()).expect("the lock is free");
    assert_eq!(again.revision(), Revision(1));
}

#[test]
fn a_file_in_place_of_the_directory_is_told() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    assert!(RealDisk::open(file.path()).is_err());
}

fn drain(feed: &mut dyn Feed, to: Revision) -> Vec<Event> {
    let mut events = Vec::new();
    while feed.position() <= to {
        events.extend(block(feed.next()).expect("the feed goes on").events);
    }
    events
}

#[test]
fn a_lagging_feed_reads_history_and_companions_pass_through() {
    let store = open(&MemoryDisk::default());
    let mut feed = store.watch(WatchRequest { previous: true, ..WatchRequest::prefix("k/", Revision(1)) }).expect("open");
    for n in 1..=100_u32 {
        let companion = Arc::new(n);
        let txn = Txn::default().and_put(format!("k/{}", n % 7), format!("{n}"), Expect::Any, Some(companion));
        block(store.commit(txn)).expect("durable");
    }
    let events = drain(feed.as_mut(), Revision(100));
    let revisions: Vec<u64> = events.iter().map(|e| e.revision.0).collect();
    assert_eq!(revisions, (1..=100).collect::<Vec<_>>());
    assert_eq!(events[99].companion.as_ref().and_then(|c| c.downcast_ref::<u32>()), Some(&100));
    assert!(events[0].companion.is_none(), "fell out of the recent events");
    assert_eq!(events[50].previous.as_ref().map(|kv| kv.value.clone()), Some(Bytes::from("44")));
    assert!(events[0].previous.is_none());
    block(store.close());
    assert!(matches!(block(feed.next()), Err(FeedError::Closed)));
}

#[test]
fn compaction_refuses_the_past_and_frees_the_disk() {
    let disk = MemoryDisk::default();
    let store = open(&disk);
    for n in 0..200 {
        put(&store, &format!("k{}", n % 3), &"v".repeat(200), Expect::Any).expect("durable");
    }
    block(store.commit(Txn::delete("k0", Expect::Any))).expect("durable");
    let before = store.size_bytes();
    let to = store.revision();
    assert!(matches!(block(store.compact(Revision(999))), Err(RangeError::Future { .. })));
    block(store.compact(to)).expect("compacts");
    assert!(matches!(block(store.compact(to)), Err(RangeError::Compacted { .. })));
    super::keeper::reclaim(&store.shared).expect("rewrites");
    assert!(store.size_bytes() < before / 4, "{} of {before}", store.size_bytes());
    assert!(matches!(block(store.get("k1".into(), Some(Revision(5)))), Err(RangeError::Compacted { .. })));
    assert!(matches!(store.watch(WatchRequest::prefix("", to)).err(), Some(FeedError::Compacted { .. })));
    let seen = block(store.range(RangeRequest::prefix("k"))).expect("readable");
    drop(store);
    let store = open(&disk);
    assert_eq!((store.revision(), store.compacted()), (to, to));
    assert_eq!(block(store.range(RangeRequest::prefix("k"))).expect("readable"), seen);
    assert_eq!(seen.count, 2);
}
