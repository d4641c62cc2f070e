//! Running the rules of a schema over an object, with a budget for all of them.

use super::{Node, Rule};
use cel::cost::{CALL_BUDGET, REQUEST_BUDGET};
use cel::{EvalError, Value as Cel, Vars};
use kinds::field::{FieldError, Wrong};
use kinds::{FieldErrors, Path};
use serde_json::Value;

/// Longest message that an expression may make.
const MESSAGE_MAX_BYTES: usize = 5 * 1024;

/// Judges an object by the rules of its schema. `old` is what it was, for rules about transitions; an object that was wrong
/// before and did not change there is let pass.
pub fn run(root: &Node, object: &Value, old: Option<&Value>, e: &mut FieldErrors) {
    run_at(root, (object, old), &Path::default(), e);
}

/// The same for a value that stands at a path.
pub(crate) fn run_at(root: &Node, (value, old): (&Value, Option<&Value>), path: &Path, e: &mut FieldErrors) {
    let mut left = Budget(REQUEST_BUDGET);
    let mut run = Run { errors: e, left: &mut left, over: false };
    run.node(root, value, old, path);
}

/// What stands for the rules when an object is too broken to be judged by them.
pub fn skipped(e: &mut FieldErrors) {
    let blocking = [Wrong::Required, Wrong::TooLong, Wrong::TooMany, Wrong::TypeInvalid];
    if e.0.iter().any(|x| blocking.contains(&x.wrong)) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        e.invalid(&Path::default(), kinds::field::Bare("null".to_owned()), why);
    }
}

struct Budget(u64);

struct Run<'e> {
    errors: &'e mut FieldErrors,
    left: &'e mut Budget,
    over: bool,
}

impl Run<'_> {
    fn node(&mut self, node: &Node, value: &Value, old: Option<&Value>, path: &Path) {
        if value.is_null() || self.over {
            return;
        }
        for rule in &node.rules {
            self.rule(node, rule, (value, old), path);
            if self.over {
                return;
            }
        }
        match value {
            Value::Object(map) => {
                for (name, below) in &node.properties {
                    if let Some(v) = map.get(name) {
                        self.node(below, v, old.and_then(|o| o.get(name)), &path.child(name));
                    }
                }
                if let Some(below) = &node.additional {
                    for (key, v) in map {
                        self.node(below, v, old.and_then(|o| o.get(key)), &path.key(key));
                    }
                }
            }
            Value::Array(list) => {
                let Some(below) = &node.items else { return };
                for (i, v) in list.iter().enumerate() {
                    self.node(below, v, old.and_then(|o| counterpart(&node.keys, o, v)), &path.index(i));
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, node: &Node, rule: &Rule, (value, old): (&Value, Option<&Value>), path: &Path) {
        let old = old.filter(|o| !o.is_null());
        if rule.uses_old && old.is_none() && !rule.optional_old {
            return;
        }
        let ratchets = !rule.uses_old && old == Some(value);
        let mut found = FieldErrors::default();
        match &rule.program {
            Err(why) => found.invalid(path, node.ty.as_str(), format!("rule compile error: {why}")),
            Ok(_) => self.judge(node, rule, (value, old), path, &mut found),
        }
        if !ratchets || self.over {
            self.errors.extend(found);
        }
    }

    fn judge<'a>(&mut self, node: &'a Node, rule: &'a Rule, (value, old): (&'a Value, Option<&'a Value>), path: &Path, e: &mut FieldErrors) {
        let Ok(program) = &rule.program else { return };
        let mut vars = Vars::new();
        match Cel::seen(value, Some(&*node.decl)) {
            Ok(v) => vars = vars.with("self", v),
            Err(why) => return e.invalid(path, node.ty.as_str(), why.to_string()),
        }
        let before = old.and_then(|o| Cel::seen(o, Some(&*node.decl)).ok());
        if rule.optional_old {
            vars = vars.with("oldSelf", Cel::Optional(before.map(std::sync::Arc::new)));
        } else if let Some(b) = before {
            vars = vars.with("oldSelf", b);
        }
        let outcome = program.eval(&vars, CALL_BUDGET.min(self.left.0));
        self.spend(outcome.cost);
        let named = if rule.message.is_empty() { &rule.rule } else { &rule.message };
        match outcome.value {
            Ok(Cel::Bool(true)) => {}
            Ok(_) => {
                let message = self.message(rule, &vars);
                let message = message.unwrap_or_else(|| match rule.message.as_str() {
                    "" => format!("failed rule: {named}"),
                    told => told.to_owned(),
                });
                e.0.push(refusal(rule, value, path, message));
            }
            Err(EvalError::OverBudget) => {
                self.over = true;
                let why = if self.left.0 == 0 {
                    "validation failed due to running out of cost budget, no further validation rules will be run".to_owned()
                } else {
                    format!("'{}': no further validation rules will be run due to call cost exceeds limit for rule: {named}", EvalError::OverBudget)
                };
                e.invalid(path, node.ty.as_str(), why);
            }
            Err(err) => {
                let text = err.to_string();
                let why = if text.starts_with("no such overload") {
                    format!("'{text}': call arguments did not match a supported operator, function or macro signature for rule: {named}")
                } else {
                    format!("{text} evaluating rule: {named}")
                };
                e.invalid(path, node.ty.as_str(), why);
            }
        }
    }

    fn spend(&mut self, cost: u64) {
        self.left.0 = self.left.0.saturating_sub(cost);
    }

    /// The message that the rule's expression makes; none when it makes no proper one.
    fn message<'a>(&mut self, rule: &'a Rule, vars: &Vars<'a>) -> Option<String> {
        let program = rule.message_expression.as_ref()?;
        let budget = CALL_BUDGET.min(self.left.0);
        let outcome = program.eval(vars, budget);
        self.spend(outcome.cost);
        let text = outcome.value.ok()?.as_text()?.trim().to_owned();
        (!text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_MAX_BYTES).then_some(text)
    }
}

/// The error that a broken rule asks for. Texts, numbers and booleans are shown, larger values are not.
fn refusal(rule: &Rule, value: &Value, path: &Path, message: String) -> FieldError {
    let path = rule.field_path.iter().fold(path.clone(), |p, name| p.child(name));
    let simple = || match value {
        Value::Object(_) | Value::Array(_) | Value::Null => String::new(),
        other => crate::customs::validate::show(other),
    };
    let (wrong, value) = match rule.reason.as_str() {
        "FieldValueForbidden" => (Wrong::Forbidden, String::new()),
        "FieldValueRequired" => (Wrong::Required, String::new()),
        "FieldValueDuplicate" => (Wrong::Duplicate, simple()),
        _ => (Wrong::Invalid, simple()),
    };
    FieldError { wrong, path, value, detail: message, told: None }
}

/// The element of the old list that an element of a map list was.
fn counterpart<'a>(keys: &[String], old: &'a Value, v: &Value) -> Option<&'a Value> {
    if keys.is_empty() {
        return None;
    }
    old.as_array()?.iter().find(|o| keys.iter().all(|k| o.get(k) == v.get(k)))
}
