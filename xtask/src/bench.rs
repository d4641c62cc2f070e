//! `cargo xtask bench`: the figures that the issues promise, measured on this machine, beside what must and should be.
//!
//! ```text
//!   outside: finds the binary, makes a network namespace, runs itself inside it, removes the namespace
//!   inside:  timonel up (empty, again) -> idle -> pods -> objects -> timonel uninstall -> control plane alone -> table
//! ```
//! `cargo xtask bench api` measures the API server alone, row by row as issue 3 lists them (suite.rs).
//! The cluster, its addresses and its port exist only in that namespace, so nothing on the machine is touched and several
//! can run. Figures depend on the machine: they are printed, not judged, and only a measurement that *fails* fails the task.

mod api;
mod cluster;
mod figures;
mod idle;
mod image;
mod instructions;
mod loads;
mod objects;
mod pods;
mod suite;
mod table;
mod upstream;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::cluster::Cluster;
use self::table::Table;

/// What there is to measure.
#[derive(clap::ValueEnum, Clone, Copy, Default, PartialEq, Eq)]
enum What {
    /// A node with its control plane.
    #[default]
    Node,
    /// The API server.
    Api,
}

/// What to measure, and how thoroughly.
#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// What: the whole node, or the API server alone.
    #[arg(value_enum, default_value_t)]
    what: What,
    /// `api`: a kube-apiserver to measure beside ours.
    #[arg(long, value_name = "FILE", requires = "etcd")]
    kube_apiserver: Option<PathBuf>,
    /// `api`: its etcd.
    #[arg(long, value_name = "FILE", requires = "kube_apiserver")]
    etcd: Option<PathBuf>,
    /// The small form: fewer of everything, within a minute, with whatever build there is.
    #[arg(long)]
    small: bool,
    /// The program to measure; default: the release build (the small form: release, else debug).
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Idle time before memory is read; default 300, small 10.
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
    /// Only these parts: start, idle, pods, objects, server; `api`: start, writes, watches, lists, weights, instructions.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Set by the task itself when it runs in the namespace.
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

impl Args {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == part)
    }

    /// The number for this form.
    fn pick(&self, full: usize, small: usize) -> usize {
        if self.small { small } else { full }
    }

    fn idle_seconds(&self) -> u64 {
        self.idle.unwrap_or(if self.small { 10 } else { 300 })
    }
}

/// Measures and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(scratch) = &args.inside {
        return tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(inside(args, scratch));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    if cfg!(debug_assertions) && !args.small {
        return again_in_release(root);
    }
    let binary = binary(args, root)?;
    println!("measuring {}", binary.display());
    let place = match crate::place::Place::make("bench") {
        Ok(place) => place,
        Err(why) => {
            println!("SKIP bench: {why:#}");
            return Ok(());
        }
    };
    let mut command = place.command(&std::env::current_exe()?);
    command.arg("bench").arg("--inside").arg(place.scratch()).arg("--binary").arg(&binary);
    command.args((args.what == What::Api).then_some("api"));
    for (flag, path) in [("--kube-apiserver", &args.kube_apiserver), ("--etcd", &args.etcd)] {
        if let Some(path) = path {
            command.arg(flag).arg(path.canonicalize().with_context(|| format!("finding {}", path.display()))?);
        }
    }
    command.args(args.small.then_some("--small"));
    command.args(args.idle.map(|s| format!("--idle={s}")));
    command.args((!args.only.is_empty()).then(|| format!("--only={}", args.only.join(","))));
    let passed = command.status().context("running in the network namespace")?.success();
    drop(place);
    if passed { Ok(()) } else { bail!("a measurement failed") }
}

/// An unoptimised client would measure itself.
fn again_in_release(root: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build.current_dir(root).args(["build", "--release", "--package", "timonel", "--package", "xtask"]);
    let given = std::env::args().any(|a| a.starts_with("--binary"));
    if !given && !build.status().context("run cargo")?.success() {
        bail!("the release build failed");
    }
    let mut run = Command::new(&cargo);
    run.args(["run", "--release", "--quiet", "--package", "xtask", "--"]).args(std::env::args_os().skip(1));
    if run.status().context("run cargo")?.success() { Ok(()) } else { bail!("the bench failed") }
}

fn binary(args: &Args, root: &Path) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let known = ["release", "debug"].map(|p| target.join(p).join("timonel"));
    let found = args.binary.clone().or_else(|| known.into_iter().find(|p| p.exists()));
    let found = found.context("there is no build of timonel: `cargo build -p timonel`, or give one with --binary")?;
    found.canonicalize().with_context(|| format!("finding {}", found.display()))
}

async fn inside(args: &Args, scratch: &Path) -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let binary = args.binary.as_deref().context("--binary")?;
    if args.what == What::Api {
        return suite::run(args, binary, scratch).await;
    }
    let mut table = Table::default();
    size(binary, &mut table)?;
    if args.wants("start") || args.wants("idle") || args.wants("pods") || args.wants("objects") {
        let mut cluster = Cluster::new(binary, scratch.join("node"), true);
        let outcome = node_figures(args, &mut cluster, &mut table).await;
        table.failed("the node", outcome);
        table.failed("removing the cluster", cluster.remove());
    }
    if args.wants("server") {
        let mut cluster = Cluster::new(binary, scratch.join("server"), false);
        let outcome = idle::empty_server(args, &mut cluster, &mut table).await;
        table.failed("the control plane alone", outcome);
        table.failed("removing the control plane", cluster.remove());
    }
    table.print();
    if table.has_failures() { bail!("a measurement failed") } else { Ok(()) }
}

async fn node_figures(args: &Args, cluster: &mut Cluster, table: &mut Table) -> Result<()> {
    let first = cluster.start().await.context("starting on an empty data directory")?;
    table.row("empty data dir -> node Ready, DNS answering", &first.to_string(), "1.5 s", "0.8 s");
    cluster.stop().await?;
    image::import(cluster)?;
    let again = cluster.start().await.context("starting again")?;
    table.row("restart -> node Ready, DNS answering", &again.to_string(), "", "");
    if args.wants("idle") {
        let outcome = idle::measure(args, cluster, table).await;
        table.failed("idle", outcome);
    }
    if args.wants("pods") {
        let outcome = pods::measure(args, cluster, table).await;
        table.failed("pods", outcome);
    }
    if args.wants("objects") {
        let outcome = objects::measure(args, cluster, table).await;
        table.failed("objects", outcome);
    }
    cluster.stop().await
}

fn size(binary: &Path, table: &mut Table) -> Result<()> {
    let mib = cluster::mib(std::fs::metadata(binary)?.len());
    let (must, aim) = if binary.components().any(|c| c.as_os_str() == "debug") { ("", "") } else { ("40 MiB", "30 MiB") };
    table.row("size of the binary", &mib, must, aim);
    Ok(())
}
