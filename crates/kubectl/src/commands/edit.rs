//! `kubectl edit` and `kubectl replace`: an object as a text in the person's editor until the server takes it, and whole objects
//! put in the place of others.

use crate::commands::apply::{annotated, write_query};
use crate::commands::change::update;
use crate::commands::delete::{How, delete_one, until_gone};
use crate::failure::{Failure, Outcome, opening, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::print::{DryRun, Results, json, say, tell};
use crate::select::{self, Item};
use crate::session::Session;
use client::RequestBody;
use http::Method;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const DELETE_WAIT: Duration = Duration::from_secs(300);
const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

/// A text on its way through an editor.
struct Sheet {
    path: PathBuf,
    json: bool,
}

impl Sheet {
    /// A file that nobody else can read, since it may hold a Secret; it stays until it is put away.
    fn new(json: bool) -> Outcome<Self> {
        let named = tempfile::Builder::new().prefix("kubectl-edit-").suffix(if json { ".json" } else { ".yaml" }).tempfile()?;
        Ok(Self { path: named.into_temp_path().keep().map_err(|e| e.error)?, json })
    }

    fn text(&self, object: &Value) -> String {
        if self.json { json(object) } else { codec::yaml::write(object) }
    }

    /// Shows a text to the person; gives what it has become, without comments.
    fn show(&self, head: &str, body: &str) -> Outcome<String> {
        // JSON has no comments.
        std::fs::write(&self.path, if self.json { body.to_owned() } else { format!("{head}{body}") })?;
        let named = |k: &str| std::env::var(k).ok().filter(|v| !v.is_empty());
        let editor = named("KUBE_EDITOR").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        let mut command = if editor.contains(['"', '\'', '\\']) {
            let mut shell = std::process::Command::new(named("SHELL").unwrap_or_else(|| "/bin/bash".to_owned()));
            shell.arg("-c").arg(format!("{editor} {}", self.path.display()));
            shell
        } else {
            let mut words = editor.split(' ');
            let mut plain = std::process::Command::new(words.next().unwrap_or_default());
            plain.args(words).arg(&self.path);
            plain
        };
        let Ok(status) = command.status() else { return wrong(format!("unable to launch the editor \"{editor}\"")) };
        if !status.success() {
            return wrong(format!("there was a problem with the editor \"{editor}\""));
        }
        let edited = std::fs::read_to_string(&self.path)?;
        Ok(edited.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect())
    }

    fn away(&self) {
        // The file was only scratch.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One object through the editor, once: `None` if nothing was changed.
pub(crate) fn edited(object: &Value, json: bool) -> Outcome<Option<Value>> {
    let sheet = Sheet::new(json)?;
    let text = sheet.text(object);
    let kept = sheet.show(HEAD, &text);
    sheet.away();
    let kept = kept?;
    if kept.trim().is_empty() || kept == text {
        return Ok(None);
    }
    let parsed = codec::yaml::parse(&kept).map_err(|e| Failure::text(format!("The edited file had a syntax error: {e}")))?;
    Ok(Some(parsed.value).filter(|v| v != object))
}

fn identity(object: &Value) -> [&Value; 4] {
    [&object["apiVersion"], &object["kind"], &object["metadata"]["name"], &object["metadata"]["namespace"]]
}

/// `kubectl edit`.
pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let args = given.args();
    let mut scoped = select::Scope::of(&session, given);
    scoped.selector = None;
    let (items, failures) = if args.len() == 1 && !args[0].contains('/') && !manifest::given_any(given) {
        let mapping = session.mapping(args[0]).await?;
        let list = select::list(&session, &mapping, &scoped).await?;
        (list["items"].as_array().into_iter().flatten().map(|o| Item::of(&mapping, o.clone())).collect(), Vec::new())
    } else {
        select::items(&session, given, &args).await?
    };
    Failure::collect(failures)?;
    let Some(first) = items.first() else { return wrong("edit cancelled, no objects found") };
    let sheet = Sheet::new(given.text("output") == Some("json"))?;
    let clean = |item: &Item| {
        let mut shown = item.object.clone();
        if !given.on("show-managed-fields") {
            crate::print::without_managed_fields(&mut shown);
        }
        shown
    };
    let shown: Vec<Value> = items.iter().map(clean).collect();
    let whole = if items.len() == 1 { clean(first) } else { serde_json::json!({ "apiVersion": "v1", "items": shown, "kind": "List", "metadata": {} }) };
    let text = sheet.text(&whole);
    let (mut head, mut body) = (HEAD.to_owned(), text.clone());
    loop {
        let kept = sheet.show(&head, &body)?;
        if kept.trim().is_empty() {
            sheet.away();
            tell("Edit cancelled, saved file was empty.");
            return Ok(());
        }
        if kept == text {
            sheet.away();
            tell("Edit cancelled, no changes made.");
            return Ok(());
        }
        let copy = || tell(&format!("A copy of your changes has been stored to \"{}\"", sheet.path.display()));
        if body != text && kept == body {
            copy();
            return wrong("Edit cancelled, no valid changes were saved.");
        }
        match save(&session, given, &results, &items, &shown, &kept).await {
            Ok(()) => {
                sheet.away();
                return Ok(());
            }
            Err(Unsaved::Invalid(what, why)) => {
                tell(&format!("error: {what} is invalid"));
                head = format!("{HEAD}# {}\n#\n", format!("{what} was not valid:\n{why}").replace('\n', "\n# "));
                body = kept;
            }
            Err(Unsaved::Refused(what, why)) => {
                tell(&format!("error: {what} could not be patched: {why}\nYou can run `kubectl replace -f {}` to try this update again.", sheet.path.display()));
                return Err(Failure::Exit(1));
            }
            Err(Unsaved::Gone(what)) => {
                tell(&format!("error: {what} could not be found on the server\nThe edits you made on deleted resources have been saved to \"{}\"", sheet.path.display()));
                return Err(Failure::Exit(1));
            }
            Err(Unsaved::Wrong(e)) => {
                copy();
                return Err(e);
            }
        }
    }
}

/// Why an edited text did not become an object: what it was about (`configmaps "a"`) and the reasons.
enum Unsaved {
    /// The person may try again.
    Invalid(String, String),
    Refused(String, String),
    Gone(String),
    Wrong(Failure),
}

impl Unsaved {
    fn of(item: &Item, e: Failure) -> Self {
        let what = format!("{} \"{}\"", item.mapping.full_plural(), item.name);
        match e {
            Failure::Client(client::Error::Api(e), _) if e.reason == "Invalid" => {
                let causes: Vec<String> = e.details.iter().flat_map(|d| &d.causes).map(|c| format!("* {}: {}", c.field, c.message)).collect();
                Self::Invalid(what, causes.join("\n"))
            }
            e if e.is_not_found() => Self::Gone(what),
            Failure::Client(client::Error::Api(e), _) => Self::Refused(what, e.message.clone()),
            other => Self::Wrong(other),
        }
    }
}

async fn save(session: &Session, given: &Given<'_>, results: &Results, items: &[Item], shown: &[Value], text: &str) -> Result<(), Unsaved> {
    let Some(first) = items.first() else { return Ok(()) };
    let what = || format!("{} \"{}\"", first.mapping.full_plural(), first.name);
    let document = codec::yaml::parse(text).map_err(|e| Unsaved::Invalid(what(), format!("* The edited file had a syntax error: {e}")))?.value;
    let new: Vec<Value> = match document["items"].as_array() {
        Some(all) if items.len() > 1 => all.clone(),
        _ => vec![document],
    };
    for (item, before) in items.iter().zip(shown) {
        let Some(after) = new.iter().find(|n| n["metadata"]["name"] == item.name.as_str()).or_else(|| new.first().filter(|_| items.len() == 1)) else { continue };
        if identity(after) != identity(before) {
            return Err(Unsaved::Wrong(Failure::text("At least one of apiVersion, kind and name was changed")));
        }
        if after == before {
            if items.len() > 1 {
                results.print(&item.mapping, before, "skipped").map_err(Unsaved::Wrong)?;
            }
            continue;
        }
        let known = Item { object: before.clone(), ..item.clone() };
        let (object, _) = update(session, given, &known, after.clone(), DryRun::None, "kubectl-edit").await.map_err(|e| Unsaved::of(item, e))?;
        results.print(&item.mapping, &object, "edited").map_err(Unsaved::Wrong)?;
    }
    Ok(())
}

/// `kubectl replace`.
pub(crate) async fn replace(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    if let Some(path) = given.text("raw").filter(|p| !p.is_empty()) {
        return raw(&session, given, Method::PUT, path).await;
    }
    if !given.args().is_empty() {
        return Err(Failure::usage(format!("Unexpected args: [{}]", given.args().join(" ")), &given.command));
    }
    let results = Results::of(given)?;
    if !manifest::given_any(given) {
        return wrong("must specify one of -f and -k");
    }
    let force = given.on("force");
    if !force && given.text("timeout").is_some_and(|t| t != "0" && t != "0s") {
        return wrong("--timeout must have --force specified");
    }
    if !force && given.number("grace-period")?.is_some_and(|g| g >= 0) {
        return wrong("--grace-period must have --force specified");
    }
    let mut failures = Vec::new();
    let all = manifest::gather(given, "replace").await?;
    let mut gone = Vec::new();
    if force && results.dry_run == DryRun::None {
        for m in &all {
            let mapping = session.mapping_of(&m.object, &m.source).await?;
            let namespace = session.namespace_of(&m.object, &mapping)?;
            let name = m.object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let item = Item { mapping, namespace, name, object: m.object.clone(), source: Some(m.source.clone()) };
            match delete_one(&session, &item, &How::of(given)?).await {
                Ok(uid) => {
                    say(&format!("{} \"{}\" deleted{}\n", item.mapping.full_singular(), item.name, item.place()));
                    gone.push((item, uid));
                }
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        for (item, uid) in &gone {
            until_gone(&session, item, uid, Instant::now() + given.duration("timeout")?.filter(|t| !t.is_zero()).unwrap_or(DELETE_WAIT)).await?;
        }
    }
    for m in all {
        let source = m.source.clone();
        if let Err(e) = one(&session, given, &results, m, force).await {
            failures.push(e.doing(|| format!("error when replacing \"{source}\"")));
        }
        session.show_warnings();
    }
    Failure::collect(failures)
}

async fn one(session: &Session, given: &Given<'_>, results: &Results, m: manifest::Manifest, force: bool) -> Outcome {
    let mapping = session.mapping_of(&m.object, &m.source).await?;
    let namespace = session.namespace_of(&m.object, &mapping)?;
    let mut object = m.object;
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.clone().into();
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let path = mapping.object(Some(&namespace), &name);
    let query = write_query(given, results.dry_run, "kubectl-replace")?;
    if force && results.dry_run == DryRun::None {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        if given.on("save-config") {
            object = annotated(&object);
        }
        object = session.client.post(&format!("{}{}", mapping.collection(Some(&namespace)), query.text()), &object).await?;
    } else {
        if given.on("save-config") {
            object = annotated(&object);
        }
        if results.dry_run != DryRun::Client {
            let sub = given.text("subresource").filter(|s| !s.is_empty()).map(|s| format!("/{s}")).unwrap_or_default();
            object = session.client.put(&format!("{path}{sub}{}", query.text()), &object).await?;
        }
    }
    results.print(&mapping, &object, "replaced")
}

/// `--raw` of `create`, `replace` and `delete`: one file to one path.
pub(crate) async fn raw(session: &Session, given: &Given<'_>, method: Method, path: &str) -> Outcome {
    let files = given.list("filename");
    let body = match files[..] {
        [] => Vec::new(),
        ["-"] => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
            bytes
        }
        [file] => std::fs::read(file).map_err(|e| Failure::text(opening(file, &e)))?,
        _ => return wrong("--raw can only use a single local file or stdin"),
    };
    if !path.starts_with('/') {
        return wrong(format!("--raw must be a valid URL path: parse \"{path}\": invalid URI for request"));
    }
    let answer = session.client.bytes(method, path, "application/json, */*", RequestBody::Bytes("application/json", body.into())).await?;
    say(&String::from_utf8_lossy(&answer));
    Ok(())
}
