//! What one set's decision needs: the set, its pods, and how crowded their nodes are.

use super::set::ReplicaKind;
use crate::claim::{Claim, claim};
use cache::Snapshot;
use kinds::api::core::v1::Pod;
use kinds::owner::controller_of;
use kinds::pod::is_active;
use kinds::ObjectKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One set as it stands.
#[derive(Debug)]
pub struct Seen<K> {
    pub set: Arc<K>,
    /// Active pods that are its own.
    pub active: Vec<Arc<Pod>>,
    /// Its pods that are being deleted and not over yet.
    pub terminating: usize,
    pub(crate) claims: Vec<crate::plan::Step>,
    /// How many active pods of sets with the same managing owner each node runs.
    pub related_on_node: BTreeMap<String, usize>,
}

/// Gathers it; `None` when the set is gone.
pub fn observe<K: ReplicaKind>(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen<K>> {
    let set = snapshot.find::<K>(key)?;
    let Claim { owned, steps } = claim::<K, Pod>(snapshot, &**set, &set.selector(), is_active);
    let terminating =
        owned.iter().filter(|p| p.metadata.deletion_timestamp.is_some() && !kinds::pod::is_terminal(p)).count();
    let active: Vec<_> = owned.into_iter().filter(|p| is_active(p)).collect();
    let related_on_node =
        if active.len() > set.replicas().max(0) as usize { crowds(snapshot, &**set) } else { BTreeMap::new() };
    Some(Seen { set: Arc::clone(set), active, terminating, claims: steps, related_on_node })
}

/// Counts active pods a node over all sets that share the managing owner (old and new ReplicaSets of a Deployment).
fn crowds<K: ReplicaKind>(snapshot: &Snapshot, set: &K) -> BTreeMap<String, usize> {
    let own = set.meta().uid.as_deref().unwrap_or_default();
    let siblings: Vec<String> = match controller_of(set.meta()) {
        Some(owner) => snapshot
            .owned_as::<K>(&owner.uid)
            .filter(|s| controller_of(s.meta()).is_some_and(|o| o.uid == owner.uid))
            .filter_map(|s| s.meta().uid.clone())
            .collect(),
        None => vec![own.to_owned()],
    };
    let mut out = BTreeMap::new();
    for uid in &siblings {
        for pod in snapshot.owned_as::<Pod>(uid).filter(|p| is_active(p)) {
            if let Some(node) = pod.spec.as_ref().and_then(|s| s.node_name.clone()) {
                *out.entry(node).or_default() += 1;
            }
        }
    }
    out
}
