//! The figures of one API server under load: the same rows for Timonel and for a kube-apiserver with its etcd.
//!
//! Each row that is a load says beside it how much processor time the server's processes used for one operation: on a busy
//! machine that is the figure to compare, because the client and everything else share the same cores.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::Args;
use super::api::Api;
use super::cluster::{cpu, memory, mib};
use super::loads::Load;
use super::table::Times;
use super::wire::{Ask, Shape, Target, Verb, Watches, load};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Requests at the same time, and the connections they share.
const AT_ONCE: usize = 64;
const CONNECTIONS: usize = 4;
/// Watchers of the fan-out row, and what each sees.
const WATCHERS: usize = 100;
const EVENTS: usize = 1000;
/// How long memory may settle before it is read.
const SETTLE: Duration = Duration::from_secs(2);
/// How long nobody may ask for anything before memory at rest is read: Timonel lets go of decoded objects after thirty seconds.
const REST: Duration = Duration::from_secs(40);
/// How long a new resource may take to be served.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running API server.
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) api: Api,
    /// Its processes: the first is the API server itself.
    pub(super) pids: Vec<u32>,
    /// How much of the full load it gets: a slow server is not measured for an hour.
    pub(super) share: usize,
}

/// What a row showed.
pub(super) struct Figure {
    pub(super) what: &'static str,
    pub(super) value: String,
    /// Processor time of the server an operation.
    pub(super) cpu: String,
}

/// Rows of one server, in the order in which they were measured.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) rows: Vec<Figure>,
    pub(super) failures: Vec<String>,
}

impl Figures {
    pub(super) fn add(&mut self, what: &'static str, value: String, cpu: String) {
        println!("  {what}: {value}{}{cpu}", if cpu.is_empty() { "" } else { "; " });
        self.rows.push(Figure { what, value, cpu });
    }

    /// Notes a part that did not come about; the others go on.
    pub(super) fn failed(&mut self, what: &str, outcome: Result<()>) {
        if let Err(e) = outcome {
            println!("  {what}: FAILED: {e:#}");
            self.failures.push(format!("{what}: {e:#}"));
        }
    }
}

impl Server {
    fn cpu(&self) -> Result<Duration> {
        self.pids.iter().map(|pid| cpu(*pid)).sum()
    }

    /// Memory of all its processes.
    pub(super) fn resident(&self) -> Result<u64> {
        self.pids.iter().map(|pid| memory(*pid).map(|(rss, _)| rss)).sum()
    }

    async fn settled(&self) -> Result<u64> {
        tokio::time::sleep(SETTLE).await;
        self.resident()
    }

    async fn rested(&self) -> Result<u64> {
        tokio::time::sleep(REST).await;
        self.resident()
    }

    /// A load with the processor time of an operation.
    async fn load(&self, shape: Shape, verb: Verb, ask: fn(usize) -> Ask) -> Result<(Load, String)> {
        let before = self.cpu()?;
        let done = load(&self.target, shape, verb, ask).await?;
        Ok((done, each(self.cpu()?.saturating_sub(before), shape.count)))
    }
}

fn each(used: Duration, count: usize) -> String {
    let us = used.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap_or(u32::MAX)).max(1.0);
    if us >= 10_000.0 { format!("{:.1} ms", us / 1000.0) } else { format!("{us:.1} µs") }
}

fn shape(count: usize) -> Shape {
    Shape { count, at_once: AT_ONCE, connections: CONNECTIONS }
}

/// A ConfigMap with a kilobyte of one letter.
fn map(i: usize, fill: &str) -> Vec<u8> {
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"map-{i}\"}},\"data\":{{\"text\":\"{}\"}}}}",
        fill.repeat(1024)
    )
    .into_bytes()
}

pub(super) fn create_map(i: usize) -> Ask {
    Ask { path: MAPS.to_owned(), body: map(i, "x") }
}

pub(super) fn get_map(i: usize) -> Ask {
    Ask { path: format!("{MAPS}/map-{i}"), body: Vec::new() }
}

pub(super) fn update_map(i: usize, fill: &str) -> Ask {
    Ask { path: format!("{MAPS}/map-{i}"), body: map(i, fill) }
}

