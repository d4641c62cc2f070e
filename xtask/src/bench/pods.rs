//! How long a pod takes from its creation to Ready when its image is there, and what it costs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::Args;
use super::api::{Api, Watch};
use super::cluster::{Cluster, memory};
use super::image::IMAGE;
use super::table::{Table, Times};

const PODS: &str = "/api/v1/namespaces/default/pods";
/// Longest wait for one change.
const PATIENCE: Duration = Duration::from_secs(60);

/// One by one, then many at once.
pub(super) async fn measure(args: &Args, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let api = cluster.api(2).await?;
    let account = "/api/v1/namespaces/default/serviceaccounts?watch=true&fieldSelector=metadata.name%3Ddefault";
    tokio::time::timeout(PATIENCE, api.watch(account).await?.next()).await.context("no default service account")??;
    let mut watch = api.watch(&format!("{PODS}?watch=true")).await?;
    let times = one_by_one(&api, &mut watch, args.pick(40, 5)).await?;
    table.row("pod create -> Ready, one by one", &times.halves(), "p50 150 ms", "p50 60 ms");
    let count = args.pick(30, 8);
    let (must, aim) = if args.small { ("", "") } else { ("2.5 s", "1 s") };
    let names: BTreeSet<String> = (0..count).map(|i| format!("many-{i}")).collect();
    let begun = Instant::now();
    let creates = names.iter().map(|n| create(&api, n));
    for done in futures_of(creates).await {
        done?;
    }
    all(&mut watch, names.clone(), is_ready).await.context("waiting for the pods to be Ready")?;
    table.row(&format!("{count} pods at once, all Ready"), &format!("{:.2} s", begun.elapsed().as_secs_f64()), must, aim);
    shims(cluster, table)?;
    for name in &names {
        delete(&api, name).await?;
    }
    all(&mut watch, names, is_gone).await.context("waiting for the pods to be gone")
}

/// All of them together.
async fn futures_of<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let tasks: Vec<_> = all.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await.ok());
    }
    done
}

async fn one_by_one(api: &Api, watch: &mut Watch, count: usize) -> Result<Times> {
    let mut times = Vec::new();
    for i in 0..count {
        let name = format!("one-{i}");
        let begun = Instant::now();
        create(api, &name).await?;
        all(watch, BTreeSet::from([name.clone()]), is_ready).await.with_context(|| format!("waiting for {name}"))?;
        times.push(begun.elapsed().as_secs_f64());
        delete(api, &name).await?;
        all(watch, BTreeSet::from([name.clone()]), is_gone).await.with_context(|| format!("waiting for {name} to go"))?;
    }
    Ok(Times::new(times))
}

fn create(api: &Api, name: &str) -> impl Future<Output = Result<()>> + Send + 'static {
    let container = json!({ "name": "c", "image": IMAGE, "imagePullPolicy": "Never" });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": { "containers": [container] } });
    let (api, body) = (api.clone(), Bytes::from(pod.to_string()));
    async move { api.send(Method::POST, PODS, body).await.map(|_| ()) }
}

async fn delete(api: &Api, name: &str) -> Result<()> {
    let now = Bytes::from_static(br#"{"gracePeriodSeconds":0}"#);
    api.send(Method::DELETE, &format!("{PODS}/{name}"), now).await.map(|_| ())
}

fn is_ready(event: &Value) -> bool {
    let conditions = event["object"]["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn is_gone(event: &Value) -> bool {
    event["type"] == "DELETED"
}

/// Waits until every one of these pods was seen so.
async fn all(watch: &mut Watch, mut missing: BTreeSet<String>, so: fn(&Value) -> bool) -> Result<()> {
    while !missing.is_empty() {
        let next = tokio::time::timeout(PATIENCE, watch.next()).await;
        let event = next.with_context(|| format!("still missing: {missing:?}"))??;
        if so(&event) {
            missing.remove(event["object"]["metadata"]["name"].as_str().unwrap_or_default());
        }
    }
    Ok(())
}

fn shims(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (_, shims) = cluster.helpers()?;
    let count = u64::try_from(shims.len())?.max(1);
    let mut total = (0, 0);
    for shim in shims {
        let (rss, pss) = memory(shim)?;
        total = (total.0 + rss, total.1 + pss);
    }
    let kib = |bytes: u64| format!("{} KiB", bytes / count / 1024);
    let ours = format!("{} (shared pages divided; resident {})", kib(total.1), kib(total.0));
    table.row("memory that a running pod costs (shim)", &ours, "2 MiB", "1 MiB");
    Ok(())
}
