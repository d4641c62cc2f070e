//! Commands that change one thing of objects: `scale`, `label`, `annotate`, `patch`, `set`, `taint`, `cordon`, `uncordon`.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::{DryRun, Results, say};
use crate::query::Query;
use crate::select::{self, Item};
use crate::session::Session;
use client::PatchType;
use patch::Shape;
use serde_json::{Value, json};

/// The query of a patch.
fn query(given: &Given<'_>, dry_run: DryRun, manager: &str) -> Query {
    Query::default().when(dry_run == DryRun::Server, "dryRun", "All").and("fieldManager", given.text_or("field-manager", manager))
}

/// Brings an object to a new form by the patch between both; gives what the server made of it and whether it changed.
pub(crate) async fn update(session: &Session, given: &Given<'_>, item: &Item, new: Value, dry_run: DryRun, manager: &str) -> Outcome<(Value, bool)> {
    let changed = new != item.object;
    if dry_run == DryRun::Client || !changed {
        return Ok((new, changed));
    }
    let shape = Shape::of_kind(&item.mapping.group, &item.mapping.version, &item.mapping.kind);
    let (patch, kind) = if matches!(shape, Shape::Any) {
        (patch::merge::diff(&item.object, &new), PatchType::Merge)
    } else {
        (patch::strategic::diff(&item.object, &new, shape), PatchType::Strategic)
    };
    let path = format!("{}{}", item.path(), query(given, dry_run, manager).text());
    let object = session.client.patch(&path, kind, &patch).await?;
    session.show_warnings();
    Ok((object, true))
}

pub(crate) async fn each<F>(given: &Given<'_>, args: &[&str], manager: &str, word: &str, unchanged: Option<&str>, change: F) -> Outcome
where
    F: Fn(&Item, &mut Value) -> Outcome,
{
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, args).await?;
    for item in &items {
        let mut new = item.object.clone();
        let done = match change(item, &mut new) {
            Ok(()) if given.on("local") => Ok((new.clone(), true)),
            Ok(()) => update(&session, given, item, new, results.dry_run, manager).await,
            Err(e) => Err(e),
        };
        match done {
            Ok((object, changed)) => {
                let word = if changed { word } else { unchanged.unwrap_or(word) };
                if !word.is_empty() || !results.format.is_human() {
                    results.print(&item.mapping, &object, word)?;
                }
            }
            Err(e) => failures.push(e),
        }
    }
    Failure::collect(failures)
}

/// `kubectl scale`.
pub(crate) async fn scale(given: &Given<'_>) -> Outcome {
    let Some(replicas) = given.number("replicas")? else { return wrong("required flag(s) \"replicas\" not set") };
    if replicas < 0 {
        return wrong("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    }
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, &given.args()).await?;
    if items.is_empty() && !failures.is_empty() && failures.iter().all(Failure::is_not_found) {
        return wrong(format!("no objects passed to scale {}", failures[0].plain()));
    }
    let current = given.number("current-replicas")?.filter(|c| *c >= 0);
    for item in &items {
        if !item.mapping.subresources.iter().any(|s| s == "scale") {
            failures.push(Failure::Bare("Error from server (NotFound): the server could not find the requested resource".to_owned()));
            continue;
        }
        let now = item.object["spec"]["replicas"].as_i64().unwrap_or_default();
        if let Some(current) = current.filter(|c| *c != now) {
            failures.push(Failure::text(format!("Expected replicas to be {current}, was {now}")));
            continue;
        }
        let version = item.object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if let Some(wanted) = given.text("resource-version").filter(|w| !w.is_empty() && *w != version) {
            failures.push(Failure::text(format!("Expected resource version to be {wanted}, was {version}")));
            continue;
        }
        if results.dry_run != DryRun::Client {
            let path = format!("{}/scale{}", item.path(), query(given, results.dry_run, "kubectl-scale").text());
            if let Err(e) = session.client.patch(&path, PatchType::Merge, &json!({ "spec": { "replicas": replicas } })).await {
                failures.push(e.into());
                continue;
            }
        }
        let mut object = item.object.clone();
        object["spec"]["replicas"] = replicas.into();
        results.print(&item.mapping, &object, "scaled")?;
    }
    if items.is_empty() && failures.is_empty() {
        return wrong("no objects passed to scale");
    }
    Failure::collect(failures)
}

/// Labels or annotations to put on and to take off.
struct Marks<'a> {
    put: Vec<(&'a str, &'a str)>,
    remove: Vec<&'a str>,
}

