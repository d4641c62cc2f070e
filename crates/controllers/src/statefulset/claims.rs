//! The volume claims of a set: made with a pod, and owned as the retention policy says.
//!
//! Docs: "StatefulSets: PersistentVolumeClaim retention"; KEP-1847.

use super::observe::Seen;
use crate::numbers::filled;
use crate::plan::{Note, Step, reference};
use kinds::api::core::v1::{PersistentVolumeClaim, Pod};
use kinds::owner::controller_ref;
use kinds::{OwnerReference, ObjectMeta};

/// `<template>-<set>-<ordinal>`.
pub(super) fn claim_name(template: &PersistentVolumeClaim, set: &str, ordinal: i32) -> String {
    format!("{}-{set}-{ordinal}", template.metadata.name.as_deref().unwrap_or_default())
}

fn policy(seen: &Seen) -> (bool, bool) {
    let p = seen.spec().persistent_volume_claim_retention_policy.as_ref();
    let deletes = |v: Option<&String>| v.is_some_and(|v| v == "Delete");
    (deletes(p.and_then(|p| p.when_deleted.as_ref())), deletes(p.and_then(|p| p.when_scaled.as_ref())))
}

/// Creations of the claims that the pod of that ordinal lacks.
pub(super) fn missing(seen: &Seen, ordinal: i32) -> Vec<Step> {
    let templates = seen.spec().volume_claim_templates.iter().flatten();
    let absent = templates.filter(|t| !seen.volume_claims.contains_key(&claim_name(t, seen.name(), ordinal)));
    absent.map(|t| creation(seen, t, ordinal)).collect()
}

fn creation(seen: &Seen, template: &PersistentVolumeClaim, ordinal: i32) -> Step {
    let name = claim_name(template, seen.name(), ordinal);
    let mut labels = template.metadata.labels.clone().unwrap_or_default();
    labels.extend(seen.spec().selector.match_labels.clone().unwrap_or_default());
    let owners = if policy(seen) == (true, false) { vec![controller_ref(&*seen.set)] } else { Vec::new() };
    let metadata = ObjectMeta {
        name: Some(name.clone()),
        namespace: seen.set.metadata.namespace.clone(),
        labels: (!labels.is_empty()).then_some(labels),
        annotations: template.metadata.annotations.clone(),
        owner_references: filled(owners),
        ..ObjectMeta::default()
    };
    let pod = format!("{}-{ordinal}", seen.name());
    let ok = Note::new("SuccessfulCreate", format!("create Claim {name} Pod {pod} in StatefulSet {} success", seen.name()));
    let failed = Note::new("FailedCreate", format!("create Claim {name} for Pod {pod} in StatefulSet {} failed error: ", seen.name()));
    let claim = PersistentVolumeClaim { metadata, spec: template.spec.clone(), status: None };
    Step::create(claim).lenient().telling(reference(&*seen.set), Some(ok), Some(failed))
}

/// Updates of claims whose owners are not those that the policy asks for.
pub(super) fn ownership(seen: &Seen) -> Vec<Step> {
    let mut steps = Vec::new();
    for template in seen.spec().volume_claim_templates.iter().flatten() {
        for (ordinal, pod) in &seen.pods {
            let name = claim_name(template, seen.name(), *ordinal);
            let Some(claim) = seen.volume_claims.get(&name) else { continue };
            let condemned = !seen.ordinals().contains(ordinal);
            let wanted = owner(seen, pod, condemned);
            let own = |o: &OwnerReference| Some(&o.uid) == seen.set.metadata.uid.as_ref() || o.kind == "Pod" || o.kind == "StatefulSet";
            let all = claim.metadata.owner_references.clone().unwrap_or_default();
            let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(own);
            let right = mine.iter().map(|o| &o.uid).eq(wanted.iter().map(|o| &o.uid));
            if right || claim.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let mut next = PersistentVolumeClaim::clone(claim);
            next.metadata.owner_references = filled(others.into_iter().chain(wanted).collect());
            steps.push(Step::update(next).lenient());
        }
    }
    steps
}

fn owner(seen: &Seen, pod: &Pod, condemned: bool) -> Option<OwnerReference> {
    let (when_deleted, when_scaled) = policy(seen);
    match (when_deleted, when_scaled, condemned) {
        (_, true, true) => Some(controller_ref(pod)),
        (true, false, _) | (true, true, false) => Some(controller_ref(&*seen.set)),
        _ => None,
    }
}
