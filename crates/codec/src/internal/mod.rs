//! Parts of objects as kube-apiserver shows them in refusals: its own structs in JSON, every field by its Go name, in the
//! order of the structs, unset or not. `layout.txt` holds those facts of v1.36: a struct a line, its fields as
//! `GoName[=jsonName]:<what stands there when unset><struct>`.
//!
//! Unset: `s` `""`, `b` `false`, `i` `0`, `n` `null`, `q` `"0"` (quantity), `x` `0` (number or text), `t` `null` (time),
//! `d` `"0s"`, `z` an empty struct.

mod diff;
#[cfg(test)]
mod tests;

use kinds::field::Told;
use kinds::{FieldErrors, Object};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::LazyLock;

struct Field {
    /// Its name in Go.
    name: &'static str,
    json: String,
    unset: u8,
    /// The struct inside, empty where there is none.
    inside: &'static str,
}

/// Stands among the fields where a struct contains object metadata.
const METADATA: &str = "~ObjectMeta";

static LAYOUT: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| include_str!("layout.txt").lines().map(line).collect());

fn line(line: &'static str) -> (&'static str, Vec<Field>) {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    (name, words.map(field).collect())
}

fn field(word: &'static str) -> Field {
    let (names, rest) = word.split_once(':').unwrap_or((word, "n"));
    let (name, json) = match names.split_once('=') {
        Some((name, json)) => (name, json.to_owned()),
        None => (names, names[..1].to_lowercase() + &names[1..]),
    };
    Field { name, json, unset: rest.as_bytes()[0], inside: &rest[1..] }
}

/// Writes out what refusals show of objects: values that were only pointed at, and the differences of two objects.
pub fn tell(errors: &mut FieldErrors) {
    for error in &mut errors.0 {
        let Some(told) = error.told.take() else { continue };
        let Told { layout, at, new, old } = *told;
        let part = |o: &Object| shown(layout, crate::to_value(o).pointer(at).unwrap_or(&Value::Null));
        match old {
            None => error.value = compact(&part(&new)),
            Some(old) => {
                error.detail.push('\n');
                error.detail.push_str(&diff::unified(&pretty(&part(&old)), &pretty(&part(&new))));
            }
        }
    }
}

/// What is printed: members in an order of their own.
#[derive(Clone)]
enum Go {
    Plain(Value),
    List(Vec<Go>),
    Struct(Vec<(String, Go)>),
}

/// A part of an object as the struct of that name; `[]` before it for a list of such.
fn shown(layout: &str, value: &Value) -> Go {
    if let (Some(item), Value::Array(list)) = (layout.strip_prefix("[]"), value) {
        return Go::List(list.iter().map(|v| shown(item, v)).collect());
    }
    match (LAYOUT.get(layout), value) {
        (Some(fields), Value::Object(map)) => structure(layout, fields, map),
        (None, Value::Object(map)) if layout == SELECTOR => selector(map),
        _ => Go::Plain(value.clone()),
    }
}

const SELECTOR: &str = "LabelSelector";
/// What the fields of a pod's host stand in, which are the pod's own outside.
const SECURITY: &str = "securityContext";
const OF_THE_HOST: &[&str] = &["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];

fn structure(layout: &str, fields: &[Field], map: &Map<String, Value>) -> Go {
    let mut out = Vec::new();
    for f in fields {
        if f.name == METADATA {
            let none = Map::new();
            out.extend(pick(map.get("metadata").and_then(Value::as_object).unwrap_or(&none), METADATA_ORDER));
            continue;
        }
        let hosted = layout == "PodSpec" && f.json == SECURITY;
        let value = match map.get(&f.json).filter(|v| !v.is_null()) {
            Some(Value::Object(inner)) if hosted => {
                let mut whole = inner.clone();
                whole.extend(OF_THE_HOST.iter().filter_map(|k| map.get(*k).map(|v| ((*k).to_owned(), v.clone()))));
                shown(f.inside, &Value::Object(whole))
            }
            Some(value) => present(f.inside, value),
            None => unset(f),
        };
        out.push((f.name.to_owned(), value));
    }
    Go::Struct(out)
}

/// A struct, or a list of such.
fn present(inside: &str, value: &Value) -> Go {
    match value {
        Value::Array(list) if LAYOUT.contains_key(inside) => Go::List(list.iter().map(|v| shown(inside, v)).collect()),
        value => shown(inside, value),
    }
}

fn unset(f: &Field) -> Go {
    Go::Plain(match f.unset {
        b's' => json!(""),
        b'b' => json!(false),
        b'i' | b'x' => json!(0),
        b'q' => json!("0"),
        b'd' => json!("0s"),
        b'z' => return shown(f.inside, &Value::Object(Map::new())),
        _ => Value::Null,
    })
}

/// Object metadata keeps its names, and leaves out what is unset.
const METADATA_ORDER: &[&str] = &[
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers", "managedFields",
];

fn pick(map: &Map<String, Value>, keys: &[&str]) -> Vec<(String, Go)> {
    keys.iter().filter_map(|k| map.get(*k).filter(|v| !is_nothing(v)).map(|v| ((*k).to_owned(), Go::Plain(v.clone())))).collect()
}

/// What these types leave out of their JSON.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn selector(map: &Map<String, Value>) -> Go {
    let mut out = pick(map, &["matchLabels"]);
    if let Some(list) = map.get("matchExpressions").and_then(Value::as_array).filter(|l| !l.is_empty()) {
        let one = |r: &Value| r.as_object().map_or_else(|| Go::Plain(r.clone()), |r| Go::Struct(pick(r, &["key", "operator", "values"])));
        out.push(("matchExpressions".to_owned(), Go::List(list.iter().map(one).collect())));
    }
    Go::Struct(out)
}

/// On one line.
fn compact(value: &Go) -> String {
    let mut out = String::new();
    write(value, None, &mut out);
    escaped(&out)
}

/// A member a line, each level one blank further in.
fn pretty(value: &Go) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    escaped(&out)
}

fn write(value: &Go, depth: Option<usize>, out: &mut String) {
    match value {
        Go::Plain(Value::Array(list)) => items(('[', ']'), list.iter().map(|v| (None, Go::Plain(v.clone()))), depth, out),
        Go::Plain(Value::Object(map)) => items(('{', '}'), map.iter().map(|(k, v)| (Some(k.clone()), Go::Plain(v.clone()))), depth, out),
        Go::Plain(other) => out.push_str(&other.to_string()),
        Go::List(list) => items(('[', ']'), list.iter().map(|v| (None, v.clone())), depth, out),
        Go::Struct(fields) => items(('{', '}'), fields.iter().map(|(k, v)| (Some(k.clone()), v.clone())), depth, out),
    }
}

fn items((open, close): (char, char), list: impl Iterator<Item = (Option<String>, Go)>, depth: Option<usize>, out: &mut String) {
    let inner = depth.map(|d| d + 1);
    let line = |depth: Option<usize>, out: &mut String| {
        if let Some(d) = depth {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', d));
        }
    };
    out.push(open);
    let mut any = false;
    for (name, value) in list {
        if std::mem::replace(&mut any, true) {
            out.push(',');
        }
        line(inner, out);
        if let Some(name) = name {
            out.push_str(&Value::from(name).to_string());
            out.push_str(if depth.is_some() { ": " } else { ":" });
        }
        write(&value, inner, out);
    }
    if any {
        line(depth, out);
    }
    out.push(close);
}

/// Go escapes in JSON what HTML gives a meaning.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
