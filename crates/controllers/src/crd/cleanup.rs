//! A definition that is going: its instances go first.

use super::Seen;
use super::conditions::{self, TERMINATING};
use crate::controller::Ctx;
use crate::plan::{Pace, Plan, Step};
use cache::{Entry, Snapshot};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::{CustomResource, Kind, ObjectMeta, Resource};
use std::sync::Arc;

/// The finalizer that holds a definition until its instances are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Instances deleted in one round.
const ROUND_MAX: usize = 500;

/// Everything in the table of the defined resource.
pub(super) fn instances(snapshot: &Snapshot, d: &CustomResourceDefinition) -> Vec<Arc<Entry>> {
    let resource = Resource::Custom(Arc::new(CustomResource {
        group: d.spec.group.clone(),
        plural: d.spec.names.plural.clone(),
        kind: d.spec.names.kind.clone(),
        namespaced: d.spec.scope == "Namespaced",
    }));
    snapshot.table(&resource).map(|t| t.iter().cloned().collect()).unwrap_or_default()
}

/// Deletes instances, then lets the definition go.
pub(super) fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let d = &seen.definition;
    if !d.metadata.finalizers.iter().flatten().any(|f| f == FINALIZER) {
        return Plan::because("nothing holds it here");
    }
    if !seen.instances.is_empty() {
        let fresh = seen.instances.iter().filter(|e| e.meta().deletion_timestamp.is_none());
        let steps: Vec<Step> = fresh.take(ROUND_MAX).map(|e| Step::delete(e.object())).collect();
        let status = match ctx.failed {
            Some(f) => told(seen, ctx, true, "InstanceDeletionFailed", &format!("could not issue all deletes: {}", f.message)),
            None => told(seen, ctx, true, "InstanceDeletionInProgress", "CustomResource deletion is in progress"),
        };
        return Plan::because(format!("{} instances remain", seen.instances.len())).wave(Pace::Parallel, steps).status(status);
    }
    if let Some(step) = told(seen, ctx, false, "InstanceDeletionCompleted", "removed all instances") {
        return Plan::because("all instances are gone").status(Some(step));
    }
    let rest = d.metadata.finalizers.iter().flatten().filter(|f| *f != FINALIZER).cloned().collect();
    let meta = ObjectMeta { finalizers: crate::numbers::filled(rest), ..d.metadata.clone() };
    Plan::because("no instance remains").step(Step::patch_meta(Kind::CustomResourceDefinition, &meta).lenient())
}

fn told(seen: &Seen, ctx: &Ctx, on: bool, reason: &str, message: &str) -> Option<Step> {
    let was = seen.definition.status.clone().unwrap_or_default();
    let mut status = was.clone();
    conditions::set(&mut status, ctx, TERMINATING, on, reason, message);
    let next = || CustomResourceDefinition { status: Some(status.clone()), ..CustomResourceDefinition::clone(&seen.definition) };
    (status != was).then(|| Step::update_status(next()).lenient())
}
