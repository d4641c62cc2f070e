//! `kubectl get`: the server's tables, objects in every format, and watches of both.

use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::manifest;
use crate::print::jsonpath::Template;
use crate::print::table::{Look, render};
use crate::print::{Format, say, tell, without_managed_fields};
use crate::query::Query;
use crate::select::{self, Scope, Target};
use crate::session::Session;
use client::RequestBody;
use http::Method;
use serde_json::{Value, json};
use std::cmp::Ordering;

const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const CHUNK: &str = "500";

/// Something to fetch: one object or a list.
struct Wanted {
    mapping: Mapping,
    namespace: Option<String>,
    name: Option<String>,
}

impl Wanted {
    fn path(&self, subresource: &str) -> String {
        let base = match &self.name {
            Some(name) => self.mapping.object(self.namespace.as_deref(), name),
            None => self.mapping.collection(self.namespace.as_deref()),
        };
        if subresource.is_empty() { base } else { format!("{base}/{subresource}") }
    }
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    check(given)?;
    if let Some(path) = given.text("raw") {
        let bytes = session.client.bytes(Method::GET, path, "application/json, */*", RequestBody::Empty).await?;
        say(&String::from_utf8_lossy(&bytes));
        return Ok(());
    }
    let mut format = Format::of(given)?;
    if let Format::Columns(columns) = &mut format {
        columns.headers = !given.on("no-headers");
    }
    let args = given.args();
    let (wanted, targets) = wanted(&session, given, &args).await?;
    let scope = Scope::of(&session, given);
    if wanted.iter().any(|w| w.name.is_some()) && (scope.selector.is_some() || (scope.fields.is_some() && given.text("field-selector").is_some())) && !args.is_empty() {
        return wrong("name cannot be provided when a selector is specified");
    }
    let watch = given.on("watch") || given.on("watch-only");
    let result = if watch {
        let [one] = &wanted[..] else {
            let several = wanted.iter().any(|w| w.mapping != wanted[0].mapping);
            return wrong(if several { "you may only specify a single resource type" } else { "watch is only supported on individual resources and resource collections - more than 1 resource was found" });
        };
        if given.on("watch-only") && given.text("sort-by").is_some() {
            tell("warning: --watch-only requested, --sort-by will be ignored");
        } else if given.text("sort-by").is_some() {
            tell("warning: --watch requested, --sort-by will be ignored for watch events received");
        }
        let shown = watching(&session, given, one, &scope, &format);
        match session.client.config().timeout {
            // A watch that has lasted that long ends well.
            Some(limit) => tokio::time::timeout(limit, shown).await.unwrap_or(Ok(())),
            None => shown.await,
        }
    } else if format.is_human() {
        tables(&session, given, &wanted, &scope, &format, select::many_types(&args, &targets)).await
    } else {
        objects(&session, given, wanted, &scope, &format).await
    };
    session.show_warnings();
    result
}

/// Flags that do not go together.
fn check(given: &Given<'_>) -> Outcome {
    given.number("chunk-size")?;
    if let Some(path) = given.text("raw").filter(|r| !r.is_empty()) {
        if !given.args().is_empty() || !given.list("filename").is_empty() {
            return wrong("arguments may not be passed when --raw is specified");
        }
        if given.on("watch") || given.on("watch-only") || given.text("selector").is_some() {
            return wrong("--raw may not be specified with other flags that filter the server request or alter the output");
        }
        if given.text("output").is_some() {
            return wrong("--raw and --output are mutually exclusive");
        }
        if !path.starts_with('/') {
            return wrong(format!("--raw must be a valid URL path: parse \"{path}\": invalid URI for request"));
        }
    }
    if given.on("output-watch-events") && !given.on("watch") && !given.on("watch-only") {
        return wrong("--output-watch-events option can only be used with --watch or --watch-only");
    }
    Ok(())
}

