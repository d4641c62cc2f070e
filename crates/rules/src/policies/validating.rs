//! ValidatingAdmissionPolicies over one write: every matching binding's rules for each of its parameters, and what becomes of
//! the failures: refusals, warnings, annotations of the audit event.

use super::compiled::{Compiled, Programs, Validation};
use super::environment::{self, Given, Variables};
use super::matching::{Asked, Gvk};
use super::turning::{Missing, Parts, Wanted};
use super::{Authority, namespace, parameters, request};
use cache::Entry;
use cel::cost::{CALL_BUDGET, REQUEST_BUDGET};
use cel::{Value as Cel, Vars};
use kinds::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kinds::error::Cause;
use kinds::{ApiError, Kind, Object};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Where failures with the action `Audit` are told.
const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";
/// Longest message that an expression may make, and longest value of an annotation.
const MESSAGE_MAX_BYTES: usize = 5 * 1024;
const ANNOTATION_MAX_BYTES: usize = 10 * 1024;
const BUDGET_USED_UP: &str = "validation failed due to running out of cost budget, no further validation rules will be run";

/// What the policies say of a write.
#[derive(Debug, Default)]
pub struct Verdict {
    pub denied: Option<ApiError>,
    pub warnings: Vec<String>,
    pub annotations: BTreeMap<String, String>,
}

/// One rule's failure.
struct Failure {
    message: String,
    reason: String,
    place: usize,
}

/// Judges a write.
///
/// # Errors
/// What has to be turned first: then judge again.
pub fn validate(asked: &Asked<'_>, programs: &Programs, parts: &Parts<'_>) -> Result<Verdict, Box<Wanted>> {
    let mut verdict = Verdict::default();
    let table = |k: Kind| asked.ctx.snapshot.table(&k.into()).filter(|t| !t.is_empty());
    let Some(bindings) = table(Kind::ValidatingAdmissionPolicyBinding) else { return Ok(verdict) };
    let Some(policies) = table(Kind::ValidatingAdmissionPolicy).filter(|_| !asked.is_exempt()) else { return Ok(verdict) };
    let mut run = Run { asked, programs, parts, own: None, turned: Vec::new(), denials: Vec::new(), failures: Vec::new(), verdict: &mut verdict };
    for entry in policies.iter() {
        let Object::ValidatingAdmissionPolicy(policy) = entry.object() else { continue };
        for binding in bindings.iter() {
            if let Object::ValidatingAdmissionPolicyBinding(b) = binding.object()
                && b.spec.policy_name == entry.key.name
            {
                run.binding(entry, policy, b)?;
            }
        }
    }
    let (denials, failures) = (std::mem::take(&mut run.denials), std::mem::take(&mut run.failures));
    if !failures.is_empty() {
        verdict.annotations.insert(FAILURES.to_owned(), Value::Array(failures).to_string());
    }
    verdict.denied = denials.into_iter().next();
    Ok(verdict)
}

struct Run<'r> {
    asked: &'r Asked<'r>,
    programs: &'r Programs,
    parts: &'r Parts<'r>,
    /// The parts as the write has them.
    own: Option<Rc<[Value; 3]>>,
    /// The object and the one that was, in the kinds that were matched so far.
    turned: Vec<(Gvk, Rc<[Value; 2]>)>,
    denials: Vec<ApiError>,
    failures: Vec<Value>,
    verdict: &'r mut Verdict,
}

