//! Judging an object by its schema, in Kubernetes' words. Docs: "Validation", "Validation ratcheting" (KEP-4008): what was
//! wrong before and did not change is no error of an update.

use super::format;
use super::schema::{Additional, Bound, ListType, Schema};
use super::Version;
use kinds::field::{Bare, FieldError, Shown, Wrong};
use kinds::{FieldErrors, Path};
use serde_json::Value;
use std::collections::BTreeSet;

/// Judges a new object's tree.
pub fn validate(version: &Version, tree: &Value, e: &mut FieldErrors) {
    e.extend(node(&version.schema, tree, None, ""));
    e.extend(embedded(&version.schema, tree, &Path::default()));
    lists(&version.schema, tree, &Path::default(), e);
    scale(version, tree, e);
    expressions(version, tree, None, e);
}

/// Judges a changed object's tree.
pub fn validate_update(version: &Version, tree: &Value, old: &Value, e: &mut FieldErrors) {
    e.extend(node(&version.schema, tree, Some(old), ""));
    e.extend(embedded(&version.schema, tree, &Path::default()));
    let mut before = FieldErrors::default();
    lists(&version.schema, old, &Path::default(), &mut before);
    if before.is_empty() {
        lists(&version.schema, tree, &Path::default(), e);
    }
    scale(version, tree, e);
    expressions(version, tree, Some(old), e);
}

/// Judges a value by a part of a schema, where it stands at a path.
pub(crate) fn validate_part(schema: &Schema, value: &Value, path: &str) -> FieldErrors {
    node(schema, value, None, path)
}

/// The rules in CEL, for objects that are otherwise in order.
fn expressions(version: &Version, tree: &Value, old: Option<&Value>, e: &mut FieldErrors) {
    let Some(rules) = version.rules() else { return };
    let before = e.0.len();
    super::expressions::skipped(e);
    if e.0.len() == before {
        super::expressions::run(rules, tree, old, e);
    }
}

