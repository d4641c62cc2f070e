//! `kubectl describe`: objects in words, with their events.

mod access;
mod objects;
mod pod;
mod policy;
mod storage;

pub(crate) use access::rule_lines;

use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::tabwriter::{DESCRIBE, align};
use crate::print::{say, tell};
use crate::query::Query;
use crate::select::{self, Item, Scope};
use crate::session::Session;
use crate::times;
use serde_json::Value;

/// Annotations longer than this stand on lines of their own.
const ANNOTATION_MAX: usize = 140;
const HIDDEN: &str = super::apply::LAST_APPLIED;

/// Text with tabs, indented by levels.
#[derive(Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A line at a level.
    pub(crate) fn line(&mut self, level: usize, text: impl AsRef<str>) {
        self.text.push_str(&"  ".repeat(level));
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    /// `Key:<tab>value`.
    pub(crate) fn pair(&mut self, level: usize, key: &str, value: impl AsRef<str>) {
        self.line(level, format!("{key}:\t{}", value.as_ref()));
    }

    /// The pair, if there is a value.
    pub(crate) fn some(&mut self, level: usize, key: &str, value: &Value) {
        let value = plain(value);
        if !value.is_empty() {
            self.pair(level, key, value);
        }
    }

    /// A map over several lines, its key before the first.
    pub(crate) fn map(&mut self, level: usize, key: &str, map: &Value, sign: &str) {
        let lead = format!("{}{key}:\t", "  ".repeat(level));
        let Some(map) = map.as_object().filter(|m| m.keys().any(|k| k != HIDDEN)) else {
            self.text.push_str(&format!("{lead}<none>\n"));
            return;
        };
        for (i, (k, v)) in map.iter().filter(|(k, _)| *k != HIDDEN).enumerate() {
            let start = if i == 0 { lead.clone() } else { "\t".to_owned() };
            let v = plain(v);
            if sign == ": " && (v.contains('\n') || k.len() + v.len() + 2 > ANNOTATION_MAX) {
                self.text.push_str(&format!("{start}{k}:\n"));
                for line in v.trim_end_matches('\n').lines() {
                    let short: String = line.chars().take(ANNOTATION_MAX - 2).collect();
                    let dots = if short.len() < line.len() { "..." } else { "" };
                    self.text.push_str(&format!("\t  {short}{dots}\n"));
                }
            } else {
                self.text.push_str(&format!("{start}{k}{sign}{v}\n"));
            }
        }
    }

    /// Name, namespace, labels, annotations.
    pub(crate) fn head(&mut self, object: &Value, namespaced: bool) {
        self.pair(0, "Name", plain(&object["metadata"]["name"]));
        if namespaced {
            self.pair(0, "Namespace", plain(&object["metadata"]["namespace"]));
        }
        self.map(0, "Labels", &object["metadata"]["labels"], "=");
        self.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    }

    fn render(&self) -> String {
        align(&self.text, DESCRIBE)
    }
}

/// A scalar as text; nothing for nothing.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// The items of a list, or none.
pub(crate) fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Something or `<none>`.
pub(crate) fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// A pod template as `rollout history --revision` shows it.
pub(crate) fn template_text(template: &Value) -> String {
    let mut page = Page::default();
    pod::template(&mut page, template);
    page.text
}

/// The controlling owner, `ReplicaSet/web-1`.
pub(crate) fn controller(object: &Value) -> Option<String> {
    let owner = each(&object["metadata"]["ownerReferences"]).find(|r| r["controller"] == true)?;
    Some(format!("{}/{}", plain(&owner["kind"]), plain(&owner["name"])))
}

async fn events(session: &Session, item: &Item, page: &mut Page) {
    let uid = plain(&item.object["metadata"]["uid"]);
    let fields = if item.mapping.kind == "Node" { format!("involvedObject.kind=Node,involvedObject.name={}", item.name) } else { format!("involvedObject.uid={uid},involvedObject.name={}", item.name) };
    let place = if item.namespace.is_empty() { "/api/v1/events".to_owned() } else { format!("/api/v1/namespaces/{}/events", item.namespace) };
    // Who may read an object may not always read its events.
    let Ok(list) = session.client.get(&format!("{place}{}", Query::default().and("fieldSelector", &fields).text())).await else { return };
    let mut all: Vec<&Value> = each(&list["items"]).collect();
    if all.is_empty() {
        page.pair(0, "Events", "<none>");
        return;
    }
    all.sort_by_key(|e| plain(if e["lastTimestamp"].is_null() { &e["eventTime"] } else { &e["lastTimestamp"] }));
    page.line(0, "Events:");
    page.line(1, "Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for event in all {
        page.line(1, format!("{}\t{}\t{}\t{}\t{}", plain(&event["type"]), plain(&event["reason"]), event_age(event), event_source(event), plain(&event["message"]).trim()));
    }
}

/// `3m (x5 over 10m)`.
pub(crate) fn event_age(event: &Value) -> String {
    let first = event["firstTimestamp"].as_str().or_else(|| event["eventTime"].as_str());
    let series = &event["series"];
    let count = series["count"].as_i64().or_else(|| event["count"].as_i64()).unwrap_or(1);
    let last = series["lastObservedTime"].as_str().or_else(|| event["lastTimestamp"].as_str()).or(first);
    if count > 1 { format!("{} (x{count} over {})", times::age(last), times::age(first)) } else { times::age(first) }
}

