//! Match conditions of webhooks and policies: expressions that all must hold for a request to be looked at. KEP-3716.

use super::environment::{self, Given};
use cel::cost::{CALL_BUDGET, CONDITIONS_BUDGET};
use cel::{Env, Program, Type, Value as Cel};
use kinds::api::admissionregistration::v1::MatchCondition;
use serde_json::Value;

/// What is given for an evaluation.
pub struct Input<'a> {
    /// The object as JSON; null where there is none.
    pub object: &'a Value,
    pub old: &'a Value,
    /// The request, as [`super::request`] makes it (or as a review carries it).
    pub request: &'a Value,
    pub authorizer: &'a dyn cel::Authorizer,
}

#[derive(Debug)]
struct Condition {
    expression: String,
    program: Result<Program, String>,
}

/// Conditions, compiled.
#[derive(Debug)]
pub struct Conditions(Vec<Condition>);

impl Conditions {
    /// Compiles the conditions of a webhook.
    #[must_use]
    pub fn compile(list: &[MatchCondition]) -> Self {
        Self::within(list, &environment::base(false, None, None))
    }

    pub(super) fn within(list: &[MatchCondition], env: &Env) -> Self {
        let one = |c: &MatchCondition| Condition {
            expression: c.expression.clone(),
            program: super::compiled::compile(env, &c.expression, &[Type::Bool]),
        };
        Self(list.iter().map(one).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with each of them, by place.
    pub fn complaints(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().enumerate().filter_map(|(i, c)| c.program.as_ref().err().map(|e| (i, e.as_str())))
    }

    /// Whether all hold. One that does not decides, whatever becomes of the others.
    ///
    /// # Errors
    /// What could not be evaluated; the failure policy decides what that means.
    pub fn evaluate(&self, input: &Input<'_>) -> Result<bool, String> {
        if self.0.is_empty() {
            return Ok(true);
        }
        let question = environment::question(input.request);
        let given = Given {
            object: input.object,
            old: input.old,
            request: input.request,
            params: &Value::Null,
            namespace: &Value::Null,
            authorizer: input.authorizer,
            question: &question,
        };
        self.holds(&given)
    }

    pub(super) fn holds(&self, given: &Given<'_>) -> Result<bool, String> {
        let vars = given.vars();
        let mut left = CONDITIONS_BUDGET;
        let mut wrong = Vec::new();
        for c in &self.0 {
            let failed = |why: &str| format!("expression '{}' resulted in error: {why}", c.expression);
            let program = match &c.program {
                Ok(p) => p,
                Err(why) => {
                    wrong.push(failed(why));
                    continue;
                }
            };
            let outcome = program.eval(&vars, CALL_BUDGET.min(left));
            left = left.saturating_sub(outcome.cost);
            match outcome.value {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => return Ok(false),
                Err(e) if e.is_over_budget() && left == 0 => {
                    wrong.push("validation failed due to running out of cost budget, no further validation rules will be run".into());
                    break;
                }
                Err(e) => wrong.push(failed(&e.to_string())),
            }
        }
        match wrong.len() {
            0 => Ok(true),
            1 => Err(wrong.remove(0)),
            _ => Err(format!("[{}]", wrong.join(", "))),
        }
    }
}
