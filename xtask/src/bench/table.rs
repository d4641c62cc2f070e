//! The table that is printed: our figure, what must be, what should be.

/// Rows in the order in which they were measured.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<[String; 4]>,
    failures: Vec<String>,
}

impl Table {
    /// Adds a figure, and shows it at once.
    pub(super) fn row(&mut self, what: &str, ours: &str, must: &str, aim: &str) {
        println!("  {what}: {ours}");
        self.rows.push([what, ours, must, aim].map(str::to_owned));
    }

    /// Notes a measurement that did not come about.
    pub(super) fn failed(&mut self, what: &str, outcome: anyhow::Result<()>) {
        if let Err(e) = outcome {
            println!("  {what}: FAILED: {e:#}");
            self.failures.push(format!("{what}: {e:#}"));
        }
    }

    /// Whether one did not.
    pub(super) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Prints it as Markdown.
    pub(super) fn print(&self) {
        println!("\n| what | here | must | aim |\n|---|---|---|---|");
        for [what, ours, must, aim] in &self.rows {
            println!("| {what} | {ours} | {must} | {aim} |");
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
    }
}

/// Times of many operations.
pub(super) struct Times(Vec<f64>);

impl Times {
    /// From seconds, in any order.
    pub(super) fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// The value that so many in a hundred do not exceed, in milliseconds.
    pub(super) fn ms(&self, percent: usize) -> f64 {
        let at = (self.0.len().saturating_sub(1)) * percent / 100;
        self.0.get(at).map_or(f64::NAN, |s| s * 1000.0)
    }

    /// `p50 12.0 ms, p99 20.1 ms`.
    pub(super) fn halves(&self) -> String {
        format!("p50 {:.1} ms, p99 {:.1} ms", self.ms(50), self.ms(99))
    }
}

#[cfg(test)]
mod tests {
    use super::Times;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times = Times::new((1..=100).rev().map(|i| f64::from(i) / 1000.0).collect());
        assert_eq!(times.halves(), "p50 50.0 ms, p99 99.0 ms");
        assert!(Times::new(Vec::new()).ms(50).is_nan());
    }
}