impl Run<'_> {
    /// The object and the one that was as `kind`, and the options.
    fn shown(&mut self, kind: &Gvk) -> Result<(Rc<[Value; 2]>, Rc<[Value; 3]>), Missing> {
        let own = Rc::clone(self.own.get_or_insert_with(|| Rc::new((self.parts.make)())));
        if let Some((_, known)) = self.turned.iter().find(|(k, _)| k == kind) {
            return Ok((Rc::clone(known), own));
        }
        let made = Rc::new([self.parts.turned(&own[0], kind)?, self.parts.turned(&own[1], kind)?]);
        self.turned.push((kind.clone(), Rc::clone(&made)));
        Ok((made, own))
    }

    fn binding(&mut self, entry: &Arc<Entry>, policy: &ValidatingAdmissionPolicy, b: &ValidatingAdmissionPolicyBinding) -> Result<(), Box<Wanted>> {
        let none = Default::default();
        let spec = policy.spec.as_ref().unwrap_or(&none);
        let fails = spec.failure_policy.as_deref() != Some("Ignore");
        let bound = |m| self.asked.matched(m);
        let found = match (bound(spec.match_constraints.as_ref()), bound(b.spec.match_resources.as_ref())) {
            (Ok(Some(found)), Ok(Some(_))) => found,
            (Ok(None), _) | (Ok(Some(_)), Ok(None)) => return Ok(()),
            (Err(e), _) | (_, Err(e)) => return Ok(self.misfit(fails, policy, b, &e.message)),
        };
        let params = match parameters::find(self.asked, spec.param_kind.as_ref(), b.spec.param_ref.as_ref(), self.parts) {
            Ok(params) => params,
            Err(Missing::Wanted(wanted)) => return Err(wanted),
            Err(Missing::Failed(why)) => return Ok(self.misfit(fails, policy, b, &format!("failed to configure binding: {why}"))),
        };
        let (objects, own) = match self.shown(&found.kind) {
            Ok(shown) => shown,
            Err(Missing::Wanted(wanted)) => return Err(wanted),
            Err(Missing::Failed(why)) => return Ok(self.misfit(fails, policy, b, &format!("failed to convert object version: {why}"))),
        };
        let compiled = self.programs.of(entry);
        let request = request(self.asked, &found, &own[2]);
        let namespace = namespace(self.asked);
        let authority = Authority { snapshot: self.asked.ctx.snapshot, user: self.asked.ctx.user };
        let question = environment::question(&request);
        for p in &params {
            let given = Given {
                object: &objects[0],
                old: &objects[1],
                request: &request,
                params: p,
                namespace: &namespace,
                authorizer: &authority,
                question: &question,
            };
            let (failures, notes) = evaluate(&compiled, &given, fails);
            self.note(&entry.key.name, notes);
            for f in failures {
                self.failed(policy, b, &f);
            }
        }
        Ok(())
    }

    /// Annotations of the audit event: several values of one key stand beside each other.
    fn note(&mut self, policy: &str, notes: Vec<(String, String)>) {
        for (key, value) in notes {
            let all = self.verdict.annotations.entry(format!("{policy}/{key}")).or_default();
            if !all.split(", ").any(|v| v == value) {
                *all = if all.is_empty() { value } else { format!("{all}, {value}") };
            }
        }
    }

    /// A policy that cannot be applied: its failure policy decides.
    fn misfit(&mut self, fails: bool, policy: &ValidatingAdmissionPolicy, b: &ValidatingAdmissionPolicyBinding, why: &str) {
        if fails {
            let (p, b) = (name(&policy.metadata), name(&b.metadata));
            self.deny(&format!("ValidatingAdmissionPolicy '{p}' with binding '{b}' denied request: {why}"), "");
        }
    }

    fn failed(&mut self, policy: &ValidatingAdmissionPolicy, b: &ValidatingAdmissionPolicyBinding, f: &Failure) {
        let (p, bound) = (name(&policy.metadata), name(&b.metadata));
        for action in &b.spec.validation_actions {
            match action.as_str() {
                "Deny" => self.deny(&format!("ValidatingAdmissionPolicy '{p}' with binding '{bound}' denied request: {}", f.message), &f.reason),
                "Warn" => {
                    let text = format!("Validation failed for ValidatingAdmissionPolicy '{p}' with binding '{bound}': {}", f.message);
                    self.verdict.warnings.push(text);
                }
                _ => self.failures.push(json!({
                    "message": f.message, "policy": p, "binding": bound, "expressionIndex": f.place,
                    "validationActions": b.spec.validation_actions,
                })),
            }
        }
    }

    fn deny(&mut self, message: &str, reason: &str) {
        let r = self.asked.request;
        let mut e = ApiError::forbidden(&r.resource, shown_name(self.asked), message);
        let (code, reason) = match reason {
            "Unauthorized" => (401, "Unauthorized"),
            "Forbidden" => (403, "Forbidden"),
            "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
            _ => (422, "Invalid"),
        };
        e.code = code;
        e.reason = reason.into();
        if let Some(details) = &mut e.details {
            details.causes.push(Cause { reason: String::new(), message: message.to_owned(), field: String::new() });
        }
        self.denials.push(e);
    }
}

