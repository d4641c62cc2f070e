//! `authorizer`: asking whether the requester (or a service account) may do something. KEP-3488, "Secondary authorization";
//! KEP-4601 (selectors).

use super::{Answer, Cost, Row, text};
use crate::error::EvalError;
use crate::opaque::{Asking, Opaque, Question, Stage};
use crate::value::Value;
use std::sync::Arc;

/// What one question costs.
pub(crate) const CHECK_COST: u64 = 350_000;
const Q: Cost = Cost::Fixed(1);

pub(super) const TABLE: &[Row] = &[
    Row { name: "path", cost: Q, run: path, overloads: &[
        ("authorizer_path", "kubernetes.authorization.Authorizer.(string):kubernetes.authorization.PathCheck"),
    ] },
    Row { name: "group", cost: Q, run: group, overloads: &[
        ("authorizer_group", "kubernetes.authorization.Authorizer.(string):kubernetes.authorization.GroupCheck"),
    ] },
    Row { name: "serviceAccount", cost: Q, run: service_account, overloads: &[
        ("authorizer_serviceaccount", "kubernetes.authorization.Authorizer.(string,string):kubernetes.authorization.Authorizer"),
    ] },
    Row { name: "resource", cost: Q, run: resource, overloads: &[
        ("groupcheck_resource", "kubernetes.authorization.GroupCheck.(string):kubernetes.authorization.ResourceCheck"),
    ] },
    Row { name: "subresource", cost: Q, run: subresource, overloads: &[
        ("resourcecheck_subresource", "kubernetes.authorization.ResourceCheck.(string):kubernetes.authorization.ResourceCheck"),
    ] },
    Row { name: "namespace", cost: Q, run: namespace, overloads: &[
        ("resourcecheck_namespace", "kubernetes.authorization.ResourceCheck.(string):kubernetes.authorization.ResourceCheck"),
    ] },
    Row { name: "name", cost: Q, run: name, overloads: &[
        ("resourcecheck_name", "kubernetes.authorization.ResourceCheck.(string):kubernetes.authorization.ResourceCheck"),
    ] },
    Row { name: "fieldSelector", cost: Q, run: field_selector, overloads: &[
        ("authorizer_fieldselector", "kubernetes.authorization.ResourceCheck.(string):kubernetes.authorization.ResourceCheck"),
    ] },
    Row { name: "labelSelector", cost: Q, run: label_selector, overloads: &[
        ("authorizer_labelselector", "kubernetes.authorization.ResourceCheck.(string):kubernetes.authorization.ResourceCheck"),
    ] },
    Row { name: "check", cost: Cost::Fixed(CHECK_COST), run: check, overloads: &[
        ("pathcheck_check", "kubernetes.authorization.PathCheck.(string):kubernetes.authorization.Decision"),
        ("resourcecheck_check", "kubernetes.authorization.ResourceCheck.(string):kubernetes.authorization.Decision"),
    ] },
    Row { name: "allowed", cost: Q, run: allowed, overloads: &[("decision_allowed", "kubernetes.authorization.Decision.():bool")] },
    Row { name: "reason", cost: Q, run: reason, overloads: &[("decision_reason", "kubernetes.authorization.Decision.():string")] },
    Row { name: "errored", cost: Q, run: errored, overloads: &[("decision_errored", "kubernetes.authorization.Decision.():bool")] },
    Row { name: "error", cost: Q, run: error, overloads: &[("decision_error", "kubernetes.authorization.Decision.():string")] },
];

fn step<'a>(args: &[Value<'a>], from: Stage, to: Stage, change: impl FnOnce(&mut Question)) -> Answer<'a> {
    let Value::Opaque(Opaque::Asking(a)) = &args[0] else { return Err(EvalError::overload()) };
    if a.stage != from {
        return Err(EvalError::overload());
    }
    let mut question = Arc::clone(&a.question);
    change(Arc::make_mut(&mut question));
    Ok(Value::Opaque(Opaque::Asking(Asking { stage: to, question, authorizer: a.authorizer })))
}

fn path<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    if given.is_empty() {
        return Err(EvalError::new("path must not be empty"));
    }
    step(args, Stage::Authorizer, Stage::Path, |q| q.path = Some(given))
}
fn group<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    step(args, Stage::Authorizer, Stage::Group, |q| q.group = given)
}
fn service_account<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (namespace, name) = (text(args, 1)?.to_owned(), text(args, 2)?.to_owned());
    step(args, Stage::Authorizer, Stage::Authorizer, |q| q.service_account = Some((namespace, name)))
}
fn resource<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    if given.is_empty() {
        return Err(EvalError::new("resource must not be empty"));
    }
    step(args, Stage::Group, Stage::Resource, |q| q.resource = given)
}
fn subresource<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    step(args, Stage::Resource, Stage::Resource, |q| q.subresource = given)
}
fn namespace<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    step(args, Stage::Resource, Stage::Resource, |q| q.namespace = given)
}
fn name<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    step(args, Stage::Resource, Stage::Resource, |q| q.name = given)
}
fn field_selector<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    step(args, Stage::Resource, Stage::Resource, |q| q.field_selector = Some(given))
}
fn label_selector<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let given = text(args, 1)?.to_owned();
    step(args, Stage::Resource, Stage::Resource, |q| q.label_selector = Some(given))
}

fn check<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let verb = text(args, 1)?;
    let Value::Opaque(Opaque::Asking(a)) = &args[0] else { return Err(EvalError::overload()) };
    if !matches!(a.stage, Stage::Path | Stage::Resource) {
        return Err(EvalError::overload());
    }
    let question = Question { verb: verb.to_owned(), ..(*a.question).clone() };
    Ok(Value::Opaque(Opaque::Decision(Arc::new(a.authorizer.decide(&question)))))
}

fn decided<'v>(args: &'v [Value<'_>]) -> Result<&'v crate::opaque::Decision, EvalError> {
    match args.first() {
        Some(Value::Opaque(Opaque::Decision(d))) => Ok(d),
        _ => Err(EvalError::overload()),
    }
}
fn allowed<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(decided(args)?.allowed))
}
fn reason<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(decided(args)?.reason.as_str()))
}
fn errored<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(decided(args)?.error.is_some()))
}
fn error<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::text(decided(args)?.error.as_deref().unwrap_or_default()))
}
