//! The API server and the store under load: small objects written and read, large lists.

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use super::Args;
use super::api::Api;
use super::cluster::{Cluster, memory, mib};
use super::loads::{Load, load};
use super::table::Table;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
/// Requests at the same time.
const AT_ONCE: usize = 64;
/// Connections they share.
const CONNECTIONS: usize = 4;

/// Everything.
pub(super) async fn measure(args: &Args, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let api = cluster.api(CONNECTIONS).await?;
    small_objects(args, &api, table).await?;
    lists(args, &api, table).await?;
    let (rss, _) = memory(cluster.pid()?)?;
    let (must, aim) = if args.small { ("", "") } else { ("150 MiB", "90 MiB") };
    table.row("resident after that, main process", &mib(rss), must, aim);
    Ok(())
}

/// A ConfigMap with a kilobyte of one letter.
fn map(i: usize, fill: &str) -> Bytes {
    let (name, text) = (format!("map-{i}"), fill.repeat(1024));
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "text": text } });
    Bytes::from(map.to_string())
}

async fn many(api: &Api, count: usize, method: Method, body: fn(usize) -> (String, Bytes)) -> Result<Load> {
    let api = api.clone();
    let one = move |i: usize| {
        let (api, method, (path, body)) = (api.clone(), method.clone(), body(i));
        async move { api.send(method, &path, body).await.map(|_| ()) }
    };
    load(count, AT_ONCE, one).await
}

async fn small_objects(args: &Args, api: &Api, table: &mut Table) -> Result<()> {
    let count = args.pick(20_000, 400);
    let create = many(api, count, Method::POST, |i| (MAPS.to_owned(), map(i, "x")));
    let ours = create.await?.to_string();
    table.row("create 1 KB ConfigMaps, 64 at once, fsynced", &ours, "5,000/s", "15,000/s, p99 < 10 ms");
    let get = many(api, count, Method::GET, |i| (format!("{MAPS}/map-{i}"), Bytes::new())).await?;
    table.row("get", &get.to_string(), "20,000/s", "40,000/s");
    let update = many(api, count, Method::PUT, |i| (format!("{MAPS}/map-{i}"), map(i, "y")));
    table.row("update", &update.await?.to_string(), "6,000/s", "15,000/s");
    let patch = many(api, count, Method::PATCH, |i| {
        (format!("{MAPS}/map-{i}"), Bytes::from_static(br#"{"data":{"more":"1"}}"#))
    });
    table.row("merge patch", &patch.await?.to_string(), "6,000/s", "15,000/s");
    Ok(())
}

/// A pod that nobody schedules, of the size that real ones have.
fn pod(i: usize) -> (String, Bytes) {
    let metadata = json!({
        "name": format!("stored-{i}"), "labels": { "app": "stored", "number": i.to_string() },
        "annotations": { "note": "n".repeat(512) },
    });
    let container = json!({ "name": "c", "image": "example.org/app:v1", "env": [{ "name": "A", "value": "b".repeat(128) }],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": { "schedulerName": "nobody", "containers": [container] } });
    (PODS.to_owned(), Bytes::from(pod.to_string()))
}

async fn lists(args: &Args, api: &Api, table: &mut Table) -> Result<()> {
    let count = args.pick(10_000, 300);
    let pods = many(api, count, Method::POST, pod).await?;
    table.row(&format!("create {count} pods that nobody schedules"), &pods.to_string(), "", "");
    let bytes = api.send(Method::GET, PODS, Bytes::new()).await?;
    let megabytes = bytes / 1_000_000;
    for (at_once, must, aim) in [(1, "p50 60 ms", "p50 25 ms"), (8, "p50 500 ms", "p50 200 ms")] {
        let (must, aim) = if args.small { ("", "") } else { (must, aim) };
        let api = api.clone();
        let one = move |_| {
            let api = api.clone();
            async move { api.send(Method::GET, PODS, Bytes::new()).await.map(|_| ()) }
        };
        let lists = load(args.pick(10, 3) * at_once, at_once, one).await?;
        table.row(&format!("list {count} pods ({megabytes} MB), {at_once} at once"), &lists.times.halves(), must, aim);
    }
    let api = api.clone();
    let selected = move |i| {
        let (api, path) = (api.clone(), format!("{PODS}?labelSelector=number%3D{i}"));
        async move { api.send(Method::GET, &path, Bytes::new()).await.map(|_| ()) }
    };
    let selected = load(args.pick(50, 5), 1, selected).await?;
    table.row(&format!("list by a label that one of {count} has"), &selected.times.halves(), "p50 3 ms", "p50 1 ms");
    Ok(())
}
