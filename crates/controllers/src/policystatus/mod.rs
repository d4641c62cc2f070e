//! The status of ValidatingAdmissionPolicies: their expressions are checked against the schemas of the kinds that they are
//! about, once for each generation of the policy. Docs: "Validating Admission Policy: Type checking"; KEP-3488.
//!
//! Laws: 1. the status says which generation was checked. 2. A generation that was checked is not checked again, unless the
//! definitions of custom kinds changed since it waited for them.

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::admissionregistration::v1::{TypeChecking, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyStatus};
use kinds::Kind;

#[cfg(test)]
mod tests;

/// The controller of policies' statuses.
pub const CONTROLLER: Controller = Controller {
    name: "validatingadmissionpolicy-status",
    account: "validatingadmissionpolicy-status-controller",
    component: "validatingadmissionpolicy-status-controller",
    watches: Watches::Kinds(&[Kind::ValidatingAdmissionPolicy]),
    wakes,
    subjects: every::<ValidatingAdmissionPolicy>,
    plan,
};

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    itself(change, Kind::ValidatingAdmissionPolicy).into_iter().collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    let policy = snapshot.find::<ValidatingAdmissionPolicy>(&subject.key)?;
    if is_checked(policy) {
        return Some(Plan::because("this generation is checked"));
    }
    Some(decide(policy, (ctx.config.type_check)(policy, snapshot)))
}

fn is_checked(policy: &ValidatingAdmissionPolicy) -> bool {
    let seen = policy.status.as_ref().and_then(|s| s.observed_generation).unwrap_or_default();
    seen >= policy.metadata.generation.unwrap_or_default()
}

/// What is to be written of what was found.
#[must_use]
pub fn decide(policy: &ValidatingAdmissionPolicy, found: TypeChecking) -> Plan {
    let status = ValidatingAdmissionPolicyStatus {
        observed_generation: policy.metadata.generation,
        type_checking: Some(found),
        ..policy.status.clone().unwrap_or_default()
    };
    let next = ValidatingAdmissionPolicy { status: Some(status), ..policy.clone() };
    Plan::because("a generation was checked").step(Step::update_status(next))
}
