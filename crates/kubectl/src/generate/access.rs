//! Roles and bindings from flags (`create role`, `clusterrole`, `rolebinding`, `clusterrolebinding`).

use super::{name, pairs};
use crate::discovery::Discovery;
use crate::failure::{Failure, Outcome, wrong};
use crate::flags::Given;
use crate::print::tell;
use serde_json::{Value, json};

/// Verbs that the API server itself knows.
const VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "use", "bind", "escalate", "impersonate", "approve", "sign", "attest", "*"];
const URL_VERBS: &[&str] = &["get", "put", "post", "head", "options", "delete", "patch", "*"];
/// Verbs that mean something for one resource only.
const SPECIAL: &[(&str, &str, &[&str])] = &[
    ("use", "policy", &["podsecuritypolicies"]),
    ("bind", "rbac.authorization.k8s.io", &["roles", "clusterroles"]),
    ("escalate", "rbac.authorization.k8s.io", &["roles", "clusterroles"]),
    ("impersonate", "", &["users", "serviceaccounts", "groups"]),
    ("approve", "certificates.k8s.io", &["signers"]),
    ("sign", "certificates.k8s.io", &["signers"]),
    ("attest", "certificates.k8s.io", &["signers"]),
];

/// `pods`, `deployments.apps`, `pods/log` as rules' resources, by group.
fn resources(given: &Given<'_>, served: &Discovery) -> Outcome<Vec<(String, Vec<String>)>> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for word in given.list("resource") {
        let (word, sub) = word.split_once('/').map_or((word, None), |(w, s)| (w, Some(s)));
        let (plural, group) = if word == "*" {
            ("*".to_owned(), "*".to_owned())
        } else {
            let (plain, group) = word.split_once('.').unwrap_or((word, ""));
            let within = if group.is_empty() { String::new() } else { format!(" in group \"{group}\"") };
            // Versions have no place in rules.
            let found = served.find(word).filter(|m| group.is_empty() || m.group == group);
            let found = found.ok_or_else(|| Failure::Bare(format!("the server doesn't have a resource type \"{plain}\"{within}")))?;
            (found.plural.clone(), found.group.clone())
        };
        let text = sub.map_or_else(|| plural.clone(), |s| format!("{plural}/{s}"));
        match out.iter_mut().find(|(g, _)| *g == group) {
            Some((_, all)) if all.contains(&text) => {}
            Some((_, all)) => all.push(text),
            None => out.push((group, vec![text])),
        }
    }
    Ok(out)
}

fn check_verbs(verbs: &[&str], resources: &[(String, Vec<String>)]) -> Outcome {
    for verb in verbs {
        if !VERBS.contains(verb) {
            tell(&format!("Warning: '{verb}' is not a standard resource verb"));
        }
        let special: Vec<_> = SPECIAL.iter().filter(|(v, ..)| v == verb).collect();
        for (group, plural) in resources.iter().flat_map(|(g, all)| all.iter().map(move |p| (g, p))) {
            let plain = plural.split('/').next().unwrap_or_default();
            if !special.is_empty() && !special.iter().any(|(_, g, all)| g == group && all.contains(&plain)) {
                return wrong(format!("can not perform '{verb}' on '{plain}' in group '{group}'"));
            }
        }
    }
    Ok(())
}

pub(super) fn role(given: &Given<'_>, served: Option<&Discovery>, cluster: bool) -> Outcome<Value> {
    let kind = if cluster { "ClusterRole" } else { "Role" };
    let mut object = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name(given)? } });
    let mut verbs = given.list("verb");
    if verbs.contains(&"*") {
        verbs = vec!["*"];
    }
    let (urls, names, words) = (given.list("non-resource-url"), given.list("resource-name"), given.list("resource"));
    if let Some(aggregation) = given.text("aggregation-rule").filter(|_| cluster) {
        if !(urls.is_empty() && names.is_empty() && words.is_empty() && verbs.is_empty()) {
            return wrong("aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames");
        }
        object["aggregationRule"] = json!({ "clusterRoleSelectors": [{ "matchLabels": pairs(aggregation)? }] });
        object["rules"] = Value::Null;
        return Ok(object);
    }
    if verbs.is_empty() {
        return wrong("at least one verb must be specified");
    }
    if words.is_empty() && (!cluster || urls.is_empty()) {
        return wrong(if cluster { "one of resource or nonResourceURL must be specified" } else { "at least one resource must be specified" });
    }
    let resources = match served {
        Some(served) => resources(given, served)?,
        None => Vec::new(),
    };
    if !resources.is_empty() {
        check_verbs(&verbs, &resources)?;
    }
    if !urls.is_empty() {
        if let Some(verb) = verbs.iter().find(|v| !URL_VERBS.contains(v)) {
            return wrong(format!("invalid verb: '{verb}' for nonResourceURL"));
        }
        if urls.iter().any(|u| !u.starts_with('/')) {
            return wrong("nonResourceURL should start with /");
        }
    }
    let mut rules = Vec::new();
    for (group, resources) in resources {
        let mut rule = json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rules.push(rule);
    }
    if !urls.is_empty() {
        rules.push(json!({ "nonResourceURLs": urls, "verbs": verbs }));
    }
    object["rules"] = rules.into();
    Ok(object)
}

pub(super) fn binding(given: &Given<'_>, cluster: bool) -> Outcome<Value> {
    let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
    let (role_kind, role) = match (given.text("clusterrole"), given.text("role")) {
        (Some(role), None) => ("ClusterRole", role),
        (None, Some(role)) if !cluster => ("Role", role),
        _ => return wrong(if cluster { "required flag(s) \"clusterrole\" not set" } else { "exactly one of clusterrole or role must be specified" }),
    };
    let mut subjects = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        subjects.extend(given.list(flag).into_iter().map(|n| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": n })));
    }
    for account in given.list("serviceaccount") {
        let Some((namespace, name)) = account.split_once(':') else {
            return wrong("serviceaccount must be <namespace>:<name>");
        };
        subjects.push(json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace }));
    }
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name(given)? },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role },
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    Ok(object)
}
