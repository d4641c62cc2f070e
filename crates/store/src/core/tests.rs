//! Tables and laws of the pure core: the key index against a list of everything that ever happened, the reclaim plan,
//! the ring.

use base::Revision;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::index::{Item, KeyIndex};
use super::reclaim::{Run, Wear, plan};
use super::ring::Ring;
use crate::api::Event;

fn r(n: u64) -> Revision {
    Revision(n)
}

/// `a: put 3, put 7, del 9, put 12`, the drawing of the index.
fn drawing() -> KeyIndex<()> {
    let mut index = KeyIndex::new();
    for (revision, created, version) in [(3, 3, 1), (7, 3, 2), (9, 3, 0), (12, 12, 1)] {
        index.insert(b"a", Item { revision: r(revision), created: r(created), version, at: () });
    }
    index
}

#[test]
fn the_index_answers_as_drawn() {
    let index = drawing();
    let at = |n| index.at(b"a", r(n)).map(|i| i.revision.0);
    let answers: Vec<Option<u64>> = [2, 3, 6, 7, 8, 9, 11, 12, 99].map(at).to_vec();
    let expected = [None, Some(3), Some(3), Some(7), Some(7), None, None, Some(12), Some(12)];
    assert_eq!(answers, expected);
}

#[test]
fn compaction_drops_as_drawn() {
    let dropped = |to| {
        let mut seen = Vec::new();
        drawing().compact(r(to), |i| seen.push(i.revision.0));
        seen
    };
    assert_eq!(dropped(2), Vec::<u64>::new());
    assert_eq!(dropped(7), [3]);
    assert_eq!(dropped(9), [3, 7, 9]);
    assert_eq!(dropped(10), [3, 7, 9]);
    assert_eq!(dropped(12), [3, 7, 9]);
}

#[test]
fn ranges_take_their_bounds() {
    let mut index = KeyIndex::new();
    for (n, key) in ["a", "b", "c"].iter().enumerate() {
        index.insert(key.as_bytes(), Item { revision: r(n as u64 + 1), created: r(n as u64 + 1), version: 1, at: () });
    }
    let keys = |start: &[u8], end: &[u8], at| {
        let found: Vec<Bytes> = index.range(start, end, r(at)).map(|(k, _)| k.clone()).collect();
        found.concat()
    };
    assert_eq!(keys(b"", b"", 9), b"abc");
    assert_eq!(keys(b"b", b"c", 9), b"b");
    assert_eq!(keys(b"b", b"", 2), b"b");
    assert_eq!(keys(b"c", b"a", 9), b"");
    assert_eq!(keys(b"b", b"b", 9), b"");
}

fn wear(id: u32, total: u64, live: u64, kept: u64, dead_puts: u64) -> Wear {
    Wear { id, total_bytes: total, live_bytes: live, kept_bytes: kept, dead_puts }
}

#[test]
fn reclaim_chooses_what_is_worth_it() {
    let run = |ids: &[u32], drop_tombstones| Some(Run { ids: ids.to_vec(), drop_tombstones });
    assert_eq!(plan(&[], 100), None);
    assert_eq!(plan(&[wear(1, 100, 60, 0, 4), wear(2, 100, 90, 0, 1)], 100), None);
    assert_eq!(plan(&[wear(1, 100, 40, 0, 4), wear(2, 100, 50, 0, 4)], 100), run(&[1, 2], true));
    assert_eq!(plan(&[wear(1, 100, 40, 0, 4), wear(2, 100, 100, 0, 0)], 100), run(&[1], true));
    assert_eq!(plan(&[wear(1, 100, 60, 0, 4), wear(2, 100, 0, 0, 4)], 50), run(&[2], false));
    // Tombstones that must stay are no gain until everything older is clean.
    assert_eq!(plan(&[wear(1, 100, 60, 0, 4), wear(2, 10, 0, 10, 0)], 50), None);
    assert_eq!(plan(&[wear(1, 100, 100, 0, 0), wear(2, 10, 0, 10, 0)], 50), run(&[2], true));
    let many: Vec<Wear> = (1..=8).map(|id| wear(id, 10, 10, 0, 0)).collect();
    assert_eq!(plan(&many, 100), run(&[1, 2, 3, 4, 5, 6, 7, 8], true));
}

#[test]
fn the_ring_is_bounded_and_says_what_it_lacks() {
    let mut ring = Ring::new(r(10), 3, usize::MAX);
    let event = |n| Event { revision: r(n), key: Bytes::new(), put: None, previous: None, companion: None };
    for n in [11, 12, 12, 13] {
        ring.push(event(n));
    }
    let since = |n| ring.since(r(n)).map(|events| events.map(|e| e.revision.0).collect::<Vec<_>>());
    assert_eq!(since(11), None);
    assert_eq!(since(12), Some(vec![12, 12, 13]));
    assert_eq!(since(14), Some(vec![]));
    ring.push(event(14));
    // Half of revision 12 fell out: all of it is told to be gone.
    assert_eq!(ring.since(r(12)).map(Iterator::count), None);
    assert_eq!(ring.since(r(13)).map(Iterator::count), Some(2));
}

proptest! {
    /// Compaction changes no answer at its revision or later, whatever it is and however often it is done.
    #[test]
    fn compaction_keeps_the_present(
        ops in vec((0..4_u8, any::<bool>()), 1..60),
        compactions in vec(0..70_u64, 0..4),
    ) {
        let mut index = KeyIndex::new();
        let mut history: Vec<(u8, Option<u64>)> = Vec::new();
        for (key, delete) in ops {
            let revision = r(history.len() as u64 + 1);
            let head = index.head(&[key]).map(|i: &Item<()>| (i.created, i.version));
            if delete && head.is_none() {
                continue;
            }
            let (created, version) = head.map_or((revision, 1), |(created, version)| (created, version + 1));
            let version = if delete { 0 } else { version };
            index.insert(&[key], Item { revision, created, version, at: () });
            history.push((key, (!delete).then_some(revision.0)));
        }
        let newest = history.len() as u64;
        let mut compacted = 0;
        for to in compactions {
            compacted = compacted.max(to.min(newest));
            index.compact(r(compacted), |_| {});
            for at in compacted..=newest {
                for key in 0..4_u8 {
                    let expected = history[..at as usize].iter().rev().find(|(k, _)| *k == key).and_then(|(_, v)| *v);
                    prop_assert_eq!(index.at(&[key], r(at)).map(|i| i.revision.0), expected);
                }
            }
        }
    }
}
