//! What a cluster costs that does nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::Value;

use super::Args;
use super::cluster::{Cluster, cpu, memory, mib};
use super::table::Table;

/// Memory and processor time of the whole node after the idle time.
pub(super) async fn measure(args: &Args, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let seconds = args.idle_seconds();
    // The first half lets the start settle; the second is what is judged.
    tokio::time::sleep(Duration::from_secs(seconds / 2)).await;
    let percent = busy(cluster, Duration::from_secs(seconds - seconds / 2)).await?;
    let (rss, pss) = whole(cluster)?;
    let ours = format!("{} resident, {} with shared pages divided", mib(rss), mib(pss));
    table.row(&format!("memory, whole node, idle {seconds} s"), &ours, "90 MiB", "50 MiB");
    table.row("idle CPU, of a core", &format!("{percent:.2} %"), "0.5 %", "0.1 %");
    Ok(())
}

/// The whole node's memory: main process, zygote, shims.
pub(super) fn whole(cluster: &Cluster) -> Result<(u64, u64)> {
    let (zygotes, shims) = cluster.helpers()?;
    let (mut rss, mut pss) = memory(cluster.pid()?)?;
    for pid in zygotes.into_iter().chain(shims) {
        let more = memory(pid)?;
        rss += more.0;
        pss += more.1;
    }
    Ok((rss, pss))
}

async fn busy(cluster: &Cluster, window: Duration) -> Result<f64> {
    let pid = cluster.pid()?;
    let (before, begun) = (cpu(pid)?, Instant::now());
    tokio::time::sleep(window).await;
    let used = cpu(pid)?.saturating_sub(before);
    Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

/// The control plane alone on an empty directory, and again.
pub(super) async fn empty_server(args: &Args, cluster: &mut Cluster, table: &mut Table) -> Result<()> {
    let first = cluster.start().await.context("starting")?;
    table.row("control plane alone: empty data dir -> ready", &first.to_string(), "0.5 s", "0.2 s");
    let api = cluster.api(1).await?;
    api.send(Method::GET, "/readyz", bytes::Bytes::new()).await?;
    api.tree(Method::GET, "/api/v1/namespaces", &Value::Null).await?;
    drop(api);
    tokio::time::sleep(Duration::from_secs(args.idle_seconds().min(10))).await;
    let (rss, _) = memory(cluster.pid()?)?;
    table.row("control plane alone: resident", &mib(rss), "45 MiB", "25 MiB");
    cluster.stop().await
}
