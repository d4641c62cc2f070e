//! `kubectl explain`: the fields of a resource from the server's OpenAPI v3 document.

use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::say;
use crate::session::Session;
use serde_json::Value;

const WIDTH: usize = 80;
/// Nesting that `--recursive` follows.
const MAX_DEPTH: usize = 30;
/// Values of an enumeration shown beside a field.
const ENUM_SHOWN: usize = 4;

struct Document {
    root: Value,
}

impl Document {
    /// The schema behind references, with the description nearest to us.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut at = schema;
        for _ in 0..8 {
            let reference = at["$ref"].as_str().or_else(|| at["allOf"][0]["$ref"].as_str());
            let Some(name) = reference.and_then(|r| r.rsplit('/').next()) else { break };
            at = &self.root["components"]["schemas"][name];
        }
        at
    }

    /// What a field is: `<string>`, `<[]Container>`, `<map[string]string>`.
    fn type_name(&self, schema: &Value) -> String {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        if let Some(name) = reference.and_then(|r| r.rsplit('/').next()) {
            let target = self.resolve(schema);
            let scalar = target["type"].as_str().filter(|t| *t != "object");
            let short = name.rsplit('.').next().unwrap_or(name);
            return match scalar {
                Some(t) if target["properties"].is_null() => if short == "Quantity" || short == "IntOrString" { short.to_owned() } else { t.to_owned() },
                _ => short.to_owned(),
            };
        }
        match schema["type"].as_str() {
            Some("array") => format!("[]{}", self.type_name(&schema["items"])),
            Some("object") if schema["additionalProperties"].is_object() => format!("map[string]{}", self.type_name(&schema["additionalProperties"])),
            Some("object") | None => "Object".to_owned(),
            Some(other) => other.to_owned(),
        }
    }

    /// The schema of the elements of lists and maps.
    fn inner<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut at = self.resolve(schema);
        for _ in 0..8 {
            if at["items"].is_object() {
                at = self.resolve(&at["items"]);
            } else if at["additionalProperties"].is_object() {
                at = self.resolve(&at["additionalProperties"]);
            } else {
                break;
            }
        }
        at
    }
}

async fn load(session: &Session, mapping: &Mapping) -> Outcome<Document> {
    let key = if mapping.group.is_empty() { format!("api/{}", mapping.version) } else { format!("apis/{}/{}", mapping.group, mapping.version) };
    let index = session.client.get("/openapi/v3").await?;
    let Some(path) = index["paths"][&key]["serverRelativeURL"].as_str() else {
        return wrong(format!("couldn't find resource for \"{}, Resource={}\"", mapping.api_version(), mapping.plural));
    };
    Ok(Document { root: session.client.get(path).await? })
}

/// Words with the blanks before them, put on lines that are not too long; a line's own beginning keeps its blanks.
fn wrap(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut out = String::new();
    for paragraph in text.split('\n') {
        let paragraph = paragraph.replace('\t', "  ");
        let body = paragraph.trim_start_matches(' ');
        let mut line = " ".repeat(paragraph.len() - body.len());
        let mut rest = body.trim_end();
        let mut empty = true;
        while !rest.is_empty() {
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            let word_end = rest[blanks..].find(' ').map_or(rest.len(), |i| blanks + i);
            let word = &rest[blanks..word_end];
            if !empty && indent + line.chars().count() + blanks + word.chars().count() > WIDTH {
                out.push_str(&format!("{pad}{line}\n"));
                line.clear();
            } else {
                line.push_str(&rest[..blanks]);
            }
            line.push_str(word);
            empty = false;
            rest = &rest[word_end..];
        }
        out.push_str(&format!("{pad}{line}\n"));
    }
    out
}

fn enumeration(schema: &Value) -> Vec<String> {
    schema["enum"].as_array().into_iter().flatten().map(|v| v.as_str().map_or_else(|| v.to_string(), |s| if s.is_empty() { "\"\"".to_owned() } else { s.to_owned() })).collect()
}

fn field(document: &Document, name: &str, schema: &Value, required: bool, indent: usize) -> String {
    let mut out = format!("{}{name}\t<{}>{}\n", " ".repeat(indent), document.type_name(schema), if required { " -required-" } else { "" });
    let values = enumeration(schema);
    if !values.is_empty() {
        let more = if values.len() > ENUM_SHOWN { ", ...." } else { "" };
        out.push_str(&format!("{}enum: {}{more}\n", " ".repeat(indent), values.iter().take(ENUM_SHOWN).cloned().collect::<Vec<_>>().join(", ")));
    }
    out
}

/// The words about a field.
fn description<'a>(schema: &'a Value) -> &'a str {
    schema["description"].as_str().unwrap_or("<no description>")
}

