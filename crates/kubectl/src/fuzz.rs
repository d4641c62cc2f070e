//! What people type as templates, for the fuzz targets: bytes are a template, a zero byte, and a document (or a fixed one).

use crate::print::{gotemplate, jsonpath};
use serde_json::{Value, json};

fn halves(data: &[u8]) -> Option<(&str, Value)> {
    let mut parts = data.splitn(2, |b| *b == 0);
    let template = std::str::from_utf8(parts.next()?).ok()?;
    let fixed = || {
        let item = |n: i32| json!({"metadata": {"name": format!("p{n}"), "labels": {"a.b/c": "d"}}, "spec": {"n": n, "x": 0.5}});
        json!({"kind": "List", "items": [item(1), item(2), item(3)], "empty": [], "nothing": null, "yes": true})
    };
    let value = parts.next().and_then(|d| serde_json::from_slice(d).ok()).unwrap_or_else(fixed);
    Some((template, value))
}

/// `-o jsonpath=…`
pub fn jsonpath(data: &[u8]) {
    let Some((text, value)) = halves(data) else { return };
    for template in [jsonpath::Template::parse(text), jsonpath::Template::relaxed(text)].into_iter().flatten() {
        let _ = template.find(&value);
        let _ = template.render(&value);
    }
}

/// `-o go-template=…`
pub fn gotemplate(data: &[u8]) {
    let Some((text, value)) = halves(data) else { return };
    if let Ok(template) = gotemplate::Template::parse(text) {
        let _ = template.render(&value);
    }
}
