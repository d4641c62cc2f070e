//! How seats are shared between levels: nominal shares, and idle seats lent to who needs them (KEP-1040, "borrowing").

/// Smoothed demand falls by this factor an adjustment (every ten seconds: a half-life of five minutes).
const DECAY: f64 = 0.977;

/// A level's demand for seats over one adjustment period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    pub average: f64,
    pub deviation: f64,
    pub high: f64,
}

/// A level as lending sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lender {
    pub nominal: u32,
    /// Least and most it may have.
    pub min: u32,
    pub max: u32,
    /// Highest demand in the last period.
    pub high: f64,
    /// Smoothed demand over the periods.
    pub smoothed: f64,
}

impl Lender {
    /// Takes one period's demand into account.
    pub fn observe(&mut self, d: &Demand) {
        let envelope = d.average + d.deviation;
        self.high = d.high;
        self.smoothed = envelope.max(DECAY * self.smoothed + (1.0 - DECAY) * envelope);
    }

    /// What it should not fall below now.
    #[must_use]
    pub fn floor(&self) -> f64 {
        f64::from(self.min).max(f64::from(self.nominal).min(self.high))
    }

    /// What it would like to have.
    #[must_use]
    pub fn target(&self) -> f64 {
        self.smoothed.max(self.floor())
    }
}

/// Nominal seats of every level, by shares.
#[must_use]
pub fn nominal(total: u32, shares: &[u32]) -> Vec<u32> {
    let sum: f64 = shares.iter().map(|s| f64::from(*s)).sum();
    shares.iter().map(|s| if sum > 0.0 { (f64::from(total) * f64::from(*s) / sum).ceil() as u32 } else { 0 }).collect()
}

/// Least and most seats of a level, from its lendable and borrowing percentages.
#[must_use]
pub fn bounds(nominal: u32, lendable_percent: i32, borrowing_percent: Option<i32>, total: u32) -> (u32, u32) {
    let part = |percent: i32| (f64::from(nominal) * f64::from(percent) / 100.0).round() as u32;
    let max = borrowing_percent.map_or(total.max(nominal), |b| nominal.saturating_add(part(b)));
    (nominal.saturating_sub(part(lendable_percent)), max)
}

/// Seats of every level now, and the fraction of its target that each level gets.
#[must_use]
pub fn allot(total: u32, lenders: &[Lender]) -> (Vec<u32>, f64) {
    let floors: f64 = lenders.iter().map(Lender::floor).sum();
    if floors >= f64::from(total) {
        return (lenders.iter().map(|l| l.floor().round() as u32).collect(), 1.0);
    }
    let give = |l: &Lender, fraction: f64| (fraction * l.target()).clamp(l.floor(), f64::from(l.max).max(l.floor()));
    let sum = |fraction: f64| lenders.iter().map(|l| give(l, fraction)).sum::<f64>();
    let (mut low, mut high) = (0.0, 1.0);
    while sum(high) < f64::from(total) && high < f64::from(u32::MAX) {
        high *= 2.0;
    }
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if sum(middle) < f64::from(total) { low = middle } else { high = middle }
    }
    (lenders.iter().map(|l| give(l, high).round() as u32).collect(), high)
}
