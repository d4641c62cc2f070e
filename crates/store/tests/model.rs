//! The engine against a small model: a list of everything that was ever committed. Histories of transactions, ranges at
//! revisions, compactions, rewrites and restarts by proptest; the laws of feeds: ordered, unique, complete, resumable.

mod history;

use std::sync::Arc;

use history::{Model, block, key, options};
use proptest::collection::vec;
use proptest::prelude::*;
use store::{
    CommitError, Embedded, Engine, Expect, Feed, FeedError, MemoryDisk, Op, RangeError, RangeRequest, Revision, Txn,
    WatchRequest,
};

#[derive(Clone, Debug)]
enum Step {
    Txn(Vec<(u8, Guess, bool, u16)>),
    Compact(u64),
    Restart,
    Watch { back: u64, from_key: u8, to_key: u8 },
    Drain(usize),
}

#[derive(Clone, Copy, Debug)]
enum Guess {
    Any,
    Absent,
    Right,
    Wrong,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guess = prop_oneof![4 => Just(Guess::Any), 2 => Just(Guess::Absent), 3 => Just(Guess::Right), 1 => Just(Guess::Wrong)];
    let op = (0..6_u8, guess, prop::bool::weighted(0.25), 1..600_u16);
    let step = prop_oneof![
        12 => vec(op, 1..4).prop_map(Step::Txn),
        2 => (0..12_u64).prop_map(Step::Compact),
        1 => Just(Step::Restart),
        2 => (0..12_u64, 0..6_u8, 0..7_u8).prop_map(|(back, from_key, to_key)| Step::Watch { back, from_key, to_key }),
        3 => (0..4_usize).prop_map(Step::Drain),
    ];
    vec(step, 1..80)
}

struct Watcher {
    request: WatchRequest,
    feed: Box<dyn Feed>,
    /// What it delivered, as (revision, key, value).
    seen: Vec<history::Change>,
    upto: Revision,
}

struct World {
    disk: MemoryDisk,
    store: Option<Embedded>,
    model: Model,
    watchers: Vec<Watcher>,
}

