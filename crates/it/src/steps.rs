//! The steps of a course, written as the course writes them: bash, in files where `## name` begins a step.
//!
//! `## name (90 s)` gives a step another deadline, `##? name` is a step that is shown but does not decide. Before a step
//! goes what [`PRELUDE`] defines.

use crate::script::Said;
use std::time::Duration;

/// What every step may use.
pub const PRELUDE: &str = include_str!("prelude.sh");
/// A step's deadline unless it names one.
const DEADLINE: Duration = Duration::from_secs(60);
/// Last lines of a failed step that are shown.
const SHOWN_LINES: usize = 40;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub script: String,
    pub deadline: Duration,
    /// Whether the whole fails with it.
    pub decides: bool,
}

/// Reads the steps of a file.
#[must_use]
pub fn read(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        let head = line.strip_prefix("##? ").map(|h| (h, false)).or_else(|| line.strip_prefix("## ").map(|h| (h, true)));
        if let Some((head, decides)) = head {
            let (name, deadline) = deadline(head);
            steps.push(Step { name, script: String::new(), deadline, decides });
        } else if let Some(step) = steps.last_mut() {
            step.script.push_str(line);
            step.script.push('\n');
        }
    }
    steps
}

fn deadline(head: &str) -> (String, Duration) {
    let found = head.trim_end().strip_suffix(" s)").and_then(|h| h.rsplit_once(" ("));
    match found.and_then(|(name, s)| Some((name.to_owned(), s.parse().ok()?))) {
        Some((name, seconds)) => (name, Duration::from_secs(seconds)),
        None => (head.trim().to_owned(), DEADLINE),
    }
}

/// What came of the steps.
#[derive(Debug, Default)]
pub struct Report(Vec<(Step, Said)>);

impl Report {
    /// Takes one outcome in, and tells it.
    pub fn add(&mut self, step: Step, said: Said) {
        println!("{}", line(&step, &said));
        if !said.ok {
            let lines: Vec<&str> = said.text.lines().collect();
            for l in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
                println!("      | {l}");
            }
        }
        self.0.push((step, said));
    }

    /// Names of the steps that decide and failed.
    #[must_use]
    pub fn failed(&self) -> Vec<&str> {
        self.0.iter().filter(|(step, said)| step.decides && !said.ok).map(|(step, _)| step.name.as_str()).collect()
    }

    /// Prints all outcomes once more, one a line.
    pub fn table(&self) {
        println!("\n{} of {} steps passed", self.0.iter().filter(|(_, s)| s.ok).count(), self.0.len());
        for (step, said) in &self.0 {
            println!("{}", line(step, said));
        }
    }
}

fn line(step: &Step, said: &Said) -> String {
    let word = match (said.ok, step.decides) {
        (true, _) => "ok    ",
        (false, true) => "FAILED",
        (false, false) => "not yet",
    };
    format!("  {word} {:>5.1} s  {}", said.took.as_secs_f64(), step.name)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn steps_have_names_deadlines_and_weight() {
        let steps = read("# a file\n## one\ntrue\n## two (90 s)\nfalse\n##? three (of 3)\n");
        let seen: Vec<_> = steps.iter().map(|s| (s.name.as_str(), s.deadline.as_secs(), s.decides)).collect();
        assert_eq!(seen, [("one", 60, true), ("two", 90, true), ("three (of 3)", 60, false)]);
        assert_eq!(steps[0].script, "true\n");
    }
}
