//! The five conditions of a terminating namespace.

use crate::controller::Ctx;
use cache::Entry;
use kinds::Resource;
use kinds::api::core::v1::NamespaceCondition;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What remains, counted.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    /// `plural.group` to instances.
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Remaining {
    pub(super) fn of(content: &[(Resource, Vec<Arc<Entry>>)]) -> Self {
        let mut out = Self::default();
        for (r, entries) in content {
            out.resources.insert(format!("{}.{}", r.plural(), r.group()), entries.len());
            for f in entries.iter().flat_map(|e| e.meta().finalizers.iter().flatten()) {
                *out.finalizers.entry(f.clone()).or_default() += 1;
            }
        }
        out
    }
    fn resources_text(&self) -> String {
        let parts: Vec<_> = self.resources.iter().map(|(r, n)| format!("{r} has {n} resource instances")).collect();
        format!("Some resources are remaining: {}", parts.join(", "))
    }
    fn finalizers_text(&self) -> String {
        let parts: Vec<_> = self.finalizers.iter().map(|(f, n)| format!("{f} in {n} resource instances")).collect();
        format!("Some content in the namespace has finalizers remaining: {}", parts.join(", "))
    }
}

/// The conditions as they should be, with the transition times of those whose status stays.
pub(super) fn conditions(mut all: Vec<NamespaceCondition>, remaining: &Remaining, ctx: &Ctx) -> Vec<NamespaceCondition> {
    let discovered = "All resources successfully discovered".to_owned();
    set(&mut all, ctx, "NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", discovered);
    let parsed = "All legacy kube types successfully parsed".to_owned();
    set(&mut all, ctx, "NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", parsed);
    match ctx.failed {
        Some(f) => {
            let text = format!("Failed to delete all resource types, 1 remaining: {}", f.message);
            set(&mut all, ctx, "NamespaceDeletionContentFailure", true, "ContentDeletionFailed", text);
        }
        None => {
            let text = "All content successfully deleted, may be waiting on finalization".to_owned();
            set(&mut all, ctx, "NamespaceDeletionContentFailure", false, "ContentDeleted", text);
        }
    }
    let (some, text) = match remaining.resources.is_empty() {
        true => (false, "All content successfully removed".to_owned()),
        false => (true, remaining.resources_text()),
    };
    let reason = if some { "SomeResourcesRemain" } else { "ContentRemoved" };
    set(&mut all, ctx, "NamespaceContentRemaining", some, reason, text);
    let (some, text) = match remaining.finalizers.is_empty() {
        true => (false, "All content-preserving finalizers finished".to_owned()),
        false => (true, remaining.finalizers_text()),
    };
    let reason = if some { "SomeFinalizersRemain" } else { "ContentHasNoFinalizers" };
    set(&mut all, ctx, "NamespaceFinalizersRemaining", some, reason, text);
    all
}

fn set(all: &mut Vec<NamespaceCondition>, ctx: &Ctx, kind: &str, on: bool, reason: &str, message: String) {
    let status = if on { "True" } else { "False" };
    match all.iter_mut().find(|c| c.type_ == kind) {
        Some(c) => {
            if c.status != status {
                c.last_transition_time = Some(ctx.time());
            }
            (c.status, c.reason, c.message) = (status.to_owned(), Some(reason.to_owned()), Some(message));
        }
        None => all.push(NamespaceCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(ctx.time()),
        }),
    }
}
