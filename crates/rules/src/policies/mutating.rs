//! MutatingAdmissionPolicies over one write: each matching binding's mutations, one after the other, and a second time those
//! that ask for it when somebody changed the object after them. The patches themselves are applied by whom `apply` stands for.

use super::compiled::{Compiled, Mutation, PatchKind, Programs};
use super::environment::{self, Given, Variables};
use super::matching::{Asked, Gvk};
use super::turning::{Missing, Parts, Wanted};
use super::validating::{name, shown_name};
use super::{Authority, namespace, parameters, request};
use cache::Entry;
use cel::cost::{CALL_BUDGET, REQUEST_BUDGET};
use cel::{Outcome, Struct, Value as Cel};
use kinds::api::admissionregistration::v1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
use kinds::{ApiError, Kind, Object};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A change that a mutation asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Fields to merge in, as server-side apply would.
    Apply(Value),
    /// Operations of a JSON patch.
    Json(Value),
}

/// Carries out a change of an object of a kind.
pub type Apply<'f> = dyn Fn(&Value, &Gvk, &Change) -> Result<Value, String> + 'f;

/// Why the policies did not come to a result.
#[derive(Debug)]
pub enum Unchanged {
    /// This has to be turned first: then run again from the beginning.
    Wanted(Box<Wanted>),
    /// A policy that cannot be carried out and does not say to ignore it.
    Refused(ApiError),
}

