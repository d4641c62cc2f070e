//! Test support: an in-memory world that keeps objects as the API does (uids, generations, conflicts, finalizers,
//! graceful deletion) and shows them as snapshots, a clock that only the test moves, and a poll for ready futures.

pub mod build;
pub mod clock;
mod parts;
mod ready;
pub mod world;

pub use clock::{FakeClock, FakeIds};
pub use ready::now_or_never;
pub use world::World;

#[cfg(test)]
mod tests;
