//! `kubectl apply view-last-applied|set-last-applied|edit-last-applied`: the manifest that the next apply compares with.

use crate::commands::apply::LAST_APPLIED;
use crate::commands::edit::edited;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::print::{DryRun, Results, say};
use crate::query::Query;
use crate::select::{self, Item};
use crate::session::Session;
use client::PatchType;
use serde_json::{Value, json};

fn last(item: &Item) -> Option<Value> {
    serde_json::from_str(item.object["metadata"]["annotations"][LAST_APPLIED].as_str()?).ok()
}

/// `view-last-applied`.
pub(crate) async fn view(given: &Given<'_>) -> Outcome {
    let format = given.text_or("output", "yaml");
    if !matches!(format, "yaml" | "json" | "") {
        return Err(Failure::usage(format!("Unexpected -o output mode: {format}, the flag 'output' must be one of yaml|json"), &given.command));
    }
    let session = Session::open(given)?;
    let (items, failures) = select::items(&session, given, &given.args()).await?;
    Failure::collect(failures)?;
    for item in &items {
        let Some(object) = last(item) else { continue };
        let pretty = || serde_json::to_string_pretty(&object).unwrap_or_default() + "\n";
        say(&if format == "json" { pretty() } else { codec::yaml::write(&object) });
    }
    Ok(())
}

async fn write(session: &Session, given: &Given<'_>, item: &Item, text: &str, dry_run: DryRun) -> Outcome<Value> {
    let patch = json!({ "metadata": { "annotations": { LAST_APPLIED: text } } });
    if dry_run == DryRun::Client {
        let mut object = item.object.clone();
        patch::merge::apply(&mut object, patch);
        return Ok(object);
    }
    let query = Query::default().when(dry_run == DryRun::Server, "dryRun", "All").and("fieldManager", given.text_or("field-manager", "kubectl-last-applied"));
    Ok(session.client.patch(&format!("{}{}", item.path(), query.text()), PatchType::Merge, &patch).await?)
}

/// `set-last-applied`.
pub(crate) async fn set(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    if !manifest::given_any(given) {
        return wrong(select::NOTHING);
    }
    let mut work = Vec::new();
    for m in manifest::gather(given, "set-last-applied").await? {
        let mapping = session.mapping_of(&m.object, &m.source).await?;
        let namespace = session.namespace_of(&m.object, &mapping)?;
        let name = m.object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let live = session.client.get(&mapping.object(Some(&namespace), &name)).await?;
        let item = Item { source: Some(m.source.clone()), ..Item::of(&mapping, live) };
        if item.object["metadata"]["annotations"][LAST_APPLIED].is_null() && !given.on("create-annotation") {
            return wrong(format!("no last-applied-configuration annotation found on resource: {name}, to create the annotation, run the command with --create-annotation"));
        }
        let mut plain = m.object;
        if !namespace.is_empty() {
            plain["metadata"]["namespace"] = namespace.into();
        }
        work.push((item, crate::print::json_line(&plain) + "\n"));
    }
    for (item, text) in &work {
        if item.object["metadata"]["annotations"][LAST_APPLIED] == text.as_str() {
            say(&format!("set-last-applied {}: no changes required.\n", item.name));
            continue;
        }
        let object = write(&session, given, item, text, results.dry_run).await?;
        results.print(&item.mapping, &object, "configured")?;
    }
    Ok(())
}

/// `edit-last-applied`.
pub(crate) async fn edit(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let results = Results::of(given)?;
    let (items, failures) = select::items(&session, given, &given.args()).await?;
    Failure::collect(failures)?;
    let json = given.text("output") == Some("json");
    for item in &items {
        let Some(object) = last(item) else { return wrong(format!("The last-applied-configuration annotation is missing on {}, can not edit", item.name)) };
        let Some(new) = edited(&object, json)? else {
            crate::print::tell("Edit cancelled, no changes made.");
            continue;
        };
        let object = write(&session, given, item, &(crate::print::json_line(&new) + "\n"), results.dry_run).await?;
        results.print(&item.mapping, &object, "edited")?;
    }
    Ok(())
}