fn marks<'a>(changes: &[&'a str], labels: bool) -> Outcome<Marks<'a>> {
    let mut out = Marks { put: Vec::new(), remove: Vec::new() };
    for change in changes {
        match change.split_once('=') {
            Some((_, v)) if labels && v.contains('=') => return wrong(format!("invalid label spec: {change}")),
            Some((k, v)) => {
                if labels {
                    valid_label(change, v)?;
                }
                out.put.push((k, v));
            }
            None => out.remove.push(change.trim_end_matches('-')),
        }
    }
    let both: Vec<&str> = out.put.iter().map(|(k, _)| *k).filter(|k| out.remove.contains(k)).collect();
    match (both.is_empty(), labels) {
        (true, _) => Ok(out),
        (false, true) => wrong("can not both modify and remove a label in the same command"),
        (false, false) => wrong(format!("can not both modify and remove the following annotation(s) in the same command: {}", both.join(", "))),
    }
}

fn valid_label(spec: &str, value: &str) -> Outcome {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.ends_with(|c: char| c.is_ascii_alphanumeric());
    if value.is_empty() || (ends && value.chars().all(inner) && value.len() <= 63) {
        return Ok(());
    }
    let why = if value.len() > 63 { "must be no more than 63 characters".to_owned() } else { "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".to_owned() };
    wrong(format!("invalid label value: \"{spec}\": {why}"))
}

/// `--list`: what is there, once the changes are made.
fn list_marks(items: &[Item], objects: &[Value], key: &str) {
    for (item, object) in items.iter().zip(objects) {
        let several = items.len() > 1;
        if several {
            say(&format!("Listing {key} for {}.{}/{}:\n", item.mapping.kind, item.mapping.group, item.name));
        }
        for (k, v) in object["metadata"][key].as_object().into_iter().flatten() {
            say(&format!("{}{k}={}\n", if several { " " } else { "" }, v.as_str().unwrap_or_default()));
        }
    }
}

/// `kubectl label` and `kubectl annotate`.
pub(crate) async fn mark(given: &Given<'_>, key: &'static str) -> Outcome {
    let labels = key == "labels";
    let word = if labels { "labeled" } else { "annotated" };
    let all = given.args();
    let files = crate::manifest::given_any(given);
    let is_change = |(i, a): &(usize, &&str)| (*i > 0 || files) && (a.contains('=') || a.ends_with('-'));
    let from = all.iter().enumerate().find(is_change).map_or(all.len(), |(i, _)| i);
    let (args, changes) = all.split_at(from);
    if args.is_empty() && !files {
        return wrong(if given.on("local") { "can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set" } else { "one or more resources must be specified as <resource> <name> or <resource>/<name>" });
    }
    if given.on("local") && !files {
        return wrong("can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set");
    }
    if changes.is_empty() && !given.on("list") {
        return wrong(format!("at least one {} update is required", if labels { "label" } else { "annotation" }));
    }
    let wishes = marks(changes, labels)?;
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, args).await?;
    let mut objects = Vec::new();
    for item in &items {
        match one_mark(&session, given, item, &wishes, key, &results).await {
            Ok((object, changed)) => {
                let done = match (changed, labels) {
                    (false, true) => "not labeled",
                    (true, true) if wishes.put.is_empty() => "unlabeled",
                    _ => word,
                };
                if !given.on("list") {
                    results.print(&item.mapping, &object, done)?;
                }
                objects.push(object);
            }
            Err(e) => {
                objects.push(item.object.clone());
                failures.push(e);
            }
        }
    }
    if given.on("list") {
        list_marks(&items, &objects, key);
    }
    Failure::collect(failures)
}

