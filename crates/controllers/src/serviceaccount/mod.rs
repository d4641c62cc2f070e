//! ServiceAccount: every namespace has a `default` service account.
//!
//! Docs: "Managing Service Accounts: ServiceAccount controller".

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{Namespace, ServiceAccount};
use kinds::{Kind, ObjectMeta};

const NAME: &str = "default";

/// The service account controller.
pub const CONTROLLER: Controller = Controller {
    name: "serviceaccount",
    account: "service-account-controller",
    component: "serviceaccount-controller",
    watches: Watches::Kinds(&[Kind::Namespace, Kind::ServiceAccount]),
    wakes,
    subjects: every::<Namespace>,
    plan,
};

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Namespace) {
        return vec![s];
    }
    let gone = change.new.is_none() && change.key().name == NAME;
    gone.then(|| Subject::named(Kind::Namespace, "", change.key().namespace.clone())).into_iter().collect()
}

/// Whether the namespace takes new objects.
pub(crate) fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|s| s.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}

fn plan(snapshot: &Snapshot, subject: &Subject, _: &Ctx) -> Option<Plan> {
    let namespace = snapshot.find::<Namespace>(&subject.key)?;
    let missing = snapshot.get::<ServiceAccount>(&subject.key.name, NAME).is_none();
    Some(decide(&subject.key.name, is_active(namespace) && missing))
}

/// What is to be done for one namespace.
#[must_use]
pub fn decide(namespace: &str, missing: bool) -> Plan {
    let plan = Plan::because(if missing { "the default account is missing" } else { "it is there" });
    if !missing {
        return plan;
    }
    let metadata =
        ObjectMeta { name: Some(NAME.to_owned()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() };
    plan.step(Step::create(ServiceAccount { metadata, ..ServiceAccount::default() }).lenient())
}
