//! ResourceQuota: what a namespace uses, and whether a write fits into what is left.
//!
//! Docs: "Resource Quotas". Usage is counted from the snapshot itself, so it is never behind. What a write adds is charged: the
//! quota's new status is written in the write's own transaction, so that two servers cannot both give away the same rest.

mod scopes;
mod usage;

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{amount, items, s};
use cache::Snapshot;
use jiff::Timestamp;
use kinds::api::core::v1::{Container, ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus, ScopedResourceSelectorRequirement};
use kinds::pod::Amounts;
use kinds::{ApiError, Kind, Object, ObjectKey, Quantity, Resource};
pub use scopes::in_scope;
pub use usage::usage;

/// What everything in the namespace takes of a quota now, for each name in its `hard` list.
#[must_use]
pub fn used(snapshot: &Snapshot, namespace: &str, spec: &ResourceQuotaSpec, now: Timestamp) -> Amounts {
    let mut sum: Amounts = spec.hard.iter().flatten().map(|(k, _)| (k.clone(), Quantity::default())).collect();
    for (resource, table) in snapshot.tables() {
        if !resource.namespaced() || !counts(resource, spec) {
            continue;
        }
        for entry in table.range(namespace, None).filter(|e| in_scope(spec, e.object())) {
            for (k, v) in usage(entry.object(), snapshot, now) {
                if let Some(at) = sum.get_mut(&k) {
                    *at = *at + v;
                }
            }
        }
    }
    sum
}

/// Whether objects of a resource can take anything of a quota.
fn counts(resource: &Resource, spec: &ResourceQuotaSpec) -> bool {
    let count = format!("count/{resource}");
    let named = |k: &String| *k == count || k == resource.plural() || k.starts_with(&format!("{}.", resource.plural()));
    let keys = || spec.hard.iter().flatten().map(|(k, _)| k);
    match resource.builtin() {
        Some(Kind::Pod) => true,
        Some(Kind::ResourceClaim) => keys().any(|k| named(k) || k.contains(".deviceclass.resource.k8s.io/") || k.starts_with("requests.")),
        Some(Kind::PersistentVolumeClaim) => keys().any(|k| named(k) || k == "requests.storage" || k.contains(".storageclass.storage.k8s.io/")),
        _ => keys().any(named),
    }
}

