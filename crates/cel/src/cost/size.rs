//! Ranges of sizes and costs; everything saturates.

use crate::env::CostRange;

/// How large a value can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Size {
    pub(crate) const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    pub(crate) const ONE: Self = Self { min: 1, max: 1 };

    pub(crate) fn exactly(n: u64) -> Self {
        Self { min: n, max: n }
    }
    pub(crate) fn up_to(max: u64) -> Self {
        Self { min: 0, max }
    }
    pub(crate) fn plus(self, o: Self) -> Self {
        Self { min: self.min.saturating_add(o.min), max: self.max.saturating_add(o.max) }
    }
    pub(crate) fn times(self, o: Self) -> Self {
        Self { min: self.min.saturating_mul(o.min), max: self.max.saturating_mul(o.max) }
    }
    pub(crate) fn or(self, o: Self) -> Self {
        Self { min: self.min.min(o.min), max: self.max.max(o.max) }
    }
    /// A cost of so much for each.
    pub(crate) fn each(self, factor: f64) -> CostRange {
        CostRange { min: scale(self.min, factor), max: scale(self.max, factor) }
    }
    /// A cost for each.
    pub(crate) fn of(self, cost: CostRange) -> CostRange {
        CostRange { min: self.min.saturating_mul(cost.min), max: self.max.saturating_mul(cost.max) }
    }
}

/// A number times a factor, rounded up.
pub(crate) fn scale(n: u64, factor: f64) -> u64 {
    let scaled = (n as f64 * factor).ceil();
    if scaled >= u64::MAX as f64 { u64::MAX } else { scaled as u64 }
}

impl CostRange {
    pub(crate) const ZERO: Self = Self { min: 0, max: 0 };
    pub(crate) const ONE: Self = Self { min: 1, max: 1 };

    pub(crate) fn fixed(n: u64) -> Self {
        Self { min: n, max: n }
    }
    pub(crate) fn plus(self, o: Self) -> Self {
        Self { min: self.min.saturating_add(o.min), max: self.max.saturating_add(o.max) }
    }
    pub(crate) fn times(self, o: Self) -> Self {
        Self { min: self.min.saturating_mul(o.min), max: self.max.saturating_mul(o.max) }
    }
    pub(crate) fn or(self, o: Self) -> Self {
        Self { min: self.min.min(o.min), max: self.max.max(o.max) }
    }
}
