//! The real clock and the real randomness behind their ports.

use base::{Clock, Ids};
use jiff::Timestamp;
use rand::Rng;

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Random uids and numbers.
pub(crate) struct RandomIds;

impl Ids for RandomIds {
    fn uid(&self) -> String {
        // The thread's own generator: a system call for each request is not needed.
        uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string()
    }
    fn below(&self, bound: u64) -> u64 {
        rand::rng().random_range(0..bound)
    }
}