async fn one_mark(session: &Session, given: &Given<'_>, item: &Item, wishes: &Marks<'_>, key: &'static str, results: &Results) -> Outcome<(Value, bool)> {
    let labels = key == "labels";
    let overwrite = given.on("overwrite") || given.on("local");
    let mut new = item.object.clone();
    let mut marks = new["metadata"][key].as_object().cloned().unwrap_or_default();
    let mut declared = Vec::new();
    for (k, v) in &wishes.put {
        if let Some(old) = marks.get(*k).filter(|old| *old != v && !overwrite) {
            declared.push(format!("'{k}' already has a value ({})", old.as_str().unwrap_or_default()));
        }
        marks.insert((*k).to_owned(), (*v).into());
    }
    if !declared.is_empty() {
        return wrong(if labels { format!("{}, and --overwrite is false", declared.join(", ")) } else { format!("--overwrite is false but found the following declared annotation(s): {}", declared.join("; ")) });
    }
    for k in &wishes.remove {
        if marks.remove(*k).is_none() && labels {
            say(&format!("label \"{k}\" not found.\n"));
        }
    }
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.remove(key);
        if !marks.is_empty() {
            metadata.insert(key.to_owned(), Value::Object(marks));
        }
        if let Some(version) = given.text("resource-version").filter(|v| !v.is_empty()) {
            metadata.insert("resourceVersion".to_owned(), version.into());
        }
    }
    if given.on("local") || given.on("list") {
        return Ok((new, true));
    }
    update(session, given, item, new, results.dry_run, if labels { "kubectl-label" } else { "kubectl-annotate" }).await
}

/// `kubectl patch`.
pub(crate) async fn patch(given: &Given<'_>) -> Outcome {
    let nothing = "must specify --patch or --patch-file containing the contents of the patch";
    let text = match (given.text("patch").filter(|p| !p.is_empty()), given.text("patch-file").filter(|p| !p.is_empty())) {
        (Some(text), None) => text.to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| Failure::text(format!("unable to read patch file: {}", crate::failure::opening(file, &e))))?,
        (Some(_), Some(_)) => return wrong("cannot specify --patch and --patch-file together"),
        (None, None) => return wrong(nothing),
    };
    let kind = match given.text_or("type", "strategic").to_lowercase().as_str() {
        "strategic" => PatchType::Strategic,
        "merge" => PatchType::Merge,
        "json" => PatchType::Json,
        other => return wrong(format!("--type must be one of [json merge strategic], not \"{other}\"")),
    };
    // What is no YAML is left to the server to refuse.
    let parsed = codec::yaml::parse(&text).map(|d| d.value);
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, &given.args()).await?;
    for item in &items {
        let subresource = given.text("subresource").map(|s| format!("/{s}")).unwrap_or_default();
        let path = format!("{}{subresource}{}", item.path(), query(given, results.dry_run, "kubectl-patch").text());
        let patched = match &parsed {
            Ok(body) if results.dry_run == DryRun::Client || given.on("local") => locally(item, kind, body),
            Ok(body) => session.client.patch(&path, kind, body).await.map_err(Failure::from),
            Err(_) => session.client.patch_text(&path, kind, text.clone()).await.map_err(Failure::from),
        };
        session.show_warnings();
        match patched {
            Ok(object) => {
                let same = object == item.object || (results.dry_run == DryRun::None && object["metadata"]["resourceVersion"] == item.object["metadata"]["resourceVersion"]);
                let done = if same && !given.on("local") { "patched (no change)" } else { "patched" };
                if object["kind"] != item.mapping.kind.as_str() && results.format.is_human() {
                    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
                    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map(|(g, _)| format!(".{g}")).unwrap_or_default();
                    say(&format!("{kind}{group}/{} {done}\n", item.name));
                } else {
                    results.bare().print(&item.mapping, &object, done)?;
                }
            }
            Err(e) => failures.push(e),
        }
    }
    Failure::collect(failures)
}

