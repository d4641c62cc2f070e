//! `cargo xtask bench api`: the figures of the API server, and those of a kube-apiserver with etcd in the same run when
//! their paths are given.
//!
//! ```text
//!   control plane alone, empty -> start, resident | writes, watches | another: pods, lists | another: watchers, CRDs
//!   etcd + kube-apiserver with the same certificates -> the same rows
//!   control plane under callgrind -> instructions of a create, an update, a merge patch, a get, a watch event
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::Value;

use super::Args;
use super::cluster::{Cluster, PORT, memory, mib};
use super::figures::{self, Figures, Server};
use super::wire::Target;
use super::{api, instructions, upstream};

/// How long an empty server settles before its memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// What is demanded, row by row: must, aim.
const DEMANDS: &[(&str, &str, &str)] = &[
    ("empty server: start to readyz", "0.5 s", "0.2 s"),
    ("empty server: resident", "45 MiB", "25 MiB"),
    ("create 1 KB ConfigMap, 64 at once, fsynced", "8,000/s", "20,000/s, p99 < 8 ms"),
    ("get", "20,000/s", "40,000/s"),
    ("update", "6,000/s", "15,000/s"),
    ("merge patch", "6,000/s", "15,000/s"),
    ("100 watchers x 1,000 events", "200,000/s, none cut", "500,000/s"),
    ("create pods that nobody schedules", "", ""),
    ("list 10,000 pods of 24 MB JSON, alone", "60 ms", "25 ms"),
    ("list 10,000 pods, eight at once", "500 ms", "200 ms"),
    ("list with a label selector that one of 10,000 matches", "3 ms", "1 ms"),
    ("resident with 10,000 pods stored and listed", "150 MiB", "90 MiB"),
    ("memory a stored pod", "12 KB", "8 KB"),
    ("memory a watcher", "30 KB", "15 KB"),
    ("memory a CRD", "100 KB", "50 KB"),
    ("a CRD becomes served", "20 ms", ""),
    ("instructions of a create", "", ""),
    ("instructions of an update", "", ""),
    ("instructions of a merge patch", "", ""),
    ("instructions of a get", "", ""),
    ("instructions of a watch event", "", ""),
];

/// Measures ours, then the other one, and prints both.
pub(super) async fn run(args: &Args, binary: &Path, scratch: &Path) -> Result<()> {
    let mut ours = Figures::default();
    let parts = ["start", "writes", "watches", "lists", "weights"];
    for part in parts.into_iter().filter(|p| args.wants(p)) {
        let mut cluster = Cluster::new(binary, scratch.join(part), false);
        let outcome = ours_part(args, part, &mut cluster, &mut ours).await;
        ours.failed(part, outcome);
        ours.failed("removing the control plane", cluster.remove());
    }
    if args.wants("instructions") {
        let outcome = instructions::measure(binary, &scratch.join("callgrind"), &mut ours).await;
        ours.failed("instructions", outcome);
    }
    let theirs = match (&args.kube_apiserver, &args.etcd) {
        (Some(apiserver), Some(etcd)) => Some(upstream_figures(args, binary, scratch, (apiserver, etcd)).await),
        _ => None,
    };
    print(&ours, theirs.as_ref());
    let failed = !ours.failures.is_empty();
    if failed { bail!("a measurement failed") } else { Ok(()) }
}

async fn ours_part(args: &Args, part: &str, cluster: &mut Cluster, figures: &mut Figures) -> Result<()> {
    let started = cluster.start().await.context("starting")?;
    let server = ours(cluster).await?;
    match part {
        "start" => {
            server.api.send(Method::GET, "/readyz", bytes::Bytes::new()).await?;
            server.api.tree(Method::GET, "/api/v1/namespaces", &Value::Null).await?;
            figures.add("empty server: start to readyz", started.to_string(), String::new());
            tokio::time::sleep(SETTLE).await;
            figures.add("empty server: resident", mib(memory(cluster.pid()?)?.0), String::new());
        }
        "writes" => figures::writes(args, &server, figures).await?,
        "watches" => figures::watches(args, &server, figures).await?,
        "lists" => figures::lists(args, &server, figures).await?,
        _ => figures::weights(args, &server, figures).await?,
    }
    cluster.stop().await
}

/// A control plane of ours as what is measured.
pub(super) async fn ours(cluster: &Cluster) -> Result<Server> {
    let target = Target { address: ([127, 0, 0, 1], PORT).into(), tls: api::tls(&cluster.kubeconfig())?.into() };
    Ok(Server { target, api: cluster.api(1).await?, pids: vec![cluster.pid()?], share: 1 })
}

/// The same rows on the other server; its certificates are ours, made by a control plane of ours that is stopped again.
async fn upstream_figures(args: &Args, binary: &Path, scratch: &Path, paths: (&Path, &Path)) -> Figures {
    let mut figures = Figures::default();
    let outcome = async {
        let mut cluster = Cluster::new(binary, scratch.join("certificates"), false);
        cluster.start().await?;
        cluster.stop().await?;
        println!("now {} with {}", paths.0.display(), paths.1.display());
        for part in ["start", "writes", "watches", "lists", "weights"].into_iter().filter(|p| args.wants(p)) {
            let (mut running, started) = upstream::start(paths, &cluster, &scratch.join(format!("upstream-{part}"))).await?;
            let server = running.server(&cluster).await?;
            let outcome = match part {
                "start" => {
                    figures.add("empty server: start to readyz", format!("{:.2} s", started.as_secs_f64()), String::new());
                    tokio::time::sleep(SETTLE).await;
                    server.resident().map(|r| figures.add("empty server: resident", mib(r), String::new()))
                }
                "writes" => figures::writes(args, &server, &mut figures).await,
                "watches" => figures::watches(args, &server, &mut figures).await,
                "lists" => figures::lists(args, &server, &mut figures).await,
                _ => figures::weights(args, &server, &mut figures).await,
            };
            figures.failed(part, outcome);
            running.stop();
        }
        anyhow::Ok(())
    };
    let outcome = outcome.await;
    figures.failed("kube-apiserver and etcd", outcome);
    figures
}

fn print(ours: &Figures, theirs: Option<&Figures>) {
    let find = |figures: &Figures, what: &str| {
        let row = figures.rows.iter().find(|r| r.what == what);
        row.map_or_else(|| ("-".to_owned(), "-".to_owned()), |r| (r.value.clone(), r.cpu.clone()))
    };
    let (head, line) = if theirs.is_some() { (" kube-apiserver + etcd | their CPU each |", "---|---|") } else { ("", "") };
    println!("\n| what | Timonel | CPU each |{head} must | aim |\n|---|---|---|{line}---|---|");
    for (what, must, aim) in DEMANDS {
        let (value, cpu) = find(ours, what);
        let other = theirs.map(|t| find(t, what)).map(|(v, c)| format!(" {v} | {c} |")).unwrap_or_default();
        println!("| {what} | {value} | {cpu} |{other} {must} | {aim} |");
    }
    let failures = ours.failures.iter().map(|f| ("ours", f));
    let failures = failures.chain(theirs.into_iter().flat_map(|t| &t.failures).map(|f| ("theirs", f)));
    failures.for_each(|(who, failure)| println!("failed ({who}): {failure}"));
}
