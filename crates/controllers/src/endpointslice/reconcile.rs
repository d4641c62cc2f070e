//! From wanted endpoints to as few writes to slices as possible; shared by the controllers that make slices.

use crate::numbers::{Chance, generate_name};
use crate::plan::Step;
use kinds::ObjectMeta;
use kinds::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label that names who writes a slice.
pub(crate) const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// `--max-endpoints-per-slice`.
pub(crate) const ENDPOINTS_PER_SLICE: usize = 100;

/// Endpoints that have the same ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group {
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// What all slices of one service and family have in common.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub prefix: String,
    pub address_type: String,
    /// Namespace, labels and owner.
    pub meta: ObjectMeta,
    /// Annotations that are set on whatever is written, and alone are no reason to write.
    pub stamp: BTreeMap<String, String>,
    /// Annotations that must be exactly these, where given.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Whether a service without endpoints keeps one empty slice.
    pub keep_empty: bool,
}

/// A slice in the making.
struct Draft {
    from: Option<Arc<EndpointSlice>>,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
    changed: bool,
    /// Stays although it is empty.
    keep: bool,
}

/// The writes that turn `existing` into `wanted`.
pub(crate) fn reconcile(frame: &Frame, wanted: Vec<Group>, existing: &[Arc<EndpointSlice>], chance: &mut Chance) -> Vec<Step> {
    let mut drafts: Vec<Draft> = existing.iter().map(draft).collect();
    for d in drafts.iter_mut().filter(|d| !wanted.iter().any(|g| g.ports == d.ports)) {
        d.changed |= !d.endpoints.is_empty();
        d.endpoints.clear();
    }
    for group in &wanted {
        place(group, &mut drafts);
    }
    keep_one(frame, &mut drafts);
    drafts.into_iter().filter_map(|d| write(frame, d, chance)).collect()
}

fn draft(s: &Arc<EndpointSlice>) -> Draft {
    Draft {
        from: Some(Arc::clone(s)),
        ports: s.ports.clone().unwrap_or_default(),
        endpoints: s.endpoints.clone().unwrap_or_default(),
        changed: false,
        keep: false,
    }
}

/// Who an endpoint is: its target, else its addresses.
fn identity(e: &Endpoint) -> String {
    match e.target_ref.as_ref().and_then(|t| t.uid.clone()) {
        Some(uid) => uid,
        None => e.addresses.join(","),
    }
}

fn place(group: &Group, drafts: &mut Vec<Draft>) {
    let mut left: BTreeMap<String, &Endpoint> = group.endpoints.iter().map(|e| (identity(e), e)).collect();
    for d in drafts.iter_mut().filter(|d| d.ports == group.ports) {
        let before = std::mem::take(&mut d.endpoints);
        for e in &before {
            if let Some(now) = left.remove(&identity(e)) {
                d.endpoints.push(now.clone());
            }
        }
        d.changed |= d.endpoints != before;
    }
    let mut left: std::collections::VecDeque<&Endpoint> = left.into_values().collect();
    for changed_first in [true, false] {
        for d in drafts.iter_mut().filter(|d| d.ports == group.ports && (d.changed == changed_first)) {
            let room = ENDPOINTS_PER_SLICE.saturating_sub(d.endpoints.len()).min(left.len());
            if room > 0 {
                d.endpoints.extend(left.drain(..room).cloned());
                d.changed = true;
            }
        }
    }
    while !left.is_empty() {
        let n = left.len().min(ENDPOINTS_PER_SLICE);
        let endpoints: Vec<Endpoint> = left.drain(..n).cloned().collect();
        let ports = group.ports.clone();
        // A slice that has become empty is used again before a new one is made.
        match drafts.iter_mut().find(|d| d.endpoints.is_empty()) {
            Some(d) => (d.ports, d.endpoints, d.changed) = (ports, endpoints, true),
            None => drafts.push(Draft { from: None, ports, endpoints, changed: true, keep: false }),
        }
    }
}

/// With no endpoints at all one slice stays (or comes to be), empty and without ports.
fn keep_one(frame: &Frame, drafts: &mut Vec<Draft>) {
    if !frame.keep_empty || drafts.iter().any(|d| !d.endpoints.is_empty()) {
        return;
    }
    match drafts.first_mut() {
        Some(d) => {
            d.changed |= !d.ports.is_empty();
            d.ports.clear();
            d.keep = true;
        }
        None => drafts.push(Draft { from: None, ports: Vec::new(), endpoints: Vec::new(), changed: true, keep: true }),
    }
}

fn write(frame: &Frame, d: Draft, chance: &mut Chance) -> Option<Step> {
    let Some(from) = d.from else { return Some(create(frame, d.ports, d.endpoints, chance)) };
    if d.endpoints.is_empty() && !d.keep {
        return Some(Step::delete_typed(&*from));
    }
    let mut annotations = match &frame.annotations {
        Some(exact) => exact.clone(),
        None => from.metadata.annotations.clone().unwrap_or_default(),
    };
    let stale = from.metadata.labels != frame.meta.labels
        || from.metadata.owner_references != frame.meta.owner_references
        || (frame.annotations.is_some() && from.metadata.annotations.clone().unwrap_or_default() != annotations);
    if !d.changed && !stale {
        return None;
    }
    annotations.extend(frame.stamp.clone());
    let mut next = EndpointSlice::clone(&from);
    next.metadata.labels.clone_from(&frame.meta.labels);
    next.metadata.owner_references.clone_from(&frame.meta.owner_references);
    next.metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    (next.ports, next.endpoints) = (Some(d.ports), Some(d.endpoints));
    Some(Step::update(next))
}

fn create(frame: &Frame, ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>, chance: &mut Chance) -> Step {
    let mut metadata = frame.meta.clone();
    generate_name(&mut metadata, &frame.prefix, chance);
    let mut annotations = frame.annotations.clone().unwrap_or_default();
    annotations.extend(frame.stamp.clone());
    metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    let slice =
        EndpointSlice { address_type: frame.address_type.clone(), endpoints: Some(endpoints), metadata, ports: Some(ports) };
    Step::create(slice)
}