fn locally(item: &Item, kind: PatchType, body: &Value) -> Outcome<Value> {
    let mut object = item.object.clone();
    let shape = Shape::of_kind(&item.mapping.group, &item.mapping.version, &item.mapping.kind);
    match kind {
        PatchType::Merge => patch::merge::apply(&mut object, body.clone()),
        PatchType::Json => patch::json::apply(&mut object, body.to_string().as_bytes()).map_err(|e| Failure::text(e.to_string()))?,
        _ if matches!(shape, Shape::Any) => patch::merge::apply(&mut object, body.clone()),
        _ => patch::strategic::apply(&mut object, body.clone(), shape).map_err(|e| Failure::text(e.to_string()))?,
    }
    Ok(object)
}

/// The pod spec inside an object.
pub(crate) fn pod_spec<'a>(item: &Item, object: &'a mut Value) -> Outcome<&'a mut Value> {
    let path = match item.mapping.kind.as_str() {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    let go_type = format!("*{}.{}", item.mapping.version, item.mapping.kind);
    object.pointer_mut(path).filter(|s| s.is_object()).ok_or_else(|| Failure::text(format!("{}/{} the object is not a pod or does not have a pod template: {go_type}", item.mapping.plural, item.name)))
}

/// One taint of a command line: `key=value:Effect`, `key:Effect`, with a minus behind it to remove.
#[derive(Clone, Debug, PartialEq)]
struct Taint {
    key: String,
    value: String,
    effect: Option<String>,
}

const LABEL_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn taint_of(text: &str, removes: bool) -> Result<Taint, String> {
    let spec = text.trim_end_matches('-');
    let (head, effect) = spec.split_once(':').map_or((spec, None), |(h, e)| (h, Some(e.to_owned())));
    let (key, value) = head.split_once('=').unwrap_or((head, ""));
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = key.rsplit('/').next().unwrap_or(key);
    let ends = |c: char| c.is_ascii_alphanumeric();
    if !name.chars().all(inner) || !name.starts_with(ends) || !name.ends_with(ends) {
        return Err(format!("invalid taint spec: {text}, {LABEL_NAME}"));
    }
    match effect.as_deref() {
        Some("NoSchedule" | "PreferNoSchedule" | "NoExecute") => {}
        None if removes => {}
        None => return Err(format!("invalid taint spec: {text}")),
        Some(other) => return Err(format!("invalid taint effect: {other}, unsupported taint effect")),
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect })
}

/// Reads the taints of a command line: those to put on and those to take off.
fn taints(changes: &[&str]) -> Result<(Vec<Taint>, Vec<Taint>), Failure> {
    let (mut put, mut remove): (Vec<Taint>, Vec<Taint>) = (Vec::new(), Vec::new());
    for change in changes {
        let removes = change.ends_with('-');
        let taint = taint_of(change, removes).map_err(|e| Failure::usage(e, "taint"))?;
        if removes {
            remove.push(taint);
            continue;
        }
        if let Some(old) = put.iter().find(|t| t.key == taint.key && t.effect == taint.effect) {
            return Err(Failure::usage(format!("duplicated taints with the same key and effect: {{{} {} {} <nil>}}", old.key, taint.value, taint.effect.unwrap_or_default()), "taint"));
        }
        put.push(taint);
    }
    let both: Vec<String> = put.iter().filter(|t| remove.iter().any(|r| r.key == t.key && r.effect.as_ref().is_none_or(|e| Some(e) == t.effect.as_ref()))).map(|t| format!("{}={}", t.key, t.effect.as_deref().unwrap_or_default())).collect();
    if both.is_empty() { Ok((put, remove)) } else { Err(Failure::text(format!("can not both modify and remove the following taint(s) in the same command: {}", both.join(", ")))) }
}

