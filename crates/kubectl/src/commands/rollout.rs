//! `kubectl rollout`: status, history, undo, restart, pause, resume.

use crate::commands::change::update;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::pods::selector_text;
use crate::print::{DryRun, Results, say};
use crate::query::Query;
use crate::select::{self, Item};
use crate::session::Session;
use client::PatchType;
use serde_json::{Value, json};
use std::time::Duration;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";
const HASH: &str = "pod-template-hash";

pub(crate) async fn run(given: &Given<'_>, what: &str) -> Outcome {
    let session = Session::open(given)?;
    let args = given.args();
    if args.is_empty() && !crate::manifest::given_any(given) {
        return wrong("required resource not specified");
    }
    let (items, failures) = if let [one] = args[..] && !one.contains('/') {
        (all_of(&session, given, one).await?, Vec::new())
    } else {
        select::items(&session, given, &args).await?
    };
    Failure::collect(failures)?;
    if items.is_empty() {
        crate::print::tell(&format!("No resources found in {} namespace.", session.namespace));
    }
    for item in &items {
        match what {
            "status" => status(&session, given, item).await?,
            "history" => history(&session, given, item).await?,
            "undo" => undo(&session, given, item).await?,
            "restart" => restart(&session, given, item).await?,
            _ => pause(&session, given, item, what == "pause").await?,
        }
    }
    Ok(())
}

/// Every object of a type, or those that `-l` leaves.
async fn all_of(session: &Session, given: &Given<'_>, word: &str) -> Outcome<Vec<Item>> {
    let scope = select::Scope::of(session, given);
    let mut out = Vec::new();
    for target in select::targets(session, &[word]).await? {
        let list = select::list(session, &target.mapping, &scope).await?;
        out.extend(list["items"].as_array().into_iter().flatten().map(|o| Item::of(&target.mapping, o.clone())));
    }
    Ok(out)
}

fn number(v: &Value) -> i64 {
    v.as_i64().unwrap_or_default()
}

/// What `rollout status` says of an object, and whether it is done.
fn progress(item: &Item, object: &Value, revision: i64) -> Outcome<(String, bool)> {
    let (spec, status, name) = (&object["spec"], &object["status"], &item.name);
    let observed = number(&object["metadata"]["generation"]) <= number(&status["observedGeneration"]);
    match item.mapping.kind.as_str() {
        "Deployment" => {
            if revision > 0 {
                let current = object["metadata"]["annotations"][REVISION].as_str().unwrap_or_default();
                if current != revision.to_string() {
                    return wrong(format!("desired revision ({revision}) is different from the running revision ({current})"));
                }
            }
            if !observed {
                return Ok(("Waiting for deployment spec update to be observed...\n".to_owned(), false));
            }
            let conditions = status["conditions"].as_array();
            if conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded")) {
                return wrong(format!("deployment \"{name}\" exceeded its progress deadline"));
            }
            let wanted = spec["replicas"].as_i64().unwrap_or(1);
            let (all, updated, available) = (number(&status["replicas"]), number(&status["updatedReplicas"]), number(&status["availableReplicas"]));
            Ok(if updated < wanted {
                (format!("Waiting for deployment \"{name}\" rollout to finish: {updated} out of {wanted} new replicas have been updated...\n"), false)
            } else if all > updated {
                (format!("Waiting for deployment \"{name}\" rollout to finish: {} old replicas are pending termination...\n", all - updated), false)
            } else if available < updated {
                (format!("Waiting for deployment \"{name}\" rollout to finish: {available} of {updated} updated replicas are available...\n"), false)
            } else {
                (format!("deployment \"{name}\" successfully rolled out\n"), true)
            })
        }
        "DaemonSet" => {
            if spec["updateStrategy"]["type"] != "RollingUpdate" {
                return wrong("rollout status is only available for RollingUpdate strategy type");
            }
            if !observed {
                return Ok(("Waiting for daemon set spec update to be observed...\n".to_owned(), false));
            }
            let (wanted, updated, available) = (number(&status["desiredNumberScheduled"]), number(&status["updatedNumberScheduled"]), number(&status["numberAvailable"]));
            Ok(if updated < wanted {
                (format!("Waiting for daemon set \"{name}\" rollout to finish: {updated} out of {wanted} new pods have been updated...\n"), false)
            } else if available < wanted {
                (format!("Waiting for daemon set \"{name}\" rollout to finish: {available} of {wanted} updated pods are available...\n"), false)
            } else {
                (format!("daemon set \"{name}\" successfully rolled out\n"), true)
            })
        }
        "StatefulSet" => stateful(spec, status, observed),
        _ => wrong(format!("no status viewer has been implemented for {}", item.mapping.kind)),
    }
}

