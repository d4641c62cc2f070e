//! What one DaemonSet's decision needs: its pods by node, the nodes, its revisions.

use super::node::{Fit, fit, target_node};
use crate::claim::claim;
use crate::history::{self, History};
use crate::plan::Step;
use cache::Snapshot;
use kinds::api::apps::v1::{DaemonSet, DaemonSetSpec};
use kinds::api::core::v1::{Node, Pod};
use kinds::{ObjectKey, Selector};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One node as the set sees it.
#[derive(Debug)]
pub struct Place {
    pub name: String,
    pub fit: Fit,
    /// The set's pods on it, oldest first.
    pub pods: Vec<Arc<Pod>>,
}

/// One DaemonSet as it stands.
#[derive(Debug)]
pub struct Seen {
    pub set: Arc<DaemonSet>,
    pub places: Vec<Place>,
    /// Pods for nodes that do not exist.
    pub lost: Vec<Arc<Pod>>,
    pub(crate) claims: Vec<Step>,
    pub(crate) history: History,
}

impl Seen {
    pub(super) fn spec(&self) -> &DaemonSetSpec {
        self.set.spec.as_ref().expect("observed with a spec")
    }
    pub(super) fn pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.places.iter().flat_map(|p| &p.pods).chain(&self.lost)
    }
}

/// Gathers it; `None` when the set is gone.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let set = snapshot.find::<DaemonSet>(key)?;
    let spec = set.spec.as_ref()?;
    let selector = Selector::from_label_selector(Some(&spec.selector));
    let claimed = claim::<DaemonSet, Pod>(snapshot, &**set, &selector, |_| true);
    let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in claimed.owned {
        by_node.entry(target_node(&pod)).or_default().push(pod);
    }
    let mut places = Vec::new();
    for node in snapshot.list::<Node>("") {
        let name = node.metadata.name.clone().unwrap_or_default();
        let mut pods = by_node.remove(&name).unwrap_or_default();
        // Bound pods before unbound ones, then the oldest first.
        let bound = |p: &Pod| p.spec.as_ref().is_some_and(|s| s.node_name.is_some());
        pods.sort_by_key(|p| (!bound(p), p.metadata.creation_timestamp.clone(), p.metadata.name.clone()));
        places.push(Place { fit: fit(spec, node), name, pods });
    }
    let collisions = set.status.as_ref().and_then(|s| s.collision_count);
    let history = history::observe(snapshot, &**set, collisions)?;
    let lost = by_node.into_values().flatten().collect();
    Some(Seen { set: Arc::clone(set), places, lost, claims: claimed.steps, history })
}
