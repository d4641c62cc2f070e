//! EndpointSlice: the addresses behind a Service with a selector, in slices of at most a hundred.
//!
//! Docs: "EndpointSlices", "Service: traffic distribution"; KEP-752, KEP-1672 (terminating), KEP-3015 (same node).
//!
//! ```text
//!  service ── selector ──> pods ── an endpoint a pod and family ──> grouped by their resolved ports ──> slices
//! ```
//! Laws: 1. an endpoint that is already in a slice stays there. 2. Slices that change take what is left before others
//! are touched, and those before a new one is made. 3. A service without endpoints has one empty slice a family.

mod desire;
pub(crate) mod reconcile;
#[cfg(test)]
mod tests;

pub(crate) use desire::{family_of, is_headless, service_port};

use crate::controller::{Controller, Ctx, Subject, Watches, itself};
use crate::plan::Plan;
use cache::{Change, Snapshot};
use kinds::api::core::v1::{Node, Pod, Service};
use kinds::{Kind, ObjectKey, Selector};

const MANAGED_BY: &str = "endpointslice-controller.k8s.io";

/// The EndpointSlice controller.
pub const CONTROLLER: Controller = Controller {
    name: "endpoint_slice",
    account: "endpointslice-controller",
    component: "endpoint-slice-controller",
    watches: Watches::Kinds(&[Kind::Service, Kind::Pod, Kind::Node, Kind::EndpointSlice]),
    wakes,
    subjects: selecting,
    plan,
};

/// Services whose endpoints are computed.
pub(crate) fn selecting(snapshot: &Snapshot) -> Vec<Subject> {
    let with = |s: &&std::sync::Arc<Service>| s.spec.as_ref().is_some_and(|s| s.selector.is_some());
    snapshot.list::<Service>("").filter(with).map(|s| Subject::of(&**s)).collect()
}

fn wakes(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    match change.resource.builtin() {
        Some(Kind::Service) => itself(change, Kind::Service).into_iter().collect(),
        Some(Kind::Pod) => services_of(change, snapshot),
        Some(Kind::Node) if zone_changed(change) => selecting(snapshot),
        Some(Kind::EndpointSlice) => {
            let entry = change.new.as_ref().or(change.old.as_ref());
            let labels = entry.and_then(|e| e.meta().labels.as_ref());
            let ours = labels.and_then(|l| l.get(reconcile::MANAGED_BY_LABEL)).is_some_and(|m| m == MANAGED_BY);
            let name = labels.and_then(|l| l.get(cache::index::SERVICE_NAME_LABEL)).filter(|_| ours);
            name.map(|n| Subject::named(Kind::Service, change.key().namespace.clone(), n.clone())).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The services that select the pod of this change, when the change matters to endpoints.
pub(crate) fn services_of(change: &Change, snapshot: &Snapshot) -> Vec<Subject> {
    let (old, new) = (change.old_as::<Pod>(), change.new_as::<Pod>());
    if let (Some(o), Some(n)) = (old, new)
        && desire::looks_same(o, n) {
            return Vec::new();
        }
    let selects = |s: &Service| {
        let Some(labels) = s.spec.as_ref().and_then(|s| s.selector.as_ref()) else { return false };
        let selector = Selector::from_map(labels);
        old.into_iter().chain(new).any(|p| selector.matches(p.metadata.labels.as_ref()))
    };
    let namespace = &change.key().namespace;
    snapshot.list::<Service>(namespace).filter(|s| selects(s)).map(|s| Subject::of(&**s)).collect()
}

fn zone_changed(change: &Change) -> bool {
    let zone = |n: &std::sync::Arc<Node>| Some(n.metadata.labels.as_ref()?.get(desire::ZONE_LABEL)?.clone());
    let (old, new) = (change.old_as::<Node>(), change.new_as::<Node>());
    old.is_some() != new.is_some() || old.and_then(zone) != new.and_then(zone)
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key)?, ctx))
}

/// One service as it stands.
pub type Seen = desire::Seen;

/// Gathers it; `None` when the service is gone, or has no selector.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    desire::observe(snapshot, key, MANAGED_BY)
}

/// What is to be done for one service.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    if seen.service.metadata.deletion_timestamp.is_some() {
        return Plan::because("the service is being deleted");
    }
    let mut steps = Vec::new();
    let mut chance = crate::numbers::Chance::new(ctx.seed);
    for family in &seen.families {
        let wanted = desire::groups(seen, family);
        let existing: Vec<_> = seen.slices.iter().filter(|s| s.address_type == *family).cloned().collect();
        let frame = desire::frame(seen, family, MANAGED_BY);
        steps.extend(reconcile::reconcile(&frame, wanted, &existing, &mut chance));
    }
    // A family that the service gave up.
    let stale = seen.slices.iter().filter(|s| !seen.families.contains(&s.address_type));
    steps.extend(stale.map(|s| crate::plan::Step::delete_typed(&**s)));
    Plan::because(format!("{} pods behind the service", seen.pods.len())).wave(crate::plan::Pace::Parallel, steps)
}
