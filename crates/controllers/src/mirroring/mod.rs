//! EndpointSliceMirroring: hand-written Endpoints of a Service without a selector, as slices.
//!
//! Docs: "EndpointSlices: mirroring".
//!
//! Laws: 1. only Endpoints whose service exists and has no selector are mirrored. 2. A subset mirrors at most a
//! thousand addresses. 3. Labels and annotations of the Endpoints are copied, but for those that tools keep there.

#[cfg(test)]
mod tests;

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::endpointslice::family_of;
use crate::endpointslice::reconcile::{Frame, Group, MANAGED_BY_LABEL, reconcile};
use crate::numbers::Chance;
use crate::plan::{Pace, Plan, Step};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use kinds::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use kinds::owner::controller_ref;
use kinds::{Kind, ObjectKey, ObjectMeta};
use std::collections::BTreeMap;
use std::sync::Arc;

const MANAGED_BY: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// `--mirroring-max-endpoints-per-subset`.
pub const ADDRESSES_PER_SUBSET_MAX: usize = 1000;
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// The EndpointSliceMirroring controller.
pub const CONTROLLER: Controller = Controller {
    name: "endpoint_slice_mirroring",
    account: "endpointslicemirroring-controller",
    component: "endpoint-slice-mirroring-controller",
    watches: Watches::Kinds(&[Kind::Endpoints, Kind::Service, Kind::EndpointSlice]),
    wakes,
    subjects: every::<Endpoints>,
    plan,
};

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Endpoints) {
        return vec![s];
    }
    if change.resource == Kind::Service.into() {
        return vec![Subject::new(Kind::Endpoints, change.key().clone())];
    }
    let labels = change.new.as_ref().or(change.old.as_ref()).and_then(|e| e.meta().labels.as_ref());
    let ours = labels.and_then(|l| l.get(MANAGED_BY_LABEL)).is_some_and(|m| m == MANAGED_BY);
    let name = labels.and_then(|l| l.get(cache::index::SERVICE_NAME_LABEL)).filter(|_| ours);
    name.map(|n| Subject::named(Kind::Endpoints, change.key().namespace.clone(), n.clone())).into_iter().collect()
}

/// Endpoints to mirror (`None`: only take the slices away) and the slices that mirror them.
#[derive(Debug)]
pub struct Seen {
    pub endpoints: Option<Arc<Endpoints>>,
    pub slices: Vec<Arc<EndpointSlice>>,
}

/// Gathers it.
#[must_use]
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Seen {
    let managed = |s: &&Arc<EndpointSlice>| {
        s.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY_LABEL)).is_some_and(|m| m == MANAGED_BY)
    };
    let slices = snapshot.slices_of(&key.namespace, &key.name).filter(managed).cloned().collect();
    let by_hand = snapshot.find::<Service>(key).and_then(|s| s.spec.as_ref()).is_some_and(|s| s.selector.is_none());
    let endpoints = snapshot.find::<Endpoints>(key).filter(|e| by_hand && wants_mirror(e)).cloned();
    Seen { endpoints, slices }
}

fn wants_mirror(e: &Endpoints) -> bool {
    let skip = e.metadata.labels.as_ref().and_then(|l| l.get(SKIP_LABEL)).is_some_and(|v| v == "true");
    let lock = e.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(LEADER));
    !skip && !lock && e.metadata.deletion_timestamp.is_none()
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    Some(decide(&observe(snapshot, &subject.key), ctx))
}

/// What is to be done for one Endpoints.
#[must_use]
pub fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let Some(endpoints) = &seen.endpoints else {
        let steps = seen.slices.iter().map(|s| Step::delete_typed(&**s)).collect();
        return Plan::because("nothing to mirror").wave(Pace::Parallel, steps);
    };
    let mut chance = Chance::new(ctx.seed);
    let mut steps = Vec::new();
    for family in FAMILIES {
        let wanted = groups(endpoints, family);
        let existing: Vec<_> = seen.slices.iter().filter(|s| s.address_type == family).cloned().collect();
        steps.extend(reconcile(&frame(endpoints, family), wanted, &existing, &mut chance));
    }
    Plan::because("mirroring").wave(Pace::Parallel, steps)
}

fn groups(endpoints: &Endpoints, family: &str) -> Vec<Group> {
    let mut out: Vec<Group> = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ready = subset.addresses.iter().flatten().map(|a| (a, true));
        let other = subset.not_ready_addresses.iter().flatten().map(|a| (a, false));
        let all = ready.chain(other).take(ADDRESSES_PER_SUBSET_MAX).filter(|(a, _)| family_of(&a.ip) == family);
        let found: Vec<Endpoint> = all.map(|(a, ready)| endpoint(a, ready)).collect();
        let ports = ports(subset);
        match out.iter_mut().find(|g| g.ports == ports) {
            Some(g) => g.endpoints.extend(found),
            None if found.is_empty() => {}
            None => out.push(Group { ports, endpoints: found }),
        }
    }
    out
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let port = |p: &kinds::api::core::v1::EndpointPort| EndpointPort {
        name: Some(p.name.clone().unwrap_or_default()),
        port: Some(p.port),
        protocol: p.protocol.clone(),
        app_protocol: p.app_protocol.clone(),
    };
    subset.ports.iter().flatten().map(port).collect()
}

fn endpoint(a: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![a.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), serving: None, terminating: None }),
        deprecated_topology: None,
        hints: None,
        hostname: a.hostname.clone().filter(|h| !h.is_empty()),
        node_name: a.node_name.clone(),
        target_ref: a.target_ref.clone(),
        zone: None,
    }
}

fn frame(e: &Endpoints, family: &str) -> Frame {
    let name = e.metadata.name.clone().unwrap_or_default();
    let mut labels = e.metadata.labels.clone().unwrap_or_default();
    labels.insert(cache::index::SERVICE_NAME_LABEL.to_owned(), name.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    let kept = |k: &str| k != LAST_APPLIED && k != TRIGGER;
    let notes = e.metadata.annotations.iter().flatten().filter(|(k, _)| kept(k));
    let annotations: BTreeMap<String, String> = notes.map(|(k, v)| (k.clone(), v.clone())).collect();
    Frame {
        prefix: format!("{name}-"),
        address_type: family.to_owned(),
        meta: ObjectMeta {
            namespace: e.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_ref(e)]),
            ..ObjectMeta::default()
        },
        stamp: BTreeMap::new(),
        annotations: Some(annotations),
        keep_empty: false,
    }
}
