//! What is wrong with the rules of a definition: texts and paths, expressions that do not compile, costs over the limits.

use super::{compile_message, compile_rule, environment, field_path};
use cel::cost::{REQUEST_MAX_BYTES, RULE_LIMIT, SCHEMA_LIMIT, over_limit};
use cel::{Decl, Program};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use serde_json::{Value, json};
use std::sync::Arc;

/// Schemas nested deeper than this are not followed.
const DEPTH_MAX: usize = 128;
/// How many of the most expensive rules are named when all together are too expensive.
const NAMED_MAX: usize = 4;
/// Rules that cost less are not named: a hundredth of what a schema may cost.
const NAMED_MIN: u64 = SCHEMA_LIMIT / 100;
const REASONS: &[&str] = &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Whether there are rules at a schema or below.
#[must_use]
pub fn has_rules(schema: &Value) -> bool {
    let here = schema["x-kubernetes-validations"].as_array().is_some_and(|l| !l.is_empty());
    here || children(schema).any(|(_, s)| has_rules(s))
}

/// A way down from a schema.
enum Down<'a> {
    Property(&'a str),
    Items,
    Additional,
}

fn children(schema: &Value) -> impl Iterator<Item = (Down<'_>, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let one = |key: &str, down: Down<'static>| schema.get(key).filter(|s| s.is_object()).map(|s| (down, s));
    properties.map(|(k, s)| (Down::Property(k), s)).chain(one("items", Down::Items)).chain(one("additionalProperties", Down::Additional))
}

/// Judges the rules of a schema that is otherwise in order.
pub fn judge(schema: &Value, path: &Path, e: &mut FieldErrors) {
    let mut judge = Judge { errors: e, total: 0, dearest: Vec::new() };
    judge.node(schema, path, Place { times: Some(1), broken_at: None, root: true }, 0);
    judge.sum(path);
}

/// Where a schema stands.
#[derive(Clone)]
struct Place {
    /// How many values of it an object can have; none: nobody knows.
    times: Option<u64>,
    /// From where on values cannot be followed from old to new.
    broken_at: Option<Path>,
    root: bool,
}

struct Judge<'e> {
    errors: &'e mut FieldErrors,
    total: u64,
    dearest: Vec<(u64, Path)>,
}

impl Judge<'_> {
    fn node(&mut self, schema: &Value, path: &Path, place: Place, depth: usize) {
        if depth > DEPTH_MAX || !has_rules(schema) {
            return;
        }
        let resource = place.root || schema["x-kubernetes-embedded-resource"] == true;
        let list = schema["x-kubernetes-validations"].as_array().map(Vec::as_slice).unwrap_or_default();
        let decl = if list.is_empty() { None } else { cel::structural::decl(schema, resource).map(Arc::new) };
        for (i, rule) in list.iter().enumerate() {
            let at = path.child("x-kubernetes-validations").index(i);
            let before = self.errors.0.len();
            texts(schema, rule, &at, self.errors);
            if let Some(decl) = decl.as_ref().filter(|_| self.errors.0.len() == before) {
                self.rule(rule, decl, &place, &at);
            }
        }
        for (down, below) in children(schema) {
            let inner = inside(schema, &down, &place, path);
            let at = match down {
                Down::Property(name) => path.child("properties").key(name),
                Down::Items => path.child("items"),
                Down::Additional => path.child("additionalProperties"),
            };
            self.node(below, &at, inner, depth + 1);
        }
    }

    fn rule(&mut self, rule: &Value, decl: &Arc<Decl>, place: &Place, at: &Path) {
        let text = |key: &str| rule[key].as_str().unwrap_or_default();
        let env = environment(decl, rule["optionalOldSelf"] == true);
        match compile_rule(&env, text("rule")) {
            Err(why) => self.errors.invalid(&at.child("rule"), shown(rule), why),
            Ok(program) => {
                self.charge(&program, decl, place, &at.child("rule"), "estimated rule cost");
                old_self(rule, &program, place, at, self.errors);
            }
        }
        if text("messageExpression").trim().is_empty() {
            return;
        }
        match compile_message(&env, text("messageExpression")) {
            Err(why) => self.errors.invalid(&at.child("messageExpression"), shown(rule), why),
            Ok(program) => self.charge(&program, decl, place, &at.child("messageExpression"), "estimated messageExpression cost"),
        }
    }

    fn charge(&mut self, program: &Program, decl: &Decl, place: &Place, at: &Path, what: &str) {
        let times = place.times.unwrap_or(REQUEST_MAX_BYTES / (decl.min + 1));
        let cost = program.cost().max.saturating_mul(times);
        if cost > RULE_LIMIT {
            self.errors.forbidden(at, over_limit(what, cost, RULE_LIMIT));
        }
        self.total = self.total.saturating_add(cost);
        if cost < NAMED_MIN {
            return;
        }
        self.dearest.push((cost, at.clone()));
        self.dearest.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        self.dearest.truncate(NAMED_MAX);
    }

    fn sum(&mut self, path: &Path) {
        if self.total <= SCHEMA_LIMIT {
            return;
        }
        for (_, at) in &self.dearest {
            let why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            self.errors.forbidden(at, why);
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        self.errors.forbidden(path, over_limit(what, self.total, SCHEMA_LIMIT));
    }
}

