//! NamespaceLifecycle: nothing is created in a namespace that is not there or is going, and three namespaces stay.

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::s;
use kinds::api::core::v1::Namespace;
use kinds::error::Cause;
use kinds::{ApiError, Kind, Object, Resource};

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-public", "kube-system"];
/// Questions that may be asked about namespaces that do not exist.
const QUESTIONS: &[Kind] = &[Kind::LocalSubjectAccessReview];

/// The verdict, for creates, updates and deletes.
pub(super) fn check(ctx: &Ctx<'_>, request: &Request, object: &Object) -> Result<(), ApiError> {
    let system = ["system-node-critical", "system-cluster-critical"].contains(&request.name.as_str());
    if system && request.operation == Operation::Delete && request.resource == Kind::PriorityClass.into() {
        return Err(forbidden(request, object, "this is a system priority class and cannot be deleted"));
    }
    let namespaces = Resource::from(Kind::Namespace);
    if request.resource == namespaces {
        if request.operation == Operation::Delete && IMMORTAL.contains(&request.name.as_str()) {
            return Err(forbidden(request, object, "this namespace may not be deleted"));
        }
        return Ok(());
    }
    let question = request.resource.builtin().is_some_and(|k| QUESTIONS.contains(&k));
    if request.namespace.is_empty() || !request.resource.namespaced() || request.operation == Operation::Delete || question {
        return Ok(());
    }
    let Some(ns) = ctx.snapshot.get::<Namespace>("", &request.namespace) else {
        return Err(ApiError::not_found(&namespaces, &request.namespace));
    };
    if request.operation != Operation::Create || !is_ending(ns) {
        return Ok(());
    }
    let name = &request.namespace;
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut error = forbidden(request, object, why);
    error.details.get_or_insert_default().causes.push(Cause {
        reason: "NamespaceTerminating".into(),
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".into(),
    });
    Err(error)
}

fn is_ending(ns: &Namespace) -> bool {
    ns.metadata.deletion_timestamp.is_some() || ns.status.as_ref().is_some_and(|x| s(&x.phase) == "Terminating")
}