impl World {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let store = Embedded::open_on(Arc::new(disk.clone()), options()).expect("it opens");
        Self { disk, store: Some(store), model: Model::default(), watchers: Vec::new() }
    }

    fn store(&self) -> &Embedded {
        self.store.as_ref().expect("it is open between steps")
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Txn(ops) => self.txn(&ops),
            Step::Compact(back) => self.compact(back),
            Step::Restart => self.restart(),
            Step::Watch { back, from_key, to_key } => self.watch(back, from_key, to_key),
            Step::Drain(n) => {
                let (len, newest) = (self.watchers.len(), self.model.revision());
                if len > 0 {
                    drain(&mut self.watchers[n % len], newest, &self.model);
                }
            }
        }
        assert_eq!(self.store().revision(), self.model.revision());
        assert_eq!(self.store().compacted(), self.model.compacted);
    }

    fn txn(&mut self, ops: &[(u8, Guess, bool, u16)]) {
        let mut txn = Txn::default();
        let current = self.model.revision();
        for (k, guess, delete, len) in ops {
            let head = self.model.pair(*k, current).map(|kv| kv.mod_revision);
            let expect = match guess {
                Guess::Any => Expect::Any,
                Guess::Absent => Expect::Absent,
                Guess::Right => head.map_or(Expect::Absent, Expect::At),
                Guess::Wrong => Expect::At(Revision(current.0 + 7)),
            };
            let value = vec![*k; usize::from(*len)];
            let op = if *delete { Op::Delete } else { Op::Put { value: value.into(), companion: None, lives: None } };
            txn = txn.and(key(*k), expect, op);
        }
        let expected = self.model.commit(&txn);
        match (block(self.store().commit(txn)), expected) {
            (Ok(done), Ok(expected)) => assert_eq!(done, expected),
            (Err(CommitError::Conflict { key, found }), Err(Some((k, there)))) => {
                assert_eq!((key, found.map(|kv| *kv)), (k, there));
            }
            (Err(CommitError::DuplicateKey(_)), Err(None)) => {}
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    fn compact(&mut self, back: u64) {
        let to = Revision(self.model.revision().0.saturating_sub(back));
        let result = block(self.store().compact(to));
        if to <= self.model.compacted {
            assert_eq!(result, Err(RangeError::Compacted { compacted: self.model.compacted }));
        } else {
            assert_eq!(result, Ok(()));
            self.model.compacted = to;
        }
    }

    fn restart(&mut self) {
        // A feed survives no restart: it is resumed from where it stood.
        let watchers = std::mem::take(&mut self.watchers);
        let kept: Vec<_> = watchers.into_iter().map(|w| (w.request, w.seen, w.upto)).collect();
        block(self.store().close());
        self.store = None;
        self.store = Some(Embedded::open_on(Arc::new(self.disk.clone()), options()).expect("it opens again"));
        for (mut request, seen, upto) in kept {
            let first = request.from;
            request.from = upto.next();
            match self.store().watch(request.clone()) {
                Ok(feed) => {
                    request.from = first;
                    self.watchers.push(Watcher { request, feed, seen, upto });
                }
                Err(FeedError::Compacted { .. }) => assert!(upto < self.model.compacted),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn watch(&mut self, back: u64, from_key: u8, to_key: u8) {
        let from = Revision(self.model.revision().0.saturating_sub(back).max(1));
        let request = WatchRequest { from, start: key(from_key), end: key(to_key), previous: false };
        match self.store().watch(request.clone()) {
            Ok(feed) => {
                assert!(from > self.model.compacted);
                let upto = Revision(from.0 - 1);
                self.watchers.push(Watcher { request, feed, seen: Vec::new(), upto });
            }
            Err(FeedError::Compacted { .. }) => assert!(from <= self.model.compacted),
            Err(other) => panic!("{other}"),
        }
    }

    fn check_ranges(&self) {
        let (compacted, newest) = (self.model.compacted.0, self.model.revision().0);
        for at in compacted..=newest {
            let request = RangeRequest { at: Some(Revision(at)), ..RangeRequest::prefix("") };
            let found = block(self.store().range(request)).expect("readable");
            assert_eq!(found.kvs, self.model.all(Revision(at)), "at {at}");
            let request = RangeRequest { at: Some(Revision(at)), limit: 2, ..RangeRequest::prefix("") };
            let page = block(self.store().range(request)).expect("readable");
            assert_eq!(page.kvs[..], found.kvs[..found.kvs.len().min(2)]);
            assert_eq!((page.count, page.more), (found.count, found.kvs.len() > 2));
        }
        if compacted > 0 {
            let request = RangeRequest { at: Some(Revision(compacted - 1)), ..RangeRequest::prefix("") };
            let refused = block(self.store().range(request));
            assert_eq!(refused, Err(RangeError::Compacted { compacted: Revision(compacted) }));
        }
    }
}

/// Reads a feed to the newest revision and compares all that it ever delivered with what happened in its range.
fn drain(watcher: &mut Watcher, newest: Revision, model: &Model) {
    while watcher.feed.position() <= newest {
        match block(watcher.feed.next()) {
            Ok(batch) => {
                assert!(batch.revision > watcher.upto, "a batch moves on");
                assert!(batch.events.iter().all(|e| e.revision > watcher.upto && e.revision <= batch.revision));
                watcher.upto = batch.revision;
                watcher.seen.extend(batch.events.iter().map(history::Change::of));
            }
            Err(FeedError::Compacted { compacted }) => {
                assert!(watcher.feed.position() <= compacted);
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    let WatchRequest { from, start, end, .. } = &watcher.request;
    assert_eq!(watcher.seen, model.changes(*from, watcher.upto, start, end));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_is_the_model(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.check_ranges();
        let newest = world.model.revision();
        for watcher in &mut world.watchers {
            drain(watcher, newest, &world.model);
        }
        world.step(Step::Restart);
        world.check_ranges();
    }
}
