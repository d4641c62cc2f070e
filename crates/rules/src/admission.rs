//! In-tree admission: an ordered table of plugins that change (mutate) or refuse (validate) a write.
//!
//! Docs: "Admission Control in Kubernetes"; the order is the API server's own. Webhooks and policies come between the two
//! phases and are not part of this.

use crate::context::{Ctx, Operation, Request};
use kinds::{ApiError, Object};
use std::fmt::Display;

mod accounts;
mod audiences;
pub mod by_namespace;
mod certificates;
mod classes;
pub mod event_rate;
mod lifecycle;
mod limits;
mod nodes;
mod pods;
pub mod quota;
mod requested;
pub mod security;
mod storage;
#[cfg(test)]
mod tests;

/// Changes a write, or refuses it.
type Mutate = fn(&Ctx<'_>, &Request, &mut Object, Option<&Object>) -> Result<(), ApiError>;
/// Refuses a write, or lets it be.
type Validate = fn(&Ctx<'_>, &Request, &Object, Option<&Object>) -> Result<(), ApiError>;

/// The plugins that change, in order.
const MUTATING: &[(&str, Mutate)] = &[
    ("LimitRanger", limits::mutate),
    ("ServiceAccount", accounts::mutate),
    ("TaintNodesByCondition", nodes::taint),
    ("Priority", pods::priority),
    ("DefaultTolerationSeconds", pods::tolerations),
    ("DefaultStorageClass", storage::default_class),
    ("StorageObjectInUseProtection", storage::protect),
    ("RuntimeClass", classes::runtime),
    ("DefaultIngressClass", classes::ingress),
    ("PodTopologyLabels", pods::topology_labels),
];

/// The plugins that refuse, in order. Quota comes after them all, policies and webhooks included: see [`charge`].
const VALIDATING: &[(&str, Validate)] = &[
    ("LimitRanger", limits::validate),
    ("ServiceAccount", accounts::validate),
    ("NodeRestriction", nodes::restrict),
    ("PodSecurity", security::enforce),
    ("PodSecurity", security::labels),
    ("Priority", pods::one_default_priority),
    ("PersistentVolumeClaimResize", storage::resize),
    ("RuntimeClass", classes::overhead),
    ("CertificateApproval", certificates::on_behalf_of_signer),
    ("CertificateSubjectRestriction", certificates::subject),
];

/// Runs the plugins that change. `old` is the stored object of an update.
///
/// # Errors
/// The refusal of the first plugin that refuses.
pub fn mutate(ctx: &Ctx<'_>, request: &Request, object: &mut Object, old: Option<&Object>) -> Result<(), ApiError> {
    let plugins = &ctx.config.plugins;
    if plugins.keeps("NamespaceLifecycle") {
        lifecycle::check(ctx, request, object)?;
    }
    // Plugins see what decoding gives: an object with its defaults.
    if let Some(kind) = object.kind() {
        (crate::rules(kind).default)(object);
    }
    certificates::requester(ctx, request, object, old)?;
    MUTATING.iter().filter(|(name, _)| plugins.keeps(name)).try_for_each(|(_, plugin)| plugin(ctx, request, object, old))?;
    requested::MUTATING.iter().filter(|(name, _)| plugins.adds(name)).try_for_each(|(_, plugin)| plugin(ctx, request, object, old))
}

/// Runs the plugins that refuse. For a delete, `object` is what is to be deleted.
///
/// # Errors
/// The refusal of the first plugin that refuses.
pub fn validate(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let plugins = &ctx.config.plugins;
    if request.operation == Operation::Delete && plugins.keeps("NamespaceLifecycle") {
        lifecycle::check(ctx, request, object)?;
    }
    crate::rbac::escalation::check(ctx, request, object, old)?;
    VALIDATING.iter().filter(|(name, _)| plugins.keeps(name)).try_for_each(|(_, plugin)| plugin(ctx, request, object, old))?;
    requested::VALIDATING.iter().filter(|(name, _)| plugins.adds(name)).try_for_each(|(_, plugin)| plugin(ctx, request, object, old))
}

/// ResourceQuota, the very last: it counts only what everything else let pass. What comes of it belongs into the write's transaction.
///
/// # Errors
/// The refusal of a quota that is used up.
pub fn charge(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<Vec<quota::Charge>, ApiError> {
    if ctx.config.plugins.keeps("ResourceQuota") { quota::charge(ctx, request, object, old) } else { Ok(Vec::new()) }
}

/// What plugins warn the writer of.
#[must_use]
pub fn warnings(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Vec<String> {
    if ctx.config.plugins.keeps("PodSecurity") { security::warnings(ctx, request, object, old) } else { Vec::new() }
}

/// What plugins tell the audit log, by its key.
#[must_use]
pub fn annotations(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Vec<(&'static str, String)> {
    if ctx.config.plugins.keeps("PodSecurity") { security::annotations(ctx, request, object, old) } else { Vec::new() }
}

/// The names of the plugins, as configuration and metrics spell them.
pub fn plugins() -> impl Iterator<Item = &'static str> {
    let first = std::iter::once("NamespaceLifecycle");
    let mutating = |n: &&str| MUTATING.iter().all(|(m, _)| m != n);
    let once = |i: &usize| *i == 0 || VALIDATING[*i - 1].0 != VALIDATING[*i].0;
    let rest = (0..VALIDATING.len()).filter(once).map(|i| VALIDATING[i].0).filter(mutating);
    first.chain(MUTATING.iter().map(|(n, _)| *n)).chain(rest).chain(std::iter::once("ResourceQuota"))
}

/// A refusal as admission words it: by the object's name, or by what its name is generated from.
fn forbidden(request: &Request, object: &Object, why: impl Display) -> ApiError {
    let generated = object.meta().generate_name.as_deref().unwrap_or_default();
    let name = match request.name.as_str() {
        "" => object.meta().name.as_deref().filter(|n| !n.is_empty()).unwrap_or(generated),
        name => name,
    };
    ApiError::forbidden(&request.resource, if name.is_empty() { "Unknown" } else { name }, why)
}

/// Several complaints as one text: one bare, more in brackets, repeated ones once.
fn aggregate(mut all: Vec<String>) -> String {
    let mut seen = Vec::new();
    all.retain(|t| {
        let new = !seen.contains(t);
        seen.push(t.clone());
        new
    });
    if all.len() == 1 { all.remove(0) } else { format!("[{}]", all.join(", ")) }
}
