//! Ginkgo's JSON report: what became of each conformance test.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// What became of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It was not chosen, or skipped itself.
    NotRun,
}

/// By full name.
pub(crate) type Results = BTreeMap<String, Outcome>;

/// Reads the conformance tests of a report.
pub(crate) fn read(file: &Path) -> Result<Results> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}: did the tests run?", file.display()))?;
    parse(&serde_json::from_slice(&bytes)?)
}

/// The same from its tree.
pub(crate) fn parse(report: &Value) -> Result<Results> {
    let suites = report.as_array().context("a report is a list of suites")?;
    let specs = suites.iter().flat_map(|s| s["SpecReports"].as_array().into_iter().flatten());
    Ok(specs.filter(|s| s["LeafNodeType"] == "It" && is_conformance(s)).map(|s| (name(s), outcome(s))).collect())
}

fn is_conformance(spec: &Value) -> bool {
    let named = |labels: &Value| labels.as_array().is_some_and(|all| all.iter().any(|l| l == "Conformance"));
    named(&spec["LeafNodeLabels"]) || spec["ContainerHierarchyLabels"].as_array().is_some_and(|all| all.iter().any(named))
}

fn name(spec: &Value) -> String {
    let outer = spec["ContainerHierarchyTexts"].as_array().into_iter().flatten();
    let words: Vec<&str> = outer.chain([&spec["LeafNodeText"]]).filter_map(Value::as_str).collect();
    words.join(" ")
}

fn outcome(spec: &Value) -> Outcome {
    match spec["State"].as_str() {
        Some("passed") => Outcome::Passed,
        Some("skipped" | "pending") | None => Outcome::NotRun,
        // failed, panicked, timedout, interrupted, aborted
        Some(_) => Outcome::Failed,
    }
}

/// The closing words of a run.
pub(crate) fn said(results: &Results) -> String {
    let of = |o: Outcome| results.iter().filter(move |(_, r)| **r == o);
    let mut out = format!("{} passed, {} failed", of(Outcome::Passed).count(), of(Outcome::Failed).count());
    for (name, _) in of(Outcome::Failed) {
        out.push_str("\n  failed ");
        out.push_str(name);
    }
    out
}
