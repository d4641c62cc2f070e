//! The newest result of every conformance test, and the table made of it.
//!
//! A line of the ledger: `passed`, `failed` or `-`, a tab, the full name; sorted by name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::report::{Outcome, Results};

/// All tests that any run knew.
#[derive(Default)]
pub(crate) struct Ledger(Results);

impl Ledger {
    /// Reads it; a missing file is an empty ledger.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(e).with_context(|| file.display().to_string()),
        }
    }

    /// Reads its text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let line = |l: &str| match l.split_once('\t') {
            Some(("passed", name)) => Ok((name.to_owned(), Outcome::Passed)),
            Some(("failed", name)) => Ok((name.to_owned(), Outcome::Failed)),
            Some(("-", name)) => Ok((name.to_owned(), Outcome::NotRun)),
            _ => bail!("not a line of the ledger: {l}"),
        };
        text.lines().map(line).collect::<Result<Results>>().map(Self)
    }

    /// Takes the results of a run in: what it did not run keeps its result.
    pub(crate) fn take(&mut self, results: &Results) {
        // Names change from version to version; what the program does not know any more goes.
        self.0.retain(|name, _| results.contains_key(name));
        for (name, outcome) in results {
            let at = self.0.entry(name.clone()).or_insert(Outcome::NotRun);
            if *outcome != Outcome::NotRun {
                *at = *outcome;
            }
        }
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut out, (name, outcome)| {
            let word = match outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "failed",
                Outcome::NotRun => "-",
            };
            let _ = writeln!(out, "{word}\t{name}");
            out
        })
    }

    /// Writes it.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, self.text()).with_context(|| file.display().to_string())
    }

    /// Passed, failed and not run by SIG, and the failures by name.
    pub(crate) fn table(&self) -> String {
        let mut sigs: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        let mut all = [0; 3];
        for (name, outcome) in &self.0 {
            let sig = name.split_once(']').map_or("", |(s, _)| s.trim_start_matches('['));
            for counts in [sigs.entry(sig).or_default(), &mut all] {
                counts[*outcome as usize] += 1;
            }
        }
        let mut out = String::from("| SIG | tests | passed | failed | not run |\n|---|---|---|---|---|\n");
        let row = |out: &mut String, name: &str, [passed, failed, not_run]: [usize; 3]| {
            let _ = writeln!(out, "| {name} | {} | {passed} | {failed} | {not_run} |", passed + failed + not_run);
        };
        for (sig, counts) in sigs {
            row(&mut out, sig, counts);
        }
        row(&mut out, "all", all);
        let failed: Vec<&String> = self.0.iter().filter(|(_, o)| **o == Outcome::Failed).map(|(n, _)| n).collect();
        if !failed.is_empty() {
            out.push_str("\nFailed:\n");
            failed.iter().for_each(|name| out.push_str(&format!("- {name}\n")));
        }
        out
    }
}

/// Puts the table of an engine (`""` or `" on etcd"`) between its markers.
pub(crate) fn place(file: &Path, engine: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    std::fs::write(file, placed(&text, engine, table)?).with_context(|| file.display().to_string())
}

/// The text with what stood between the markers replaced.
pub(crate) fn placed(text: &str, engine: &str, table: &str) -> Result<String> {
    let begin = format!("<!-- conformance{engine}: made by `cargo xtask conformance` -->");
    let end = format!("<!-- conformance{engine}: end -->");
    let (before, rest) = text.split_once(&begin).with_context(|| format!("the marker {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("the marker {end}"))?;
    Ok(format!("{before}{begin}\n{table}{end}{after}"))
}