async fn wanted(session: &Session, given: &Given<'_>, args: &[&str]) -> Outcome<(Vec<Wanted>, Vec<Target>)> {
    let all = given.on("all-namespaces");
    if manifest::given_any(given) {
        if !args.is_empty() {
            return wrong("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
        }
        let mut out = Vec::new();
        for m in manifest::gather(given, "get").await? {
            let mapping = session.mapping_of(&m.object, &m.source).await?;
            let namespace = session.namespace_of(&m.object, &mapping)?;
            out.push(Wanted { mapping, namespace: Some(namespace), name: m.object["metadata"]["name"].as_str().map(str::to_owned) });
        }
        let targets = out.iter().map(|w| Target { mapping: w.mapping.clone(), name: w.name.clone() }).collect();
        return Ok((out, targets));
    }
    if args.is_empty() {
        tell("You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n");
        return Err(Failure::usage("Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).", &given.command));
    }
    let targets = select::targets(session, args).await?;
    if given.text("subresource").is_some_and(|s| !s.is_empty()) && targets.iter().any(|t| t.name.is_none()) {
        return wrong("subresource cannot be used when bulk resources are specified");
    }
    if all && targets.iter().any(|t| t.name.is_some()) {
        return wrong("a resource cannot be retrieved by name across all namespaces");
    }
    let namespace = (!all).then(|| session.namespace.clone());
    let out = targets.iter().map(|t| Wanted { mapping: t.mapping.clone(), namespace: namespace.clone(), name: t.name.clone() });
    Ok((out.collect(), targets))
}

async fn fetch_table(session: &Session, given: &Given<'_>, wanted: &Wanted, scope: &Scope) -> Outcome<Value> {
    let path = wanted.path(given.text_or("subresource", ""));
    let mut whole: Option<Value> = None;
    let mut next = String::new();
    loop {
        let limit = scope.chunk.map_or_else(|| CHUNK.to_owned(), |c| c.to_string());
        let mut query = if wanted.name.is_some() { Query::default() } else { scope.query().when(limit != "0", "limit", &limit) };
        query = query.and_some("continue", Some(&next)).when(given.text("sort-by").is_some(), "includeObject", "Object");
        let accept = if given.on_or("server-print", true) { AS_TABLE } else { "application/json" };
        let got = session.client.json(Method::GET, &format!("{path}{}", query.text()), accept, RequestBody::Empty).await;
        let mut page = got.map_err(|e| if wanted.name.is_some() { e.into() } else { select::unlisted(e, &wanted.mapping, scope) })?;
        if page["kind"] != "Table" {
            page = bare_table(page);
        }
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        match &mut whole {
            None => whole = Some(page),
            Some(all) => {
                if let (Some(all), Value::Array(more)) = (all["rows"].as_array_mut(), page["rows"].take()) {
                    all.extend(more);
                }
            }
        }
        if next.is_empty() {
            return Ok(whole.unwrap_or_default());
        }
    }
}

/// Name and age alone, of objects whose server makes no tables.
fn bare_table(answer: Value) -> Value {
    let single = !answer["items"].is_array();
    let row = |o: &Value| {
        let age = crate::times::age(o["metadata"]["creationTimestamp"].as_str());
        json!({ "cells": [o["metadata"]["name"], age], "object": o })
    };
    let rows: Vec<Value> = if single { vec![row(&answer)] } else { answer["items"].as_array().into_iter().flatten().map(row).collect() };
    json!({ "kind": "Table", "metadata": answer["metadata"], "rows": rows,
        "columnDefinitions": [{ "name": "Name", "type": "string", "format": "name", "priority": 0 }, { "name": "Age", "type": "string", "format": "", "priority": 0 }] })
}

fn look(given: &Given<'_>, mapping: &Mapping, format: &Format, with_kind: bool) -> Look {
    Look {
        wide: matches!(format, Format::Human { wide: true }),
        no_headers: given.on("no-headers"),
        namespace: given.on("all-namespaces") && mapping.namespaced,
        kind: (with_kind || given.on("show-kind")).then(|| mapping.full_singular()),
        labels: given.on("show-labels"),
        label_columns: given.list("label-columns").into_iter().map(str::to_owned).collect(),
        event: None,
    }
}

/// Compares values as `--sort-by` does.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => match (kinds::Quantity::parse(a), kinds::Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.as_f64().total_cmp(&b.as_f64()),
            _ => a.cmp(b),
        },
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

