//! JSON of objects that kubectl holds as typed ones (those it generates itself): `kind` first, then each type's fields as they are
//! declared, where an object of the server's has its keys in alphabetical order.

use schema::{Kind, Type};
use serde_json::{Map, Value};

/// Nesting that is followed.
const MAX_DEPTH: usize = 100;

/// The keys of a kubeconfig, which is in no table of the API, in the order of its types.
const KUBECONFIG: [&str; 34] = [
    "kind", "apiVersion", "preferences", "name", "clusters", "users", "contexts", "current-context", "cluster", "user", "context", "namespace", "server", "tls-server-name",
    "insecure-skip-tls-verify", "certificate-authority", "certificate-authority-data", "proxy-url", "disable-compression", "client-certificate", "client-certificate-data",
    "client-key", "client-key-data", "token", "tokenFile", "as", "as-uid", "as-groups", "as-user-extra", "username", "password", "auth-provider", "exec", "extensions",
];

/// A kubeconfig on lines.
pub(crate) fn kubeconfig(document: &Value) -> String {
    let mut out = String::new();
    write_by(&mut out, document, &|key| KUBECONFIG.iter().position(|k| *k == key).unwrap_or(KUBECONFIG.len()), 0);
    super::escaped(&out) + "\n"
}

fn write_by(out: &mut String, value: &Value, place: &dyn Fn(&str) -> usize, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() && indent < MAX_DEPTH => {
            let mut all: Vec<_> = map.iter().collect();
            all.sort_by_key(|(key, _)| place(key));
            out.push('{');
            for (i, (key, value)) in all.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                turn(out, Some(indent + 1));
                out.push_str(&format!("{}: ", Value::String(key.clone())));
                write_by(out, value, place, indent + 1);
            }
            turn(out, Some(indent));
            out.push('}');
        }
        Value::Array(list) if !list.is_empty() && indent < MAX_DEPTH => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                turn(out, Some(indent + 1));
                write_by(out, item, place, indent + 1);
            }
            turn(out, Some(indent));
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn of_object(object: &Value) -> Option<&'static Type> {
    let version = object["apiVersion"].as_str()?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    schema::types().by_gvk(group, version, object["kind"].as_str()?)
}

/// An object on lines, as `-o json` shows it.
pub(crate) fn pretty(object: &Value) -> String {
    let mut out = String::new();
    write(&mut out, object, of_object(object), Some(0), 0);
    super::escaped(&out) + "\n"
}

/// An object on one line.
pub(crate) fn line(object: &Value) -> String {
    let mut out = String::new();
    write(&mut out, object, of_object(object), None, 0);
    super::escaped(&out)
}

fn turn(out: &mut String, indent: Option<usize>) {
    if let Some(indent) = indent {
        out.push('\n');
        out.push_str(&"    ".repeat(indent));
    }
}

/// Where a field stands in its type; embedded types' fields stand where the type is embedded.
fn declared(ty: &'static Type, key: &str) -> Option<usize> {
    let holds = |f: &schema::Field| if f.inline() { f.ty().is_some_and(|t| declared(t, key).is_some()) } else { f.json() == key };
    ty.fields().iter().position(holds)
}

/// Keys in the order of the type, what it does not know after that.
fn ordered<'v>(map: &'v Map<String, Value>, ty: Option<&'static Type>) -> Vec<(&'v String, &'v Value)> {
    let place = |key: &str| match (ty, key) {
        (None, _) => 0,
        (Some(t), "kind") if t.type_meta() => 0,
        (Some(t), "apiVersion") if t.type_meta() => 1,
        (Some(t), key) => declared(t, key).map_or(usize::MAX, |i| i + 2),
    };
    let mut all: Vec<_> = map.iter().collect();
    all.sort_by_key(|(key, _)| place(key));
    all
}

fn write(out: &mut String, value: &Value, ty: Option<&'static Type>, indent: Option<usize>, depth: usize) {
    let inner = indent.map(|i| i + 1);
    match value {
        Value::Object(map) if !map.is_empty() && depth < MAX_DEPTH => {
            out.push('{');
            for (i, (key, value)) in ordered(map, ty).into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                turn(out, inner);
                out.push_str(&Value::String(key.clone()).to_string());
                out.push_str(if indent.is_some() { ": " } else { ":" });
                // The type of the value, or that of its elements.
                let field = ty.and_then(|t| t.field(key));
                let of_items = field.is_some_and(|f| matches!(f.kind(), Kind::Map));
                match value {
                    Value::Object(items) if of_items && !items.is_empty() => entries(out, items, field.and_then(|f| f.ty()), inner, depth + 1),
                    _ => write(out, value, field.and_then(|f| f.ty()).or_else(|| of_object(value)), inner, depth + 1),
                }
            }
            turn(out, indent);
            out.push('}');
        }
        Value::Array(list) if !list.is_empty() && depth < MAX_DEPTH => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                turn(out, inner);
                write(out, item, ty, inner, depth + 1);
            }
            turn(out, indent);
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// A map from texts to values of one type.
fn entries(out: &mut String, map: &Map<String, Value>, ty: Option<&'static Type>, indent: Option<usize>, depth: usize) {
    let inner = indent.map(|i| i + 1);
    out.push('{');
    for (i, (key, value)) in map.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        turn(out, inner);
        out.push_str(&Value::String(key.clone()).to_string());
        out.push_str(if indent.is_some() { ": " } else { ":" });
        write(out, value, ty, inner, depth + 1);
    }
    turn(out, indent);
    out.push('}');
}