/// The name in a refusal: of a new object, perhaps what it is to be generated from.
pub(super) fn shown_name<'a>(asked: &'a Asked<'_>) -> &'a str {
    let given = asked.request.name.as_str();
    let generated = || asked.object.and_then(|o| o.meta().generate_name.as_deref()).unwrap_or_default();
    if given.is_empty() { generated() } else { given }
}

pub(super) fn name(meta: &kinds::ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// Runs a policy's expressions for one parameter.
fn evaluate(compiled: &Compiled, given: &Given<'_>, fails: bool) -> (Vec<Failure>, Vec<(String, String)>) {
    let plain = |message: String| Failure { message, reason: String::new(), place: 0 };
    match compiled.conditions.as_ref().map_or(Ok(true), |c| c.holds(given)) {
        Ok(true) => {}
        Ok(false) => return (Vec::new(), Vec::new()),
        Err(why) if fails => return (vec![plain(why)], Vec::new()),
        Err(_) => return (Vec::new(), Vec::new()),
    }
    let variables = Variables::new(&compiled.variables, given);
    let vars = variables.vars();
    let mut left = REQUEST_BUDGET;
    let mut failures = Vec::new();
    for (place, v) in compiled.validations.iter().enumerate() {
        match judge(v, &vars, &mut left) {
            Judged::Fine => {}
            Judged::Broken(message) => failures.push(Failure { message, reason: v.reason.clone(), place }),
            Judged::Error(why) if fails => failures.push(Failure { message: why, reason: v.reason.clone(), place }),
            Judged::Error(_) => {}
        }
        if left == 0 {
            break;
        }
    }
    let mut notes = Vec::new();
    for a in &compiled.annotations {
        let value = match &a.program {
            Ok(p) => {
                let outcome = p.eval(&vars, CALL_BUDGET.min(left));
                left = left.saturating_sub(outcome.cost);
                outcome.value.map_err(|e| e.to_string())
            }
            Err(why) => Err(why.clone()),
        };
        match value {
            Ok(Cel::Text(t)) => {
                let text: String = t.trim().chars().take(ANNOTATION_MAX_BYTES).collect();
                if !text.is_empty() {
                    notes.push((a.key.clone(), text));
                }
            }
            Ok(_) => {}
            Err(why) if fails => failures.push(plain(format!("valueExpression '{}' resulted in error: {why}", a.key))),
            Err(_) => {}
        }
    }
    (failures, notes)
}

enum Judged {
    Fine,
    Broken(String),
    Error(String),
}

fn judge<'a>(v: &'a Validation, vars: &Vars<'a>, left: &mut u64) -> Judged {
    let failed = |why: &str| Judged::Error(format!("expression '{}' resulted in error: {why}", v.expression));
    let program = match &v.program {
        Ok(p) => p,
        Err(why) => return failed(why),
    };
    let outcome = program.eval(vars, CALL_BUDGET.min(*left));
    *left = left.saturating_sub(outcome.cost);
    match outcome.value {
        Ok(Cel::Bool(true)) => Judged::Fine,
        Ok(_) => Judged::Broken(message(v, vars, left)),
        Err(e) if e.is_over_budget() && *left == 0 => Judged::Error(BUDGET_USED_UP.to_owned()),
        Err(e) => failed(&e.to_string()),
    }
}

fn message<'a>(v: &'a Validation, vars: &Vars<'a>, left: &mut u64) -> String {
    let made = v.message_program.as_ref().and_then(|p| p.as_ref().ok()).and_then(|p| {
        let outcome = p.eval(vars, CALL_BUDGET.min(*left));
        *left = left.saturating_sub(outcome.cost);
        let text = outcome.value.ok()?.as_text()?.trim().to_owned();
        (!text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_MAX_BYTES).then_some(text)
    });
    made.unwrap_or_else(|| match v.message.as_str() {
        "" => format!("failed expression: {}", v.expression.trim()),
        told => told.to_owned(),
    })
}
