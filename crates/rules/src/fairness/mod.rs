//! Priority and fairness without a clock: which flow a request belongs to, how many seats it takes, when it may run,
//! and how idle seats are lent. Docs: "API Priority and Fairness"; KEP-1040.
//!
//! ```text
//!  Asked --match by precedence--> Schema --names--> level      Work = seats x estimated time
//!  Level: flow hash --deal--> hand of queues --shortest--> queue --least virtual finish time--> seats --finish--> next
//!  every ten seconds: demand of each level --borrow::allot--> its current limit
//! ```
//! The hands that hold locks, wake waiters and count metrics are in `apiserver/src/fairness`.

mod borrow;
mod level;
mod matching;
mod queue;
mod shard;
mod width;

pub use borrow::{Demand, Lender, allot, bounds, nominal};
pub use level::{Begun, Config as LevelConfig, Level, Queuing, Refusal, Stats, Ticket};
pub use matching::{Asked, Distinguisher, Schema, flow_hash};
pub use queue::{QueueView, WaitingView};
pub use shard::Dealer;
pub use width::{Listing, SEATS_MAX, list_seats, seats_max, write_work};

/// What a request is expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Seats while it runs.
    pub seats: u32,
    /// Seats that its consequences (watch events) take afterwards.
    pub final_seats: u32,
    /// How long those are taken.
    pub extra_ns: u64,
}

impl Work {
    /// The least that a request takes.
    pub const ONE: Self = Self { seats: 1, final_seats: 0, extra_ns: 0 };

    /// The larger of the two widths.
    #[must_use]
    pub fn widest(&self) -> u32 {
        self.seats.max(self.final_seats)
    }
}

#[cfg(test)]
mod tests;
