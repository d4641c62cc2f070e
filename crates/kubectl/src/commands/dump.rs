//! `kubectl cluster-info dump`: nodes, and of chosen namespaces events, workloads, pods and their logs, on standard output or in
//! a directory.

use crate::failure::{Failure, Outcome};
use crate::flags::Given;
use crate::pods;
use crate::print::{Format, say};
use crate::session::Session;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What is dumped of a namespace: path and file name.
const PARTS: &[(&str, &str)] = &[
    ("/api/v1/namespaces/NS/events", "events"),
    ("/api/v1/namespaces/NS/replicationcontrollers", "replication-controllers"),
    ("/api/v1/namespaces/NS/services", "services"),
    ("/apis/apps/v1/namespaces/NS/daemonsets", "daemonsets"),
    ("/apis/apps/v1/namespaces/NS/deployments", "deployments"),
    ("/apis/apps/v1/namespaces/NS/replicasets", "replicasets"),
    ("/api/v1/namespaces/NS/pods", "pods"),
];

/// Where a dump goes.
struct Place {
    dir: Option<PathBuf>,
    format: Format,
    extension: &'static str,
}

impl Place {
    fn put(&self, path: &str, text: &str) -> Outcome {
        let Some(dir) = &self.dir else {
            say(text);
            return Ok(());
        };
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(())
    }

    fn object(&self, path: &str, mut object: Value) -> Outcome {
        crate::print::without_managed_fields(&mut object);
        self.put(&format!("{path}.{}", self.extension), &self.format.text(&object)?)
    }
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let dir = given.text("output-directory").filter(|d| !d.is_empty() && *d != "-").map(PathBuf::from);
    let format = match Format::of(given)? {
        Format::Human { .. } => Format::Json,
        other => other,
    };
    let extension = if matches!(format, Format::Yaml) { "yaml" } else { "json" };
    let place = Place { dir, format, extension };
    let limit = given.duration("pod-running-timeout")?.unwrap_or(Duration::from_secs(20));
    place.object("nodes", session.client.get("/api/v1/nodes").await?)?;
    let mut namespaces: Vec<String> = given.list("namespaces").into_iter().map(str::to_owned).collect();
    if given.on("all-namespaces") {
        let list = session.client.get("/api/v1/namespaces").await?;
        namespaces = list["items"].as_array().into_iter().flatten().filter_map(|n| n["metadata"]["name"].as_str()).map(str::to_owned).collect();
    } else if namespaces.is_empty() {
        namespaces = vec!["kube-system".to_owned(), session.namespace.clone()];
    }
    for namespace in &namespaces {
        let mut last = Value::Null;
        for (path, file) in PARTS {
            last = session.client.get(&path.replace("NS", namespace)).await?;
            place.object(&format!("{namespace}/{file}"), last.clone())?;
        }
        for pod in last["items"].as_array().into_iter().flatten() {
            logs(&session, &place, namespace, pod, limit).await?;
        }
    }
    if let Some(dir) = &place.dir {
        say(&format!("Cluster info dumped to {}\n", dir.display()));
    }
    Ok(())
}

async fn logs(session: &Session, place: &Place, namespace: &str, pod: &Value, limit: Duration) -> Outcome {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let mut text = String::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pods::names(pod, list) {
            text.push_str(&format!("==== START logs for container {container} of pod {namespace}/{name} ====\n"));
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}");
            let reading = session.client.bytes(http::Method::GET, &path, "*/*", client::RequestBody::Empty);
            match tokio::time::timeout(limit, reading).await {
                Ok(Ok(bytes)) => text.push_str(&String::from_utf8_lossy(&bytes)),
                Ok(Err(e)) => text.push_str(&format!("Create log request failed: {}\n", Failure::from(e).message())),
                Err(_) => text.push_str("Request log error: timed out\n"),
            }
            text.push_str(&format!("==== END logs for container {container} of pod {namespace}/{name} ====\n"));
        }
    }
    place.put(&format!("{namespace}/{name}/logs.txt"), &text)
}
