//! Admission by expressions: match conditions of webhooks, ValidatingAdmissionPolicies and MutatingAdmissionPolicies with
//! their bindings and parameters. KEP-3488, KEP-3962, KEP-3716; docs: "Validating Admission Policy", "Mutating Admission
//! Policy". Pure: the registry shows the write as JSON and does what the verdict says.
//!
//! ```text
//!  policy --compile, kept while its entry stands--> Compiled
//!  write + bindings --match--> (policy, binding, parameter)* --eval within a budget--> denials, warnings, annotations, patches
//! ```

pub mod conditions;
mod compiled;
mod declare;
mod environment;
mod matching;
mod mutating;
mod parameters;
#[cfg(test)]
mod tests;
mod turning;
mod typecheck;
mod validating;

pub(crate) use declare::{condition_texts, mutating as declare_mutating, validating as declare_validating};
pub use compiled::Programs;
pub use conditions::Conditions;
pub use environment::Given;
pub use matching::{Asked, Gvk, Gvr, Invocation, Rule};
pub use mutating::{Apply, Change, Unchanged, mutate};
pub use parameters::resource_of;
pub use turning::{Parts, Unturned, Wanted};
pub use typecheck::type_check;
pub use validating::{Verdict, validate};

use crate::context::{Operation, User};
use crate::rbac::{self, Attributes};
use cache::Snapshot;
use cel::{Decision, Question};
use serde_json::{Value, json};

/// The operation as rules and requests spell it.
#[must_use]
pub fn operation(o: Operation) -> &'static str {
    match o {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// Asks role-based access control on behalf of the requester, or of a service account.
pub struct Authority<'a> {
    pub snapshot: &'a Snapshot,
    pub user: &'a User,
}

impl cel::Authorizer for Authority<'_> {
    fn decide(&self, q: &Question) -> Decision {
        let account = q.service_account.as_ref().map(|(namespace, name)| {
            let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
            User::new(&format!("system:serviceaccount:{namespace}:{name}"), &groups)
        });
        let attributes = Attributes {
            verb: q.verb.clone(),
            group: q.group.clone(),
            resource: q.resource.clone(),
            subresource: q.subresource.clone(),
            namespace: q.namespace.clone(),
            name: q.name.clone(),
            path: q.path.clone().unwrap_or_default(),
            is_resource: q.path.is_none(),
            version: "*".to_owned(),
            ..Attributes::default()
        };
        let verdict = rbac::authorize(self.snapshot, account.as_ref().unwrap_or(self.user), &attributes);
        Decision { allowed: verdict.allowed, reason: verdict.reason, error: None }
    }
}

/// `request` as expressions see it.
#[must_use]
pub fn request(asked: &Asked<'_>, shown: &Invocation, options: &Value) -> Value {
    let r = asked.request;
    let gvr = |g: &Gvr| json!({ "group": g.group, "version": g.version, "resource": g.plural });
    let gvk = |g: &Gvk| json!({ "group": g.group, "version": g.version, "kind": g.kind });
    let user = asked.ctx.user;
    json!({
        "kind": gvk(&shown.kind), "resource": gvr(&shown.resource), "subResource": r.subresource,
        "requestKind": gvk(&asked.named.kind), "requestResource": gvr(&asked.named.resource), "requestSubResource": r.subresource,
        "name": r.name, "namespace": asked.namespace(), "operation": operation(r.operation), "dryRun": r.dry_run,
        "userInfo": { "username": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra },
        "options": options,
    })
}

/// The namespace of a request as expressions see it; null where there is none.
#[must_use]
pub fn namespace(asked: &Asked<'_>) -> Value {
    use kinds::api::core::v1::Namespace;
    let name = asked.namespace();
    if name.is_empty() || asked.request.resource.builtin() == Some(kinds::Kind::Namespace) {
        return Value::Null;
    }
    let key = kinds::ObjectKey::cluster(name);
    let entry = asked.ctx.snapshot.entry(&<Namespace as kinds::Typed>::KIND.into(), &key);
    entry.and_then(|e| serde_json::from_slice(&e.json).ok()).unwrap_or(Value::Null)
}