/// The words about a field, and about everything that its type refers to.
fn whole_description(document: &Document, schema: &Value) -> String {
    let mut parts = Vec::new();
    let mut at = schema;
    for _ in 0..8 {
        parts.extend(at["description"].as_str().map(str::to_owned));
        let reference = at["$ref"].as_str().or_else(|| at["allOf"][0]["$ref"].as_str());
        at = match reference.and_then(|r| r.rsplit('/').next()) {
            Some(name) => &document.root["components"]["schemas"][name],
            None if at["items"].is_object() => &at["items"],
            None if at["additionalProperties"].is_object() => &at["additionalProperties"],
            None => break,
        };
    }
    if parts.is_empty() { "<empty>".to_owned() } else { parts.join("\n") }
}

fn fields(document: &Document, schema: &Value, recursive: bool, indent: usize, seen: &mut Vec<*const Value>) -> String {
    let inner = document.inner(schema);
    let mut out = String::new();
    if seen.contains(&std::ptr::from_ref(inner)) || seen.len() > MAX_DEPTH {
        return out;
    }
    seen.push(std::ptr::from_ref(inner));
    let required: Vec<&str> = inner["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, child) in inner["properties"].as_object().into_iter().flatten() {
        out.push_str(&field(document, name, child, required.contains(&name.as_str()), indent));
        if recursive {
            out.push_str(&fields(document, child, true, indent + 2, seen));
        } else {
            out.push_str(&wrap(description(child), indent + 2));
            out.push('\n');
        }
    }
    seen.pop();
    out
}

pub(crate) async fn run(given: &Given<'_>) -> Outcome {
    let [path] = given.args()[..] else {
        if !given.args().is_empty() {
            return wrong("We accept only this format: explain RESOURCE");
        }
        return wrong("You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.");
    };
    if !matches!(given.text_or("output", "plaintext"), "plaintext" | "plaintext-openapiv2") {
        return wrong(format!("unrecognized format: {}", given.text_or("output", "")));
    }
    let session = Session::open(given)?;
    let mut words = path.split('.');
    let word = words.next().unwrap_or_default();
    let discovery = session.discovery().await?;
    // The longest beginning that names a resource counts: `deployments.apps.spec`.
    let parts: Vec<&str> = path.split('.').collect();
    let longest = (1..=parts.len()).rev().find_map(|n| discovery.find(&parts[..n].join(".")).map(|m| (m.clone(), n)));
    let Some((mut mapping, used)) = longest else { return Err(Failure::Bare(format!("the server doesn't have a resource type \"{word}\""))) };
    if let Some(version) = given.text("api-version") {
        let found = discovery.all.iter().find(|m| m.plural == mapping.plural && m.api_version() == version).cloned();
        mapping = found.ok_or_else(|| Failure::text(format!("couldn't find resource for \"{version}, Resource={}\"", mapping.plural)))?;
    }
    let document = load(&session, &mapping).await?;
    let schemas = document.root["components"]["schemas"].as_object();
    let is_it = |s: &&Value| s["x-kubernetes-group-version-kind"].as_array().is_some_and(|all| all.iter().any(|g| g["kind"] == mapping.kind.as_str() && g["group"] == mapping.group.as_str() && g["version"] == mapping.version.as_str()));
    let Some(top) = schemas.into_iter().flatten().map(|(_, s)| s).find(is_it) else {
        return wrong(format!("GVR ({}/{}, {}) not found in OpenAPI schema", mapping.group, mapping.version, mapping.plural));
    };
    let mut schema = top;
    let head = format!("{}KIND:       {}\nVERSION:    {}\n", if mapping.group.is_empty() { String::new() } else { format!("GROUP:      {}\n", mapping.group) }, mapping.kind, mapping.version);
    let mut last = None;
    for name in &parts[used..] {
        let inner = document.inner(schema);
        schema = &inner["properties"][name];
        if schema.is_null() {
            say(&format!("{head}\n"));
            return wrong(format!("field \"{}\" does not exist", parts.last().copied().unwrap_or_default()));
        }
        last = Some(*name);
    }
    let mut out = format!("{head}\n");
    if let Some(name) = last {
        out.push_str(&format!("FIELD: {name} <{}>\n", document.type_name(schema)));
        let values = enumeration(schema);
        if !values.is_empty() {
            out.push_str(&format!("ENUM:\n{}", values.iter().map(|v| format!("    {v}\n")).collect::<String>()));
        } else {
            out.push('\n');
        }
        out.push('\n');
    }
    out.push_str("DESCRIPTION:\n");
    out.push_str(&wrap(&whole_description(&document, schema), 4));
    out.push_str("    \n");
    let list = fields(&document, schema, given.on("recursive"), 2, &mut Vec::new());
    if !list.is_empty() {
        out.push_str(&format!("FIELDS:\n{list}"));
    }
    out.push('\n');
    say(&out);
    Ok(())
}
