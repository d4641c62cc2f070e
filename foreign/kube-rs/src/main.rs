//! kube-rs against a running cluster (`KUBECONFIG`): typed create, get, list, watch, merge and server-side apply patches,
//! conflicts, logs, exec with an exit code, port-forward. Each check prints its name; the exit code counts those that failed.

use anyhow::{Context, Result, ensure};
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{
    Api, AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Error};
use serde_json::json;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

const NAMESPACE: &str = "foreign-kube-rs";
const PATIENCE: Duration = Duration::from_secs(60);

fn image() -> String {
    std::env::var("IMAGE").unwrap_or_else(|_| "busybox:1".to_owned())
}

fn map(name: &str, value: &str) -> Result<ConfigMap> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name, "labels": {"by": "kube-rs"}}, "data": {"k": value}}))?)
}

fn code<T>(result: Result<T, Error>) -> Option<u16> {
    match result {
        Err(Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

async fn verbs(client: Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let made = maps.create(&PostParams::default(), &map("a", "1")?).await?;
    ensure!(code(maps.create(&PostParams::default(), &map("a", "1")?).await) == Some(409), "already exists");
    let mut next = made.clone();
    next.data = map("a", "2")?.data;
    maps.replace("a", &PostParams::default(), &next).await?;
    ensure!(code(maps.replace("a", &PostParams::default(), &next).await) == Some(409), "conflict");
    ensure!(maps.get_opt("nothing").await?.is_none(), "not found");
    let page = maps.list(&ListParams::default().labels("by=kube-rs").limit(1)).await?;
    ensure!(page.items.len() == 1, "one of a page");
    maps.delete("a", &DeleteParams::default()).await?;
    Ok(())
}

async fn patches(client: Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    maps.create(&PostParams::default(), &map("p", "1")?).await?;
    let merged = maps.patch("p", &PatchParams::default(), &Patch::Merge(json!({"data": {"l": "2"}}))).await?;
    ensure!(merged.data.is_some_and(|d| d.len() == 2), "merged");
    let config = |key: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {key: "3"}});
    maps.patch("p", &PatchParams::apply("mine"), &Patch::Apply(config("m"))).await?;
    let stolen = maps.patch("p", &PatchParams::apply("mine"), &Patch::Apply(config("l"))).await;
    ensure!(code(stolen) == Some(409), "another manager's field");
    let forced = maps.patch("p", &PatchParams::apply("mine").force(), &Patch::Apply(config("l"))).await?;
    let data = forced.data.context("data")?;
    ensure!(data.get("l").is_some_and(|v| v == "3") && !data.contains_key("m"), "what is no longer applied goes: {data:?}");
    let strategic = Patch::Strategic(json!({"metadata": {"labels": {"x": "y"}}}));
    ensure!(maps.patch("p", &PatchParams::default(), &strategic).await?.metadata.labels.is_some_and(|l| l.len() == 2), "labels");
    Ok(())
}

async fn watches(client: Client) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let from = maps.list(&ListParams::default()).await?.metadata.resource_version.context("a version")?;
    let mut events = maps.watch(&WatchParams::default().timeout(20), &from).await?.boxed();
    maps.create(&PostParams::default(), &map("w", "1")?).await?;
    maps.delete("w", &DeleteParams::default()).await?;
    let mut seen = String::new();
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(_) => seen.push('A'),
            WatchEvent::Deleted(_) => {
                seen.push('D');
                break;
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!(seen == "AD", "{seen}");
    // As controllers do it: a streaming list, then changes.
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut objects = watcher(maps.clone(), config).applied_objects().boxed();
        let first = timeout(PATIENCE, objects.try_next()).await??.context("an object")?;
        ensure!(first.metadata.name.is_some(), "a named object");
    }
    Ok(())
}

async fn running(pods: &Api<Pod>, name: &str, script: &str) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": image(), "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}]}}))?;
    pods.create(&PostParams::default(), &pod).await?;
    let runs = |p: Option<&Pod>| p.and_then(|p| p.status.as_ref()).and_then(|s| s.phase.as_deref()) == Some("Running");
    timeout(PATIENCE, kube::runtime::wait::await_condition(pods.clone(), name, runs)).await??;
    Ok(())
}

async fn logs_and_exec(client: Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    running(&pods, "shell", "echo hello; sleep 3600").await?;
    let mut lines = pods.log_stream("shell", &LogParams { follow: true, ..LogParams::default() }).await?.lines();
    let line = timeout(PATIENCE, lines.try_next()).await??.context("a line")?;
    ensure!(line == "hello", "{line}");
    let how = AttachParams::default().stdin(true).stderr(false);
    let mut session = pods.exec("shell", ["sh", "-c", "read a; echo got $a; exit 7"], &how).await?;
    let mut stdin = session.stdin().context("stdin")?;
    stdin.write_all(b"line\n").await?;
    let mut out = String::new();
    session.stdout().context("stdout")?.read_to_string(&mut out).await?;
    let status = session.take_status().context("a status")?.await.context("told")?;
    ensure!(out == "got line\n" && status.reason.as_deref() == Some("NonZeroExitCode"), "{out:?} {status:?}");
    Ok(())
}

async fn forward(client: Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    running(&pods, "server", "while true; do printf hi | nc -l -p 8080; done").await?;
    sleep(Duration::from_millis(500)).await;
    let mut forwarder = pods.portforward("server", &[8080]).await?;
    let mut stream = forwarder.take_stream(8080).context("a stream")?;
    let mut answer = [0; 2];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
    ensure!(&answer == b"hi", "{answer:?}");
    Ok(())
}

async fn told(name: &str, check: impl Future<Output = Result<()>>) -> i32 {
    match check.await {
        Ok(()) => println!("ok    {name}"),
        Err(e) => {
            println!("FAIL  {name}: {e:?}");
            return 1;
        }
    }
    0
}

#[tokio::main]
async fn main() -> Result<()> {
    let client = Client::try_default().await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    // One that an earlier run left is waited for.
    let _ = namespaces.delete(NAMESPACE, &DeleteParams::default()).await;
    let own: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    timeout(PATIENCE, async {
        while namespaces.create(&PostParams::default(), &own).await.is_err() {
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await?;
    let mut failed = 0;
    failed += told("verbs", verbs(client.clone())).await;
    failed += told("patches", patches(client.clone())).await;
    failed += told("watches", watches(client.clone())).await;
    failed += told("logs_and_exec", logs_and_exec(client.clone())).await;
    failed += told("forward", forward(client)).await;
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await?;
    std::process::exit(failed)
}
