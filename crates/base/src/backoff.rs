//! Exponential back-off as arithmetic: the caller owns the clock and the randomness.

use std::time::Duration;

/// Doubling delays from `initial` up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay.
    pub initial: Duration,
    /// No delay is longer than this.
    pub max: Duration,
}

impl Backoff {
    /// The delay before attempt number `failures + 1`, given that many failures in a row (0 failures: no delay).
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self.initial.saturating_mul(2u32.saturating_pow(n - 1)).min(self.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_until_the_cap() {
        let b = Backoff { initial: Duration::from_secs(10), max: Duration::from_secs(300) };
        let got: Vec<u64> = [0, 1, 2, 3, 6, 60].iter().map(|n| b.delay(*n).as_secs()).collect();
        assert_eq!(got, [0, 10, 20, 40, 300, 300]);
    }
}
