//! The RBAC kinds as objects. Docs: "Using RBAC Authorization".

use crate::checks::complain;
use crate::names::{self, NameRule};
use crate::read::{fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit};
use kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(crate) const ROLE_ROW: Rules = Rules {
    validate: check!(Role, |r: &Role, e: &mut FieldErrors| rules(items(&r.rules), true, e)),
    validate_update: check_with_old!(Role, |n: &Role, _: &Role, e: &mut FieldErrors| rules(items(&n.rules), true, e)),
    allow_create_on_update: true,
    ..Rules::plain(Kind::Role, NameRule::PathSegment)
};

pub(crate) const CLUSTER_ROLE_ROW: Rules = Rules {
    validate: check!(ClusterRole, cluster_role),
    validate_update: check_with_old!(ClusterRole, |n: &ClusterRole, _: &ClusterRole, e: &mut FieldErrors| cluster_role(n, e)),
    allow_create_on_update: true,
    ..Rules::plain(Kind::ClusterRole, NameRule::PathSegment)
};

pub(crate) const BINDING_ROW: Rules = Rules {
    default: edit!(RoleBinding, |b: &mut RoleBinding| fill_groups(&mut b.role_ref, &mut b.subjects)),
    validate: check!(RoleBinding, role_binding),
    validate_update: check_with_old!(RoleBinding, |n: &RoleBinding, o: &RoleBinding, e: &mut FieldErrors| {
        role_binding(n, e);
        kept(&n.role_ref, &o.role_ref, e);
    }),
    allow_create_on_update: true,
    ..Rules::plain(Kind::RoleBinding, NameRule::PathSegment)
};

pub(crate) const CLUSTER_BINDING_ROW: Rules = Rules {
    default: edit!(ClusterRoleBinding, |b: &mut ClusterRoleBinding| fill_groups(&mut b.role_ref, &mut b.subjects)),
    validate: check!(ClusterRoleBinding, cluster_binding),
    validate_update: check_with_old!(ClusterRoleBinding, |n: &ClusterRoleBinding, o: &ClusterRoleBinding, e: &mut FieldErrors| {
        cluster_binding(n, e);
        kept(&n.role_ref, &o.role_ref, e);
    }),
    allow_create_on_update: true,
    ..Rules::plain(Kind::ClusterRoleBinding, NameRule::PathSegment)
};

fn fill_groups(role: &mut RoleRef, subjects: &mut Option<Vec<Subject>>) {
    fill(&mut role.api_group, GROUP);
    for x in subjects.iter_mut().flatten() {
        // The group of service accounts is the core one, which is not written.
        if matches!(x.kind.as_str(), "User" | "Group") {
            fill(&mut x.api_group, GROUP);
        }
    }
}

fn rules(list: &[PolicyRule], namespaced: bool, e: &mut FieldErrors) {
    for (i, r) in list.iter().enumerate() {
        rule(r, namespaced, &Path::new("rules").index(i), e);
    }
}

fn rule(r: &PolicyRule, namespaced: bool, at: &Path, e: &mut FieldErrors) {
    if r.verbs.is_empty() {
        e.required(&at.child("verbs"), "verbs must contain at least one value");
    }
    let urls = items(&r.non_resource_urls);
    if !urls.is_empty() {
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            e.invalid(&at.child("nonResourceURLs"), crate::json::list(urls), why);
        }
        let mixed = [&r.api_groups, &r.resources, &r.resource_names].iter().any(|l| !items(l).is_empty());
        if mixed {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            e.invalid(&at.child("nonResourceURLs"), crate::json::list(urls), why);
        }
        return;
    }
    if items(&r.api_groups).is_empty() {
        e.required(&at.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if items(&r.resources).is_empty() {
        e.required(&at.child("resources"), "resource rules must supply at least one resource");
    }
}

fn cluster_role(r: &ClusterRole, e: &mut FieldErrors) {
    rules(items(&r.rules), false, e);
    let Some(a) = &r.aggregation_rule else { return };
    let list = items(&a.cluster_role_selectors);
    let path = Path::new("aggregationRule.clusterRoleSelectors");
    if list.is_empty() {
        e.required(&path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (i, x) in list.iter().enumerate() {
        let before = e.len();
        crate::meta::label_selector(Some(x), crate::meta::Values::Strict, &path.index(i), e);
        if e.len() > before {
            e.invalid(&path.index(i), crate::json::null(), "invalid label selector.");
        }
    }
}

fn role_ref(r: &RoleRef, kinds: &[&str], e: &mut FieldErrors) {
    let path = Path::new("roleRef");
    if s(&r.api_group) != GROUP {
        e.not_supported(&path.child("apiGroup"), s(&r.api_group), &[GROUP]);
    }
    if kinds.contains(&r.kind.as_str()) {
        complain(&path.child("name"), &r.name, names::path_segment(&r.name), e);
    } else {
        e.not_supported(&path.child("kind"), &r.kind, kinds);
    }
    if r.name.is_empty() {
        e.required(&path.child("name"), "");
    }
}

fn role_binding(b: &RoleBinding, e: &mut FieldErrors) {
    role_ref(&b.role_ref, &["Role", "ClusterRole"], e);
    for (i, x) in items(&b.subjects).iter().enumerate() {
        subject(x, true, &Path::new("subjects").index(i), e);
    }
}

fn cluster_binding(b: &ClusterRoleBinding, e: &mut FieldErrors) {
    role_ref(&b.role_ref, &["ClusterRole"], e);
    for (i, x) in items(&b.subjects).iter().enumerate() {
        subject(x, false, &Path::new("subjects").index(i), e);
    }
}

fn subject(x: &Subject, namespaced: bool, at: &Path, e: &mut FieldErrors) {
    if x.name.is_empty() {
        e.required(&at.child("name"), "");
    }
    match x.kind.as_str() {
        "ServiceAccount" => {
            if !x.name.is_empty() {
                complain(&at.child("name"), &x.name, names::dns_subdomain(&x.name), e);
            }
            if has(&x.api_group) {
                e.not_supported(&at.child("apiGroup"), s(&x.api_group), &[""]);
            }
            if !namespaced && !has(&x.namespace) {
                e.required(&at.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if s(&x.api_group) != GROUP {
                e.not_supported(&at.child("apiGroup"), s(&x.api_group), &[GROUP]);
            }
        }
        other => e.not_supported(&at.child("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

fn kept(n: &RoleRef, o: &RoleRef, e: &mut FieldErrors) {
    if n != o {
        let shown = serde_json::json!({"APIGroup": s(&n.api_group), "Kind": n.kind, "Name": n.name});
        e.invalid(&Path::new("roleRef"), Bare(shown.to_string()), "cannot change roleRef");
    }
}
