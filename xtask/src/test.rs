//! `cargo xtask test`: every test of the workspace, and in the end what was skipped, by name and reason.
//!
//! A test that cannot run on this machine prints `SKIP <name>: <reason>` and passes; cargo would swallow that line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these crates; default: all.
    #[arg(short, long)]
    package: Vec<String>,
    /// A filter on test names.
    filter: Option<String>,
}

/// Runs the tests; a failed one fails the task after all crates have run.
pub(crate) fn run(args: &Args) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--no-fail-fast"]);
    if args.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &args.package {
        command.args(["--package", package]);
    }
    command.arg("--").args(&args.filter).arg("--show-output").stdout(Stdio::piped());
    let mut child = command.spawn().context("run cargo")?;
    let stdout = child.stdout.take().context("cargo's output")?;
    let mut report = Report::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if report.take(&line) {
            println!("{line}");
        }
    }
    let passed = child.wait()?.success();
    println!("\n{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped.len());
    for skipped in &report.skipped {
        println!("  skipped {skipped}");
    }
    if passed { Ok(()) } else { bail!("tests failed") }
}

/// What the test programs said so far.
#[derive(Default)]
struct Report {
    /// Inside the output of tests that passed, which only the skips are wanted of.
    quiet: bool,
    passed: u64,
    failed: u64,
    skipped: Vec<String>,
}

impl Report {
    /// Takes a line in; says whether to show it.
    fn take(&mut self, line: &str) -> bool {
        if let Some(skipped) = line.strip_prefix("SKIP ") {
            self.skipped.push(skipped.to_owned());
        }
        match line {
            "successes:" => self.quiet = true,
            "failures:" => self.quiet = false,
            _ if line.starts_with("test result: ") => {
                self.quiet = false;
                self.passed += count(line, " passed");
                self.failed += count(line, " failed");
            }
            _ => {}
        }
        let noise = line.is_empty() || line == "running 0 tests" || line.contains(" 0 passed; 0 failed; 0 ignored");
        !self.quiet && !noise
    }
}

/// The number in front of a word: `… 12 passed; 0 failed`.
fn count(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().unwrap_or("");
    before.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn skips_and_totals_are_found_in_the_noise() {
        let mut report = Report::default();
        let lines = ["running 2 tests", "test a ... ok", "", "successes:", "---- a stdout ----", "SKIP a: not root",
                     "test result: ok. 11 passed; 2 failed; 0 ignored; 0 measured"];
        let shown: Vec<&str> = lines.into_iter().filter(|l| report.take(l)).collect();
        assert_eq!(shown, [lines[0], lines[1], lines[6]]);
        assert_eq!((report.passed, report.failed, report.skipped), (11, 2, vec!["a: not root".to_owned()]));
    }
}
