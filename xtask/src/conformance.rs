//! `cargo xtask conformance --e2e PATH`: runs the Kubernetes project's own end-to-end test program, which this repository does
//! not contain, against a fresh `timonel up` or a cluster that runs already.
//!
//! ```text
//!   e2e.test --ginkgo.json-report -> report -> ledger (docs/conformance.tsv: one test a line) -> table in COMPAT.md
//! ```
//! A run overrides the ledger only for the tests that it ran, so that slices with different needs add up. With `--etcd` the
//! cluster keeps its state in etcd, and the results have a ledger and a table of their own.

mod cluster;
mod ledger;
mod report;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

pub(crate) use self::cluster::built;
use self::ledger::Ledger;

const LEDGER: &str = "docs/conformance.tsv";
const ETCD_LEDGER: &str = "docs/conformance-etcd.tsv";
const TABLE: &str = "COMPAT.md";

/// What to run, and against what.
#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// The e2e.test program of the Kubernetes version that is being claimed.
    #[arg(long, value_name = "FILE", required_unless_present = "report")]
    e2e: Option<PathBuf>,
    /// Only tests whose full name matches.
    #[arg(long, value_name = "REGEX", conflicts_with = "list")]
    focus: Option<String>,
    /// Only the tests whose full names this file lists, one a line.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Not these tests.
    #[arg(long, value_name = "REGEX")]
    skip: Option<String>,
    /// A cluster that runs already; default: a fresh one in a network namespace without a way out.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The program for the fresh cluster; default: the release build, else the debug one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The etcd that the fresh cluster keeps its state in. Also says, with --kubeconfig or --report, that the cluster's is one.
    #[arg(long, value_name = "FILE")]
    etcd: Option<PathBuf>,
    /// The kubectl that the tests of [sig-cli] use.
    #[arg(long, value_name = "FILE", default_value = "/usr/bin/kubectl")]
    kubectl: PathBuf,
    /// Longest time for the whole run.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    minutes: u32,
    /// Only take in a JSON report that ginkgo wrote earlier.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Handed to e2e.test as they are, after `--`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the tests, takes the results into the ledger and writes the table. Failed tests do not fail the task: they are told.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let report = match &args.report {
        Some(file) => file.clone(),
        None => tested(args, root)?,
    };
    let results = report::read(&report)?;
    let (file, engine) = if args.etcd.is_some() { (ETCD_LEDGER, " on etcd") } else { (LEDGER, "") };
    let mut ledger = Ledger::read(&root.join(file))?;
    ledger.take(&results);
    ledger.write(&root.join(file))?;
    ledger::place(&root.join(TABLE), engine, &ledger.table())?;
    println!("{}", report::said(&results));
    Ok(())
}

/// Runs the tests; where the report is.
fn tested(args: &Args, root: &Path) -> Result<PathBuf> {
    let e2e = args.e2e.as_deref().context("--e2e")?;
    let report = root.join("target/conformance.json");
    let mut command = match &args.kubeconfig {
        Some(kubeconfig) => e2e_command(Command::new(e2e), args, kubeconfig, &report)?,
        None => {
            let binary = args.binary.clone().map_or_else(|| cluster::built(root), Ok)?;
            let fresh = cluster::Fresh::start(&binary, args.etcd.as_deref())?;
            let status = e2e_command(fresh.command(e2e), args, &fresh.kubeconfig(), &report)?.status();
            fresh.stop()?;
            status.context("running the tests")?;
            return Ok(report);
        }
    };
    command.status().context("running the tests")?;
    Ok(report)
}

fn e2e_command(mut command: Command, args: &Args, kubeconfig: &Path, report: &Path) -> Result<Command> {
    if let Some(at) = report.parent() {
        std::fs::create_dir_all(at)?;
    }
    let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
    command.args([option("kubeconfig", kubeconfig), option("kubectl-path", &args.kubectl), option("ginkgo.json-report", report)]);
    command.args(["--provider=skeleton", "--ginkgo.no-color"]);
    command.arg(format!("--ginkgo.timeout={}m", args.minutes));
    let focus = match &args.list {
        Some(file) => Some(only(&std::fs::read_to_string(file).with_context(|| file.display().to_string())?)),
        None => args.focus.clone(),
    };
    match focus {
        Some(regex) if regex.is_empty() => bail!("no tests to run"),
        Some(regex) => command.arg(format!("--ginkgo.focus={regex}")),
        None => command.arg(r"--ginkgo.focus=\[Conformance\]"),
    };
    command.args(args.skip.iter().map(|s| format!("--ginkgo.skip={s}"))).args(&args.rest);
    command.env("KUBECONFIG", kubeconfig);
    Ok(command)
}

/// One expression that matches just the listed names.
fn only(list: &str) -> String {
    let names: Vec<String> = list.lines().map(str::trim_end).filter(|l| !l.is_empty()).map(quoted).collect();
    if names.is_empty() { String::new() } else { format!("({})$", names.join("|")) }
}

fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
