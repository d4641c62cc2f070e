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
    let split = |port: &&str| -> (String, String) {
        let parts: Vec<&str> = port.split(':').collect();
        let (local, remote) = if parts.len() == 2 { (parts[0], parts[1]) } else { (parts[0], parts[0]) };
        (local.to_owned(), remote.to_owned())
    };
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    for (_, remote) in ports.iter().map(split).filter(|(_, remote)| service.is_some() || !digits(remote)) {
        resolve(&pod, service.as_ref(), &remote)?;
    }
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if phase != "Running" {
        return wrong(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let addresses = given.list("address");
    let mut addresses = if addresses.is_empty() { vec!["localhost"] } else { addresses };
    addresses.sort_unstable();
    if let Some(bad) = addresses.iter().find(|a| **a != "localhost" && a.parse::<std::net::IpAddr>().is_err()) {
        return wrong(format!("{bad} is not a valid IP"));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for port in ports {
        let (local, remote) = split(port);
        let (local, remote) = (local.as_str(), remote.as_str());
        for (word, side) in [(local, "local"), (remote, "remote")] {
            if digits(word) && word.parse::<u16>().is_err() {
                return wrong(format!("error parsing {side} port '{word}': strconv.ParseUint: parsing \"{word}\": value out of range"));
            }
        }
        let remote = resolve(&pod, service.as_ref(), remote)?;
        let local: u16 = if local.is_empty() { 0 } else { local.parse().or_else(|_| resolve(&pod, service.as_ref(), local))? };
        let mut bound = 0;
        let mut refused = Vec::new();
        for address in &addresses {
            let all: &[&str] = if *address == "localhost" { &["127.0.0.1", "::1"] } else { std::slice::from_ref(address) };
            for ip in all {
                let local = if local == 0 { bound } else { local };
                let listener = match TcpListener::bind((*ip, local)).await {
                    Ok(listener) => listener,
                    Err(e) => {
                        let (v, shown) = if ip.contains(':') { (6, format!("[{ip}]")) } else { (4, (*ip).to_owned()) };
                        let why = if e.kind() == std::io::ErrorKind::AddrInUse { "address already in use".to_owned() } else { e.to_string() };
                        refused.push(format!("unable to create listener: Error listen tcp{v} {shown}:{local}: bind: {why}"));
                        continue;
                    }
                };
                let own = listener.local_addr()?;
                bound = own.port();
                say(&format!("Forwarding from {own} -> {remote}\n"));
                let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/portforward{}", Query::default().and("ports", &remote.to_string()).text());
                tasks.spawn(listen(session.client.clone(), listener, path, own.port(), remote));
            }
        }
        if bound == 0 {
            tell(&format!("Unable to listen on port {local}: Listeners failed to create with the following errors: [{}]", refused.join(" ")));
            return wrong(format!("unable to listen on any of the requested ports: [{{{local} {remote}}}]"));
        }
    }
    // A connection that the pod refuses ends it all, as the original does.
    tasks.join_next().await;
    wrong("lost connection to pod")
}

async fn listen(client: client::Client, listener: TcpListener, path: String, local: u16, remote: u16) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                say(&format!("Handling connection for {local}\n"));
                let (client, path) = (client.clone(), path.clone());
                open.spawn(async move {
                    match client.forward(&path, stream).await {
                        Ok(None) => true,
                        Ok(Some(wrong)) => {
                            tell(&format!("an error occurred forwarding {local} -> {remote}: {wrong}"));
                            false
                        }
                        Err(e) => {
                            tell(&format!("error creating forwarding stream for port {local} -> {remote}: {e}"));
                            false
                        }
                    }
                });
            }
            Some(done) = open.join_next() => if !done.unwrap_or(false) { return },
        }
    }
}