fn inside(schema: &Value, down: &Down<'_>, place: &Place, path: &Path) -> Place {
    let times = |key: &str| place.times.and_then(|t| Some(t.saturating_mul(schema[key].as_u64()?)));
    let (times, breaks) = match down {
        Down::Property(_) => (place.times, false),
        Down::Items => (times("maxItems"), schema["x-kubernetes-list-type"] != "map"),
        Down::Additional => (times("maxProperties"), false),
    };
    let broken_at = place.broken_at.clone().or_else(|| breaks.then(|| path.clone()));
    Place { times, broken_at, root: false }
}

fn old_self(rule: &Value, program: &Program, place: &Place, at: &Path, e: &mut FieldErrors) {
    if program.uses("oldSelf") {
        if let Some(from) = &place.broken_at {
            let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {from}");
            e.invalid(&at.child("rule"), rule["rule"].as_str().unwrap_or_default(), why);
        }
    } else if let Some(set) = rule["optionalOldSelf"].as_bool() {
        e.invalid(&at.child("optionalOldSelf"), Bare(set.to_string()), "may not be set if oldSelf is not used in rule");
    }
}

/// A rule as errors show it: the fields of the internal type, as Go writes JSON.
fn shown(rule: &Value) -> Bare {
    let text = |key: &str| escaped(&rule[key].as_str().unwrap_or_default().shown_json());
    let or_null = |key: &str| if rule[key].is_null() { "null".to_owned() } else { escaped(&rule[key].to_string()) };
    Bare(format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"), text("message"), text("messageExpression"), or_null("reason"), text("fieldPath"), or_null("optionalOldSelf"),
    ))
}

/// A text as JSON.
trait ShownJson {
    fn shown_json(&self) -> String;
}
impl ShownJson for str {
    fn shown_json(&self) -> String {
        json!(self).to_string()
    }
}

/// Go's JSON keeps nothing that HTML would read as markup.
fn escaped(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn texts(schema: &Value, rule: &Value, at: &Path, e: &mut FieldErrors) {
    let given = |key: &str| rule[key].as_str().unwrap_or_default();
    let (source, message) = (given("rule"), given("message"));
    let broken = |t: &str| t.contains(['\n', '\r']);
    if source.trim().is_empty() {
        e.required(&at.child("rule"), "rule is not specified");
    } else if !message.is_empty() && message.trim().is_empty() {
        e.invalid(&at.child("message"), message, "must be non-empty if specified");
    } else if broken(message.trim()) {
        e.invalid(&at.child("message"), message, "must not contain line breaks");
    } else if broken(source.trim()) && message.trim().is_empty() {
        e.required(&at.child("message"), "message must be specified if rule contains line breaks");
    }
    let expression = given("messageExpression");
    if !expression.is_empty() && expression.trim().is_empty() {
        e.required(&at.child("messageExpression"), "messageExpression must be non-empty if specified");
    }
    if let Some(reason) = rule["reason"].as_str().filter(|r| !REASONS.contains(r)) {
        e.not_supported(&at.child("reason"), reason, REASONS);
    }
    let place = given("fieldPath");
    if place.is_empty() {
        return;
    }
    if place.trim().is_empty() {
        e.invalid(&at.child("fieldPath"), place, "must be non-empty if specified");
    }
    if broken(place) {
        e.invalid(&at.child("fieldPath"), place, "must not contain line breaks");
    }
    if !leads_somewhere(schema, place) {
        e.invalid(&at.child("fieldPath"), place, "must be a valid path");
    }
}

fn leads_somewhere(schema: &Value, place: &str) -> bool {
    let Some(names) = field_path(place) else { return false };
    let mut at = schema;
    for name in &names {
        let property = at.get("properties").and_then(|p| p.get(name));
        match property.or_else(|| at.get("additionalProperties").filter(|a| a.is_object())) {
            Some(s) => at = s,
            None => return false,
        }
    }
    true
}
