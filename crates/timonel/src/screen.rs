//! The friendly screen: one line a step, with the time it took.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Tells a person what happens; silent for services.
pub(crate) struct Screen {
    begun: Instant,
    last: Instant,
    friendly: bool,
    color: bool,
}

impl Screen {
    pub(crate) fn new(friendly: bool) -> Self {
        let now = Instant::now();
        let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { begun: now, last: now, friendly, color }
    }

    /// A step is done.
    pub(crate) fn step(&mut self, what: &str) {
        let (now, took) = (Instant::now(), self.last.elapsed());
        self.last = now;
        self.line(&format!("  {} {what:<44} {}", self.mark(), seconds(took)));
    }

    /// A free line.
    pub(crate) fn line(&self, text: &str) {
        if self.friendly {
            let mut out = std::io::stdout().lock();
            // A closed pipe is no reason to stop a cluster.
            let _ = writeln!(out, "{text}");
            let _ = out.flush();
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn mark(&self) -> &'static str {
        if self.color { "\u{1b}[32m✓\u{1b}[0m" } else { "✓" }
    }
}

/// `0.12 s`, `35 ms`.
pub(crate) fn seconds(d: Duration) -> String {
    if d < Duration::from_millis(100) { format!("{} ms", d.as_millis()) } else { format!("{:.2} s", d.as_secs_f64()) }
}
