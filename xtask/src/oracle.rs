//! `cargo xtask oracle --kube-apiserver PATH --etcd PATH`: sends the same requests to a real kube-apiserver, which this
//! repository does not contain, and to Timonel, and prints what the answers differ in.
//!
//! ```text
//!   corpus (YAML seeds and scripts) x schema table -> requests -> both servers -> normalise -> diff -> groups, most frequent first
//! ```
//! Both servers listen on loopback only, keep their data in a scratch directory, trust the same authority and know the same
//! administrator; Timonel's controllers and scheduler are off, because kube-apiserver has none.

mod compare;
mod corpus;
mod http;
mod mutate;
mod normalise;
mod report;
mod servers;
mod suites;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::report::Report;
use self::servers::Servers;

/// What to compare.
#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// A kube-apiserver of the Kubernetes version that is being claimed.
    #[arg(long, value_name = "FILE")]
    kube_apiserver: PathBuf,
    /// The etcd that it stores in.
    #[arg(long, value_name = "FILE", default_value = "/usr/bin/etcd")]
    etcd: PathBuf,
    /// The timonel to compare; default: the release build, else the debug one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Ask servers that an earlier run of the same flags left alone: the directory of their certificates.
    #[arg(long, value_name = "DIR", hide = true)]
    running: Option<PathBuf>,
    /// Only these suites: discovery, bootstrap, objects, fields, updates, statuses, patches, deletes, lists, requests.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only seeds and scripts whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    focus: String,
    /// Feature gates that both servers are given: NAME=true or NAME=false, parted by commas.
    #[arg(long, value_name = "LIST", default_value = "")]
    feature_gates: String,
    /// Write the whole report here too, with the requests and both answers.
    #[arg(long, value_name = "FILE", default_value = "target/oracle.txt")]
    report: PathBuf,
    /// Write every case that differs here, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
}

impl Args {
    fn wants(&self, suite: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == suite)
    }
}

/// Compares and prints. Differences do not fail the task: COMPAT.md says which are known.
pub(crate) fn run(args: &Args) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(compared(args))
}

async fn compared(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    let mut servers = match &args.running {
        Some(pki) => Servers::running(pki).await?,
        None => {
            let binary = args.binary.clone().map_or_else(|| crate::conformance::built(root), Ok)?;
            Servers::start(args, &binary).await?
        }
    };
    let mut report = Report::default();
    let done = suites::run(args, &servers, &mut report).await;
    servers.stop().await?;
    done?;
    let file = root.join(&args.report);
    std::fs::write(&file, report.whole()).with_context(|| format!("writing {}", file.display()))?;
    if let Some(cases) = &args.cases {
        std::fs::write(cases, report.cases()).with_context(|| format!("writing {}", cases.display()))?;
    }
    print!("{}{}", report.summary(), report.shares());
    println!("{} requests, {} answered alike, {} groups of differences; the whole is in {}",
        report.asked, report.alike, report.groups(), file.display());
    Ok(())
}
