//! Power cuts by seed: at every n-th change of the disk, in mid-write, with what was not synced lost or torn by sectors.
//! Law: what opens again is exactly what was acknowledged, and at most the one batch more that was under way, whole.

mod history;

use std::sync::Arc;

use bytes::Bytes;
use history::{Model, block, options};
use store::disk::Faults;
use store::{Embedded, Engine, Expect, KeyValue, MemoryDisk, Op, OpenError, RangeRequest, Revision, Txn};

/// Crash points a seed tries after one another, on the same disk.
const LIVES: u64 = 12;
const SEEDS: u64 = 150;
/// Transactions that one life tries.
const LOAD: u64 = 60;

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn all(store: &Embedded) -> Vec<KeyValue> {
    block(store.range(RangeRequest::prefix(""))).expect("readable").kvs
}

fn txn(chance: &mut Chance) -> Txn {
    let mut txn = Txn::default();
    let first = chance.below(5);
    for n in 0..=chance.below(3) {
        let key = Bytes::from(format!("key-{}", first + n));
        let value = vec![b'a' + chance.below(26) as u8; chance.below(900) as usize];
        let op = if chance.below(4) == 0 { Op::Delete } else { Op::Put { value: value.into(), companion: None, lives: None } };
        txn = txn.and(key, Expect::Any, op);
    }
    txn
}

/// Works until the power goes; returns the model of what was acknowledged, and of that with what was under way.
fn live(store: &Embedded, model: &mut Model, chance: &mut Chance) -> Option<Model> {
    for _ in 0..LOAD {
        if chance.below(8) == 0 {
            let to = Revision(model.revision().0.saturating_sub(chance.below(6)));
            if block(store.compact(to)).is_ok() {
                model.compacted = to;
            }
            continue;
        }
        let txn = txn(chance);
        let mut with = model.clone();
        let expected = with.commit(&txn).expect("it expects nothing");
        match block(store.commit(txn)) {
            Ok(done) => {
                assert_eq!(done, expected);
                *model = with;
            }
            Err(_) => return Some(with),
        }
    }
    None
}

#[test]
fn nothing_acknowledged_is_lost() {
    for seed in 0..SEEDS {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9));
        let mut disk = MemoryDisk::default();
        let mut model = Model::default();
        for life in 0..LIVES {
            let told = format!("seed {seed}, life {life}");
            disk.set_faults(Faults { crash_in: Some(1 + chance.below(160)), ..Faults::default() });
            let mut under_way = None;
            match Embedded::open_on(Arc::new(disk.clone()), options()) {
                Ok(store) => under_way = live(&store, &mut model, &mut chance),
                Err(error @ (OpenError::Corrupt { .. } | OpenError::NotAStore { .. })) => panic!("{told}: {error}"),
                Err(error) => assert!(disk.crashed(), "{told}: {error}"),
            }
            disk = disk.after_crash(seed * LIVES + life);
            let store = Embedded::open_on(Arc::new(disk.clone()), options());
            let store = store.unwrap_or_else(|error| panic!("{told}: {error}"));
            let found = all(&store);
            if let Some(with) = under_way.filter(|with| with.revision() == store.revision()) {
                model = with;
            }
            assert_eq!(store.revision(), model.revision(), "{told}");
            assert_eq!(found, model.all(model.revision()), "{told}");
            assert!(store.compacted() >= model.compacted, "{told}");
            model.compacted = store.compacted();
        }
    }
}
