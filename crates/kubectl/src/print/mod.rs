//! How objects are printed: `-o yaml|json|name|jsonpath|go-template|custom-columns`, tables of the server, results of
//! commands.

pub(crate) mod columns;
pub(crate) mod gotemplate;
pub(crate) mod jsonpath;
pub(crate) mod table;
pub(crate) mod tabwriter;
pub(crate) mod typed;
#[cfg(test)]
mod tests;

use crate::discovery::Mapping;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use columns::Columns;
use serde::Serialize;
use serde_json::Value;
use std::io::Write;

const FORMATS: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml";

/// Commands that hold their objects typed.
const TYPED: [&str; 9] = ["auth", "run", "expose", "autoscale", "set", "rollout", "taint", "certificate", "debug"];

/// What `-o` asks for.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Human { wide: bool },
    Yaml,
    Json,
    /// JSON of objects that kubectl knows the types of.
    TypedJson,
    Name,
    /// A template, its text, whether it must find everything that it asks for, and whether its findings are shown as JSON.
    JsonPath { template: jsonpath::Template, text: String, strict: bool, json: bool },
    GoTemplate(gotemplate::Template),
    Columns(Columns),
}

/// Writes to standard output; a reader that has gone ends the program quietly.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Writes a line to standard error.
pub(crate) fn tell(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn file(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| Failure::text(format!("error reading --template {path}, {}", crate::failure::opening(path, &e))))
}

impl Format {
    /// Reads `-o` and `--template`.
    pub(crate) fn of(given: &Given<'_>) -> Outcome<Self> {
        let output = given.text_or("output", "");
        let (name, argument) = output.split_once('=').map_or((output, None), |(n, a)| (n, Some(a)));
        let template = argument.filter(|a| !a.is_empty()).or_else(|| given.text("template")).unwrap_or_default();
        let jsonpath = |text: &str, json: bool| {
            let parsed = jsonpath::Template::parse(text).map_err(|e| Failure::text(format!("error parsing jsonpath {text}, {e}")))?;
            Ok(Self::JsonPath { template: parsed, text: text.to_owned(), strict: !given.on_or("allow-missing-template-keys", true), json })
        };
        let go = |text: &str| {
            let parsed = gotemplate::Template::parse(text).map_err(|e| Failure::text(format!("error parsing template {text}, template: output:1: {e}")))?;
            Ok(Self::GoTemplate(parsed))
        };
        match name {
            "" if given.text("template").is_some_and(|t| !t.is_empty()) => go(template),
            "" => Ok(Self::Human { wide: false }),
            "wide" | "yaml" | "json" | "name" if argument.is_some() => wrong(format!("unable to match a printer suitable for the output format \"{output}\", allowed formats are: {FORMATS}")),
            "wide" => Ok(Self::Human { wide: true }),
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "name" => Ok(Self::Name),
            "jsonpath" | "jsonpath-as-json" | "jsonpath-file" | "go-template" | "go-template-file" | "template" | "templatefile" if template.is_empty() => {
                wrong(format!("template format specified but no template given"))
            }
            "jsonpath" => jsonpath(template, false),
            "jsonpath-as-json" => jsonpath(template, true),
            "jsonpath-file" => jsonpath(&file(template)?, false),
            "go-template" | "template" => go(template),
            "go-template-file" | "templatefile" => go(&file(template)?),
            "custom-columns" | "custom-columns-file" if argument.is_none_or(str::is_empty) => wrong("custom-columns format specified but no custom columns given"),
            "custom-columns" => Columns::parse(template).map(Self::Columns),
            "custom-columns-file" => Columns::from_file(&file(template)?).map(Self::Columns),
            other => wrong(format!("unable to match a printer suitable for the output format \"{other}\", allowed formats are: {FORMATS}")),
        }
    }

    /// Whether it is the table for people.
    pub(crate) fn is_human(&self) -> bool {
        matches!(self, Self::Human { .. })
    }

    /// Whether managedFields are left out: in whole objects, unless they are asked for; templates see everything.
    pub(crate) fn omits_managed_fields(&self, given: &Given<'_>) -> bool {
        matches!(self, Self::Yaml | Self::Json | Self::TypedJson) && !given.on("show-managed-fields")
    }

    /// An object (or list) in this format; empty for tables.
    pub(crate) fn text(&self, object: &Value) -> Outcome<String> {
        Ok(match self {
            Self::Human { .. } => String::new(),
            Self::Yaml => codec::yaml::write(object),
            Self::Json => json(object),
            Self::TypedJson => typed::pretty(object),
            Self::Name => names(object),
            Self::JsonPath { template, text, strict, json: false } => {
                let missing = || template.missing(object).filter(|_| *strict).map(|name| format!("{name} is not found"));
                match template.fault(object).or_else(missing) {
                    None => template.render(object),
                    Some(why) => {
                        let (quoted, dump) = (format!("{text:?}"), go_dump(object));
                        return wrong(format!("error executing jsonpath {quoted}: Error executing template: {why}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath engine was:\n\t\t{dump}\n\n"));
                    }
                }
            }
            Self::JsonPath { template, .. } => json(&Value::Array(template.find(object).into_iter().cloned().collect())),
            Self::GoTemplate(template) => template.render(object).map_err(|e| {
                Failure::text(format!("error executing template: template: output: {e}"))
            })?,
            Self::Columns(columns) => columns.render(object).or_else(|why| {
                // What was complete before is shown.
                say(&why.0);
                wrong(why.1)
            })?,
        })
    }
}