fn sort(list: &mut [Value], given: &Given<'_>, inner: bool) -> Outcome {
    let Some(by) = given.text("sort-by").filter(|b| !b.is_empty()) else { return Ok(()) };
    let Ok(path) = Template::relaxed(by) else { return if inner { list.fill(Value::Null); Ok(()) } else { wrong(format!("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}' or '{{.name1.name2}}'")) } };
    let key = |v: &Value| path.find(if inner { &v["object"] } else { v }).first().map(|v| (*v).clone());
    if inner && !list.is_empty() && list.iter().all(|v| key(v).is_none()) {
        // The original then has nothing to show.
        list.fill(Value::Null);
        return Ok(());
    }
    if !inner && !list.is_empty() && list.iter().all(|v| key(v).is_none()) {
        return wrong(format!("couldn't find any field with path \"{}\" in the list of objects", if by.starts_with('{') { by.to_owned() } else { format!("{{{by}}}") }));
    }
    list.sort_by(|a, b| compare(key(a).as_ref(), key(b).as_ref()));
    Ok(())
}

async fn tables(session: &Session, given: &Given<'_>, wanted: &[Wanted], scope: &Scope, format: &Format, with_kind: bool) -> Outcome {
    let mut failures = Vec::new();
    // Neighbours of one resource make one table.
    let mut groups: Vec<(&Mapping, Value)> = Vec::new();
    for one in wanted {
        let mut table = match fetch_table(session, given, one, scope).await {
            Ok(table) => table,
            Err(e) if e.is_not_found() && given.on("ignore-not-found") => continue,
            Err(e) => {
                failures.push(e);
                continue;
            }
        };
        match groups.last_mut().filter(|(m, _)| **m == one.mapping) {
            Some((_, last)) => {
                if let (Some(rows), Value::Array(more)) = (last["rows"].as_array_mut(), table["rows"].take()) {
                    rows.extend(more);
                }
            }
            None => groups.push((&one.mapping, table)),
        }
    }
    let types: Vec<&Mapping> = groups.iter().map(|(m, _)| *m).collect();
    let with_kind = with_kind && types.iter().any(|m| *m != types[0]);
    for (_, table) in &mut groups {
        if let Some(rows) = table["rows"].as_array_mut() {
            sort(rows, given, true)?;
            rows.retain(|r| !r.is_null());
        }
    }
    groups.retain(|(_, t)| t["rows"].as_array().is_some_and(|r| !r.is_empty()));
    for (i, (mapping, table)) in groups.iter_mut().enumerate() {
        if i > 0 && !given.on("no-headers") {
            say("\n");
        }
        say(&render(table, &look(given, mapping, format, with_kind), &mut Vec::new()));
    }
    if groups.is_empty() && failures.is_empty() && !given.on("ignore-not-found") {
        let namespaced = wanted.iter().any(|w| w.mapping.namespaced) && !given.on("all-namespaces");
        tell(&if namespaced { format!("No resources found in {} namespace.", session.namespace) } else { "No resources found".to_owned() });
    }
    Failure::collect(failures)
}

async fn objects(session: &Session, given: &Given<'_>, wanted: Vec<Wanted>, scope: &Scope, format: &Format) -> Outcome {
    if !wanted.is_empty() && wanted.len() > 1 && wanted.iter().all(|w| w.name.is_some()) && given.on("ignore-not-found") {
        return named(session, given, wanted, format).await;
    }
    let single = wanted.len() == 1 && wanted[0].name.is_some();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for one in &wanted {
        let got = match one.name {
            Some(_) => session.client.get(&one.path(given.text_or("subresource", ""))).await.map_err(Failure::from).map(|o| found.push(o)),
            None => {
                let scope = Scope { namespace: one.namespace.clone(), ..scope.clone() };
                let list = select::list(session, &one.mapping, &scope).await;
                list.map(|mut l| if let Value::Array(items) = l["items"].take() { found.extend(items) })
            }
        };
        match got {
            Err(e) if e.is_not_found() && given.on("ignore-not-found") => {}
            Err(e) => failures.push(e),
            Ok(()) => {}
        }
    }
    sort(&mut found, given, false)?;
    let mut object = match (single, found.len()) {
        (true, 1) => found.remove(0),
        (true, _) => return Failure::collect(failures),
        _ => json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": found }),
    };
    if format.omits_managed_fields(given) {
        without_managed_fields(&mut object);
    }
    say(&format.text(&object)?);
    Failure::collect(failures)
}

