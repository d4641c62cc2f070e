//! `kubectl apply` (docs: "Declarative Management of Kubernetes Objects"): the manifest is kept in an annotation of the
//! object; what changed between that, the new manifest and the live object makes the patch. Or by the server's own apply.

use crate::commands::delete::{How, delete_one, until_gone};
use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest::{self, Manifest};
use crate::print::{DryRun, Format, Results, tell};
use crate::prune::{self, Visited};
use crate::query::Query;
use crate::select::Item;
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
        other => wrong(format!("invalid - validate option \"{other}\"; must be one of: strict (or true), warn, ignore (or false)")),
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
    kept(plain, text)
}

/// A generated object with itself in its annotation: nothing is put into what is kept.
pub(crate) fn annotated_as_is(object: &Value) -> Value {
    kept(object.clone(), crate::print::typed::line(object) + "\n")
}

fn kept(mut plain: Value, text: String) -> Value {
    plain["metadata"]["annotations"][LAST_APPLIED] = text.into();
    plain
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    if !given.args().is_empty() {
        return Err(Failure::usage(format!("Unexpected args: [{}]", given.args().join(" ")), &given.command));
    }
    if !manifest::given_any(given) {
        return wrong("must specify one of -f and -k");
    }
    check(given)?;
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let mut failures = Vec::new();
    let (mut kept, mut visited) = (Vec::new(), Visited::default());
    let listed = matches!(results.format, Format::Yaml | Format::Json | Format::TypedJson | Format::JsonPath { .. } | Format::GoTemplate(..) | Format::Columns(..));
    let all = manifest::gather(given, "apply").await?;
    let single = all.len() == 1;
    for m in all {
        match one(&session, given, &m, &results).await {
            Ok((mapping, object, operation)) => {
                if !listed || single {
                    results.print(&mapping, &object, operation)?;
                }
                visited.note(&mapping, object["metadata"]["namespace"].as_str().unwrap_or_default(), &object);
                kept.push(object);
            }
            Err(e) => failures.push(e),
        }
        session.show_warnings();
    }
    if listed && !single && !kept.is_empty() {
        let list = json!({ "apiVersion": "v1", "items": kept, "kind": "List", "metadata": {} });
        results.as_typed().print_list(&list)?;
    }
    if given.on("prune") && failures.is_empty() {
        pruned(&session, given, &visited, &results).await?;
    }
    Failure::collect(failures)
}

/// Flags that do not go together.
fn check(given: &Given<'_>) -> Outcome {
    if given.on("force-conflicts") && !given.on("server-side") {
        return wrong("--force-conflicts only works with --server-side");
    }
    if given.on("server-side") && given.on("force") {
        return wrong("--force cannot be used with --server-side");
    }
    if given.on("server-side") && DryRun::of(given)? == DryRun::Client {
        return wrong("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    How::of(given)?;
    if given.on("prune") && given.text("selector").is_none() && !given.on("all") {
        return wrong("all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector");
    }
    if given.on("all") && given.text("selector").is_some() {
        return wrong("cannot set --all and --selector at the same time");
    }
    prune::check(given)
}

async fn one(session: &Session, given: &Given<'_>, m: &Manifest, results: &Results) -> Outcome<(Mapping, Value, &'static str)> {
    let mapping = session.mapping_of(&m.object, &m.source).await?;
    let namespace = session.namespace_of(&m.object, &mapping)?;
    let mut wanted = m.object.clone();
    if !namespace.is_empty() {
        wanted["metadata"]["namespace"] = namespace.clone().into();
    }
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        if let Some(generated) = wanted["metadata"]["generateName"].as_str() {
            return wrong(format!("from {generated}: cannot use generate name with apply"));
        }
        return wrong(format!("error when retrieving current configuration of:\nResource: \"{0}, Resource={1}\", GroupVersionKind: \"{0}, Kind={2}\"\nName: \"\", Namespace: \"{namespace}\"\nfrom server for: \"{3}\": resource name may not be empty", gvk(&mapping), mapping.plural, mapping.kind, m.source));
    }
    let item = Item { mapping: mapping.clone(), namespace, name, object: wanted, source: Some(m.source.clone()) };
    let (object, operation) = if given.on("server-side") {
        server_side(session, given, &item, results).await?
    } else {
        client_side(session, given, &item, results).await?
    };
    Ok((mapping, object, operation))
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
        Err(e) => return Err(Failure::from(e).doing(|| format!("error when retrieving current configuration of:\nResource: \"{}, Resource={}\", GroupVersionKind: \"{}, Kind={}\"\nName: \"{}\", Namespace: \"{}\"\nfrom server for: \"{source}\"", gvk(&item.mapping), item.mapping.plural, gvk(&item.mapping), item.mapping.kind, item.name, item.namespace))),
    };
    if live["metadata"]["annotations"][LAST_APPLIED].is_null() && results.format.is_human() {
        tell(&format!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
            item.mapping.plural, item.name
        ));
    }
    patched(session, given, item, live, results).await.map_err(|(patch, e)| e.doing(|| format!("error when applying patch:\n{patch}\nto:\nResource: \"{}, Resource={}\", GroupVersionKind: \"{}, Kind={}\"\nName: \"{}\", Namespace: \"{}\"\nfor: \"{source}\": error when patching \"{source}\"", gvk(&item.mapping), item.mapping.plural, gvk(&item.mapping), item.mapping.kind, item.name, item.namespace)))
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

/// Patches until the server takes it; a failure comes with the patch.
async fn patched(session: &Session, given: &Given<'_>, item: &Item, mut live: Value, results: &Results) -> Result<(Value, &'static str), (String, Failure)> {
    let bare = |e: Failure| (String::new(), e);
    if results.dry_run == DryRun::Client {
        // Nothing is worked out without the server.
        return Ok((live, "configured"));
    }
    let wanted = annotated(&item.object);
    let mut tries = 0;
    loop {
        tries += 1;
        let (patch, kind) = difference(&item.mapping, &live, &wanted);
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok((live, "unchanged"));
        }
        let query = write_query(given, results.dry_run, "kubectl-client-side-apply").map_err(bare)?;
        match session.client.patch(&format!("{}{}", item.path(), query.text()), kind, &patch).await {
            Ok(object) => {
                let same = object["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"];
                return Ok((object, if same && results.dry_run == DryRun::None { "unchanged" } else { "configured" }));
            }
            Err(e) if e.api().is_some_and(kinds::ApiError::is_conflict) && tries < TRIES_MAX && patch["metadata"]["resourceVersion"].is_null() => live = session.client.get(&item.path()).await.map_err(|e| bare(e.into()))?,
            Err(e) if given.on("force") && e.api().is_some_and(|a| a.is_conflict() || a.reason == "Invalid") => {
                return replaced(session, given, item, &live, &wanted, results).await.map_err(bare);
            }
            Err(e) => return Err((crate::print::json_line(&patch), e.into())),
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
async fn pruned(session: &Session, given: &Given<'_>, visited: &Visited, results: &Results) -> Outcome {
    let how = How::of(given)?;
    for (mapping, object) in prune::candidates(session, given, visited).await? {
        if how.dry_run != DryRun::Client {
            delete_one(session, &Item::of(&mapping, object.clone()), &how).await?;
        }
        results.print(&mapping, &object, "pruned")?;
    }
    Ok(())
}
