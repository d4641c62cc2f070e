//! Back-off with memory, as the kubelet keeps it for crashing containers and failing pulls: 10 s doubling to 5 min,
//! forgotten after twice the maximum (docs: "Container restarts").

use jiff::{SignedDuration, Timestamp};

/// The first delay.
pub const INITIAL_S: i64 = 10;
/// No delay is longer.
pub const MAX_S: i64 = 300;

/// How long to hold one thing back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    delay_s: i64,
    updated: Option<Timestamp>,
}

impl Hold {
    fn expired(&self, at: Timestamp) -> bool {
        self.updated.is_none_or(|u| at.duration_since(u) > SignedDuration::from_secs(2 * MAX_S))
    }

    /// Until when something that happened at `since` is held back; `None`: not at all.
    #[must_use]
    pub fn until(&self, since: Timestamp) -> Option<Timestamp> {
        if self.expired(since) {
            return None;
        }
        Some(since + SignedDuration::from_secs(self.delay_s))
    }

    /// Until when something is held back that counts from the last failure.
    #[must_use]
    pub fn until_since_update(&self) -> Option<Timestamp> {
        self.updated.map(|u| u + SignedDuration::from_secs(self.delay_s))
    }

    /// Counts one more failure, whose event happened at `since`.
    pub fn next(&mut self, since: Timestamp, now: Timestamp) {
        self.delay_s = if self.expired(since) { INITIAL_S } else { (self.delay_s * 2).clamp(INITIAL_S, MAX_S) };
        self.updated = Some(now);
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// When the last failure was counted.
    #[must_use]
    pub fn updated(&self) -> Option<Timestamp> {
        self.updated
    }

    /// The present delay.
    #[must_use]
    pub fn delay_s(&self) -> i64 {
        self.delay_s
    }
}