/// A value as Go's `%#v` prints it.
fn go_dump(value: &Value) -> String {
    match value {
        Value::Object(map) => format!("map[string]interface {{}}{{{}}}", map.iter().map(|(k, v)| format!("{k:?}:{}", go_dump(v))).collect::<Vec<_>>().join(", ")),
        Value::Array(list) => format!("[]interface {{}}{{{}}}", list.iter().map(go_dump).collect::<Vec<_>>().join(", ")),
        Value::Null => "interface {}(nil)".to_owned(),
        other => other.to_string(),
    }
}

/// JSON as kubectl prints it: four spaces, and `<`, `>` and `&` escaped.
pub(crate) fn json(value: &Value) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    value.serialize(&mut serializer).expect("a tree of JSON always serializes into memory");
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    escaped(&text) + "\n"
}

/// What Go's encoder escapes beyond JSON's rules.
fn escaped(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// JSON on one line, escaped as Go's encoder does.
pub(crate) fn json_line(value: &Value) -> String {
    escaped(&value.to_string())
}

/// `pod/web`, a line for each object of a list.
fn names(object: &Value) -> String {
    if let Some(items) = object["items"].as_array() {
        return items.iter().map(names).collect();
    }
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map(|(g, _)| format!(".{g}")).unwrap_or_default();
    format!("{kind}{group}/{}\n", object["metadata"]["name"].as_str().unwrap_or_default())
}

/// Removes what nobody wants to read.
pub(crate) fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        without_managed_fields(item);
    }
}

/// Whether a change is only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    /// Reads `--dry-run`.
    pub(crate) fn of(given: &Given<'_>) -> Outcome<Self> {
        match given.text_or("dry-run", "none") {
            "none" | "false" => Ok(Self::None),
            "client" => Ok(Self::Client),
            "server" => Ok(Self::Server),
            "unchanged" => Ok(Self::Client),
            "true" => wrong("Invalid dry-run value (true). Must be \"none\", \"server\", or \"client\"."),
            other => wrong(format!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\".")),
        }
    }

    /// What is appended to a result.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// Prints what a command did to objects.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub(crate) format: Format,
    pub(crate) dry_run: DryRun,
    managed: bool,
    printed: std::cell::Cell<bool>,
}

impl Results {
    /// Reads the flags.
    pub(crate) fn of(given: &Given<'_>) -> Outcome<Self> {
        let dry_run = DryRun::of(given)?;
        let typed = given.command.split(' ').next().is_some_and(|c| TYPED.contains(&c)) || given.command.starts_with("create ");
        let format = match Format::of(given)? {
            Format::Json if typed => Format::TypedJson,
            other => other,
        };
        Ok(Self { managed: !format.omits_managed_fields(given), format, dry_run, printed: false.into() })
    }

    /// Several objects as one list.
    pub(crate) fn print_list(&self, list: &Value) -> Outcome {
        let mut list = list.clone();
        if !self.managed {
            without_managed_fields(&mut list);
        }
        say(&self.format.text(&list)?);
        Ok(())
    }

    /// The same for an object whose type kubectl knows.
    pub(crate) fn as_typed(&self) -> Self {
        let format = if matches!(self.format, Format::Json) { Format::TypedJson } else { self.format.clone() };
        Self { format, ..self.clone() }
    }

    /// The same without the word that it is a trial.
    pub(crate) fn bare(&self) -> Self {
        Self { dry_run: DryRun::None, ..self.clone() }
    }

    /// `pod/web created`, or the object as `-o` asks.
    pub(crate) fn print(&self, mapping: &Mapping, object: &Value, operation: &str) -> Outcome {
        let name = object["metadata"]["name"].as_str().or_else(|| object["metadata"]["generateName"].as_str()).unwrap_or_default();
        match &self.format {
            Format::Human { .. } => say(&format!("{} {operation}{}\n", mapping.named(name), self.dry_run.suffix())),
            Format::Name => say(&format!("{}\n", mapping.named(name))),
            format => {
                let mut object = object.clone();
                if !self.managed {
                    without_managed_fields(&mut object);
                }
                if matches!(format, Format::Yaml) && self.printed.replace(true) {
                    say("---\n");
                }
                say(&format.text(&object)?);
            }
        }
        Ok(())
    }
}
