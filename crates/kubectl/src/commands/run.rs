//! `kubectl run` and `kubectl expose`.

use crate::commands::create::made;
use crate::commands::delete::{How, delete_one, until_gone};
use crate::commands::exec::attach_to;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{DryRun, Results, say, tell};
use crate::select::{self, Item};
use crate::session::Session;
use crate::{generate, pods};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(3600 * 24 * 7);

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let args = given.args();
    let Some((name, more)) = args.split_first() else {
        return Err(Failure::usage("NAME is required for run", &given.command));
    };
    let arguments: Vec<&str> = more.iter().copied().chain(given.rest()).collect();
    let interactive = given.on("stdin");
    let attach = given.on_or("attach", interactive);
    if given.on("tty") && !interactive {
        return Err(Failure::usage("-i/--stdin is required for containers with -t/--tty=true", &given.command));
    }
    if given.on("rm") && !attach {
        return Err(Failure::usage("--rm should only be used for attached containers", &given.command));
    }
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    if attach && results.dry_run != DryRun::None {
        return wrong("--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)");
    }
    let mut object = generate::pod(given, name, &arguments)?;
    if let Some(overrides) = given.text("overrides") {
        let patch: Value = serde_json::from_str(overrides).map_err(|e| Failure::text(format!("invalid overrides: {e}")))?;
        if given.text_or("override-type", "merge") == "strategic" {
            patch::strategic::apply(&mut object, patch, patch::Shape::of_kind("", "v1", "Pod")).map_err(|e| Failure::text(e.to_string()))?;
        } else {
            patch::merge::apply(&mut object, patch);
        }
    }
    if !attach {
        made(&session, given, &results, object).await?;
        return if given.on("expose") { expose_pod(&session, given, &results, name).await } else { Ok(()) };
    }
    attached(&session, given, name, object).await
}

async fn expose_pod(session: &Session, given: &Given<'_>, results: &Results, name: &str) -> Outcome {
    let Some(port) = given.number("port")? else { return wrong("--port must be set when exposing a service") };
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "ports": [{ "port": port, "protocol": "TCP", "targetPort": port }], "selector": { "run": name } }, "status": { "loadBalancer": {} } });
    made(session, given, results, service).await
}

fn exit_code(pod: &Value, container: &str) -> Option<i32> {
    let all = pod["status"]["containerStatuses"].as_array()?;
    let status = all.iter().find(|s| s["name"] == container)?;
    status["state"]["terminated"]["exitCode"].as_i64().and_then(|c| i32::try_from(c).ok())
}

