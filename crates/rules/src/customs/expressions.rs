//! `x-kubernetes-validations`: rules in CEL that stand in the schema of a custom resource. Taken apart when the first object
//! is judged; a schema without rules has none of this. Docs: "Validation rules"; KEP-2876, KEP-4008 (ratcheting).
//!
//! ```text
//!  schema --compile--> tree of the nodes that have rules below them --run(object, old)--> field errors
//!         --declare--> what is wrong with the rules themselves, when a definition is written
//! ```

mod declare;
mod run;

pub use declare::{has_rules, judge};
pub use run::{run, skipped};
pub(crate) use run::run_at;

use cel::{Decl, Env, Program, Type};
use serde_json::Value;
use std::sync::Arc;

/// Schemas nested deeper than this have no rules.
const DEPTH_MAX: usize = 128;

/// A rule, compiled.
#[derive(Debug)]
pub(super) struct Rule {
    rule: String,
    message: String,
    message_expression: Option<Program>,
    reason: String,
    /// Where errors are reported, below the node: names of fields.
    field_path: Vec<String>,
    program: Result<Program, String>,
    uses_old: bool,
    optional_old: bool,
}

/// A node of a schema that has rules, or below which there are some.
#[derive(Debug)]
pub struct Node {
    /// What errors show as the value.
    ty: String,
    decl: Arc<Decl>,
    rules: Vec<Rule>,
    properties: Vec<(String, Node)>,
    items: Option<Box<Node>>,
    /// Keys that tell the elements of a map list apart; none: elements cannot be followed from old to new.
    keys: Vec<String>,
    additional: Option<Box<Node>>,
}

/// Compiles the rules of a schema; none: it has none.
#[must_use]
pub fn compile(schema: &Value) -> Option<Node> {
    node(schema, true, 0)
}

/// Compiles the rules of a part of a schema.
pub(crate) fn compile_part(schema: &Value) -> Option<Node> {
    node(schema, false, 0)
}

fn node(schema: &Value, root: bool, depth: usize) -> Option<Node> {
    if depth > DEPTH_MAX || !has_rules(schema) {
        return None;
    }
    let resource = root || schema["x-kubernetes-embedded-resource"] == true;
    let decl = Arc::new(cel::structural::decl(schema, resource)?);
    let below = |s: &Value| node(s, false, depth + 1).map(Box::new);
    let map = schema["x-kubernetes-list-type"] == "map";
    let keys = schema["x-kubernetes-list-map-keys"].as_array().filter(|_| map).into_iter().flatten();
    let list = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let properties = schema["properties"].as_object().into_iter().flatten();
    Some(Node {
        ty: schema["type"].as_str().unwrap_or_default().to_owned(),
        rules: list.map(|r| rule(r, &decl)).collect(),
        decl,
        properties: properties.filter_map(|(k, s)| Some((k.clone(), node(s, false, depth + 1)?))).collect(),
        items: below(&schema["items"]),
        keys: keys.filter_map(|k| k.as_str().map(str::to_owned)).collect(),
        additional: below(&schema["additionalProperties"]),
    })
}

/// The environment of a rule.
fn environment(decl: &Arc<Decl>, optional_old: bool) -> Env {
    let env = Env::new().with_decl("self", Arc::clone(decl));
    if optional_old { env.with("oldSelf", Type::optional(decl.ty())) } else { env.with_decl("oldSelf", Arc::clone(decl)) }
}

/// Compiles one expression and checks what it comes to.
fn expression(env: &Env, source: &str, wanted: &Type, failed: &str, odd: &str) -> Result<Program, String> {
    let program = env.compile(source).map_err(|e| format!("{failed}: {e}"))?;
    if program.output() == wanted { Ok(program) } else { Err(odd.to_owned()) }
}

fn compile_rule(env: &Env, source: &str) -> Result<Program, String> {
    expression(env, source, &Type::Bool, "compilation failed", "cel expression must evaluate to a bool")
}

fn compile_message(env: &Env, source: &str) -> Result<Program, String> {
    expression(env, source, &Type::Text, "messageExpression compilation failed", "messageExpression must evaluate to a string")
}

fn rule(r: &Value, decl: &Arc<Decl>) -> Rule {
    let text = |key: &str| r[key].as_str().unwrap_or_default().trim().to_owned();
    let optional_old = r["optionalOldSelf"] == true;
    let env = environment(decl, optional_old);
    let program = compile_rule(&env, r["rule"].as_str().unwrap_or_default());
    let message = r["messageExpression"].as_str().filter(|m| !m.trim().is_empty());
    Rule {
        rule: text("rule"),
        message: text("message"),
        message_expression: message.and_then(|m| compile_message(&env, m).ok()),
        reason: text("reason"),
        field_path: field_path(&text("fieldPath")).unwrap_or_default(),
        uses_old: program.as_ref().is_ok_and(|p| p.uses("oldSelf")),
        program,
        optional_old,
    }
}

/// `.spec.a['b.c']` as its names; `None` when it is no such path.
pub(crate) fn field_path(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let end = after.find("']")?;
            names.push(after[..end].to_owned());
            rest = &after[end + 2..];
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return None;
            }
            names.push(after[..end].to_owned());
            rest = &after[end..];
        }
    }
    Some(names)
}
