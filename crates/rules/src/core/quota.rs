//! ResourceQuotas. Docs: "Resource Quotas".

use crate::core::pod::resources::{resource_amount, resource_name};
use crate::names::NameRule;
use crate::quantities::round_up_milli;
use crate::read::items;
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus, ScopedResourceSelectorRequirement};
use kinds::{FieldErrors, Kind, Path, QuantityText};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const ROW: Rules = Rules {
    default: edit!(ResourceQuota, |q: &mut ResourceQuota| {
        round_up_milli(&mut q.spec.get_or_insert_default().hard);
        if let Some(s) = &mut q.status {
            round_up_milli(&mut s.hard);
            round_up_milli(&mut s.used);
        }
    }),
    prepare_create: edit!(ResourceQuota, |q: &mut ResourceQuota| q.status = Some(ResourceQuotaStatus::default())),
    prepare_update: edit_with_old!(ResourceQuota, |n: &mut ResourceQuota, o: &ResourceQuota| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(ResourceQuota, |n: &mut ResourceQuota, o: &ResourceQuota| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(ResourceQuota, validate),
    validate_update: check_with_old!(ResourceQuota, validate_update),
    validate_status_update: check_with_old!(ResourceQuota, |n: &ResourceQuota, _: &ResourceQuota, e: &mut FieldErrors| {
        let status = n.status.clone().unwrap_or_default();
        amounts(status.hard.as_ref(), &Path::new("status.hard"), e);
        amounts(status.used.as_ref(), &Path::new("status.used"), e);
    }),
    ..Rules::plain(Kind::ResourceQuota, NameRule::DnsSubdomain)
};

const STANDARD: &[&str] = &[
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas",
    "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps", "services.nodeports",
    "services.loadbalancers",
];
/// The scopes that a quota can have.
pub(crate) const SCOPES: &[&str] = &[
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
    "VolumeAttributesClass",
];

fn validate(q: &ResourceQuota, e: &mut FieldErrors) {
    let none = ResourceQuotaSpec::default();
    let spec = q.spec.as_ref().unwrap_or(&none);
    amounts(spec.hard.as_ref(), &Path::new("spec.hard"), e);
    scopes(spec, e);
    for r in spec.scope_selector.iter().flat_map(|s| items(&s.match_expressions)) {
        selector(r, &Path::new("spec.scopeSelector.matchExpressions"), e);
    }
}

fn amounts(map: Option<&BTreeMap<String, QuantityText>>, path: &Path, e: &mut FieldErrors) {
    for (k, v) in map.into_iter().flatten() {
        let at = path.key(k);
        resource_name(k, &at, e);
        let huge = k.starts_with("hugepages-") || k.starts_with("requests.hugepages-");
        if !k.contains('/') && !STANDARD.contains(&k.as_str()) && !huge {
            e.invalid(&at, k, "must be a standard resource for quota");
        }
        resource_amount(k, v, &at, e);
    }
}

fn scopes(spec: &ResourceQuotaSpec, e: &mut FieldErrors) {
    let list = items(&spec.scopes);
    let path = Path::new("spec.scopes");
    let pod_only: BTreeSet<&str> = ["pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"].into();
    for x in list {
        if !SCOPES.contains(&x.as_str()) {
            e.invalid(&path, crate::json::list(list), "unsupported scope");
            continue;
        }
        for k in spec.hard.iter().flatten().map(|(k, _)| k) {
            let ok = match x.as_str() {
                "BestEffort" => k == "pods",
                _ => pod_only.contains(k.as_str()) || k.contains('/') || k.contains("ephemeral-storage") || k.contains("hugepages-"),
            };
            if !ok {
                e.invalid(&path, crate::json::list(list), "unsupported scope applied to resource");
            }
        }
    }
    for (a, b) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if list.iter().any(|x| x == a) && list.iter().any(|x| x == b) {
            e.invalid(&path, crate::json::list(list), "conflicting scopes");
        }
    }
}

fn selector(r: &ScopedResourceSelectorRequirement, at: &Path, e: &mut FieldErrors) {
    if !SCOPES.contains(&r.scope_name.as_str()) {
        e.invalid(&at.child("scopeName"), &r.scope_name, "unsupported scope");
    }
    let exists_only = ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"].contains(&r.scope_name.as_str());
    if exists_only && r.operator != "Exists" {
        let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        e.invalid(&at.child("operator"), &r.operator, why);
    }
    let n = items(&r.values).len();
    match r.operator.as_str() {
        "In" | "NotIn" if n == 0 => {
            e.required(&at.child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
        }
        "Exists" | "DoesNotExist" if n > 0 => {
            e.invalid(&at.child("values"), crate::json::list(items(&r.values)), "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => e.invalid(&at.child("operator"), other, "not a valid selector operator"),
    }
}

fn validate_update(n: &ResourceQuota, o: &ResourceQuota, e: &mut FieldErrors) {
    validate(n, e);
    let set = |q: &ResourceQuota| -> BTreeSet<String> {
        q.spec.iter().flat_map(|s| items(&s.scopes).to_vec()).collect()
    };
    if set(n) != set(o) {
        let list = n.spec.as_ref().and_then(|s| s.scopes.clone()).filter(|l| !l.is_empty());
        let shown = list.as_ref().map_or_else(crate::json::null, |l| crate::json::list(l));
        e.invalid(&Path::new("spec.scopes"), shown, "field is immutable");
    }
}