/// Several by name, of which none need be there.
async fn named(session: &Session, given: &Given<'_>, wanted: Vec<Wanted>, format: &Format) -> Outcome {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for one in &wanted {
        match session.client.get(&one.path(given.text_or("subresource", ""))).await {
            Ok(object) => found.push(object),
            Err(e) if e.is_not_found() => {}
            Err(e) => failures.push(Failure::from(e)),
        }
    }
    if !found.is_empty() {
        let mut object = json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": found });
        if format.omits_managed_fields(given) {
            without_managed_fields(&mut object);
        }
        say(&format.text(&object)?);
    }
    Failure::collect(failures)
}

async fn watching(session: &Session, given: &Given<'_>, wanted: &Wanted, scope: &Scope, format: &Format) -> Outcome {
    let events = given.on("output-watch-events");
    let mut look = look(given, &wanted.mapping, format, false);
    look.event = events.then(|| "ADDED".to_owned());
    let human = format.is_human();
    let mut widths = Vec::new();
    let mut scope = Scope { namespace: wanted.namespace.clone(), ..scope.clone() };
    let mut show = |kind: &str, object: &Value| -> Outcome {
        if human {
            if object["rows"].as_array().is_none_or(Vec::is_empty) {
                return Ok(());
            }
            look.event = events.then(|| kind.to_owned());
            say(&render(object, &look, &mut widths));
            look.no_headers = true;
            return Ok(());
        }
        let whole = object.clone();
        let mut object = object.clone();
        if format.omits_managed_fields(given) {
            without_managed_fields(&mut object);
        }
        if events && matches!(format, Format::Name) {
            say(&format.text(&object)?);
            return Ok(());
        }
        if events {
            object = json!({ "type": kind, "object": object });
        }
        if let Format::Columns(columns) = format {
            let headers = !std::mem::replace(&mut look.no_headers, true);
            say(&columns.render_more(&object, &mut widths, headers));
            return Ok(());
        }
        if events && matches!(format, Format::Json) {
            say(&format!("{{\"type\":\"{kind}\",\"object\":{}}}\n", crate::print::json_line(&whole)));
            return Ok(());
        }
        if matches!(format, Format::Yaml) && std::mem::replace(&mut look.no_headers, true) {
            say("---\n");
        }
        say(&format.text(&object)?);
        Ok(())
    };
    let revision = first_list(session, given, wanted, &scope, human, &mut show).await?;
    if let Some(name) = &wanted.name {
        scope.fields = Some(format!("metadata.name={name}"));
    }
    let query = scope.query().and("watch", "true").and("resourceVersion", &revision);
    let path = format!("{}{}", wanted.mapping.collection(scope.namespace.as_deref()), query.text());
    let mut watch = session.client.watch(&path, if human { AS_TABLE } else { "application/json" }).await?;
    let mut definitions = Value::Null;
    while let Some(mut event) = watch.next().await? {
        if event.kind == "BOOKMARK" {
            continue;
        }
        if human {
            // Only the first table of a watch describes its columns.
            if event.object["columnDefinitions"].as_array().is_some_and(|c| !c.is_empty()) {
                definitions = event.object["columnDefinitions"].clone();
            } else {
                event.object["columnDefinitions"] = definitions.clone();
            }
        }
        show(&event.kind, &event.object)?;
    }
    Ok(())
}

/// Shows what is there and gives the revision to watch from.
async fn first_list(session: &Session, given: &Given<'_>, wanted: &Wanted, scope: &Scope, human: bool, show: &mut impl FnMut(&str, &Value) -> Outcome) -> Outcome<String> {
    let quiet = given.on("watch-only");
    let revision = |v: &Value| v["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    if human {
        let table = fetch_table(session, given, wanted, scope).await?;
        if !quiet {
            show("ADDED", &table)?;
        }
        return Ok(revision(&table));
    }
    if wanted.name.is_some() {
        let object = session.client.get(&wanted.path("")).await?;
        if !quiet {
            show("ADDED", &object)?;
        }
        return Ok(revision(&object));
    }
    let list = select::list(session, &wanted.mapping, scope).await?;
    for item in list["items"].as_array().into_iter().flatten().filter(|_| !quiet) {
        show("ADDED", item)?;
    }
    Ok(revision(&list))
}
