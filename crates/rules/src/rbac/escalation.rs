//! Nobody hands out more than they hold: creating and changing roles and bindings.
//! Docs: "Using RBAC Authorization: Privilege escalation prevention and bootstrapping".

use super::{Attributes, MASTERS, authorize, visit};
use crate::context::{Ctx, Operation, Request, User};
use crate::read::items;
use cache::Snapshot;
use kinds::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleRef};
use kinds::{ApiError, Kind, Object, Resource};
use std::collections::BTreeMap;

const GROUP: &str = "rbac.authorization.k8s.io";
/// Rules in a refusal are cut off after this many.
const MISSING_MAX: usize = 1000;

/// Judges a new or changed role or binding; objects of other kinds pass.
///
/// # Errors
/// 403 naming the permissions that the user does not hold, 404 when the bound role does not exist.
pub fn check(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    if !matches!(request.operation, Operation::Create | Operation::Update) || ctx.user.in_group(MASTERS) {
        return Ok(());
    }
    if old.is_some_and(|o| only_gc_fields(object, o)) {
        return Ok(());
    }
    match object {
        Object::Role(r) => role(ctx, request, object, items(&r.rules), false),
        Object::ClusterRole(r) => role(ctx, request, object, items(&r.rules), r.aggregation_rule.is_some()),
        Object::RoleBinding(b) => binding(ctx, request, object, &b.role_ref),
        Object::ClusterRoleBinding(b) => binding(ctx, request, object, &b.role_ref),
        _ => Ok(()),
    }
}

/// Whether a change touches nothing but what the garbage collector needs to change.
fn only_gc_fields(new: &Object, old: &Object) -> bool {
    let mut new = new.clone();
    let was = old.meta().clone();
    let meta = new.meta_mut();
    let same = meta.owner_references == was.owner_references && meta.finalizers == was.finalizers;
    meta.owner_references = was.owner_references;
    meta.finalizers = was.finalizers;
    meta.managed_fields = was.managed_fields;
    meta.resource_version = was.resource_version;
    meta.generation = was.generation;
    !same && new == *old
}

fn may(ctx: &Ctx<'_>, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let asked = Attributes {
        verb: verb.into(),
        group: GROUP.into(),
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    };
    authorize(ctx.snapshot, ctx.user, &asked).allowed
}

fn role(ctx: &Ctx<'_>, request: &Request, object: &Object, rules: &[PolicyRule], aggregates: bool) -> Result<(), ApiError> {
    let name = object.meta().name.clone().unwrap_or_default();
    if may(ctx, "escalate", request.resource.plural(), &request.namespace, &name) {
        return Ok(());
    }
    confirm(ctx, &request.namespace, rules).map_err(|why| ApiError::forbidden(&request.resource, &name, why))?;
    if !aggregates {
        return Ok(());
    }
    let all = || Some(vec!["*".to_owned()]);
    let everything = [
        PolicyRule { api_groups: all(), resources: all(), verbs: vec!["*".into()], ..PolicyRule::default() },
        PolicyRule { non_resource_urls: all(), verbs: vec!["*".into()], ..PolicyRule::default() },
    ];
    confirm(ctx, "", &everything).map_err(|_| {
        let why = "must have cluster-admin privileges to use the aggregationRule";
        ApiError::forbidden(&request.resource, &name, why)
    })
}

fn binding(ctx: &Ctx<'_>, request: &Request, object: &Object, to: &RoleRef) -> Result<(), ApiError> {
    let name = object.meta().name.clone().unwrap_or_default();
    let kind = if to.kind == "Role" { Kind::Role } else { Kind::ClusterRole };
    if may(ctx, "bind", kind.info().plural, &request.namespace, &to.name) {
        return Ok(());
    }
    let rules = referenced(ctx.snapshot, to, kind, &request.namespace)?;
    confirm(ctx, &request.namespace, rules).map_err(|why| ApiError::forbidden(&request.resource, &name, why))
}