fn finished(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

async fn attached(session: &Session, given: &Given<'_>, name: &str, mut object: Value) -> Outcome {
    object["metadata"]["namespace"] = session.namespace.clone().into();
    let collection = format!("/api/v1/namespaces/{}/pods", session.namespace);
    let pod = session.client.post(&format!("{collection}?fieldManager=kubectl-run"), &object).await?;
    session.show_warnings();
    let outcome = follow(session, given, name, &pod).await;
    if given.on("rm") {
        let mapping = session.mapping("pods").await?;
        let item = Item::of(&mapping, pod);
        let how = How { cascade: "Background", grace_s: given.number("grace-period")?.unwrap_or(-1), force: false, dry_run: DryRun::None };
        match delete_one(session, &item, &how).await {
            Ok(uid) => {
                if !given.on("quiet") {
                    say(&format!("pod \"{name}\" deleted from {} namespace\n", session.namespace));
                }
                until_gone(session, &item, &uid, Instant::now() + END_LIMIT).await?;
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    outcome
}

async fn follow(session: &Session, given: &Given<'_>, name: &str, pod: &Value) -> Outcome {
    let limit = given.duration("pod-running-timeout")?.unwrap_or(START_LIMIT);
    let namespace = &session.namespace;
    let container = pods::container(pod, None, true)?;
    let running = pods::until(session, namespace, name, limit, |p| {
        finished(p) || p["status"]["containerStatuses"].as_array().is_some_and(|all| all.iter().any(|s| s["state"].get("running").is_some()))
    });
    let pod = running.await?;
    let tty = given.on("tty") && crate::terminal::is_terminal();
    if finished(&pod) {
        logs(session, namespace, name, &container).await?;
    } else if let Err(e) = attach_to(session, &pod, container.clone(), given.on("stdin"), tty, given.on("quiet")).await {
        tell(&format!("warning: couldn't attach to pod/{name}, falling back to streaming logs: {}", e.plain()));
        logs(session, namespace, name, &container).await?;
    }
    if given.text_or("restart", "Always") != "Never" {
        if !given.on("rm") && given.text_or("restart", "Always") == "Always" {
            tell(&format!("Session ended, resume using 'kubectl attach {name} -c {container} -i -t' command when the pod is running"));
        }
        return Ok(());
    }
    let pod = pods::until(session, namespace, name, END_LIMIT, finished).await?;
    match exit_code(&pod, &container) {
        None | Some(0) => Ok(()),
        Some(code) => {
            tell(&format!("pod {namespace}/{name} terminated ({})", pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"].as_str().unwrap_or("Error")));
            Err(Failure::Exit(code))
        }
    }
}

async fn logs(session: &Session, namespace: &str, name: &str, container: &str) -> Outcome {
    let mut lines = session.client.lines(&format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&follow=true"), "*/*").await?;
    while let Some(chunk) = lines.chunk().await? {
        say(&String::from_utf8_lossy(&chunk));
    }
    Ok(())
}

fn port_of(text: &str) -> Value {
    text.parse::<u16>().map_or_else(|_| json!(text), |n| json!(n))
}

/// The ports that an object offers: number and protocol.
fn offered(item: &Item) -> Vec<(u16, String)> {
    let list = match item.mapping.kind.as_str() {
        "Service" => &item.object["spec"]["ports"],
        "Pod" => &Value::Null,
        _ => &Value::Null,
    };
    let mut out: Vec<(u16, String)> = Vec::new();
    let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok());
    let protocol = |v: &Value| v.as_str().unwrap_or("TCP").to_owned();
    for port in list.as_array().into_iter().flatten() {
        out.extend(number(&port["port"]).map(|n| (n, protocol(&port["protocol"]))));
    }
    let spec = if item.mapping.kind == "Pod" { &item.object["spec"] } else { &item.object["spec"]["template"]["spec"] };
    for port in spec["containers"].as_array().into_iter().flatten().flat_map(|c| c["ports"].as_array().into_iter().flatten()) {
        out.extend(number(&port["containerPort"]).map(|n| (n, protocol(&port["protocol"]))));
    }
    out
}

/// `kubectl expose`.
pub(crate) async fn expose(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, failures) = select::items(&session, given, &given.args()).await?;
    Failure::collect(failures)?;
    for item in &items {
        let service = exposed(given, item)?;
        let mut session_object = service;
        if session.namespace_given || results.dry_run != DryRun::Client {
            session_object["metadata"]["namespace"] = item.namespace.clone().into();
        }
        let mapping = session.mapping("services").await?;
        let object = if results.dry_run == DryRun::Client {
            session_object
        } else {
            let query = if results.dry_run == DryRun::Server { "?dryRun=All&fieldManager=kubectl-expose" } else { "?fieldManager=kubectl-expose" };
            session.client.post(&format!("{}{query}", mapping.collection(Some(&item.namespace))), &session_object).await?
        };
        session.show_warnings();
        results.print(&mapping, &object, "exposed")?;
    }
    Ok(())
}

fn exposed(given: &Given<'_>, item: &Item) -> Outcome<Value> {
    let kind = item.mapping.kind.as_str();
    if !["Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet"].contains(&kind) {
        return wrong(format!("cannot expose a {kind}"));
    }
    let selector = match (given.text("selector"), kind) {
        (Some(text), _) => generate::pairs(text)?,
        (None, "Pod") => item.object["metadata"]["labels"].clone(),
        (None, "Service" | "ReplicationController") => item.object["spec"]["selector"].clone(),
        _ if item.object["spec"]["selector"]["matchExpressions"].as_array().is_some_and(|e| !e.is_empty()) => {
            return wrong("couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - to map-based selector format");
        }
        _ => item.object["spec"]["selector"]["matchLabels"].clone(),
    };
    if selector.as_object().is_none_or(serde_json::Map::is_empty) {
        return wrong("couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed");
    }
    let protocol = given.text_or("protocol", "TCP");
    let mut ports: Vec<(u16, String)> = Vec::new();
    match given.text("port") {
        Some(text) => {
            for port in text.split(',') {
                ports.push((port.parse().map_err(|_| Failure::text(format!("strconv.Atoi: parsing \"{port}\": invalid syntax")))?, protocol.to_owned()));
            }
        }
        None => ports = offered(item),
    }
    if ports.is_empty() {
        return wrong("couldn't find port via --port flag or introspection");
    }
    let several = ports.len() > 1;
    let ports: Vec<Value> = ports
        .iter()
        .enumerate()
        .map(|(i, (port, protocol))| {
            let target = given.text("target-port").map_or_else(|| json!(port), port_of);
            let mut one = json!({ "port": port, "protocol": protocol, "targetPort": target });
            if several {
                one["name"] = format!("port-{}", i + 1).into();
            }
            one
        })
        .collect();
    let mut metadata = json!({ "name": given.text_or("name", &item.name) });
    match given.text("labels") {
        Some(text) => metadata["labels"] = generate::pairs(text)?,
        None if item.object["metadata"]["labels"].is_object() => metadata["labels"] = item.object["metadata"]["labels"].clone(),
        None => {}
    }
    let mut spec = json!({ "ports": ports, "selector": selector });
    for (flag, key) in [("type", "type"), ("cluster-ip", "clusterIP"), ("load-balancer-ip", "loadBalancerIP"), ("session-affinity", "sessionAffinity")] {
        if let Some(text) = given.text(flag).filter(|t| !t.is_empty()) {
            spec[key] = text.into();
        }
    }
    if let Some(ip) = given.text("external-ip").filter(|t| !t.is_empty()) {
        spec["externalIPs"] = json!([ip]);
    }
    Ok(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": { "loadBalancer": {} } }))
}
