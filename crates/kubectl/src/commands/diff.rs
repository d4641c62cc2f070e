//! `kubectl diff`: the live object against what an apply would make of it, by the server's own dry run. Exit code 1 tells of
//! differences, more than 1 of errors.

use crate::commands::apply::difference;
use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::print::{say, tell, without_managed_fields};
use crate::prune::{self, Visited};
use crate::query::Query;
use crate::session::Session;
use client::PatchType;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    match compare(given).await {
        Err(Failure::Exit(code)) => Err(Failure::Exit(code)),
        Err(e) => {
            tell(&e.message());
            Err(Failure::Exit(2))
        }
        Ok(()) => Ok(()),
    }
}

async fn compare(given: &Given<'_>) -> Outcome {
    if !manifest::given_any(given) {
        return wrong("must specify one of -f and -k");
    }
    prune::check(given)?;
    let session = Session::open(given)?;
    let scratch = |prefix| tempfile::Builder::new().prefix(prefix).tempdir();
    let (live, merged) = (scratch("LIVE-")?, scratch("MERGED-")?);
    let (mut outcome, mut visited) = (Ok(()), Visited::default());
    for m in manifest::gather(given, "diff").await? {
        let said = one(&session, given, m, (live.path(), merged.path()), &mut visited).await;
        session.show_warnings();
        if let Err(e) = said {
            outcome = Err(e);
            break;
        }
    }
    if outcome.is_ok() && given.on("prune") {
        outcome = pruned(&session, given, &visited, live.path()).await;
    }
    if outcome.is_ok() {
        outcome = shown(live.path(), merged.path());
    }
    live.close()?;
    merged.close()?;
    outcome
}

/// Runs the program that compares directories. Of its own words only plain flags are passed on.
fn shown(live: &Path, merged: &Path) -> Outcome {
    let program = std::env::var("KUBECTL_EXTERNAL_DIFF").ok().filter(|p| !p.is_empty()).unwrap_or_else(|| "diff -u -N".to_owned());
    let mut words = program.split(' ').filter(|w| !w.is_empty());
    let name = words.next().unwrap_or("diff");
    let plain = |w: &&str| w.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c));
    match Command::new(name).args(words.filter(plain)).arg(live).arg(merged).output() {
        Ok(o) => {
            say(&String::from_utf8_lossy(&o.stdout));
            match o.status.code() {
                Some(0) => Ok(()),
                Some(1) => Err(Failure::Exit(1)),
                code => wrong(format!("failed to run \"{name}\": exit status {}", code.unwrap_or(-1))),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => wrong(format!("failed to run \"{name}\": executable file not found in $PATH")),
        Err(e) => wrong(format!("failed to run \"{name}\": {e}")),
    }
}

/// A Secret's values hidden, so that it still shows which of them differ.
fn mask(live: &mut Value, merged: &mut Value) {
    const HIDDEN: &str = "***";
    let keys = |v: &Value| v["data"].as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect::<Vec<_>>();
    let mut all = keys(live);
    all.extend(keys(merged));
    for key in all {
        let (before, after) = (live["data"].get(&key).cloned(), merged["data"].get(&key).cloned());
        let differs = before.is_some() && after.is_some() && before != after;
        if before.is_some() {
            live["data"][&key] = if differs { format!("{HIDDEN} (before)") } else { HIDDEN.to_owned() }.into();
        }
        if after.is_some() {
            merged["data"][&key] = if differs { format!("{HIDDEN} (after)") } else { HIDDEN.to_owned() }.into();
        }
    }
}

async fn one(session: &Session, given: &Given<'_>, m: manifest::Manifest, (live_dir, merged_dir): (&Path, &Path), visited: &mut Visited) -> Outcome {
    let mapping = session.mapping_of(&m.object, &m.source).await?;
    let namespace = session.namespace_of(&m.object, &mapping)?;
    let mut wanted = m.object;
    if !namespace.is_empty() {
        wanted["metadata"]["namespace"] = namespace.clone().into();
    }
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let path = mapping.object(Some(&namespace), &name);
    let live = match session.client.get(&path).await {
        Ok(live) => live,
        Err(e) if e.is_not_found() => Value::Null,
        Err(e) => return Err(e.into()),
    };
    visited.note(&mapping, &namespace, &live);
    let query = Query::default().and("dryRun", "All").and("fieldManager", given.text_or("field-manager", if given.on("server-side") { "kubectl" } else { "kubectl-client-side-apply" }));
    let mut merged = if given.on("server-side") {
        let query = query.when(given.on("force-conflicts"), "force", "true");
        session.client.patch(&format!("{path}{}", query.text()), PatchType::Apply, &wanted).await?
    } else if live.is_null() {
        session.client.post(&format!("{}{}", mapping.collection(Some(&namespace)), query.text()), &wanted).await?
    } else {
        // As the apply would have it: what is kept in the annotation always has annotations.
        if !wanted["metadata"]["annotations"].is_object() {
            wanted["metadata"]["annotations"] = serde_json::json!({});
        }
        let (patch, kind) = difference(&mapping, &live, &wanted);
        session.client.patch(&format!("{path}{}", query.text()), kind, &patch).await?
    };
    let mut live = live;
    for object in [&mut live, &mut merged] {
        if !given.on("show-managed-fields") {
            without_managed_fields(object);
        }
    }
    if mapping.kind == "Secret" && mapping.group.is_empty() {
        mask(&mut live, &mut merged);
    }
    let file = file_of(&mapping, &namespace, &name);
    if !live.is_null() {
        std::fs::write(live_dir.join(&file), codec::yaml::write(&live))?;
    }
    std::fs::write(merged_dir.join(&file), codec::yaml::write(&merged))?;
    Ok(())
}

/// What an apply would prune stands on the live side alone, whole.
async fn pruned(session: &Session, given: &Given<'_>, visited: &Visited, live_dir: &Path) -> Outcome {
    for (mapping, object) in prune::candidates(session, given, visited).await? {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let file = file_of(&mapping, text("namespace"), text("name"));
        std::fs::write(live_dir.join(file), codec::yaml::write(&object))?;
    }
    Ok(())
}

/// The name under which an object lies on both sides.
fn file_of(mapping: &Mapping, namespace: &str, name: &str) -> String {
    let group = if mapping.group.is_empty() { String::new() } else { format!("{}.", mapping.group) };
    format!("{group}{}.{}.{namespace}.{name}", mapping.version, mapping.kind)
}