/// Names of compute resources that a pod must state once they are limited.
fn must_state(spec: &ResourceQuotaSpec, object: &Object) -> Option<String> {
    let Object::Pod(p) = object else { return None };
    let pod = p.spec.as_ref()?;
    // Who says what the pod as a whole needs has said it of every container.
    let level = |k: &String| matches!(k.as_str(), "cpu" | "memory") || k.starts_with("hugepages-");
    let said = |m: &Option<std::collections::BTreeMap<String, kinds::QuantityText>>| m.iter().flat_map(|m| m.keys()).any(level);
    if pod.resources.as_ref().is_some_and(|r| said(&r.requests) || said(&r.limits)) {
        return None;
    }
    let compute = |k: &str| {
        matches!(k, "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory")
    };
    let states = |c: &Container, k: &str| {
        let (map, name) = match k.strip_prefix("limits.") {
            Some(name) => (kinds::pod::container_limits(c), name),
            None => (kinds::pod::container_requests(c), k.strip_prefix("requests.").unwrap_or(k)),
        };
        map.contains_key(name)
    };
    let mut parts = Vec::new();
    for k in spec.hard.iter().flatten().map(|(k, _)| k.as_str()).filter(|k| compute(k)) {
        let missing: Vec<&str> = pod
            .containers
            .iter()
            .chain(items(&pod.init_containers))
            .filter(|c| !states(c, k))
            .map(|c| c.name.as_str())
            .collect();
        if !missing.is_empty() {
            parts.push(format!("{k} for: {}", missing.join(",")));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn pretty(amounts: &Amounts, keys: &[&String]) -> String {
    let list = keys.iter().map(|k| format!("{k}={}", amounts.get(*k).copied().unwrap_or_default()));
    list.collect::<Vec<_>>().join(",")
}

/// A quota that a write takes something of, and its status once that is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    pub quota: ObjectKey,
    pub status: ResourceQuotaStatus,
}

fn charged(quota: &ResourceQuota, mut used: Amounts, added: &Amounts) -> Charge {
    for (k, v) in added {
        let at = used.entry(k.clone()).or_default();
        *at = *at + *v;
    }
    let hard = quota.spec.as_ref().and_then(|s| s.hard.clone()).unwrap_or_default();
    let used = hard.keys().map(|k| (k.clone(), used.get(k).copied().unwrap_or_default().text())).collect();
    Charge { quota: ObjectKey::of(&quota.metadata), status: ResourceQuotaStatus { hard: Some(hard), used: Some(used) } }
}

/// What may be taken only where a quota covers it (`limitedResources` of the plugin's configuration).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitedResource {
    pub api_group: String,
    /// The plural.
    pub resource: String,
    /// Parts of the names of what is limited.
    pub match_contains: Vec<String>,
    /// What of the objects is limited.
    pub match_scopes: Vec<ScopedResourceSelectorRequirement>,
}

/// Whether quotas are about writes of a resource, or of that part of it.
#[must_use]
pub fn counts_writes_of(resource: &Resource, subresource: &str) -> bool {
    matches!((subresource, resource.builtin()), ("", _) | ("resize", Some(Kind::Pod)) | ("status", Some(Kind::PersistentVolumeClaim)))
}

/// Whether a write can change what is used.
fn handles(request: &Request, object: &Object, old: Option<&Object>) -> bool {
    if !counts_writes_of(&request.resource, request.subresource) {
        return false;
    }
    match (request.operation, object, old) {
        (Operation::Update, Object::Pod(new), Some(Object::Pod(old))) if request.subresource.is_empty() => {
            scopes::is_terminating(new) != scopes::is_terminating(old)
        }
        (Operation::Create, ..) => request.subresource.is_empty(),
        (operation, ..) => operation == Operation::Update,
    }
}

/// Whether what a write adds still fits, and what it adds to.
pub(super) fn charge(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<Vec<Charge>, ApiError> {
    let limited = &ctx.config.admission.limited_resources;
    let nothing = limited.is_empty() && ctx.snapshot.list::<ResourceQuota>(&request.namespace).next().is_none();
    if request.namespace.is_empty() || nothing || !handles(request, object, old) {
        return Ok(Vec::new());
    }
    let old = if request.operation == Operation::Update { old } else { None };
    let asked = usage(object, ctx.snapshot, ctx.now);
    let before = old.map(|o| usage(o, ctx.snapshot, ctx.now));
    let mut wanted = Vec::new();
    for quota in ctx.snapshot.list::<ResourceQuota>(&request.namespace) {
        let Some(spec) = quota.spec.as_ref().filter(|spec| in_scope(spec, object)) else { continue };
        if let Some(missing) = must_state(spec, object) {
            let name = s(&quota.metadata.name);
            return Err(forbidden(request, object, format!("failed quota: {name}: must specify {missing}")));
        }
        let mut added = asked.clone();
        if let (Some(before), true) = (&before, old.is_some_and(|o| in_scope(spec, o))) {
            take(&mut added, before);
        }
        added.retain(|_, v| *v > Quantity::default());
        wanted.push((&**quota, spec, added));
    }
    let mut grown = asked.clone();
    before.iter().for_each(|b| take(&mut grown, b));
    let grows = if wanted.is_empty() { grown.values().any(|v| *v > Quantity::default()) } else { wanted.iter().any(|w| !w.2.is_empty()) };
    if grows {
        covered(ctx, request, object, (&asked, &wanted))?;
    }
    wanted.into_iter().filter_map(|one| fit(ctx, request, object, one).transpose()).collect()
}

fn take(from: &mut Amounts, less: &Amounts) {
    for (k, v) in less {
        let at = from.entry(k.clone()).or_default();
        *at = *at - *v;
    }
}

/// A quota that takes the object in, and what the write adds.
type Wanted<'a> = (&'a ResourceQuota, &'a ResourceQuotaSpec, Amounts);

/// Whether quotas stand for everything that is limited where none does.
fn covered(ctx: &Ctx<'_>, request: &Request, object: &Object, (asked, wanted): (&Amounts, &[Wanted<'_>])) -> Result<(), ApiError> {
    let limited = &ctx.config.admission.limited_resources;
    if limited.is_empty() {
        return Ok(());
    }
    let concerns = |l: &&LimitedResource| (l.api_group.as_str(), l.resource.as_str()) == (request.resource.group(), request.resource.plural());
    let meant = |name: &String| limited.iter().filter(concerns).any(|l| l.match_contains.iter().any(|part| name.contains(part)));
    let stands = |name: &String| wanted.iter().any(|w| w.1.hard.iter().flatten().any(|(k, _)| k == name));
    let bare = asked.iter().filter(|(k, v)| **v > Quantity::default() && meant(k) && !stands(k));
    let bare: Vec<&str> = bare.map(|(k, _)| k.as_str()).collect();
    if !bare.is_empty() {
        return Err(forbidden(request, object, format!("insufficient quota to consume: {}", bare.join(","))));
    }
    let quotas = ctx.snapshot.list::<ResourceQuota>(&request.namespace).filter_map(|q| q.spec.as_ref());
    let given: Vec<_> = quotas.flat_map(scopes::selectors).filter(|r| scopes::selects(r, object)).collect();
    let demanded = limited.iter().flat_map(|l| &l.match_scopes).filter(|r| scopes::selects(r, object));
    let bare: Vec<String> = demanded.filter(|r| given.iter().all(|g| g.scope_name != r.scope_name)).map(shown).collect();
    if bare.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(500, "", format!("insufficient quota to match these scopes: [{}]", bare.join(" "))))
}

/// A scope as Go prints it.
fn shown(r: &ScopedResourceSelectorRequirement) -> String {
    format!("{{{} {} [{}]}}", r.scope_name, r.operator, items(&r.values).join(" "))
}

/// The charge of one quota, if it counts any of what is added.
fn fit(ctx: &Ctx<'_>, request: &Request, object: &Object, (quota, spec, mut added): Wanted<'_>) -> Result<Option<Charge>, ApiError> {
    let hard: Amounts = spec.hard.iter().flatten().map(|(k, v)| (k.clone(), amount(v))).collect();
    added.retain(|k, _| hard.contains_key(k));
    if added.is_empty() {
        return Ok(None);
    }
    let used = used(ctx.snapshot, &request.namespace, spec, ctx.now);
    let exceeds = |(k, v): &(&String, &Quantity)| used.get(*k).copied().unwrap_or_default() + **v > hard[*k];
    let over: Vec<&String> = added.iter().filter(exceeds).map(|(k, _)| k).collect();
    // What a status says has happened already: it counts, and is not refused.
    if !over.is_empty() && request.subresource != "status" {
        let name = s(&quota.metadata.name);
        let [requested, used, limited] = [&added, &used, &hard].map(|amounts| pretty(amounts, &over));
        let why = format!("exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}");
        return Err(forbidden(request, object, why));
    }
    Ok(Some(charged(quota, used, &added)))
}
