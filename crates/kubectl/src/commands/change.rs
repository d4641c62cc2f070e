//! Commands that change one thing of objects: `scale`, `label`, `annotate`, `patch`, `set`, `taint`, `cordon`, `uncordon`.

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::generate;
use crate::print::{DryRun, Results, say, tell};
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

async fn each<F>(given: &Given<'_>, args: &[&str], manager: &str, word: &str, unchanged: Option<&str>, change: F) -> Outcome
where
    F: Fn(&Item, &mut Value) -> Outcome,
{
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, args).await?;
    for item in &items {
        let mut new = item.object.clone();
        let done = match change(item, &mut new) {
            Ok(()) => update(&session, given, item, new, results.dry_run, manager).await,
            Err(e) => Err(e),
        };
        match done {
            Ok((object, changed)) => {
                let word = if changed { word } else { unchanged.unwrap_or(word) };
                if !word.is_empty() {
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
    let current = given.number("current-replicas")?.filter(|c| *c >= 0);
    for item in &items {
        if !item.mapping.subresources.iter().any(|s| s == "scale") {
            failures.push(Failure::text(format!("no scale subresource on {}", item.mapping.full_plural())));
            continue;
        }
        let now = item.object["spec"]["replicas"].as_i64().unwrap_or_default();
        if let Some(current) = current.filter(|c| *c != now) {
            failures.push(Failure::text(format!("Expected replicas to be {current}, was {now}")));
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

/// `kubectl label` and `kubectl annotate`.
pub(crate) async fn mark(given: &Given<'_>, key: &'static str) -> Outcome {
    let word = if key == "labels" { "labeled" } else { "annotated" };
    let all = given.args();
    let (changes, args): (Vec<&str>, Vec<&str>) = {
        let files = !given.list("filename").is_empty();
        let first = usize::from(!files);
        let is_change = |(i, a): &(usize, &&str)| *i >= first && (a.contains('=') || a.ends_with('-'));
        let from = all.iter().enumerate().find(is_change).map_or(all.len(), |(i, _)| i);
        (all[from..].to_vec(), all[..from].to_vec())
    };
    if given.on("list") {
        let session = Session::open(given)?;
        let (items, failures) = select::items(&session, given, &args).await?;
        for (k, v) in items.iter().flat_map(|i| i.object["metadata"][key].as_object().into_iter().flatten()) {
            say(&format!("{k}={}\n", v.as_str().unwrap_or_default()));
        }
        return Failure::collect(failures);
    }
    if changes.is_empty() {
        return wrong(format!("at least one {} update is required", if key == "labels" { "label" } else { "annotation" }));
    }
    let removed_only = changes.iter().all(|c| c.ends_with('-') && !c.contains('='));
    let done = if removed_only && key == "labels" { "unlabeled" } else { word };
    let unchanged = if key == "labels" { "not labeled" } else { "annotated" };
    let overwrite = given.on("overwrite");
    each(given, &args, if key == "labels" { "kubectl-label" } else { "kubectl-annotate" }, done, Some(unchanged), |item, object| {
        let mut marks = object["metadata"][key].as_object().cloned().unwrap_or_default();
        for change in &changes {
            match change.split_once('=') {
                Some((k, v)) => {
                    if let Some(old) = marks.get(k).filter(|old| *old != v && !overwrite) {
                        let what = if key == "labels" { format!("'{k}' already has a value ({}), and --overwrite is false", old.as_str().unwrap_or_default()) } else { format!("--overwrite is false but found the following declared annotation(s): '{k}' already has a value ({})", old.as_str().unwrap_or_default()) };
                        return wrong(what);
                    }
                    marks.insert(k.to_owned(), v.into());
                }
                None => {
                    let k = change.trim_end_matches('-');
                    if marks.remove(k).is_none() {
                        say(&format!("{} \"{k}\" not found.\n", if key == "labels" { "label" } else { "annotation" }));
                    }
                }
            }
        }
        let _ = item;
        if marks.is_empty() {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove(key);
            }
        } else {
            object["metadata"][key] = Value::Object(marks);
        }
        Ok(())
    })
    .await
}

/// `kubectl patch`.
pub(crate) async fn patch(given: &Given<'_>) -> Outcome {
    let text = match (given.text("patch"), given.text("patch-file")) {
        (Some(text), None) => text.to_owned(),
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| Failure::text(format!("unable to read patch file: {e}")))?,
        _ => return wrong("must specify --patch or --patch-file containing the contents of the patch"),
    };
    let body = codec::yaml::parse(&text).map_err(|e| Failure::text(format!("unable to parse \"{text}\": {e}")))?.value;
    let kind = match given.text_or("type", "strategic").to_lowercase().as_str() {
        "strategic" => PatchType::Strategic,
        "merge" => PatchType::Merge,
        "json" => PatchType::Json,
        other => return wrong(format!("--type must be one of [json merge strategic], not \"{other}\"")),
    };
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, mut failures) = select::items(&session, given, &given.args()).await?;
    for item in &items {
        let subresource = given.text("subresource").map(|s| format!("/{s}")).unwrap_or_default();
        let path = format!("{}{subresource}{}", item.path(), query(given, results.dry_run, "kubectl-patch").text());
        let patched = if results.dry_run == DryRun::Client { locally(item, kind, &body) } else { session.client.patch(&path, kind, &body).await.map_err(Failure::from) };
        session.show_warnings();
        match patched {
            Ok(object) => {
                let same = object == item.object || (results.dry_run == DryRun::None && object["metadata"]["resourceVersion"] == item.object["metadata"]["resourceVersion"]);
                results.print(&item.mapping, &object, if same { "patched (no change)" } else { "patched" })?;
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
        PatchType::Json => return wrong("--dry-run=client does not know --type=json; use --dry-run=server"),
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
    object.pointer_mut(path).ok_or_else(|| Failure::text(format!("the object {} has no pod template", item.mapping.named(&item.name))))
}

/// `kubectl set image|env|resources|serviceaccount|selector`.
pub(crate) async fn set(given: &Given<'_>, what: &str) -> Outcome {
    let all = given.args();
    match what {
        "image" => {
            let (pairs, args): (Vec<&str>, Vec<&str>) = all.iter().partition(|a| a.contains('='));
            if pairs.is_empty() {
                return wrong("at least one image update is required");
            }
            each(given, &args, "kubectl-set", "image updated", Some(""), |item, object| images(item, object, &pairs)).await
        }
        "env" => {
            let is_pair = |a: &&str| a.contains('=') || (a.ends_with('-') && !a.contains('/'));
            let (mut pairs, args): (Vec<&str>, Vec<&str>) = all.iter().partition(|a| is_pair(a));
            pairs.extend(given.list("env"));
            if given.on("list") {
                return list_env(given, &args).await;
            }
            if pairs.is_empty() {
                return wrong("at least one environment variable must be provided");
            }
            each(given, &args, "kubectl-set", "env updated", Some(""), |item, object| environment(given, item, object, &pairs)).await
        }
        "resources" => {
            let (limits, requests) = (given.text("limits"), given.text("requests"));
            if limits.is_none() && requests.is_none() {
                return wrong("you must specify an update to requests or limits (in the form of --requests/--limits)");
            }
            each(given, &all, "kubectl-set", "resource requirements updated", Some(""), |item, object| {
                for container in chosen(given, pod_spec(item, object)?)? {
                    for (key, text) in [("limits", limits), ("requests", requests)] {
                        for (name, value) in text.map(generate::pairs).transpose()?.as_ref().and_then(Value::as_object).into_iter().flatten() {
                            container["resources"][key][name.as_str()] = value.clone();
                        }
                    }
                }
                Ok(())
            })
            .await
        }
        "serviceaccount" => {
            let Some((account, args)) = all.split_last() else { return wrong("serviceaccount is required") };
            each(given, args, "kubectl-set", "serviceaccount updated", Some(""), |item, object| {
                pod_spec(item, object)?["serviceAccountName"] = (*account).into();
                Ok(())
            })
            .await
        }
        _ => {
            let Some((selector, args)) = all.split_last() else { return wrong("one resource and one selector are required") };
            let pairs = generate::pairs(selector)?;
            each(given, args, "kubectl-set", "selector updated", Some("selector updated"), |_, object| {
                object["spec"]["selector"] = pairs.clone();
                Ok(())
            })
            .await
        }
    }
}

fn images(item: &Item, object: &mut Value, pairs: &[&str]) -> Outcome {
    let spec = pod_spec(item, object)?;
    for pair in pairs {
        let (name, image) = pair.split_once('=').unwrap_or((pair, ""));
        let mut found = false;
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().into_iter().flatten().filter(|c| name == "*" || c["name"] == name) {
                container["image"] = image.into();
                found = true;
            }
        }
        if !found {
            return wrong(format!("unable to find container named \"{name}\""));
        }
    }
    if spec["initContainers"].is_null() {
        // Indexing a missing list made a null of it.
        if let Some(map) = spec.as_object_mut() {
            map.remove("initContainers");
        }
    }
    Ok(())
}

fn chosen<'a>(given: &Given<'_>, spec: &'a mut Value) -> Outcome<Vec<&'a mut Value>> {
    let wanted = given.text_or("containers", "*");
    let all = spec["containers"].as_array_mut().into_iter().flatten();
    let found: Vec<&mut Value> = all.filter(|c| wanted == "*" || c["name"] == wanted).collect();
    if found.is_empty() { wrong(format!("unable to find container named {wanted}")) } else { Ok(found) }
}

fn environment(given: &Given<'_>, item: &Item, object: &mut Value, pairs: &[&str]) -> Outcome {
    for container in chosen(given, pod_spec(item, object)?)? {
        let mut env = container["env"].as_array().cloned().unwrap_or_default();
        for pair in pairs {
            match pair.split_once('=') {
                Some((name, value)) => match env.iter_mut().find(|e| e["name"] == name) {
                    Some(found) => *found = json!({ "name": name, "value": value }),
                    None => env.push(json!({ "name": name, "value": value })),
                },
                None => env.retain(|e| e["name"] != pair.trim_end_matches('-')),
            }
        }
        if env.is_empty() {
            if let Some(map) = container.as_object_mut() {
                map.remove("env");
            }
        } else {
            container["env"] = env.into();
        }
    }
    Ok(())
}

async fn list_env(given: &Given<'_>, args: &[&str]) -> Outcome {
    let session = Session::open(given)?;
    let (items, failures) = select::items(&session, given, args).await?;
    for item in &items {
        let mut object = item.object.clone();
        for container in chosen(given, pod_spec(item, &mut object)?)? {
            say(&format!("# {} {}, container {}\n", item.mapping.plural, item.name, container["name"].as_str().unwrap_or_default()));
            for env in container["env"].as_array().into_iter().flatten() {
                let name = env["name"].as_str().unwrap_or_default();
                match env.get("valueFrom") {
                    None => say(&format!("{name}={}\n", env["value"].as_str().unwrap_or_default())),
                    Some(from) => say(&format!("# {name} from {}\n", crate::print::json_line(from))),
                }
            }
        }
    }
    Failure::collect(failures)
}

/// `key=value:Effect`, `key:Effect`, `key:Effect-`, `key-`.
fn taint_parts(text: &str) -> (String, Option<String>, Option<String>, bool) {
    let removes = text.ends_with('-');
    let text = text.trim_end_matches('-');
    let (head, effect) = text.rsplit_once(':').map_or((text, None), |(h, e)| (h, Some(e.to_owned())));
    let (key, value) = head.split_once('=').map_or((head, None), |(k, v)| (k, Some(v.to_owned())));
    (key.to_owned(), value, effect, removes)
}

/// `kubectl taint`.
pub(crate) async fn taint(given: &Given<'_>) -> Outcome {
    let all = given.args();
    let (changes, args): (Vec<&str>, Vec<&str>) = all.iter().enumerate().fold((Vec::new(), Vec::new()), |(mut c, mut a), (i, word)| {
        if i > 0 && (word.contains(':') || word.ends_with('-')) { c.push(*word) } else { a.push(*word) }
        (c, a)
    });
    if changes.is_empty() {
        return wrong("at least one taint update is required");
    }
    for change in &changes {
        let (_, _, effect, removes) = taint_parts(change);
        match effect.as_deref() {
            Some("NoSchedule" | "PreferNoSchedule" | "NoExecute") => {}
            None if removes => {}
            other => return wrong(format!("invalid taint effect: {}, unsupported taint effect", other.unwrap_or_default())),
        }
    }
    let removed_only = changes.iter().all(|c| c.ends_with('-'));
    let word = if removed_only { "untainted" } else { "tainted" };
    let overwrite = given.on("overwrite");
    each(given, &args, "kubectl-taint", word, None, |item, object| {
        let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
        for change in &changes {
            let (key, value, effect, removes) = taint_parts(change);
            let same = |t: &Value| t["key"] == key.as_str() && effect.as_deref().is_none_or(|e| t["effect"] == e);
            if removes {
                if !taints.iter().any(same) {
                    return wrong(format!("taint \"{}\" not found", change.trim_end_matches('-')));
                }
                taints.retain(|t| !same(t));
                continue;
            }
            let mut new = json!({ "key": key, "effect": effect });
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                new["value"] = value.into();
            }
            if let Some(old) = taints.iter().find(|t| same(t)) {
                if !overwrite && old["value"] != new["value"] {
                    return wrong(format!("node {} already has {key} taint(s) with same effect(s) and --overwrite is false", item.name));
                }
                taints.retain(|t| !same(t));
            }
            taints.push(new);
        }
        object["spec"]["taints"] = taints.into();
        Ok(())
    })
    .await
}

/// `kubectl cordon` and `kubectl uncordon`.
pub(crate) async fn cordon(given: &Given<'_>, unschedulable: bool) -> Outcome {
    let args = given.args();
    let mut words = vec!["nodes"];
    words.extend(args.iter().map(|a| a.trim_start_matches("node/").trim_start_matches("nodes/")));
    if words.len() == 1 && given.text("selector").is_none() {
        return Err(Failure::usage("at least one node must be specified", &given.command));
    }
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

/// `kubectl replace`.
pub(crate) async fn replace(given: &Given<'_>) -> Outcome {
    use crate::commands::delete::{How, delete_one, until_gone};
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let files = given.list("filename");
    if files.is_empty() {
        return wrong("must specify --filename to replace");
    }
    let mut failures = Vec::new();
    for m in crate::manifest::read(&files, given.on("recursive"))? {
        let mapping = session.mapping_of(&m.object, &m.source).await?;
        let namespace = session.namespace_of(&m.object, &mapping)?;
        let mut object = m.object.clone();
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.clone().into();
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let item = Item { mapping: mapping.clone(), namespace: namespace.clone(), name, object: object.clone(), source: Some(m.source.clone()) };
        let query = crate::commands::apply::write_query(given, results.dry_run, "kubectl-replace")?;
        let done = if results.dry_run == DryRun::Client {
            Ok(object)
        } else if given.on("force") {
            match delete_one(&session, &item, &How::of(given)?).await {
                Ok(uid) => {
                    say(&format!("{} \"{}\" deleted\n", mapping.full_singular(), item.name));
                    until_gone(&session, &item, &uid, std::time::Instant::now() + std::time::Duration::from_secs(300)).await?;
                }
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
            session.client.post(&format!("{}{}", mapping.collection(Some(&namespace)), query.text()), &object).await
        } else {
            session.client.put(&format!("{}{}", item.path(), query.text()), &object).await
        };
        session.show_warnings();
        match done {
            Ok(object) => results.print(&mapping, &object, "replaced")?,
            Err(e) => failures.push(Failure::from(e).doing(|| format!("error when replacing \"{}\"", m.source))),
        }
    }
    Failure::collect(failures)
}

/// `kubectl edit`.
pub(crate) async fn edit(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, failures) = select::items(&session, given, &given.args()).await?;
    Failure::collect(failures)?;
    for item in &items {
        let mut shown = item.object.clone();
        crate::print::without_managed_fields(&mut shown);
        let json = given.text("output") == Some("json");
        let text = if json { crate::print::json(&shown) } else { codec::yaml::write(&shown) };
        const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";
        let path = std::env::temp_dir().join(format!("kubectl-edit-{}.{}", std::process::id(), if json { "json" } else { "yaml" }));
        let mut head = HEAD.to_owned();
        let mut body = text.clone();
        loop {
            std::fs::write(&path, format!("{head}{body}"))?;
            let editor = std::env::var("KUBE_EDITOR").or_else(|_| std::env::var("EDITOR")).unwrap_or_else(|_| "vi".to_owned());
            let status = std::process::Command::new("sh").arg("-c").arg(format!("{editor} \"$0\"")).arg(&path).status()?;
            if !status.success() {
                return wrong(format!("there was a problem with the editor \"{editor}\""));
            }
            let edited = std::fs::read_to_string(&path)?;
            let kept: String = edited.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
            if kept.trim().is_empty() || kept == text || kept == body && body != text {
                // The file was only scratch.
                let _ = std::fs::remove_file(&path);
                tell("Edit cancelled, no changes made.");
                break;
            }
            let why = match codec::yaml::parse(&kept) {
                Err(e) => e.to_string(),
                Ok(document) => {
                    let before = Item { object: shown.clone(), ..item.clone() };
                    match update(&session, given, &before, document.value, DryRun::None, "kubectl-edit").await {
                        Ok((object, _)) => {
                            let _ = std::fs::remove_file(&path);
                            results.print(&item.mapping, &object, "edited")?;
                            break;
                        }
                        Err(e) => e.message(),
                    }
                }
            };
            head = format!("{HEAD}# {}\n#\n", why.replace('\n', "\n# "));
            body = kept;
        }
    }
    Ok(())
}