/// Lets the policies change a write; what comes back is the object in its own kind, if it was changed. In a second round
/// (`again`) only those run that may be reinvoked.
///
/// # Errors
/// As [`Unchanged`] says.
pub fn mutate(
    asked: &Asked<'_>,
    programs: &Programs,
    parts: &Parts<'_>,
    (apply, again): (&Apply<'_>, bool),
) -> Result<Option<Value>, Unchanged> {
    let table = |k: Kind| asked.ctx.snapshot.table(&k.into()).filter(|t| !t.is_empty());
    let Some(bindings) = table(Kind::MutatingAdmissionPolicyBinding) else { return Ok(None) };
    let Some(policies) = table(Kind::MutatingAdmissionPolicy).filter(|_| !asked.is_exempt()) else { return Ok(None) };
    let mut run = Run { asked, programs, parts, now: None, apply, changed: false };
    let mut pairs = Vec::new();
    for entry in policies.iter() {
        let Object::MutatingAdmissionPolicy(policy) = entry.object() else { continue };
        for b in bindings.iter() {
            if let Object::MutatingAdmissionPolicyBinding(b) = b.object()
                && b.spec.as_ref().and_then(|s| s.policy_name.as_deref()) == Some(&*entry.key.name)
            {
                pairs.push((entry, policy, b));
            }
        }
    }
    let again_wanted = |p: &MutatingAdmissionPolicy| p.spec.as_ref().and_then(|s| s.reinvocation_policy.as_deref()) == Some("IfNeeded");
    let mut ran = BTreeSet::new();
    let mut due = BTreeSet::new();
    for (i, (entry, policy, b)) in pairs.iter().enumerate() {
        if again && !again_wanted(policy) {
            continue;
        }
        if run.binding(entry, policy, b)? {
            due.extend(ran.iter().copied());
        }
        if again_wanted(policy) {
            ran.insert(i);
        }
    }
    if !again {
        for i in due {
            let (entry, policy, b) = pairs[i];
            run.binding(entry, policy, b)?;
        }
    }
    let changed = run.changed;
    Ok(run.now.filter(|_| changed).map(|[object, ..]| object))
}

struct Run<'r, 'f> {
    asked: &'r Asked<'r>,
    programs: &'r Programs,
    parts: &'r Parts<'r>,
    /// The object in its own kind as the policies have left it, the one that was, and the options.
    now: Option<[Value; 3]>,
    apply: &'r Apply<'f>,
    changed: bool,
}

impl Run<'_, '_> {
    /// Runs one binding's mutations; `true` when they changed the object.
    fn binding(&mut self, entry: &Arc<Entry>, policy: &MutatingAdmissionPolicy, b: &MutatingAdmissionPolicyBinding) -> Result<bool, Unchanged> {
        match self.run(entry, policy, b) {
            Ok(changed) => {
                self.changed |= changed;
                Ok(changed)
            }
            Err(Missing::Wanted(wanted)) => Err(Unchanged::Wanted(wanted)),
            Err(_) if policy.spec.as_ref().and_then(|s| s.failure_policy.as_deref()) == Some("Ignore") => Ok(false),
            Err(Missing::Failed(why)) => {
                let (p, bound) = (name(&policy.metadata), name(&b.metadata));
                let text = format!("policy '{p}' with binding '{bound}' denied request: {why}");
                Err(Unchanged::Refused(ApiError::forbidden(&self.asked.request.resource, shown_name(self.asked), text)))
            }
        }
    }

    fn run(&mut self, entry: &Arc<Entry>, policy: &MutatingAdmissionPolicy, b: &MutatingAdmissionPolicyBinding) -> Result<bool, Missing> {
        let (none, unbound) = (Default::default(), Default::default());
        let spec = policy.spec.as_ref().unwrap_or(&none);
        let bound = b.spec.as_ref().unwrap_or(&unbound);
        let matched = |m| self.asked.matched(m).map_err(|e| Missing::Failed(e.message));
        let Some(found) = matched(spec.match_constraints.as_ref())? else { return Ok(false) };
        if matched(bound.match_resources.as_ref())?.is_none() {
            return Ok(false);
        }
        let params = parameters::find(self.asked, spec.param_kind.as_ref(), bound.param_ref.as_ref(), self.parts);
        let params = params.map_err(|e| match e {
            Missing::Failed(why) => Missing::Failed(format!("failed to configure binding: {why}")),
            wanted @ Missing::Wanted(_) => wanted,
        })?;
        let compiled = self.programs.of(entry);
        let [own, was, options] = self.now.get_or_insert_with(self.parts.make);
        let unconverted = |e| match e {
            Missing::Failed(why) => Missing::Failed(format!("failed to convert object version: {why}")),
            wanted @ Missing::Wanted(_) => wanted,
        };
        let before = self.parts.turned(own, &found.kind).map_err(unconverted)?;
        let old = self.parts.turned(was, &found.kind).map_err(unconverted)?;
        let request = request(self.asked, &found, options);
        let mut object = before.clone();
        for p in &params {
            self.mutations(&compiled, (&mut object, &found.kind), &old, (&request, p)).map_err(Missing::Failed)?;
        }
        let changed = object != before;
        if let Some([own, ..]) = self.now.as_mut().filter(|_| changed) {
            *own = self.parts.turned(&object, &Gvk::of(own)).map_err(unconverted)?;
        }
        Ok(changed)
    }

    fn mutations(&self, compiled: &Compiled, (object, kind): (&mut Value, &Gvk), old: &Value, (request, params): (&Value, &Value)) -> Result<(), String> {
        let namespace = namespace(self.asked);
        let authority = Authority { snapshot: self.asked.ctx.snapshot, user: self.asked.ctx.user };
        let question = environment::question(request);
        let mut left = REQUEST_BUDGET;
        for (i, m) in compiled.mutations.iter().enumerate() {
            let given = Given { object, old, request, params, namespace: &namespace, authorizer: &authority, question: &question };
            if i == 0 && !compiled.conditions.as_ref().map_or(Ok(true), |c| c.holds(&given))? {
                return Ok(());
            }
            let change = change(compiled, m, &given, &mut left)?;
            let next = (self.apply)(object, kind, &change).map_err(|why| failed(m, &why))?;
            *object = next;
        }
        Ok(())
    }
}

fn failed(m: &Mutation, why: &str) -> String {
    format!("expression '{}' resulted in error: {why}", m.expression)
}

pub(super) fn change(compiled: &Compiled, m: &Mutation, given: &Given<'_>, left: &mut u64) -> Result<Change, String> {
    let program = m.program.as_ref().map_err(|why| failed(m, why))?;
    let variables = Variables::new(&compiled.variables, given);
    let Outcome { value, cost } = program.eval(&variables.vars(), CALL_BUDGET.min(*left));
    *left = left.saturating_sub(cost);
    let value = value.map_err(|e| failed(m, &e.to_string()))?;
    let change = match m.kind {
        PatchKind::Apply => configuration(&value).map(Change::Apply),
        PatchKind::Json => operations(&value).map(Change::Json),
    };
    change.map_err(|why| failed(m, &why))
}

fn configuration(value: &Cel<'_>) -> Result<Value, String> {
    let Cel::Struct(root) = value else { return Err("ApplyConfiguration must evaluate to an Object".to_owned()) };
    check_names(root, "Object")?;
    value.to_json().map_err(|e| e.to_string())
}

/// Constructed types are named after the way to them: `Object.spec.template`.
fn check_names(s: &Struct<'_>, wanted: &str) -> Result<(), String> {
    if *s.name != *wanted {
        return Err(format!("unexpected type name {:?}, expected {wanted:?}, which matches field name path from root Object type", &*s.name));
    }
    s.fields.iter().try_for_each(|(field, v)| check_value(v, &format!("{wanted}.{field}")))
}

fn check_value(v: &Cel<'_>, wanted: &str) -> Result<(), String> {
    match v {
        Cel::Struct(s) => check_names(s, wanted),
        Cel::List(list) => list.iter().try_for_each(|v| check_value(&v, wanted)),
        Cel::Map(map) => map.iter().try_for_each(|(_, v)| check_value(&v, wanted)),
        _ => Ok(()),
    }
}

fn operations(value: &Cel<'_>) -> Result<Value, String> {
    let Cel::List(list) = value else { return Err("JSONPatch must evaluate to an array".to_owned()) };
    let mut out = Vec::new();
    for item in list.iter() {
        let Cel::Struct(s) = &item else { return Err(format!("expected JSONPatch type, but got {}", item.kind())) };
        let mut one = serde_json::Map::new();
        for (field, v) in &s.fields {
            one.insert(field.to_string(), v.to_json().map_err(|e| e.to_string())?);
        }
        let op = one.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
        if matches!(op.as_str(), "add" | "replace" | "test") && !one.contains_key("value") {
            one.insert("value".into(), Value::Null);
        }
        out.push(Value::Object(one));
    }
    Ok(json!(out))
}
