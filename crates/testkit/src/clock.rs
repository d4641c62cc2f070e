//! A clock that only the test moves, and ids from a seed.

use base::{Clock, Ids};
use jiff::Timestamp;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// 2026-01-01T00:00:00Z, where every test's time starts.
pub const START_S: i64 = 1_767_225_600;

/// Virtual time.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(START_S * 1000))
    }
}

impl FakeClock {
    /// Moves time on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).expect("a test's span"), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("a test's time")
    }
}

/// Ids that count up, and a small generator for chance.
#[derive(Debug, Default)]
pub struct FakeIds(AtomicU64);

impl Ids for FakeIds {
    fn uid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
    fn below(&self, bound: u64) -> u64 {
        let n = self.0.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (n ^ (n >> 29)) % bound
    }
}
