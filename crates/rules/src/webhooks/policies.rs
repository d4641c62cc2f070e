//! Validating and mutating admission policies and their bindings (KEP-3488, KEP-3962). Expressions are compiled by the
//! registry with `cel`; here stands the shape.

use super::config::conditions;
use crate::checks::{complain, one_of, one_of_opt};
use crate::meta::{self, Values};
use crate::names::{self, NameRule};
use crate::read::{has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status};
use kinds::api::admissionregistration::v1::{
    MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Mutation, NamedRuleWithOperations, ParamKind, ParamRef,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyStatus, Variable,
};
use kinds::{FieldErrors, Kind, LabelSelector, Path};

fn fill_match(m: &mut MatchResources) {
    m.match_policy.get_or_insert_with(|| "Equivalent".into());
    m.namespace_selector.get_or_insert_with(LabelSelector::default);
    m.object_selector.get_or_insert_with(LabelSelector::default);
    for r in m.resource_rules.iter_mut().flatten().chain(m.exclude_resource_rules.iter_mut().flatten()) {
        r.scope.get_or_insert_with(|| "*".into());
    }
}

pub(crate) const VALIDATING_ROW: Rules = Rules {
    default: edit!(ValidatingAdmissionPolicy, |p: &mut ValidatingAdmissionPolicy| {
        let spec = p.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".into());
        if let Some(m) = &mut spec.match_constraints {
            fill_match(m);
        }
    }),
    prepare_create: edit!(ValidatingAdmissionPolicy, |p: &mut ValidatingAdmissionPolicy| {
        p.status = Some(ValidatingAdmissionPolicyStatus::default());
        p.metadata.generation = Some(1);
    }),
    prepare_update: keep_status!(ValidatingAdmissionPolicy, ValidatingAdmissionPolicy),
    prepare_status_update: keep_spec!(ValidatingAdmissionPolicy, ValidatingAdmissionPolicy),
    validate: check!(ValidatingAdmissionPolicy, validating),
    validate_update: check_with_old!(ValidatingAdmissionPolicy, |n: &ValidatingAdmissionPolicy, _: &ValidatingAdmissionPolicy, e: &mut FieldErrors| validating(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::ValidatingAdmissionPolicy, NameRule::DnsSubdomain)
};

pub(crate) const VALIDATING_BINDING_ROW: Rules = Rules {
    default: edit!(ValidatingAdmissionPolicyBinding, |b: &mut ValidatingAdmissionPolicyBinding| {
        if let Some(m) = &mut b.spec.match_resources {
            fill_match(m);
        }
    }),
    prepare_create: edit!(ValidatingAdmissionPolicyBinding, |b: &mut ValidatingAdmissionPolicyBinding| b.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(ValidatingAdmissionPolicyBinding, |n: &mut ValidatingAdmissionPolicyBinding, o: &ValidatingAdmissionPolicyBinding| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(ValidatingAdmissionPolicyBinding, validating_binding),
    validate_update: check_with_old!(ValidatingAdmissionPolicyBinding, |n: &ValidatingAdmissionPolicyBinding, _: &ValidatingAdmissionPolicyBinding, e: &mut FieldErrors| validating_binding(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::ValidatingAdmissionPolicyBinding, NameRule::DnsSubdomain)
};

pub(crate) const MUTATING_ROW: Rules = Rules {
    default: edit!(MutatingAdmissionPolicy, |p: &mut MutatingAdmissionPolicy| {
        let spec = p.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".into());
        if let Some(m) = &mut spec.match_constraints {
            fill_match(m);
        }
    }),
    prepare_create: edit!(MutatingAdmissionPolicy, |p: &mut MutatingAdmissionPolicy| p.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(MutatingAdmissionPolicy, |n: &mut MutatingAdmissionPolicy, o: &MutatingAdmissionPolicy| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(MutatingAdmissionPolicy, mutating),
    validate_update: check_with_old!(MutatingAdmissionPolicy, |n: &MutatingAdmissionPolicy, _: &MutatingAdmissionPolicy, e: &mut FieldErrors| mutating(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::MutatingAdmissionPolicy, NameRule::DnsSubdomain)
};

pub(crate) const MUTATING_BINDING_ROW: Rules = Rules {
    default: edit!(MutatingAdmissionPolicyBinding, |b: &mut MutatingAdmissionPolicyBinding| {
        if let Some(m) = b.spec.as_mut().and_then(|x| x.match_resources.as_mut()) {
            fill_match(m);
        }
    }),
    prepare_create: edit!(MutatingAdmissionPolicyBinding, |b: &mut MutatingAdmissionPolicyBinding| b.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(MutatingAdmissionPolicyBinding, |n: &mut MutatingAdmissionPolicyBinding, o: &MutatingAdmissionPolicyBinding| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(MutatingAdmissionPolicyBinding, mutating_binding),
    validate_update: check_with_old!(MutatingAdmissionPolicyBinding, |n: &MutatingAdmissionPolicyBinding, _: &MutatingAdmissionPolicyBinding, e: &mut FieldErrors| mutating_binding(n, e)),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::MutatingAdmissionPolicyBinding, NameRule::DnsSubdomain)
};

fn matching(m: Option<&MatchResources>, required: bool, path: &Path, e: &mut FieldErrors) {
    let Some(m) = m else {
        if required {
            e.required(path, "");
        }
        return;
    };
    one_of_opt(&m.match_policy, &["Equivalent", "Exact"], &path.child("matchPolicy"), e);
    meta::label_selector(m.namespace_selector.as_ref(), Values::Strict, &path.child("namespaceSelector"), e);
    meta::label_selector(m.object_selector.as_ref(), Values::Strict, &path.child("objectSelector"), e);
    if required && items(&m.resource_rules).is_empty() {
        e.required(&path.child("resourceRules"), "");
    }
    for (name, list) in [("resourceRules", &m.resource_rules), ("excludeResourceRules", &m.exclude_resource_rules)] {
        for (i, r) in items(list).iter().enumerate() {
            named_rule(r, &path.child(name).index(i), e);
        }
    }
}

fn named_rule(r: &NamedRuleWithOperations, at: &Path, e: &mut FieldErrors) {
    let plain = kinds::api::admissionregistration::v1::RuleWithOperations {
        api_groups: r.api_groups.clone(),
        api_versions: r.api_versions.clone(),
        operations: r.operations.clone(),
        resources: r.resources.clone(),
        scope: r.scope.clone(),
    };
    super::config::rule(&plain, at, e);
    let list = items(&r.resource_names);
    for (i, n) in list.iter().enumerate() {
        complain(&at.child("resourceNames").index(i), n, names::path_segment(n), e);
        if list[..i].contains(n) {
            e.duplicate(&at.child("resourceNames").index(i), n);
        }
    }
}

fn param_kind(k: Option<&ParamKind>, path: &Path, e: &mut FieldErrors) {
    let Some(k) = k else { return };
    for (name, v) in [("apiVersion", &k.api_version), ("kind", &k.kind)] {
        if !has(v) {
            e.required(&path.child(name), "");
        }
    }
    let version = s(&k.api_version);
    if !version.is_empty() {
        let at = path.child("apiVersion");
        let (group, short) = version.split_once('/').map_or((None, version), |(g, v)| (Some(g), v));
        if let Some(group) = group {
            complain(&at, group, names::dns_subdomain(group), e);
        }
        complain(&at, short, names::dns1035_label(short), e);
    }
    let kind = s(&k.kind);
    if !kind.is_empty() {
        for m in names::dns1035_label(&kind.to_lowercase()) {
            e.invalid(&path.child("kind"), kind, format!("may have mixed case, but should otherwise match: {m}"));
        }
    }
}

fn param_ref(r: Option<&ParamRef>, path: &Path, e: &mut FieldErrors) {
    let Some(r) = r else { return };
    if has(&r.name) {
        complain(&path.child("name"), s(&r.name), names::path_segment(s(&r.name)), e);
        if r.selector.is_some() {
            e.forbidden(&path.child("name"), "name and selector are mutually exclusive");
            e.forbidden(&path.child("selector"), "name and selector are mutually exclusive");
        }
    } else if r.selector.is_none() {
        e.required(path, "one of name or selector must be specified");
    }
    meta::label_selector(r.selector.as_ref(), Values::Strict, &path.child("selector"), e);
    match s(&r.parameter_not_found_action) {
        "" => e.required(&path.child("parameterNotFoundAction"), ""),
        a if !["Allow", "Deny"].contains(&a) => {
            e.not_supported(&path.child("parameterNotFoundAction"), a, &["Deny", "Allow"]);
        }
        _ => {}
    }
}

fn variables(list: &[Variable], path: &Path, e: &mut FieldErrors) {
    for (i, v) in list.iter().enumerate() {
        let at = path.index(i);
        if v.name.is_empty() {
            e.required(&at.child("name"), "name is not specified");
        } else if !names::c_identifier(&v.name).is_empty() {
            e.invalid(&at.child("name"), &v.name, "must be a valid CEL identifier");
        }
        if v.expression.trim().is_empty() {
            e.required(&at.child("expression"), "expression is not specified");
        }
    }
}

fn failure(policy: &Option<String>, path: &Path, e: &mut FieldErrors) {
    if !["Fail", "Ignore"].contains(&s(policy)) {
        e.not_supported(&path.child("failurePolicy"), s(policy), &["Fail", "Ignore"]);
    }
}

const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];

fn validating(p: &ValidatingAdmissionPolicy, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    failure(&spec.failure_policy, &path, e);
    param_kind(spec.param_kind.as_ref(), &path.child("paramKind"), e);
    matching(spec.match_constraints.as_ref(), true, &path.child("matchConstraints"), e);
    conditions(items(&spec.match_conditions), &path.child("matchConditions"), e);
    variables(items(&spec.variables), &path.child("variables"), e);
    if items(&spec.validations).is_empty() && items(&spec.audit_annotations).is_empty() {
        for name in ["validations", "auditAnnotations"] {
            e.required(&path.child(name), "validations or auditAnnotations must contain at least one item");
        }
    }
    for (i, v) in items(&spec.validations).iter().enumerate() {
        let at = path.child("validations").index(i);
        if v.expression.trim().is_empty() {
            e.required(&at.child("expression"), "expression is not specified");
        }
        if let Some(m) = &v.message {
            if m.trim().is_empty() {
                e.invalid(&at.child("message"), m, "message must be non-empty if specified");
            } else if m.contains('\n') {
                e.invalid(&at.child("message"), m, "message must not contain line breaks");
            }
        }
        if let Some(r) = v.reason.as_deref().filter(|r| !REASONS.contains(r)) {
            e.not_supported(&at.child("reason"), r, REASONS);
        }
    }
    crate::policies::declare_validating(p, &path, e);
    for (i, a) in items(&spec.audit_annotations).iter().enumerate() {
        let at = path.child("auditAnnotations").index(i);
        let key = format!("{}/{}", s(&p.metadata.name), a.key);
        complain(&at.child("key"), &key, names::qualified_name(&key), e);
        if items(&spec.audit_annotations)[..i].iter().any(|x| x.key == a.key) {
            e.duplicate(&at.child("key"), &a.key);
        }
        if a.value_expression.trim().is_empty() {
            e.required(&at.child("valueExpression"), "valueExpression is not specified");
        }
    }
}

fn policy_name(name: &str, path: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(&path.child("policyName"), "");
    } else {
        complain(&path.child("policyName"), name, names::dns_subdomain(name), e);
    }
}

fn validating_binding(b: &ValidatingAdmissionPolicyBinding, e: &mut FieldErrors) {
    let path = Path::new("spec");
    policy_name(&b.spec.policy_name, &path, e);
    param_ref(b.spec.param_ref.as_ref(), &path.child("paramRef"), e);
    matching(b.spec.match_resources.as_ref(), false, &path.child("matchResources"), e);
    let actions = &b.spec.validation_actions;
    let at = path.child("validationActions");
    if actions.is_empty() {
        e.required(&at, "at least one validation action is required");
    }
    for (i, a) in actions.iter().enumerate() {
        if !["Audit", "Deny", "Warn"].contains(&a.as_str()) {
            e.not_supported(&at.index(i), a, &["Audit", "Deny", "Warn"]);
        }
        if actions[..i].contains(a) {
            e.duplicate(&at.index(i), a);
        }
    }
    if actions.iter().any(|a| a == "Deny") && actions.iter().any(|a| a == "Warn") {
        e.invalid(&at, crate::json::list(actions), "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)");
    }
}

fn mutating(p: &MutatingAdmissionPolicy, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    failure(&spec.failure_policy, &path, e);
    param_kind(spec.param_kind.as_ref(), &path.child("paramKind"), e);
    matching(spec.match_constraints.as_ref(), true, &path.child("matchConstraints"), e);
    changeable(spec.match_constraints.as_ref(), &path.child("matchConstraints"), e);
    conditions(items(&spec.match_conditions), &path.child("matchConditions"), e);
    variables(items(&spec.variables), &path.child("variables"), e);
    if items(&spec.mutations).is_empty() {
        e.required(&path.child("mutations"), "mutations must contain at least one item");
    }
    for (i, m) in items(&spec.mutations).iter().enumerate() {
        let at = path.child("mutations").index(i);
        mutation(m, &at, e);
    }
    crate::policies::declare_mutating(p, &path, e);
    one_of(s(&spec.reinvocation_policy), &["IfNeeded", "Never"], &path.child("reinvocationPolicy"), e);
}

/// A change is told in the one form that its type names.
fn mutation(m: &Mutation, at: &Path, e: &mut FieldErrors) {
    let apply = ("applyConfiguration", m.apply_configuration.as_ref().map(|x| s(&x.expression)));
    let json = ("jsonPatch", m.json_patch.as_ref().map(|x| s(&x.expression)));
    let ((name, given), (other, unasked)) = match m.patch_type.as_str() {
        "ApplyConfiguration" => (apply, json),
        "JSONPatch" => (json, apply),
        unknown => return one_of(unknown, &["ApplyConfiguration", "JSONPatch"], &at.child("patchType"), e),
    };
    match given {
        None => e.required(&at.child(name), format!("must be specified when patchType is {}", m.patch_type)),
        Some(source) if source.trim().is_empty() => e.required(&at.child(name).child("expression"), ""),
        Some(_) => {}
    }
    if unasked.is_some() {
        e.invalid(&at.child(other), format!("{{{other}}}"), format!("must not be specified when patchType is {}", m.patch_type));
    }
}

/// Only what is created or updated can be changed.
fn changeable(m: Option<&MatchResources>, at: &Path, e: &mut FieldErrors) {
    const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
    let rules = m.iter().flat_map(|m| items(&m.resource_rules));
    for o in rules.flat_map(|r| items(&r.operations)).filter(|o| !OPERATIONS.contains(&o.as_str())) {
        e.not_supported(&at.child("resourceRules").child("operations"), o, OPERATIONS);
    }
}

fn mutating_binding(b: &MutatingAdmissionPolicyBinding, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = b.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    policy_name(s(&spec.policy_name), &path, e);
    param_ref(spec.param_ref.as_ref(), &path.child("paramRef"), e);
    matching(spec.match_resources.as_ref(), false, &path.child("matchResources"), e);
    changeable(spec.match_resources.as_ref(), &path.child("matchResources"), e);
}
