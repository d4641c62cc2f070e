//! `status.typeChecking` of a validating policy: its expressions against the schemas of the kinds that it is about. Warnings
//! only; rules with wildcards say nothing about kinds. Docs: "Type checking".

use super::compiled;
use crate::read::items;
use cache::Snapshot;
use cel::Decl;
use kinds::api::admissionregistration::v1::{ExpressionWarning, TypeChecking, ValidatingAdmissionPolicy};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{Kind, ObjectKey};
use serde_json::Value;
use std::sync::Arc;

/// Kinds that one policy is checked against at most.
const KINDS_MAX: usize = 10;

struct Checked {
    shown: String,
    object: Option<Arc<Decl>>,
}

/// Checks a policy's expressions.
#[must_use]
pub fn type_check(policy: &ValidatingAdmissionPolicy, snapshot: &Snapshot) -> TypeChecking {
    let none = Default::default();
    let spec = policy.spec.as_ref().unwrap_or(&none);
    let params = spec.param_kind.as_ref().and_then(|k| {
        let api_version = k.api_version.as_deref()?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        declared(snapshot, group, version, k.kind.as_deref()?).map(Arc::new)
    });
    let mut found: Vec<(String, String)> = Vec::new();
    let mut note = |place: String, shown: &str, why: &str| {
        let why = why.strip_prefix("compilation failed: ").unwrap_or(why);
        let text = format!("{shown}: {why}\n");
        match found.iter_mut().find(|(p, _)| *p == place) {
            Some((_, all)) => all.push_str(&text),
            None => found.push((place, text)),
        }
    };
    for kind in kinds_of(policy, snapshot) {
        let Some(object) = kind.object else { continue };
        let c = compiled::validating(policy, Some(object), params.clone());
        for (i, v) in c.variables.iter().enumerate() {
            if let Err(why) = &v.program {
                note(format!("spec.variables[{i}].expression"), &kind.shown, why);
            }
        }
        for (i, v) in c.validations.iter().enumerate() {
            // What an expression comes to was judged when the policy was written.
            if let Err(why) = &v.program
                && let Err(why) = only_types(why)
            {
                note(format!("spec.validations[{i}].expression"), &kind.shown, why);
            }
            if let Some(Err(why)) = &v.message_program
                && let Err(why) = only_types(why)
            {
                note(format!("spec.validations[{i}].messageExpression"), &kind.shown, why);
            }
        }
    }
    let warnings = found.into_iter().map(|(field_ref, warning)| ExpressionWarning { field_ref, warning }).collect::<Vec<_>>();
    TypeChecking { expression_warnings: (!warnings.is_empty()).then_some(warnings) }
}

fn only_types(why: &str) -> Result<(), &str> {
    if why.starts_with("must evaluate to") { Ok(()) } else { Err(why) }
}

/// The kinds that a policy's rules name.
fn kinds_of(policy: &ValidatingAdmissionPolicy, snapshot: &Snapshot) -> Vec<Checked> {
    let constraints = policy.spec.as_ref().and_then(|s| s.match_constraints.as_ref());
    let mut found: Vec<Checked> = Vec::new();
    for rule in constraints.map(|c| items(&c.resource_rules)).unwrap_or_default() {
        let lists = [items(&rule.api_groups), items(&rule.api_versions), items(&rule.resources)];
        if lists.iter().any(|l| l.iter().any(|v| v.contains('*'))) {
            continue;
        }
        for group in lists[0] {
            for version in lists[1] {
                for plural in lists[2].iter().filter(|p| !p.contains('/')) {
                    let Some(kind) = kind_of(snapshot, group, version, plural) else { continue };
                    let shown = format!("{group}/{version}, Kind={kind}");
                    if found.len() < KINDS_MAX && found.iter().all(|f| f.shown != shown) {
                        found.push(Checked { shown, object: declared(snapshot, group, version, &kind).map(Arc::new) });
                    }
                }
            }
        }
    }
    found
}

fn kind_of(snapshot: &Snapshot, group: &str, version: &str, plural: &str) -> Option<String> {
    if let Some(k) = Kind::from_gvr(group, version, plural) {
        return Some(k.info().kind.to_owned());
    }
    let crd = snapshot.get::<CustomResourceDefinition>("", &format!("{plural}.{group}"))?;
    crd.spec.versions.iter().any(|v| v.name == version).then(|| crd.spec.names.kind.clone())
}

/// The declaration of a kind, built-in or by its definition's schema.
fn declared(snapshot: &Snapshot, group: &str, version: &str, kind: &str) -> Option<Decl> {
    if let Some(d) = cel::builtin::decl(group, version, kind) {
        return Some(d);
    }
    let crd = snapshot.list::<CustomResourceDefinition>("").find(|d| d.spec.group == group && d.spec.names.kind == kind)?;
    let key = ObjectKey::cluster(crd.metadata.name.as_deref()?);
    let entry = snapshot.entry(&Kind::CustomResourceDefinition.into(), &key)?;
    let tree: Value = serde_json::from_slice(&entry.json).ok()?;
    let of = tree["spec"]["versions"].as_array()?.iter().find(|v| v["name"] == version)?;
    cel::structural::decl(&of["schema"]["openAPIV3Schema"], true)
}
