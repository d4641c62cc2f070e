//! `-o custom-columns=NAME:.metadata.name,…` (docs: "kubectl reference", custom columns).

use super::jsonpath::{Template, text};
use super::tabwriter::{TABLE, align_with};
use crate::failure::{Failure, Outcome, wrong};
use serde_json::Value;

/// Columns that a person made up.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    columns: Vec<(String, Template)>,
    pub(crate) headers: bool,
}

impl Columns {
    /// Reads `HEADER:path,HEADER:path`.
    pub(crate) fn parse(spec: &str) -> Outcome<Self> {
        let mut columns = Vec::new();
        for part in split(spec) {
            let Some((header, path)) = part.split_once(':') else {
                return wrong(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"));
            };
            columns.push((header.to_owned(), Template::relaxed(path).map_err(Failure::text)?));
        }
        Ok(Self { columns, headers: true })
    }

    /// Reads two lines: headers and paths.
    pub(crate) fn from_file(text: &str) -> Outcome<Self> {
        let mut lines = text.lines();
        let (headers, paths) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let (headers, paths): (Vec<_>, Vec<_>) = (headers.split_whitespace().collect(), paths.split_whitespace().collect());
        if headers.len() != paths.len() {
            return wrong(format!("number of headers ({}) and field specifications ({}) don't match", headers.len(), paths.len()));
        }
        let pairs: Vec<String> = headers.iter().zip(paths).map(|(h, p)| format!("{h}:{p}")).collect();
        Self::parse(&pairs.join(","))
    }

    /// A later part of a table, whose columns are as wide as before and whose header has been shown.
    pub(crate) fn render_more(&self, object: &Value, widths: &mut Vec<usize>, headers: bool) -> String {
        let shown = Self { columns: self.columns.clone(), headers: self.headers && headers };
        align_with(&shown.raw(object).0, TABLE, widths)
    }

    /// The table of an object or of a list's items.
    /// Or what of it came before a fault, and the fault.
    pub(crate) fn render(&self, object: &Value) -> Result<String, (String, String)> {
        let (text, fault) = self.raw(object);
        let text = align_with(&text, TABLE, &mut Vec::new());
        fault.map_or(Ok(text.clone()), |why| Err((text, why)))
    }

    fn raw(&self, object: &Value) -> (String, Option<String>) {
        let mut out = String::new();
        if self.headers {
            out.push_str(&self.columns.iter().map(|(h, _)| h.as_str()).collect::<Vec<_>>().join("\t"));
            out.push('\n');
        }
        let items: Vec<&Value> = match object["items"].as_array() {
            Some(items) => items.iter().collect(),
            None => vec![object],
        };
        for item in items {
            if let Some(why) = self.columns.iter().find_map(|(_, path)| path.fault(item)) {
                return (out, Some(why));
            }
            let cells: Vec<String> = self.columns.iter().map(|(_, path)| cell(path, item)).collect();
            out.push_str(&cells.join("\t"));
            out.push('\n');
        }
        (out, None)
    }
}

fn cell(path: &Template, item: &Value) -> String {
    let found: Vec<String> = path.find(item).into_iter().map(|v| if v.is_null() { "<nil>".to_owned() } else { go_text(v) }).collect();
    if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
}

/// A value as Go's `%v` prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => format!("map[{}]", map.iter().map(|(k, v)| format!("{k}:{}", go_text(v))).collect::<Vec<_>>().join(" ")),
        other => text(other),
    }
}

/// Parts at commas that stand outside brackets.
fn split(spec: &str) -> Vec<&str> {
    let (mut depth, mut from, mut out) = (0_i32, 0, Vec::new());
    for (i, c) in spec.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(&spec[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    out.push(&spec[from..]);
    out
}