/// `kubectl taint`.
pub(crate) async fn taint(given: &Given<'_>) -> Outcome {
    let all = given.args();
    let from = all.iter().enumerate().find(|(i, w)| *i > 0 && (w.contains(['=', ':']) || w.ends_with('-'))).map_or(all.len(), |(i, _)| i);
    let (args, changes) = all.split_at(from);
    if args.is_empty() {
        return wrong("one or more resources must be specified as <resource> <name>");
    }
    if !["no", "node", "nodes"].contains(&args[0].split('/').next().unwrap_or_default()) {
        return wrong(format!("invalid resource type {}, only node types are supported", args[0]));
    }
    if changes.is_empty() {
        return wrong("at least one taint update is required");
    }
    let (put, remove) = taints(changes)?;
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, args).await?;
    for item in &items {
        match tainted(item, &put, &remove, given.on("overwrite")) {
            Ok((new, word)) => match update(&session, given, item, new, results.dry_run, "kubectl-taint").await {
                Ok((object, _)) => results.bare().print(&item.mapping, &object, word)?,
                Err(e) => failures.push(e),
            },
            Err(e) => failures.push(e),
        }
    }
    Failure::collect(failures)
}

fn tainted(item: &Item, put: &[Taint], remove: &[Taint], overwrite: bool) -> Outcome<(Value, &'static str)> {
    let mut object = item.object.clone();
    let mut all = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let same = |t: &Value, w: &Taint| t["key"] == w.key.as_str() && w.effect.as_deref().is_none_or(|e| t["effect"] == e);
    let mut missing = Vec::new();
    for gone in remove {
        if !all.iter().any(|t| same(t, gone)) {
            let effect = gone.effect.as_ref().map(|e| format!(":{e}")).unwrap_or_default();
            missing.push(format!("taint \"{}{effect}\" not found", gone.key));
        }
        all.retain(|t| !same(t, gone));
    }
    match &missing[..] {
        [] => {}
        [one] => return wrong(one.clone()),
        many => return wrong(format!("[{}]", many.join(", "))),
    }
    let known: Vec<&str> = put.iter().filter(|w| all.iter().any(|t| same(t, w))).map(|w| w.key.as_str()).collect();
    let modified = !known.is_empty();
    if modified && !overwrite {
        return wrong(format!("node {} already has {} taint(s) with same effect(s) and --overwrite is false", item.name, known.join(",")));
    }
    for wish in put {
        all.retain(|t| !same(t, wish));
    }
    let mut new: Vec<Value> = Vec::new();
    for wish in put {
        let mut taint = json!({ "effect": wish.effect, "key": wish.key });
        if !wish.value.is_empty() {
            taint["value"] = wish.value.as_str().into();
        }
        new.push(taint);
    }
    new.extend(all);
    let word = match (put.is_empty(), modified) {
        (true, _) => "untainted",
        (false, true) => "modified",
        (false, false) => "tainted",
    };
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("taints");
        if !new.is_empty() {
            spec.insert("taints".to_owned(), new.into());
        }
    }
    Ok((object, word))
}

/// `kubectl cordon` and `kubectl uncordon`.
pub(crate) async fn cordon(given: &Given<'_>, unschedulable: bool) -> Outcome {
    let args = given.args();
    let mut words = vec!["nodes"];
    words.extend(args.iter().map(|a| a.trim_start_matches("node/").trim_start_matches("nodes/")));
    let selected = given.text("selector").is_some();
    if words.len() == 1 && !selected {
        return Err(Failure::usage(format!("USAGE: {} NODE [flags]", given.command), &given.command));
    }
    if words.len() > 1 && selected {
        return Err(Failure::usage("cannot specify both a node name and a --selector option", &given.command));
    }
    // One node that is missing, and none is touched.
    let session = Session::open(given)?;
    let (_, failures) = select::items(&session, given, &words).await?;
    Failure::collect(failures)?;
    let (word, already) = if unschedulable { ("cordoned", "already cordoned") } else { ("uncordoned", "already uncordoned") };
    each(given, &words, "kubectl-cordon", word, Some(already), |_, object| {
        if unschedulable {
            object["spec"]["unschedulable"] = true.into();
        } else if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("unschedulable");
        }
        Ok(())
    })
    .await
}
