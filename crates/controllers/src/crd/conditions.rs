//! The conditions of a definition: their names, and how one is set.

use crate::controller::Ctx;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition, CustomResourceDefinitionStatus,
};

pub(super) const NAMES_ACCEPTED: &str = "NamesAccepted";
pub(super) const ESTABLISHED: &str = "Established";
pub(super) const TERMINATING: &str = "Terminating";
pub(super) const CONFORMANT: &str = "KubernetesAPIApprovalPolicyConformant";

/// Whether a condition is `True`.
pub(super) fn is_true(d: &CustomResourceDefinition, kind: &str) -> bool {
    find(d, kind).is_some_and(|c| c.status == "True")
}

/// The condition of that type.
pub(super) fn find<'a>(d: &'a CustomResourceDefinition, kind: &str) -> Option<&'a CustomResourceDefinitionCondition> {
    d.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

/// Sets a condition; its transition time moves only with its status.
pub(super) fn set(status: &mut CustomResourceDefinitionStatus, ctx: &Ctx, kind: &str, on: bool, reason: &str, message: &str) {
    let text = if on { "True" } else { "False" };
    let all = status.conditions.get_or_insert_default();
    let next = CustomResourceDefinitionCondition {
        type_: kind.to_owned(),
        status: text.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(ctx.time()),
        ..CustomResourceDefinitionCondition::default()
    };
    match all.iter_mut().find(|c| c.type_ == kind) {
        Some(c) if c.status == text => {
            *c = CustomResourceDefinitionCondition { last_transition_time: c.last_transition_time.take(), ..next };
        }
        Some(c) => *c = next,
        None => all.push(next),
    }
}
