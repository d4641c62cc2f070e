//! Chance, time and identity of a simulated cluster: all of them follow from the seed.

use base::{Clock, Ids};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::clock::START_S;
use tokio::time::Instant;

/// A small generator (splitmix64) that can be shared.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1)))
    }
    /// The next 64 bits.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }
    /// Whether one in `n` comes up.
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Ids for Chance {
    fn uid(&self) -> String {
        let (a, b) = (self.next(), self.next());
        format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", a >> 32, a >> 16 & 0xffff, a & 0xfff, b >> 48 & 0xfff, b & 0xffff_ffff_ffff)
    }
    fn below(&self, bound: u64) -> u64 {
        Chance::below(self, bound)
    }
}

/// Virtual time: what passed in earlier lives, and what tokio's paused clock says of this one.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    before: Duration,
    began: Instant,
}

impl SimClock {
    /// The clock of a life that begins now.
    #[must_use]
    pub fn new(before: Duration) -> Self {
        Self { before, began: Instant::now() }
    }
    /// How long the simulation has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.before + self.began.elapsed()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(START_S).expect("a date");
        start.checked_add(self.elapsed()).expect("a simulation is short")
    }
}