fn stateful(spec: &Value, status: &Value, observed: bool) -> Outcome<(String, bool)> {
    if spec["updateStrategy"]["type"] != "RollingUpdate" {
        return wrong("rollout status is only available for RollingUpdate strategy type");
    }
    if !observed {
        return Ok(("Waiting for statefulset spec update to be observed...\n".to_owned(), false));
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let (ready, updated) = (number(&status["readyReplicas"]), number(&status["updatedReplicas"]));
    if ready < wanted {
        return Ok((format!("Waiting for {} pods to be ready...\n", wanted - ready), false));
    }
    let partition = number(&spec["updateStrategy"]["rollingUpdate"]["partition"]);
    if partition > 0 {
        return Ok(if updated < wanted - partition {
            (format!("Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...\n", wanted - partition), false)
        } else {
            (format!("partitioned roll out complete: {updated} new pods have been updated...\n"), true)
        });
    }
    if status["updateRevision"] != status["currentRevision"] {
        return Ok((format!("waiting for statefulset rolling update to complete {updated} pods at revision {}...\n", status["updateRevision"].as_str().unwrap_or_default()), false));
    }
    Ok((format!("statefulset rolling update complete {} pods at revision {}...\n", number(&status["currentReplicas"]), status["currentRevision"].as_str().unwrap_or_default()), true))
}

async fn status(session: &Session, given: &Given<'_>, item: &Item) -> Outcome {
    let revision = given.number("revision")?.unwrap_or_default();
    let limit = given.duration("timeout")?.filter(|t| !t.is_zero()).unwrap_or(Duration::from_secs(3600 * 24 * 365));
    let waiting = async {
        let mut object = item.object.clone();
        let mut last = String::new();
        loop {
            let (text, done) = progress(item, &object, revision)?;
            if text != last || done {
                say(&text);
            }
            last = text;
            if done || !given.on_or("watch", true) {
                return Ok(());
            }
            object = next_version(session, item, &object).await?;
        }
    };
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| wrong("timed out waiting for the condition"))
}

