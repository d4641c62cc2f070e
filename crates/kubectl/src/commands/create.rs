//! `kubectl create`: from files, and by its generators.

use crate::commands::apply::{annotated, write_query};
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{DryRun, Results, say};
use crate::query::Query;
use crate::session::Session;
use crate::{generate, manifest};
use serde_json::{Value, json};

/// `create -f`.
pub(crate) async fn files(given: &Given<'_>) -> Outcome {
    if !given.args().is_empty() {
        return Err(Failure::usage(format!("Unexpected args: [{}]", given.args().join(" ")), &given.command));
    }
    let session = Session::open(given)?;
    if let Some(path) = given.text("raw").filter(|p| !p.is_empty()) {
        return crate::commands::edit::raw(&session, given, http::Method::POST, path).await;
    }
    if !manifest::given_any(given) {
        return Err(Failure::Bare("error: must specify one of -f and -k".to_owned()));
    }
    let results = Results::of(given)?;
    let mut failures = Vec::new();
    for mut m in manifest::gather(given, "create").await? {
        if given.on("edit") {
            match crate::commands::edit::edited(&m.object, given.text("output") == Some("json"))? {
                Some(object) => m.object = object,
                None => {
                    crate::print::tell("Edit cancelled, no changes made.");
                    continue;
                }
            }
        }
        let done = create(&session, given, &results, m.object, &m.source).await;
        session.show_warnings();
        if let Err(e) = done {
            failures.push(e.doing(|| format!("error when creating \"{}\"", m.source)));
        }
    }
    Failure::collect(failures)
}

async fn create(session: &Session, given: &Given<'_>, results: &Results, object: Value, source: &str) -> Outcome {
    let mapping = session.mapping_of(&object, source).await?;
    let namespace = session.namespace_of(&object, &mapping)?;
    let mut object = object;
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.clone().into();
    }
    if given.on("save-config") {
        object = annotated(&object);
    }
    let object = send(session, given, results, &mapping, &namespace, object).await?;
    results.print(&mapping, &object, "created")
}

async fn send(session: &Session, given: &Given<'_>, results: &Results, mapping: &crate::discovery::Mapping, namespace: &str, object: Value) -> Outcome<Value> {
    if results.dry_run == DryRun::Client {
        return Ok(object);
    }
    let query = write_query(given, results.dry_run, "kubectl-create")?;
    Ok(session.client.post(&format!("{}{}", mapping.collection(Some(namespace)), query.text()), &object).await?)
}

/// `create deployment` and its like.
pub(crate) async fn generated(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let from = given.text("from").filter(|f| !f.is_empty());
    let object = match from {
        Some(from) => {
            let own = given.args().first().copied().ok_or_else(|| Failure::usage("exactly one NAME is required, got 0", &given.command))?;
            if given.text("image").is_some_and(|i| !i.is_empty()) {
                return wrong("either --image or --from must be specified");
            }
            let targets = crate::select::targets(&session, &from.splitn(2, '/').collect::<Vec<_>>()).await?;
            let [crate::select::Target { mapping, name: Some(name) }] = &targets[..] else { return wrong(format!("from must be an existing cronjob: {from}")) };
            let source = session.client.get(&mapping.object(Some(&session.namespace), name)).await?;
            if mapping.kind != "CronJob" {
                return wrong(format!("unknown object type: only cronjob is supported"));
            }
            generate::job_from(own, &source)
        }
        None if given.command.ends_with("role") => {
            let served = if given.list("resource").is_empty() { None } else { Some(session.discovery().await?) };
            generate::object(given, served)?
        }
        None => generate::object(given, None)?,
    };
    let words: Vec<&str> = given.command.split(' ').skip(1).collect();
    made(&session, given, &results, object).await.map_err(|e| match (&e, &words[..]) {
        // These say what the server says.
        (_, ["namespace" | "role" | "clusterrole", ..]) => e,
        (Failure::Client(inner @ client::Error::Api(_), _), ["service", kind]) => Failure::text(format!("failed to create {} service: {inner}", service_type(kind))),
        (Failure::Client(inner @ client::Error::Api(_), _), ["poddisruptionbudget"]) => Failure::text(format!("failed to create poddisruptionbudgets: {inner}")),
        (Failure::Client(inner @ client::Error::Api(_), _), ["secret", ..]) => Failure::text(format!("failed to create secret {inner}")),
        (Failure::Client(inner @ client::Error::Api(_), _), [what, ..]) => Failure::text(format!("failed to create {what}: {inner}")),
        _ => e,
    })
}

