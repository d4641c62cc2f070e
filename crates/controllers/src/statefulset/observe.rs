//! One set with its pods by ordinal, their claims, and its revisions.

use super::claims::claim_name;
use crate::claim::claim;
use crate::history::{self, History};
use crate::plan::Step;
use cache::Snapshot;
use kinds::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use kinds::api::core::v1::{PersistentVolumeClaim, Pod};
use kinds::{ObjectKey, Selector};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One set as it stands.
#[derive(Debug)]
pub struct Seen {
    pub set: Arc<StatefulSet>,
    /// Its pods by ordinal.
    pub pods: BTreeMap<i32, Arc<Pod>>,
    /// Existing claims of its ordinals, by name.
    pub volume_claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    pub(crate) claims: Vec<Step>,
    pub(crate) history: History,
}

impl Seen {
    pub(super) fn spec(&self) -> &StatefulSetSpec {
        self.set.spec.as_ref().expect("observed with a spec")
    }
    pub(super) fn status(&self) -> StatefulSetStatus {
        self.set.status.clone().unwrap_or_default()
    }
    pub(super) fn name(&self) -> &str {
        self.set.metadata.name.as_deref().unwrap_or_default()
    }
    pub(super) fn replicas(&self) -> i32 {
        self.spec().replicas.unwrap_or(1)
    }
    /// The ordinals that should exist.
    pub(super) fn ordinals(&self) -> std::ops::Range<i32> {
        let start = self.spec().ordinals.as_ref().and_then(|o| o.start).unwrap_or(0);
        start..start + self.replicas()
    }
    pub(super) fn min_ready_s(&self) -> i32 {
        self.spec().min_ready_seconds.unwrap_or(0)
    }
}

/// The ordinal in a pod's name.
pub(super) fn ordinal_of(set: &str, pod: &Pod) -> Option<i32> {
    let tail = pod.metadata.name.as_deref()?.strip_prefix(set)?.strip_prefix('-')?;
    tail.parse().ok().filter(|n| *n >= 0)
}

/// Gathers it; `None` when the set is gone.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let set = snapshot.find::<StatefulSet>(key)?;
    let spec = set.spec.as_ref()?;
    let selector = Selector::from_label_selector(Some(&spec.selector));
    let claimed = claim::<StatefulSet, Pod>(snapshot, &**set, &selector, |p| ordinal_of(&key.name, p).is_some());
    let pods: BTreeMap<i32, _> =
        claimed.owned.into_iter().filter_map(|p| Some((ordinal_of(&key.name, &p)?, p))).collect();
    let replicas = spec.replicas.unwrap_or(1);
    let start = spec.ordinals.as_ref().and_then(|o| o.start).unwrap_or(0);
    let mut volume_claims = BTreeMap::new();
    for template in spec.volume_claim_templates.iter().flatten() {
        for ordinal in (start..start + replicas).chain(pods.keys().copied()) {
            let name = claim_name(template, &key.name, ordinal);
            if let Some(c) = snapshot.get::<PersistentVolumeClaim>(&key.namespace, &name) {
                volume_claims.insert(name, Arc::clone(c));
            }
        }
    }
    let history = history::observe(snapshot, &**set, set.status.as_ref().and_then(|s| s.collision_count))?;
    Some(Seen { set: Arc::clone(set), pods, volume_claims, claims: claimed.steps, history })
}