/// Waits until an object differs from what we know of it.
pub(crate) async fn next_version(session: &Session, item: &Item, known: &Value) -> Outcome<Value> {
    let revision = known["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    loop {
        let query = Query::default().and("fieldSelector", &format!("metadata.name={}", item.name));
        let list = session.client.get(&format!("{}{}", item.mapping.collection(Some(&item.namespace)), query.text())).await?;
        let Some(now) = list["items"].get(0) else { return wrong("object has been deleted") };
        if now["metadata"]["resourceVersion"] != revision {
            let mut now = now.clone();
            now["apiVersion"] = item.mapping.api_version().into();
            now["kind"] = item.mapping.kind.clone().into();
            return Ok(now);
        }
        // The list's own revision is one that no compaction has taken yet.
        let query = query.and("watch", "true").and("resourceVersion", list["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        let mut watch = session.client.watch(&format!("{}{}", item.mapping.collection(Some(&item.namespace)), query.text()), "application/json").await?;
        while let Some(event) = watch.next().await? {
            match event.kind.as_str() {
                "DELETED" => return wrong("object has been deleted"),
                "BOOKMARK" => {}
                _ if event.object["metadata"]["resourceVersion"] != revision => return Ok(event.object),
                _ => {}
            }
        }
    }
}

/// One revision of an object.
struct Revision {
    number: i64,
    cause: String,
    template: Value,
    object: Value,
}

/// Revisions of an object: number, change cause, pod template.
async fn revisions(session: &Session, item: &Item, what: &str) -> Outcome<Vec<Revision>> {
    let controlled = |o: &Value| o["metadata"]["ownerReferences"].as_array().is_some_and(|r| r.iter().any(|r| r["controller"] == true && r["uid"] == item.object["metadata"]["uid"]));
    let plural = match item.mapping.kind.as_str() {
        "Deployment" => "replicasets",
        "DaemonSet" | "StatefulSet" => "controllerrevisions",
        other => return wrong(format!("error retrieving {what} for \"{other}\", no visitor method exists for {{{} {other}}}", item.mapping.group)),
    };
    let selector = selector_text(&item.object["spec"]["selector"]);
    let path = format!("/apis/apps/v1/namespaces/{}/{plural}{}", item.namespace, Query::default().and("labelSelector", &selector).text());
    let list = session.client.get(&path).await?;
    let mut out = Vec::new();
    for object in list["items"].as_array().into_iter().flatten().filter(|o| controlled(o)) {
        let annotations = &object["metadata"]["annotations"];
        let (revision, template) = if plural == "replicasets" {
            (annotations[REVISION].as_str().and_then(|r| r.parse().ok()).unwrap_or_default(), object["spec"]["template"].clone())
        } else {
            (number(&object["revision"]), object["data"]["spec"]["template"].clone())
        };
        let cause = annotations[CAUSE].as_str().unwrap_or_default().to_owned();
        let mut object = object.clone();
        object["apiVersion"] = "apps/v1".into();
        object["kind"] = if plural == "replicasets" { "ReplicaSet" } else { "ControllerRevision" }.into();
        out.push(Revision { number: revision, cause, template, object });
    }
    out.sort_by_key(|r| r.number);
    Ok(out)
}

async fn history(session: &Session, given: &Given<'_>, item: &Item) -> Outcome {
    let revisions = revisions(session, item, "history").await?;
    let named = item.mapping.named(&item.name);
    let revision = given.number("revision")?.unwrap_or_default();
    let format = crate::print::Format::of(given)?;
    if !format.is_human() {
        for r in revisions.iter().filter(|r| revision == 0 || r.number == revision) {
            let mut object = r.object.clone();
            if !given.on("show-managed-fields") {
                crate::print::without_managed_fields(&mut object);
            }
            say(&format.text(&object)?);
        }
        return Ok(());
    }
    if revision > 0 {
        let Some(Revision { template, .. }) = revisions.iter().find(|r| r.number == revision) else {
            return wrong("unable to find the specified revision");
        };
        say(&format!("{named} with revision #{revision}\n{}\n", crate::commands::describe::template_text(template)));
        return Ok(());
    }
    let mut text = "REVISION\tCHANGE-CAUSE\n".to_owned();
    for Revision { number: revision, cause, .. } in &revisions {
        text.push_str(&format!("{revision}\t{}\n", if cause.is_empty() { "<none>" } else { cause }));
    }
    say(&format!("{named} \n{}\n", crate::print::tabwriter::align(&text, crate::print::tabwriter::Layout { min_width: 0, padding: 2 })));
    Ok(())
}

async fn undo(session: &Session, given: &Given<'_>, item: &Item) -> Outcome {
    let results = Results::of(given)?;
    let to = given.number("to-revision")?.unwrap_or_default();
    if item.object["spec"]["paused"] == true {
        return wrong("you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again");
    }
    let revisions = revisions(session, item, "rollbacker").await?;
    let found = if to > 0 {
        revisions.iter().find(|r| r.number == to)
    } else {
        // The newest is what runs now.
        revisions.len().checked_sub(2).and_then(|i| revisions.get(i))
    };
    let Some(Revision { template, .. }) = found else {
        return if to > 0 { wrong(format!("unable to find specified revision {to} in history")) } else { wrong(format!("no rollout history found for {} \"{}\"", item.mapping.kind.to_lowercase(), item.name)) };
    };
    let mut template = template.clone();
    if results.dry_run == DryRun::Client {
        let text = crate::commands::describe::template_text(&template);
        let lead = if item.mapping.kind == "Deployment" { "" } else { "will roll back to " };
        return results_word(&results, item, &item.object, &format!("{lead}{text}"));
    }
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    if template == item.object["spec"]["template"] {
        results_word(&results, item, &item.object, "skipped rollback (current template already matches revision)")?;
        return Ok(());
    }
    if results.dry_run != DryRun::Client {
        let query = if results.dry_run == DryRun::Server { "?dryRun=All" } else { "" };
        let patch = json!([{ "op": "replace", "path": "/spec/template", "value": template }]);
        session.client.patch(&format!("{}{query}", item.path()), PatchType::Json, &patch).await?;
    }
    results_word(&results, item, &item.object, "rolled back")
}

fn results_word(results: &Results, item: &Item, object: &Value, word: &str) -> Outcome {
    results.print(&item.mapping, object, word)
}

async fn restart(session: &Session, given: &Given<'_>, item: &Item) -> Outcome {
    if !["Deployment", "DaemonSet", "StatefulSet"].contains(&item.mapping.kind.as_str()) {
        return wrong(format!("{} \"{}\" restarting is not supported", item.mapping.plural, item.name));
    }
    if item.object["spec"]["paused"] == true {
        return wrong(format!("{} \"{}\" can't restart paused deployment (run rollout resume first)", item.mapping.full_plural(), item.name));
    }
    let results = Results::of(given)?;
    let mut new = item.object.clone();
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default();
    new["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = now.to_string().into();
    if new == item.object {
        return wrong(format!("failed to create patch for {}: if restart has already been triggered within the past second, please wait before attempting to trigger another", item.name));
    }
    let (object, _) = update(session, given, item, new, results.dry_run, "kubectl-rollout").await?;
    results_word(&results, item, &object, "restarted")
}

async fn pause(session: &Session, given: &Given<'_>, item: &Item, paused: bool) -> Outcome {
    let word = if paused { "paused" } else { "resumed" };
    if item.mapping.kind != "Deployment" {
        return wrong(format!("{} \"{}\" {} is not supported", item.mapping.full_plural(), item.name, if paused { "pausing" } else { "resuming" }));
    }
    if (item.object["spec"]["paused"] == true) == paused {
        return wrong(format!("{} \"{}\" is {}", item.mapping.full_plural(), item.name, if paused { "already paused" } else { "not paused" }));
    }
    let results = Results::of(given)?;
    let mut new = item.object.clone();
    if paused {
        new["spec"]["paused"] = true.into();
    } else if let Some(spec) = new["spec"].as_object_mut() {
        spec.remove("paused");
    }
    let (object, _) = update(session, given, item, new, results.dry_run, "kubectl-rollout").await?;
    results_word(&results, item, &object, word)
}
