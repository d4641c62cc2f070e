//! What is wrong with the expressions of a policy, of a webhook's conditions: told when they are written.

use super::compiled::{self, Compiled};
use super::conditions::Conditions;
use crate::read::items;
use kinds::api::admissionregistration::v1::{MatchCondition, MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
use kinds::{FieldErrors, Path};

/// Judges the conditions of a webhook.
pub(crate) fn condition_texts(list: &[MatchCondition], at: &Path, e: &mut FieldErrors) {
    if !list.is_empty() {
        conditions(&Conditions::compile(list), list, at, e);
    }
}

fn conditions(compiled: &Conditions, list: &[MatchCondition], at: &Path, e: &mut FieldErrors) {
    for (i, why) in compiled.complaints() {
        if !list[i].expression.trim().is_empty() {
            e.invalid(&at.index(i).child("expression"), &list[i].expression, why);
        }
    }
}

fn shared(c: &Compiled, list: &[MatchCondition], names: &[String], path: &Path, e: &mut FieldErrors) {
    if let Some(compiled) = &c.conditions {
        conditions(compiled, list, &path.child("matchConditions"), e);
    }
    for (i, v) in c.variables.iter().enumerate() {
        if let Err(why) = &v.program
            && !names[i].trim().is_empty()
        {
            e.invalid(&path.child("variables").index(i).child("expression"), &names[i], why);
        }
    }
}

/// Judges the expressions of a validating policy.
pub(crate) fn validating(p: &ValidatingAdmissionPolicy, path: &Path, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let c = compiled::validating(p, None, None);
    let sources: Vec<String> = items(&spec.variables).iter().map(|v| v.expression.clone()).collect();
    shared(&c, items(&spec.match_conditions), &sources, path, e);
    for (i, v) in c.validations.iter().enumerate() {
        let at = path.child("validations").index(i);
        if let Err(why) = &v.program
            && !v.expression.trim().is_empty()
        {
            e.invalid(&at.child("expression"), &v.expression, why);
        }
        if let Some(Err(why)) = &v.message_program {
            let source = items(&spec.validations)[i].message_expression.as_deref().unwrap_or_default();
            e.invalid(&at.child("messageExpression"), source, why);
        }
    }
    for (i, a) in c.annotations.iter().enumerate() {
        let source = &items(&spec.audit_annotations)[i].value_expression;
        if let Err(why) = &a.program
            && !source.trim().is_empty()
        {
            e.invalid(&path.child("auditAnnotations").index(i).child("valueExpression"), source, why);
        }
    }
}

/// Judges the expressions of a mutating policy.
pub(crate) fn mutating(p: &MutatingAdmissionPolicy, path: &Path, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let c = compiled::mutating(p);
    let sources: Vec<String> = items(&spec.variables).iter().map(|v| v.expression.clone()).collect();
    shared(&c, items(&spec.match_conditions), &sources, path, e);
    for (i, m) in c.mutations.iter().enumerate() {
        let Err(why) = &m.program else { continue };
        let given = items(&spec.mutations).get(i).map(|m| (m.json_patch.is_some(), m.apply_configuration.is_some()));
        let name = match (m.kind, given) {
            (compiled::PatchKind::Json, Some((true, _))) => "jsonPatch",
            (compiled::PatchKind::Apply, Some((_, true))) => "applyConfiguration",
            _ => continue,
        };
        if m.expression.trim().is_empty() {
            continue;
        }
        e.invalid(&path.child("mutations").index(i).child(name).child("expression"), &m.expression, why);
    }
}