fn referenced<'a>(snapshot: &'a Snapshot, to: &RoleRef, kind: Kind, namespace: &str) -> Result<&'a [PolicyRule], ApiError> {
    let found = match kind {
        Kind::Role => snapshot.get::<Role>(namespace, &to.name).map(|r| items(&r.rules)),
        _ => snapshot.get::<ClusterRole>("", &to.name).map(|r| items(&r.rules)),
    };
    found.ok_or_else(|| ApiError::not_found(&Resource::from(kind), &to.name))
}

/// Every permission of `rules` must be held already.
fn confirm(ctx: &Ctx<'_>, namespace: &str, rules: &[PolicyRule]) -> Result<(), String> {
    let mut held: Vec<PolicyRule> = Vec::new();
    visit(ctx.snapshot, ctx.user, namespace, &mut |_, rule| {
        held.push(rule.clone());
        false
    });
    let mut missing: Missing = BTreeMap::new();
    for one in rules.iter().flat_map(atoms) {
        if !held.iter().any(|h| covers(h, &one)) {
            let (key, verb) = one;
            missing.entry(key).or_default().push(verb);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing.iter().take(MISSING_MAX).map(|(k, verbs)| line(k, verbs)).collect();
    Err(format!("{} is attempting to grant RBAC permissions not currently held:\n{}", whom(ctx.user), lines.join("\n")))
}

fn whom(user: &User) -> String {
    let groups: Vec<String> = user.groups.iter().map(|g| format!("{g:?}")).collect();
    format!("user {:?} (groups=[{}])", user.name, groups.join(" "))
}

/// What a permission is about: (group, resource, resource name) or a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Resource { group: String, resource: String, name: Option<String> },
    Url(String),
}

type Missing = BTreeMap<Thing, Vec<String>>;

/// A rule as single permissions.
fn atoms(r: &PolicyRule) -> Vec<(Thing, String)> {
    let names = items(&r.resource_names);
    let names: Vec<Option<String>> = if names.is_empty() { vec![None] } else { names.iter().cloned().map(Some).collect() };
    let mut things: Vec<Thing> = items(&r.non_resource_urls).iter().cloned().map(Thing::Url).collect();
    for group in items(&r.api_groups) {
        for resource in items(&r.resources) {
            for name in &names {
                things.push(Thing::Resource { group: group.clone(), resource: resource.clone(), name: name.clone() });
            }
        }
    }
    things.iter().flat_map(|t| r.verbs.iter().map(|v| (t.clone(), v.clone()))).collect()
}

fn lists(list: &[String], one: &str) -> bool {
    list.iter().any(|x| x == "*" || x == one)
}

/// Whether a held rule includes a single permission.
fn covers(held: &PolicyRule, (thing, verb): &(Thing, String)) -> bool {
    if !lists(&held.verbs, verb) {
        return false;
    }
    match thing {
        Thing::Url(url) => items(&held.non_resource_urls).iter().any(|h| {
            h == url || h.strip_suffix('*').is_some_and(|prefix| url.starts_with(prefix))
        }),
        Thing::Resource { group, resource, name } => {
            let resources = items(&held.resources);
            let any_of = resource.split_once('/').is_some_and(|(_, sub)| resources.iter().any(|h| *h == format!("*/{sub}")));
            let names = items(&held.resource_names);
            lists(items(&held.api_groups), group)
                && (lists(resources, resource) || any_of)
                && (names.is_empty() || name.as_ref().is_some_and(|n| names.contains(n)))
        }
    }
}

fn line(thing: &Thing, verbs: &[String]) -> String {
    let verbs = verbs.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(" ");
    match thing {
        Thing::Url(u) => format!("{{NonResourceURLs:[{u:?}], Verbs:[{verbs}]}}"),
        Thing::Resource { group, resource, name } => {
            let names = name.as_ref().map(|n| format!("ResourceNames:[{n:?}], ")).unwrap_or_default();
            format!("{{APIGroups:[{group:?}], Resources:[{resource:?}], {names}Verbs:[{verbs}]}}")
        }
    }
}

#[cfg(test)]
mod tests;
