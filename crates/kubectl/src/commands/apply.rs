//! `kubectl apply` (docs: "Declarative Management of Kubernetes Objects"): the manifest is kept in an annotation of the
//! object; what changed between that, the new manifest and the live object makes the patch. Or by the server's own apply.

use crate::commands::delete::{How, delete_one, until_gone};
use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest::{self, Manifest};
use crate::print::{DryRun, Results, tell};
use crate::query::Query;
use crate::select::{self, Item, Scope};
use crate::session::Session;
use client::PatchType;
use patch::Shape;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// Where the last applied manifest is kept.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Conflicts that are met by trying again.
const TRIES_MAX: usize = 5;
const DELETE_WAIT: Duration = Duration::from_secs(300);

/// `fieldValidation` of `--validate`.
pub(crate) fn validation(given: &Given<'_>) -> Outcome<&'static str> {
    match given.text_or("validate", "strict") {
        "strict" | "true" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" | "false" => Ok("Ignore"),
        other => wrong(format!("invalid - validate option {other}")),
    }
}

/// The query of a write.
pub(crate) fn write_query(given: &Given<'_>, dry_run: DryRun, manager: &str) -> Outcome<Query> {
    let query = Query::default().when(dry_run == DryRun::Server, "dryRun", "All");
    Ok(query.and("fieldManager", given.text_or("field-manager", manager)).and("fieldValidation", validation(given)?))
}

/// The manifest with itself (as it was) in its annotation.
pub(crate) fn annotated(object: &Value) -> Value {
    let mut plain = object.clone();
    if let Some(annotations) = plain.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    if !plain["metadata"]["annotations"].is_object() {
        plain["metadata"]["annotations"] = Value::Object(Map::new());
    }
    let text = crate::print::json_line(&plain) + "\n";
    plain["metadata"]["annotations"][LAST_APPLIED] = text.into();
    plain
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let files = given.list("filename");
    if files.is_empty() {
        return wrong("must specify one of -f and -k");
    }
    if !given.args().is_empty() {
        return Err(Failure::usage(format!("Unexpected args: [{}]", given.args().join(" ")), &given.command));
    }
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    if given.on("server-side") && results.dry_run == DryRun::Client {
        return wrong("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    let mut failures = Vec::new();
    let mut kept = Vec::new();
    let selector = given.text("selector").map(kinds::Selector::parse).transpose().map_err(Failure::text)?;
    for m in manifest::read(&files, given.on("recursive"))? {
        if let Some(selector) = &selector {
            let labels = m.object["metadata"]["labels"].as_object();
            let labels = labels.map(|l| l.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect());
            if !selector.matches(labels.as_ref()) {
                continue;
            }
        }
        match one(&session, given, &m, &results).await {
            Ok(uid) => kept.push(uid),
            Err(e) => failures.push(e),
        }
        session.show_warnings();
    }
    if given.on("prune") && failures.is_empty() {
        prune(&session, given, &kept, &results).await?;
    }
    Failure::collect(failures)
}

async fn one(session: &Session, given: &Given<'_>, m: &Manifest, results: &Results) -> Outcome<String> {
    let mapping = session.mapping_of(&m.object, &m.source).await?;
    let namespace = session.namespace_of(&m.object, &mapping)?;
    let mut wanted = m.object.clone();
    if !namespace.is_empty() {
        wanted["metadata"]["namespace"] = namespace.clone().into();
    }
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return wrong(format!("error when retrieving current configuration of {}: resource name may not be empty", m.source));
    }
    let item = Item { mapping: mapping.clone(), namespace, name, object: wanted, source: Some(m.source.clone()) };
    let (object, operation) = if given.on("server-side") {
        server_side(session, given, &item, results).await?
    } else {
        client_side(session, given, &item, results).await?
    };
    results.print(&mapping, &object, operation)?;
    Ok(object["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

async fn server_side(session: &Session, given: &Given<'_>, item: &Item, results: &Results) -> Outcome<(Value, &'static str)> {
    let query = write_query(given, results.dry_run, "kubectl")?.and("force", if given.on("force-conflicts") { "true" } else { "false" });
    match session.client.patch(&format!("{}{}", item.path(), query.text()), PatchType::Apply, &item.object).await {
        Ok(object) => Ok((object, "serverside-applied")),
        Err(client::Error::Api(mut e)) if e.is_conflict() => {
            e.message.push_str("\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts");
            Err(client::Error::Api(e).into())
        }
        Err(e) => Err(e.into()),
    }
}

async fn client_side(session: &Session, given: &Given<'_>, item: &Item, results: &Results) -> Outcome<(Value, &'static str)> {
    let source = item.source.clone().unwrap_or_default();
    let live = match session.client.get(&item.path()).await {
        Ok(live) => live,
        Err(e) if e.is_not_found() => {
            let body = annotated(&item.object);
            if results.dry_run == DryRun::Client {
                return Ok((body, "created"));
            }
            let query = write_query(given, results.dry_run, "kubectl-client-side-apply")?;
            let path = format!("{}{}", item.mapping.collection(Some(&item.namespace)), query.text());
            let made = session.client.post(&path, &body).await;
            return made.map(|o| (o, "created")).map_err(|e| Failure::from(e).doing(|| format!("error when creating \"{source}\"")));
        }
        Err(e) => return Err(Failure::from(e).doing(|| format!("error when retrieving current configuration of:\nResource: \"{}, Resource={}\", GroupVersionKind: \"{}, Kind={}\"\nName: \"{}\", Namespace: \"{}\"\nfrom server for: \"{source}\"", item.mapping.api_version(), item.mapping.plural, item.mapping.api_version(), item.mapping.kind, item.name, item.namespace))),
    };
    if live["metadata"]["annotations"][LAST_APPLIED].is_null() && results.format.is_human() {
        tell(&format!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
            item.mapping.plural, item.name
        ));
    }
    patched(session, given, item, live, results).await.map_err(|e| e.doing(|| format!("error when applying patch:\nto:\nResource: \"{}, Resource={}\", GroupVersionKind: \"{}, Kind={}\"\nName: \"{}\", Namespace: \"{}\"\nfor: \"{source}\": error when patching \"{source}\"", gvk(&item.mapping), item.mapping.plural, gvk(&item.mapping), item.mapping.kind, item.name, item.namespace)))
}

fn gvk(mapping: &Mapping) -> String {
    if mapping.group.is_empty() { format!("/{}", mapping.version) } else { mapping.api_version() }
}

/// The patch that takes the live object to the manifest, and its type.
pub(crate) fn difference(mapping: &Mapping, live: &Value, wanted: &Value) -> (Value, PatchType) {
    let original = live["metadata"]["annotations"][LAST_APPLIED].as_str().and_then(|t| serde_json::from_str(t).ok());
    let original: Value = original.unwrap_or_else(|| json!({}));
    let shape = Shape::of_kind(&mapping.group, &mapping.version, &mapping.kind);
    if matches!(shape, Shape::Any) {
        return (patch::merge::three_way(&original, wanted, live), PatchType::Merge);
    }
    (patch::strategic::three_way(&original, wanted, live, shape), PatchType::Strategic)
}

async fn patched(session: &Session, given: &Given<'_>, item: &Item, mut live: Value, results: &Results) -> Outcome<(Value, &'static str)> {
    let wanted = annotated(&item.object);
    let mut tries = 0;
    loop {
        tries += 1;
        let (patch, kind) = difference(&item.mapping, &live, &wanted);
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok((live, "unchanged"));
        }
        if results.dry_run == DryRun::Client {
            let mut object = live.clone();
            let shape = Shape::of_kind(&item.mapping.group, &item.mapping.version, &item.mapping.kind);
            let done = if kind == PatchType::Merge { patch::merge::apply(&mut object, patch); Ok(()) } else { patch::strategic::apply(&mut object, patch, shape) };
            done.map_err(|e| Failure::text(e.to_string()))?;
            return Ok((object, "configured"));
        }
        let query = write_query(given, results.dry_run, "kubectl-client-side-apply")?;
        match session.client.patch(&format!("{}{}", item.path(), query.text()), kind, &patch).await {
            Ok(object) => {
                let same = object["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"];
                return Ok((object, if same && results.dry_run == DryRun::None { "unchanged" } else { "configured" }));
            }
            Err(e) if e.api().is_some_and(kinds::ApiError::is_conflict) && tries < TRIES_MAX => live = session.client.get(&item.path()).await?,
            Err(e) if given.on("force") && e.api().is_some_and(|a| a.is_conflict() || a.reason == "Invalid") => {
                return replaced(session, given, item, &live, &wanted, results).await;
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// `--force`: what cannot be patched is deleted and made anew.
async fn replaced(session: &Session, given: &Given<'_>, item: &Item, live: &Value, wanted: &Value, results: &Results) -> Outcome<(Value, &'static str)> {
    delete_one(session, item, &How::of(given)?).await?;
    let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
    until_gone(session, item, uid, Instant::now() + DELETE_WAIT).await?;
    let query = write_query(given, results.dry_run, "kubectl-client-side-apply")?;
    let path = format!("{}{}", item.mapping.collection(Some(&item.namespace)), query.text());
    Ok((session.client.post(&path, wanted).await?, "configured"))
}

/// What apply made and the manifests no longer have goes away.
async fn prune(session: &Session, given: &Given<'_>, kept: &[String], results: &Results) -> Outcome {
    const KINDS: &[&str] = &[
        "configmaps", "endpoints", "namespaces", "persistentvolumeclaims", "persistentvolumes", "pods", "replicationcontrollers", "secrets",
        "services", "jobs.batch", "cronjobs.batch", "ingresses.networking.k8s.io", "daemonsets.apps", "deployments.apps", "replicasets.apps", "statefulsets.apps",
    ];
    if given.text("selector").is_none() && !given.on("all") {
        return wrong("all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector");
    }
    let scope = Scope::of(session, given);
    let how = How::of(given)?;
    for kind in KINDS {
        let mapping = session.mapping(kind).await?;
        let list = select::list(session, &mapping, &scope).await?;
        for object in list["items"].as_array().into_iter().flatten() {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            if object["metadata"]["annotations"][LAST_APPLIED].is_null() || kept.iter().any(|k| k == uid) {
                continue;
            }
            if how.dry_run != DryRun::Client {
                delete_one(session, &Item::of(&mapping, object.clone()), &how).await?;
            }
            results.print(&mapping, object, "pruned")?;
        }
    }
    Ok(())
}
