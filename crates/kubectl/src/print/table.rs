//! The server's tables (docs: "Receiving resources as Tables") as text.

use super::tabwriter::{TABLE, align_with};
use serde_json::Value;

/// What a table shows beside the server's columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) wide: bool,
    pub(crate) no_headers: bool,
    pub(crate) namespace: bool,
    /// `deployment.apps` before names.
    pub(crate) kind: Option<String>,
    pub(crate) labels: bool,
    pub(crate) label_columns: Vec<String>,
    /// `ADDED`, … of a watch.
    pub(crate) event: Option<String>,
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "<none>".to_owned(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    match text.find(['\n', '\r', '\u{c}']) {
        Some(at) => format!("{}...", &text[..at]),
        None => text.replace('\t', "    "),
    }
}

/// Labels as `a=b,c=d`.
pub(crate) fn labels(object: &Value) -> String {
    let Some(map) = object["metadata"]["labels"].as_object().filter(|m| !m.is_empty()) else { return "<none>".to_owned() };
    map.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

/// A table as text with tabs.
fn raw(table: &Value, look: &Look) -> String {
    let definitions: Vec<&Value> = table["columnDefinitions"].as_array().into_iter().flatten().collect();
    let shown: Vec<usize> = (0..definitions.len()).filter(|i| look.wide || definitions[*i]["priority"].as_i64().unwrap_or_default() == 0).collect();
    let mut out = String::new();
    if !look.no_headers {
        let mut headers: Vec<String> = Vec::new();
        headers.extend(look.event.is_some().then(|| "EVENT".to_owned()));
        headers.extend(look.namespace.then(|| "NAMESPACE".to_owned()));
        headers.extend(shown.iter().map(|i| definitions[*i]["name"].as_str().unwrap_or_default().to_uppercase()));
        headers.extend(look.label_columns.iter().map(|l| l.rsplit('/').next().unwrap_or(l).to_uppercase()));
        headers.extend(look.labels.then(|| "LABELS".to_owned()));
        out.push_str(&headers.join("\t"));
        out.push('\n');
    }
    for row in table["rows"].as_array().into_iter().flatten() {
        let object = &row["object"];
        let mut cells: Vec<String> = Vec::new();
        cells.extend(look.event.clone());
        cells.extend(look.namespace.then(|| object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned()));
        for i in &shown {
            let text = cell(&row["cells"][*i]);
            match &look.kind {
                Some(kind) if definitions[*i]["format"] == "name" && definitions[*i]["type"] == "string" => cells.push(format!("{kind}/{text}")),
                _ => cells.push(text),
            }
        }
        cells.extend(look.label_columns.iter().map(|l| object["metadata"]["labels"][l].as_str().unwrap_or_default().to_owned()));
        cells.extend(look.labels.then(|| labels(object)));
        out.push_str(&cells.join("\t"));
        out.push('\n');
    }
    out
}

/// A table as text; later tables of a watch keep the widths.
pub(crate) fn render(table: &Value, look: &Look, widths: &mut Vec<usize>) -> String {
    align_with(&raw(table, look), TABLE, widths)
}