fn event_source(event: &Value) -> String {
    let component = plain(&event["source"]["component"]);
    if component.is_empty() { plain(&event["reportingComponent"]) } else { component }
}

/// A tree of JSON as the generic describer shows it.
fn generic(page: &mut Page, level: usize, value: &Value) {
    let Some(map) = value.as_object() else { return };
    for (key, value) in map {
        if level == 0 && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") || key == "managedFields" {
            continue;
        }
        let label = words(key);
        match value {
            Value::Object(_) => {
                page.line(level, format!("{label}:"));
                generic(page, level + 1, value);
            }
            Value::Array(list) => {
                page.line(level, format!("{label}:"));
                for item in list {
                    if item.is_object() { generic(page, level + 1, item) } else { page.line(level + 1, plain(item)) }
                }
            }
            other => page.pair(level, &label, plain(other)),
        }
    }
}

/// `resourceVersion` as `Resource Version`; a run of capitals stays together.
fn words(key: &str) -> String {
    match key {
        "uid" => return "UID".to_owned(),
        "apiVersion" => return "API Version".to_owned(),
        "openAPIV3Schema" => return key.to_owned(),
        _ => {}
    }
    if key.contains(['/', '.']) || key.chars().all(|c| c.is_uppercase() || !c.is_alphabetic()) {
        return key.to_owned();
    }
    let mut out = String::new();
    let chars: Vec<char> = key.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let starts = i > 0 && c.is_uppercase() && (!chars[i - 1].is_uppercase() || chars.get(i + 1).is_some_and(|n| n.is_lowercase()));
        if starts {
            out.push(' ');
        }
        if i == 0 { out.extend(c.to_uppercase()) } else { out.push(*c) }
    }
    out
}

async fn describe(session: &Session, item: &Item, show_events: bool) -> Outcome<String> {
    let mut page = Page::default();
    let object = &item.object;
    match item.mapping.kind.as_str() {
        "Pod" if item.mapping.group.is_empty() => pod::pod(&mut page, object),
        kind if objects::known(kind) => objects::describe(session, &mut page, item).await?,
        _ => {
            page.head(object, true);
            page.pair(0, "API Version", item.mapping.api_version());
            page.pair(0, "Kind", &item.mapping.kind);
            page.line(0, "Metadata:");
            let mut metadata = object["metadata"].clone();
            if let Some(map) = metadata.as_object_mut() {
                for key in ["name", "namespace", "labels", "annotations", "managedFields"] {
                    map.remove(key);
                }
            }
            generic(&mut page, 1, &metadata);
            generic(&mut page, 0, object);
        }
    }
    if show_events && objects::has_events(&item.mapping.kind) {
        events(session, item, &mut page).await;
    }
    Ok(page.render())
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let session = Session::open(given)?;
    let args = given.args();
    let mut failures = Vec::new();
    let mut items = Vec::new();
    let mut prefixed = false;
    if !crate::manifest::given_any(given) {
        if args.is_empty() {
            return wrong("You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources.\n".trim_end());
        }
        let scope = Scope::of(&session, given);
        let targets = select::targets(&session, &args).await?;
        if given.on("all-namespaces") && targets.iter().any(|t| t.name.is_some()) {
            return wrong("a resource cannot be retrieved by name across all namespaces");
        }
        for target in targets {
            let Some(name) = &target.name else {
                let list = select::list(&session, &target.mapping, &scope).await?;
                items.extend(each(&list["items"]).map(|o| Item::of(&target.mapping, o.clone())));
                continue;
            };
            match session.client.get(&target.mapping.object(Some(&session.namespace), name)).await {
                Ok(object) => items.push(Item::of(&target.mapping, object)),
                Err(e) if e.is_not_found() && args.first().is_some_and(|a| !a.contains('/')) => {
                    // A name may also be the beginning of names.
                    let list = select::list(&session, &target.mapping, &scope).await?;
                    let begin: Vec<Item> = each(&list["items"]).map(|o| Item::of(&target.mapping, o.clone())).filter(|i| i.name.starts_with(name.as_str())).collect();
                    if begin.is_empty() {
                        failures.push(Failure::from(e));
                    }
                    prefixed = prefixed || !begin.is_empty();
                    items.extend(begin);
                }
                Err(e) => failures.push(e.into()),
            }
        }
    } else {
        (items, failures) = select::items(&session, given, &args).await?;
    }
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            say(if prefixed { "\n" } else { "\n\n" });
        }
        say(&describe(&session, item, given.on_or("show-events", true)).await?);
        // What was found by the beginning of its name is followed by an empty line.
        if prefixed {
            say("\n");
        }
    }
    if items.is_empty() && failures.is_empty() {
        tell(&if given.on("all-namespaces") { "No resources found".to_owned() } else { format!("No resources found in {} namespace.", session.namespace) });
    }
    Failure::collect(failures)
}