fn service_type(word: &str) -> &'static str {
    match word {
        "nodeport" => "NodePort",
        "loadbalancer" => "LoadBalancer",
        "externalname" => "ExternalName",
        _ => "ClusterIP",
    }
}

/// Sends a generated object and prints it.
pub(crate) async fn made(session: &Session, given: &Given<'_>, results: &Results, mut object: Value) -> Outcome {
    let table = schema::resources();
    let (version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let known = table.by_gvk(group, version, kind);
    let namespaced = known.is_some_and(|r| r.namespaced);
    // A dry run by the client speaks to no server.
    let mapping = known.map(|r| crate::discovery::Mapping {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: r.plural.to_owned(),
        singular: r.singular.to_owned(),
        namespaced,
        ..Default::default()
    });
    let mapping = mapping.ok_or_else(|| Failure::text(format!("no matches for kind \"{kind}\"")))?;
    if given.on("save-config") {
        object = crate::commands::apply::annotated_as_is(&object);
    }
    if namespaced && (session.namespace_given || results.dry_run != DryRun::Client) {
        object["metadata"]["namespace"] = session.namespace.clone().into();
    }
    let namespace = if namespaced { session.namespace.clone() } else { String::new() };
    let object = send(session, given, results, &mapping, &namespace, object).await;
    session.show_warnings();
    results.print(&mapping, &object?, "created")
}

/// Flags of `create token` that do not go together.
fn check_token(given: &Given<'_>) -> Outcome {
    const KINDS: [&str; 3] = ["Node", "Pod", "Secret"];
    if given.text("duration").is_some_and(|d| d.starts_with('-')) {
        return wrong("--duration must be greater than or equal to 0");
    }
    let set = |flag: &str| given.text(flag).is_some_and(|t| !t.is_empty());
    let kind = given.text_or("bound-object-kind", "");
    if kind.is_empty() {
        for flag in ["bound-object-name", "bound-object-uid"] {
            if set(flag) {
                return wrong(format!("--{flag} can only be set if --bound-object-kind is provided"));
            }
        }
    } else if !KINDS.contains(&kind) {
        return wrong(format!("supported --bound-object-kind values are {}", KINDS.join(", ")));
    } else if !set("bound-object-name") {
        return wrong("--bound-object-name is required if --bound-object-kind is provided");
    }
    Ok(())
}

/// `create token`.
pub(crate) async fn token(given: &Given<'_>) -> Outcome {
    let [name] = given.args()[..] else {
        return Err(Failure::usage(format!("exactly one NAME is required, got {}", given.args().len()), &given.command));
    };
    check_token(given)?;
    let session = Session::open(given)?;
    let mut spec = json!({});
    let audiences = given.list("audience");
    spec["audiences"] = if audiences.is_empty() { Value::Null } else { json!(audiences) };
    if let Some(duration) = given.duration("duration")?.filter(|d| !d.is_zero()) {
        spec["expirationSeconds"] = duration.as_secs().into();
    }
    if let Some(kind) = given.text("bound-object-kind") {
        let mut object = json!({ "kind": kind, "apiVersion": "v1", "name": given.text_or("bound-object-name", "") });
        if let Some(uid) = given.text("bound-object-uid") {
            object["uid"] = uid.into();
        }
        spec["boundObjectRef"] = object;
    }
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec, "status": { "expirationTimestamp": null, "token": "" } });
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{name}/token{}", session.namespace, Query::default().text());
    let answer = session.client.post(&path, &body).await.map_err(|e| match e {
        client::Error::Api(a) => Failure::text(format!("failed to create token: {}", a.message)),
        other => other.into(),
    })?;
    let format = crate::print::Format::of(given)?;
    if format.is_human() {
        say(&format!("{}\n", answer["status"]["token"].as_str().unwrap_or_default()));
    } else {
        say(&format.text(&answer)?);
    }
    Ok(())
}
