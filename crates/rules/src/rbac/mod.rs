//! Role-based access control and the node authorizer: who may do what, and the words in which it is refused.
//! Docs: "Using RBAC Authorization", "Using Node Authorization".

pub mod escalation;
mod list;
mod node;
mod words;

use crate::context::User;
use cache::Snapshot;
use kinds::api::certificates::v1::CertificateSigningRequestSpec;
use kinds::selector::Requirement;
use kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};

pub use list::rules_for;
pub use words::forbidden;

/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of kubelets.
const NODES: &str = "system:nodes";

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub verb: String,
    pub group: String,
    /// The version that is spoken; webhooks are told, roles do not look at it.
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// The URL path, for what is no resource.
    pub path: String,
    pub is_resource: bool,
    /// What many are narrowed to by their fields and labels, as far as it was understood.
    pub fields: Vec<Requirement>,
    pub labels: Vec<Requirement>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    /// Refused for good, whatever others would say.
    pub denied: bool,
    /// Which rule allowed it, or why nothing did.
    pub reason: String,
}

impl Verdict {
    fn allow(reason: String) -> Self {
        Self { allowed: true, denied: false, reason }
    }
}

/// Decides.
#[must_use]
pub fn authorize(snapshot: &Snapshot, user: &User, a: &Attributes) -> Verdict {
    if user.in_group(MASTERS) {
        return Verdict::allow(String::new());
    }
    let why = match by_node(snapshot, user, a) {
        Some(Ok(())) => return Verdict::allow(String::new()),
        Some(Err(why)) => why,
        None => String::new(),
    };
    match by_roles(snapshot, user, a) {
        Some(reason) => Verdict::allow(reason),
        None => Verdict { reason: why, ..Verdict::default() },
    }
}

/// Whether the requester of a certificate may create that subresource of certificate requests (`nodeclient`, ...).
#[must_use]
pub fn may_request(snapshot: &Snapshot, spec: &CertificateSigningRequestSpec, subresource: &str) -> bool {
    let user = User {
        name: spec.username.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    };
    let asked = Attributes {
        verb: "create".into(),
        group: "certificates.k8s.io".into(),
        version: "*".into(),
        resource: "certificatesigningrequests".into(),
        subresource: subresource.into(),
        is_resource: true,
        ..Attributes::default()
    };
    authorize(snapshot, &user, &asked).allowed
}

/// What the node authorizer says of a kubelet; `None`: the user is none.
#[must_use]
pub fn by_node(snapshot: &Snapshot, user: &User, a: &Attributes) -> Option<Result<(), String>> {
    match user.node() {
        Some(node) => Some(node::authorize(snapshot, node, a)),
        None if user.in_group(NODES) => Some(Err(format!("unknown node for user {:?}", user.name))),
        None => None,
    }
}

/// Which role allows it, if one does.
#[must_use]
pub fn by_roles(snapshot: &Snapshot, user: &User, a: &Attributes) -> Option<String> {
    let mut found = None;
    visit(snapshot, user, &a.namespace, &mut |source, rule| {
        if rule_allows(rule, a) {
            found = Some(source());
        }
        found.is_some()
    });
    found.map(|source| format!("RBAC: allowed by {source}"))
}

/// Calls `f` with every rule that applies to the user in the namespace, until it says stop.
fn visit(snapshot: &Snapshot, user: &User, namespace: &str, f: &mut dyn FnMut(&dyn Fn() -> String, &PolicyRule) -> bool) {
    for b in snapshot.list::<ClusterRoleBinding>("") {
        let Some(subject) = applies(b.subjects.as_deref(), user, "") else { continue };
        let name = b.metadata.name.as_deref().unwrap_or_default();
        let source = || format!("ClusterRoleBinding {name:?} of {} to {}", role_text(&b.role_ref), subject_text(subject));
        if role_rules(snapshot, &b.role_ref, "").iter().any(|r| f(&source, r)) {
            return;
        }
    }
    if namespace.is_empty() {
        return;
    }
    for b in snapshot.list::<RoleBinding>(namespace) {
        let Some(subject) = applies(b.subjects.as_deref(), user, namespace) else { continue };
        let name = format!("{}/{namespace}", b.metadata.name.as_deref().unwrap_or_default());
        let source = || format!("RoleBinding {name:?} of {} to {}", role_text(&b.role_ref), subject_text(subject));
        if role_rules(snapshot, &b.role_ref, namespace).iter().any(|r| f(&source, r)) {
            return;
        }
    }
}

fn role_text(r: &RoleRef) -> String {
    format!("{} {:?}", r.kind, r.name)
}

fn subject_text(s: &Subject) -> String {
    match s.kind.as_str() {
        "ServiceAccount" => {
            format!("ServiceAccount {:?}", format!("{}/{}", s.name, s.namespace.as_deref().unwrap_or_default()))
        }
        kind => format!("{kind} {:?}", s.name),
    }
}

/// The rules of a referenced role; none when it does not exist.
pub(crate) fn role_rules<'a>(snapshot: &'a Snapshot, r: &RoleRef, namespace: &str) -> &'a [PolicyRule] {
    let rules = match r.kind.as_str() {
        "ClusterRole" => snapshot.get::<ClusterRole>("", &r.name).and_then(|c| c.rules.as_ref()),
        "Role" => snapshot.get::<Role>(namespace, &r.name).and_then(|r| r.rules.as_ref()),
        _ => None,
    };
    rules.map_or(&[], Vec::as_slice)
}

fn applies<'a>(subjects: Option<&'a [Subject]>, user: &User, namespace: &str) -> Option<&'a Subject> {
    subjects?.iter().find(|s| match s.kind.as_str() {
        "User" => s.name == user.name,
        "Group" => user.in_group(&s.name),
        "ServiceAccount" => {
            let ns = s.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(namespace);
            user.service_account() == Some((ns, s.name.as_str()))
        }
        _ => false,
    })
}

fn any(list: Option<&Vec<String>>, fits: impl Fn(&str) -> bool) -> bool {
    list.is_some_and(|l| l.iter().any(|x| fits(x)))
}

/// Whether one rule allows what is asked.
#[must_use]
pub fn rule_allows(rule: &PolicyRule, a: &Attributes) -> bool {
    if !any(Some(&rule.verbs), |v| v == "*" || v == a.verb) {
        return false;
    }
    if !a.is_resource {
        return any(rule.non_resource_urls.as_ref(), |u| path_fits(u, &a.path));
    }
    any(rule.api_groups.as_ref(), |g| g == "*" || g == a.group)
        && any(rule.resources.as_ref(), |r| resource_fits(r, a))
        && rule.resource_names.as_ref().is_none_or(|n| n.is_empty() || n.contains(&a.name))
}

fn resource_fits(rule: &str, a: &Attributes) -> bool {
    if rule == "*" {
        return true;
    }
    match (rule.split_once('/'), a.subresource.is_empty()) {
        (None, true) => rule == a.resource,
        (Some((r, s)), false) => (r == "*" || r == a.resource) && s == a.subresource,
        _ => false,
    }
}

fn path_fits(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => rule == path,
    }
}

#[cfg(test)]
mod tests;