pub(super) fn show(v: &Value) -> String {
    match v {
        Value::String(s) => s.shown(),
        Value::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// A float as Go's `%v` prints it.
fn number(n: f64) -> String {
    if n == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{n:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..21).contains(&exponent) && n.fract() == 0.0 && exponent < 6 || (-4..6).contains(&exponent) {
        return n.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Errors of one place, with the path that Kubernetes' messages repeat.
struct At<'a> {
    path: &'a str,
    errors: FieldErrors,
}

impl At<'_> {
    fn add(&mut self, wrong: Wrong, value: String, detail: String) {
        let path = if self.path.is_empty() { Path::default() } else { Path::new(self.path) };
        self.errors.0.push(FieldError { wrong, path, value, detail, told: None });
    }
    fn invalid(&mut self, value: String, what: &str) {
        let detail = format!("{} in body {what}", self.path);
        self.add(Wrong::Invalid, value, detail);
    }
    fn wrong_type(&mut self, wanted: &str, found: &str) {
        let detail = format!("{} in body must be of type {wanted}: {found:?}", self.path);
        self.add(Wrong::TypeInvalid, found.shown(), detail);
    }
    /// Errors of combined schemas belong to no field.
    fn combined(&mut self, what: &str) {
        let detail = format!("{:?} {what}", self.path);
        self.errors.0.push(FieldError { wrong: Wrong::Invalid, path: Path::default(), value: "\"\"".into(), detail, told: None });
    }
}

/// What JSON calls a value, and the format that goes with it.
fn kind_of(v: &Value) -> (&'static str, &'static str) {
    match v {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(n) if n.is_f64() => ("number", "double"),
        Value::Number(_) => ("integer", "int64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

fn node(s: &Schema, value: &Value, old: Option<&Value>, path: &str) -> FieldErrors {
    let mut at = At { path, errors: FieldErrors::default() };
    typed(s, value, &mut at);
    if value.is_null() {
        allowed(s, value, &mut at);
    } else {
        combined(s, value, old, &mut at);
        match value {
            Value::String(text) => string(s, text, &mut at),
            Value::Number(n) => numeric(s, n.as_f64().unwrap_or_default(), value, &mut at),
            Value::Array(list) => array(s, list, old, &mut at),
            _ => {}
        }
        allowed(s, value, &mut at);
        if let Value::Object(map) = value {
            object(s, map, old, &mut at);
        }
    }
    // What was wrong already and stayed as it was is let pass.
    if !at.errors.is_empty() && old == Some(value) { FieldErrors::default() } else { at.errors }
}

fn typed(s: &Schema, value: &Value, at: &mut At) {
    if s.types.is_empty() {
        return;
    }
    let (found, format) = kind_of(value);
    let wanted = s.types.join(",");
    if value.is_null() {
        if !s.nullable {
            at.wrong_type(&wanted, "null");
        }
        return;
    }
    let has = |t: &str| s.types.contains(&t);
    let whole = value.as_f64().is_some_and(|n| n.fract() == 0.0) && has("integer");
    let fits = has(found) || (found == "number" && whole) || (found == "integer" && has("number"));
    let textual = value.is_string() || value.is_array();
    if !fits && !s.format.is_empty() {
        if !textual {
            at.wrong_type(&s.format, format);
            return;
        }
        if !has("number") && !has("integer") {
            return;
        }
    }
    if !fits {
        at.wrong_type(&wanted, found);
    }
}

fn combined(s: &Schema, value: &Value, old: Option<&Value>, at: &mut At) {
    let judge = |x: &Schema| node(x, value, old, at.path);
    let (any, one, all): (Vec<_>, Vec<_>, Vec<_>) =
        (s.any_of.iter().map(judge).collect(), s.one_of.iter().map(judge).collect(), s.all_of.iter().map(judge).collect());
    let refused = s.not.as_ref().is_some_and(|x| judge(x).is_empty());
    if !any.is_empty() && !any.iter().any(FieldErrors::is_empty) {
        at.combined("must validate at least one schema (anyOf)");
        at.errors.extend(any.into_iter().next().unwrap_or_default());
    }
    let valid = one.iter().filter(|r| r.is_empty()).count();
    if !one.is_empty() && valid == 0 {
        at.combined("must validate one and only one schema (oneOf). Found none valid");
        at.errors.extend(one.into_iter().next().unwrap_or_default());
    } else if valid > 1 {
        at.combined(&format!("must validate one and only one schema (oneOf). Found {valid} valid alternatives"));
    }
    let (valid, total) = (all.iter().filter(|r| r.is_empty()).count(), all.len());
    all.into_iter().for_each(|r| at.errors.extend(r));
    if valid < total {
        at.combined(&format!("must validate all the schemas (allOf){}", if valid == 0 { ". None validated" } else { "" }));
    }
    if refused {
        at.combined("must not validate the schema (not)");
    }
}

fn string(s: &Schema, text: &str, at: &mut At) {
    let length = text.chars().count() as u64;
    if let Some(max) = s.length.1.filter(|max| length > *max) {
        at.add(Wrong::TooLong, String::new(), format!("may not be more than {max} bytes"));
    }
    if let Some(min) = s.length.0.filter(|min| length < *min) {
        at.invalid(text.shown(), &format!("should be at least {min} chars long"));
    }
    if let Some((source, pattern)) = &s.pattern
        && !pattern.is_match(text)
    {
        at.invalid(text.shown(), &format!("should match '{source}'"));
    }
    if !s.format.is_empty() && !format::fits(&s.format, text) {
        let detail = format!("{} in body must be of type {}: {text:?}", at.path, s.format);
        at.add(Wrong::TypeInvalid, text.shown(), detail);
    }
}

fn numeric(s: &Schema, n: f64, value: &Value, at: &mut At) {
    if let Some(m) = s.multiple_of.filter(|m| (n / m).fract() != 0.0) {
        at.invalid(show(value), &format!("should be a multiple of {}", number(m)));
    }
    let outside = |b: &&Bound, over: bool| if over { n > b.at || (b.exclusive && n >= b.at) } else { n < b.at || (b.exclusive && n <= b.at) };
    if let Some(b) = s.maximum.as_ref().filter(|b| outside(b, true)) {
        let or = if b.exclusive { "" } else { "or equal to " };
        at.invalid(show(value), &format!("should be less than {or}{}", number(b.at)));
    }
    if let Some(b) = s.minimum.as_ref().filter(|b| outside(b, false)) {
        let or = if b.exclusive { "" } else { "or equal to " };
        at.invalid(show(value), &format!("should be greater than {or}{}", number(b.at)));
    }
}

fn array(s: &Schema, list: &[Value], old: Option<&Value>, at: &mut At) {
    if let Some(items) = &s.items {
        for (i, v) in list.iter().enumerate() {
            let before = old.and_then(|o| counterpart(&s.list_type, o, v));
            at.errors.extend(node(items, v, before, &format!("{}[{i}]", at.path)));
        }
    }
    let n = list.len() as u64;
    if let Some(min) = s.count.0.filter(|min| n < *min) {
        at.invalid(n.shown(), &format!("should have at least {min} items"));
    }
    if let Some(max) = s.count.1.filter(|max| n > *max) {
        let noun = if max == 1 { "item" } else { "items" };
        at.add(Wrong::TooMany, n.shown(), format!("must have at most {max} {noun}"));
    }
}

/// The element of the old list that an element of a map list was.
fn counterpart<'a>(kind: &ListType, old: &'a Value, v: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = kind else { return None };
    old.as_array()?.iter().find(|o| keys.iter().all(|k| o.get(k) == v.get(k)))
}

fn allowed(s: &Schema, value: &Value, at: &mut At) {
    let Some(list) = &s.allowed else { return };
    if list.iter().any(|a| a == value || (a.is_number() && value.is_number() && a.as_f64() == value.as_f64())) {
        return;
    }
    let text = |v: &Value| format!("{:?}", v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let texts: Vec<String> = list.iter().map(text).collect();
    at.add(Wrong::NotSupported, show(value), format!("supported values: {}", texts.join(", ")));
}

fn object(s: &Schema, map: &serde_json::Map<String, Value>, old: Option<&Value>, at: &mut At) {
    let n = map.len() as u64;
    if let Some(min) = s.size.0.filter(|min| n < *min) {
        at.invalid(n.shown(), &format!("should have at least {min} properties"));
    }
    if let Some(max) = s.size.1.filter(|max| n > *max) {
        let noun = if max == 1 { "item" } else { "items" };
        at.add(Wrong::TooMany, n.shown(), format!("must have at most {max} {noun}"));
    }
    let below = |key: &str| if at.path.is_empty() { key.to_owned() } else { format!("{}.{key}", at.path) };
    let mut inner = FieldErrors::default();
    for key in s.required.iter().filter(|k| !map.contains_key(*k)) {
        inner.required(&Path::new(below(key)), "");
    }
    for (key, v) in map {
        let schema = match (s.properties.get(key), &s.additional) {
            (Some(p), _) => p,
            (None, Additional::Of(a)) => a,
            _ => continue,
        };
        inner.extend(node(schema, v, old.and_then(|o| o.get(key)), &below(key)));
    }
    at.errors.extend(inner);
}

/// Embedded objects must say what they are.
fn embedded(s: &Schema, value: &Value, path: &Path) -> FieldErrors {
    let mut e = FieldErrors::default();
    if s.embedded && value.is_object() {
        for key in ["apiVersion", "kind"] {
            match value.get(key) {
                None => e.required(&path.child(key), "must not be empty"),
                Some(Value::String(text)) if text.is_empty() => e.invalid(&path.child(key), "", "must not be empty"),
                Some(Value::String(_)) => {}
                Some(other) => e.invalid(&path.child(key), Bare(show(other)), "must be a string"),
            }
        }
    }
    below(s, value, path, |s, v, p| e.extend(embedded(s, v, p)));
    e
}

fn below(s: &Schema, value: &Value, path: &Path, mut each: impl FnMut(&Schema, &Value, &Path)) {
    match value {
        Value::Object(map) => {
            for (key, v) in map {
                match (s.properties.get(key), &s.additional) {
                    (Some(p), _) => each(p, v, &path.child(key)),
                    (None, Additional::Of(a)) => each(a, v, &path.key(key)),
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &s.items else { return };
            list.iter().enumerate().for_each(|(i, v)| each(items, v, &path.index(i)));
        }
        _ => {}
    }
}

/// Elements of sets, and the keys of map lists, stand once.
fn lists(s: &Schema, value: &Value, path: &Path, e: &mut FieldErrors) {
    if let Value::Array(list) = value {
        let mut seen = BTreeSet::new();
        for (i, v) in list.iter().enumerate() {
            let identity = match &s.list_type {
                ListType::Atomic => break,
                ListType::Set => v.clone(),
                ListType::Map(keys) => {
                    keys.iter().filter_map(|k| Some((k.clone(), v.get(k)?.clone()))).collect::<serde_json::Map<_, _>>().into()
                }
            };
            if !seen.insert(identity.to_string()) {
                e.duplicate(&path.index(i), Bare(show(&identity)));
            }
        }
    }
    below(s, value, path, |s, v, p| lists(s, v, p, e));
}

/// Replicas are counts.
fn scale(version: &Version, tree: &Value, e: &mut FieldErrors) {
    let Some(paths) = &version.scale else { return };
    for path in [&paths.spec_replicas, &paths.status_replicas] {
        let found = path.trim_start_matches('.').split('.').try_fold(tree, |v, key| v.get(key));
        let Some(value) = found.filter(|v| !v.is_null()) else { continue };
        match value.as_i64() {
            Some(n) if n < 0 => e.invalid(&Path::new(path.as_str()), n, "should be a non-negative integer"),
            Some(n) if n > i64::from(i32::MAX) => {
                e.invalid(&Path::new(path.as_str()), n, format!("should be less than or equal to {}", i32::MAX));
            }
            _ => {}
        }
    }
}
