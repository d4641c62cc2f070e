//! `kubectl port-forward`: local ports that lead to ports of a pod.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::pods;
use crate::print::{say, tell};
use crate::query::Query;
use crate::select::{self, Target};
use crate::session::Session;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);

/// The pod's port that a service's port or a port's name means.
fn resolve(pod: &Value, service: Option<&Value>, word: &str) -> Outcome<u16> {
    let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok());
    let named = |name: &str| {
        let ports = pod["spec"]["containers"].as_array().into_iter().flatten().flat_map(|c| c["ports"].as_array().into_iter().flatten());
        ports.filter(|p| p["name"] == name).find_map(|p| number(&p["containerPort"]))
    };
    let bad = |name: &str| Failure::text(format!("Pod '{}' does not have a named port '{name}'", pod["metadata"]["name"].as_str().unwrap_or_default()));
    let Some(service) = service else {
        return word.parse().ok().filter(|p| *p > 0).or_else(|| named(word)).ok_or_else(|| bad(word));
    };
    let port = service["spec"]["ports"].as_array().into_iter().flatten().find(|p| p["name"] == word || number(&p["port"]).is_some_and(|n| n.to_string() == word));
    let Some(port) = port else {
        return wrong(format!("Service {} does not have a service port {word}", service["metadata"]["name"].as_str().unwrap_or_default()));
    };
    if service["spec"]["clusterIP"] == "None" {
        return number(&port["port"]).ok_or_else(|| bad(word));
    }
    match port["targetPort"].as_str() {
        Some(name) => named(name).ok_or_else(|| bad(name)),
        None => Ok(number(&port["targetPort"]).filter(|n| *n > 0).or_else(|| number(&port["port"])).unwrap_or_default()),
    }
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let args = given.args();
    let [word, ports @ ..] = &args[..] else {
        return Err(Failure::usage("TYPE/NAME and list of ports are required for port-forward", &given.command));
    };
    if ports.is_empty() {
        return Err(Failure::usage("TYPE/NAME and list of ports are required for port-forward", &given.command));
    }
    let session = Session::open(given)?;
    let mut service = None;
    if word.contains('/')
        && let [Target { mapping, name: Some(name) }] = &select::targets(&session, &[word]).await?[..]
        && mapping.kind == "Service"
    {
        service = Some(session.client.get(&mapping.object(Some(&session.namespace), name)).await?);
    }
    let pod = pods::one(&session, word, given.duration("pod-running-timeout")?.unwrap_or(PATIENCE)).await?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if phase != "Running" {
        return wrong(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let addresses = given.list("address");
    let addresses = if addresses.is_empty() { vec!["localhost"] } else { addresses };
    let mut tasks = tokio::task::JoinSet::new();
    for port in ports {
        let (local, remote) = port.split_once(':').unwrap_or((port, port));
        let remote = resolve(&pod, service.as_ref(), remote)?;
        let local: u16 = if local.is_empty() { 0 } else { local.parse().or_else(|_| resolve(&pod, service.as_ref(), local))? };
        let mut bound = 0;
        for address in &addresses {
            let all: &[&str] = if *address == "localhost" { &["127.0.0.1", "::1"] } else { std::slice::from_ref(address) };
            for ip in all {
                let local = if local == 0 { bound } else { local };
                let Ok(listener) = TcpListener::bind((*ip, local)).await else { continue };
                let own = listener.local_addr()?;
                bound = own.port();
                say(&format!("Forwarding from {own} -> {remote}\n"));
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/portforward{}", Query::default().and("ports", &remote.to_string()).text());
                tasks.spawn(listen(session.client.clone(), listener, path, own.port(), remote));
            }
        }
        if bound == 0 {
            tell(&format!("Unable to listen on port {local}: unable to create listener: address already in use"));
            return wrong(format!("unable to listen on any of the requested ports: [{{{local} {remote}}}]"));
        }
    }
    tasks.join_next().await;
    Ok(())
}

async fn listen(client: client::Client, listener: TcpListener, path: String, local: u16, remote: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        say(&format!("Handling connection for {local}\n"));
        let (client, path) = (client.clone(), path.clone());
        tokio::spawn(async move {
            match client.forward(&path, stream).await {
                Ok(None) => {}
                Ok(Some(wrong)) => tell(&format!("an error occurred forwarding {local} -> {remote}: {wrong}")),
                Err(e) => tell(&format!("error forwarding port {remote}: {e}")),
            }
        });
    }
}