pub(super) fn patch_map(i: usize, more: &str) -> Ask {
    Ask { path: format!("{MAPS}/map-{i}"), body: format!("{{\"data\":{{\"more\":\"{more}\"}}}}").into_bytes() }
}

fn watched_map(i: usize) -> Ask {
    let body = map(i, "w");
    let text = String::from_utf8_lossy(&body).replace("map-", "seen-");
    Ask { path: MAPS.to_owned(), body: text.into_bytes() }
}

/// Small objects, one by one.
pub(super) async fn writes(args: &Args, server: &Server, figures: &mut Figures) -> Result<()> {
    let count = args.pick(20_000, 400) / server.share;
    let rows: [(&'static str, Verb, fn(usize) -> Ask); 4] = [
        ("create 1 KB ConfigMap, 64 at once, fsynced", Verb::Post, create_map),
        ("get", Verb::Get, get_map),
        ("update", Verb::Put, |i| update_map(i, "y")),
        ("merge patch", Verb::Merge, |i| patch_map(i, "1")),
    ];
    for (what, verb, ask) in rows {
        let (done, cpu) = server.load(shape(count), verb, ask).await.context(what)?;
        figures.add(what, done.to_string(), cpu);
    }
    Ok(())
}

/// Many watchers that see the same.
pub(super) async fn watches(args: &Args, server: &Server, figures: &mut Figures) -> Result<()> {
    let (watchers, events) = (args.pick(WATCHERS, 20), args.pick(EVENTS, 50));
    let list = server.api.tree(Method::GET, &format!("{MAPS}?limit=1"), &Value::Null).await?;
    let revision = list["metadata"]["resourceVersion"].as_str().context("a list without a version")?;
    let path = format!("{MAPS}?watch=1&resourceVersion={revision}");
    let all = watchers * events;
    let open = Watches::open(&server.target, Shape { count: all, at_once: watchers, connections: CONNECTIONS }, &path).await?;
    let (before, begun) = (server.cpu()?, Instant::now());
    load(&server.target, shape(events), Verb::Post, watched_map).await?;
    let seen = open.finish().await?;
    let took = seen.at.duration_since(begun).as_secs_f64();
    let used = each(server.cpu()?.saturating_sub(before), all);
    let rate = f64::from(u32::try_from(seen.events)?) / took;
    figures.add("100 watchers x 1,000 events", format!("{rate:.0} events/s, {} cut off", seen.cut), used);
    Ok(())
}

/// A pod that nobody schedules, of the size that real ones have.
fn pod(i: usize) -> Ask {
    let metadata = json!({
        "name": format!("stored-{i}"), "labels": { "app": "stored", "number": i.to_string() },
        "annotations": { "note": "n".repeat(512) },
    });
    let container = json!({ "name": "c", "image": "example.org/app:v1", "env": [{ "name": "A", "value": "b".repeat(128) }],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": { "schedulerName": "nobody", "automountServiceAccountToken": false, "containers": [container] } });
    Ask { path: PODS.to_owned(), body: pod.to_string().into_bytes() }
}

fn list_pods(_: usize) -> Ask {
    Ask { path: PODS.to_owned(), body: Vec::new() }
}

fn select_pods(i: usize) -> Ask {
    Ask { path: format!("{PODS}?labelSelector=number%3D{i}"), body: Vec::new() }
}

/// Many pods: stored, listed, selected, and what they weigh.
pub(super) async fn lists(args: &Args, server: &Server, figures: &mut Figures) -> Result<()> {
    let count = args.pick(10_000, 300);
    account(&server.api).await?;
    let empty = server.settled().await?;
    let (stored, cpu) = server.load(shape(count), Verb::Post, pod).await.context("storing pods")?;
    figures.add("create pods that nobody schedules", stored.to_string(), cpu);
    let busy = server.settled().await?.saturating_sub(empty);
    let resting = server.rested().await?.saturating_sub(empty);
    let bytes = server.api.send(Method::GET, PODS, Bytes::new()).await?;
    println!("  (a list of {count} pods has {bytes} bytes)");
    let runs = args.pick(10, 3) / server.share.min(3);
    let rows = [("list 10,000 pods of 24 MB JSON, alone", 1), ("list 10,000 pods, eight at once", 8)];
    for (what, at_once) in rows {
        let shape = Shape { count: runs * at_once, at_once, connections: at_once };
        let (done, cpu) = server.load(shape, Verb::Get, list_pods).await.context(what)?;
        figures.add(what, done.times.halves(), cpu);
    }
    let one = Shape { count: args.pick(100, 5), at_once: 1, connections: 1 };
    let (done, cpu) = server.load(one, Verb::Get, select_pods).await?;
    figures.add("list with a label selector that one of 10,000 matches", done.times.halves(), cpu);
    let (listed, rested) = (server.settled().await?, server.rested().await?);
    figures.add("resident with 10,000 pods stored and listed", format!("{} ({} at once after the lists)", mib(rested), mib(listed)), String::new());
    let a_pod = |weight: u64| u64::try_from(count).map(|n| thousands(weight / n));
    let text = format!("{:.1} KB ({:.1} KB while it is read)", a_pod(resting)?, a_pod(busy)?);
    figures.add("memory a stored pod", text, String::new());
    Ok(())
}

/// Pods want their service account, which no controller makes for a kube-apiserver alone.
async fn account(api: &Api) -> Result<()> {
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    let made = api.tree(Method::POST, "/api/v1/namespaces/default/serviceaccounts", &account).await;
    match made {
        Err(e) if !e.to_string().contains("already exists") => Err(e).context("making the service account"),
        _ => Ok(()),
    }
}

fn thousands(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1000.0
}

/// What open watches and custom resource definitions weigh, and how soon these are served.
pub(super) async fn weights(args: &Args, server: &Server, figures: &mut Figures) -> Result<()> {
    let watchers = args.pick(1000, 50);
    let before = server.settled().await?;
    let shape = Shape { count: usize::MAX, at_once: watchers, connections: 10 };
    let open = Watches::open(&server.target, shape, &format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dnone")).await?;
    let weight = server.settled().await?.saturating_sub(before) / u64::try_from(watchers)?;
    figures.add("memory a watcher", format!("{:.1} KB", thousands(weight)), String::new());
    definitions(args, server, figures).await?;
    drop(open);
    Ok(())
}

async fn definitions(args: &Args, server: &Server, figures: &mut Figures) -> Result<()> {
    let count = args.pick(200, 10) / server.share.min(4);
    let before = server.settled().await?;
    let mut times = Vec::new();
    for i in 0..count {
        let begun = Instant::now();
        server.api.tree(Method::POST, CRDS, &definition(i)).await?;
        let path = format!("/apis/bench.example.org/v1/things{i}");
        while server.api.send(Method::GET, &path, Bytes::new()).await.is_err() {
            ensure!(begun.elapsed() < PATIENCE, "{path} was never served");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed().as_secs_f64());
    }
    figures.add("a CRD becomes served", Times::new(times).halves(), String::new());
    let weight = server.settled().await?.saturating_sub(before) / u64::try_from(count)?;
    figures.add("memory a CRD", format!("{:.1} KB", thousands(weight)), String::new());
    Ok(())
}

/// A definition with a schema of some fifty fields.
fn definition(i: usize) -> Value {
    let text = |n: usize| (format!("field{n}"), json!({ "type": "string", "description": format!("What field {n} is for.") }));
    let part: serde_json::Map<String, Value> = (0..10).map(text).collect();
    let parts: serde_json::Map<String, Value> = (0..5)
        .map(|n| (format!("part{n}"), json!({ "type": "object", "description": "A part.", "properties": part })))
        .collect();
    let schema = json!({ "type": "object", "properties": {
        "spec": { "type": "object", "properties": parts }, "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } });
    let version = json!({ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
        "subresources": { "status": {} } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things{i}.bench.example.org") },
        "spec": { "group": "bench.example.org", "scope": "Namespaced", "versions": [version],
            "names": { "plural": format!("things{i}"), "singular": format!("thing{i}"), "kind": format!("Thing{i}"),
                "listKind": format!("Thing{i}List") } },
    })
}
