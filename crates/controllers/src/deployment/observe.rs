//! What one deployment's decision needs: itself, its ReplicaSets in order of age, and whether old pods still run.

use crate::claim::claim;
use crate::plan::Step;
use cache::Snapshot;
use kinds::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use kinds::api::core::v1::{Pod, PodTemplateSpec};
use kinds::hash::content_hash;
use kinds::owner::controller_of;
use kinds::{ObjectKey, Selector};
use std::sync::Arc;

/// The label that tells the pods of one ReplicaSet from those of its siblings.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// One deployment as it stands.
#[derive(Debug)]
pub struct Seen {
    pub deployment: Arc<Deployment>,
    /// The set whose template is the deployment's.
    pub new: Option<Arc<ReplicaSet>>,
    /// All others, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
    pub(crate) claims: Vec<Step>,
    /// The hash that a new set would get, and whether its name is taken by a set that is not the wanted one.
    pub hash: String,
    pub name_taken: bool,
    /// Pods of other sets than the new one that are not over (looked at for `Recreate` only).
    pub old_pods_running: bool,
}

impl Seen {
    pub(super) fn spec(&self) -> &DeploymentSpec {
        self.deployment.spec.as_ref().expect("observed with a spec")
    }
    pub(super) fn replicas(&self) -> i32 {
        self.spec().replicas.unwrap_or(1)
    }
    pub(super) fn name(&self) -> &str {
        self.deployment.metadata.name.as_deref().unwrap_or_default()
    }
    /// Old sets, then the new one.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }
}

/// Gathers it; `None` when the deployment is gone.
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let deployment = snapshot.find::<Deployment>(key)?;
    let spec = deployment.spec.as_ref()?;
    let selector = Selector::from_label_selector(Some(&spec.selector));
    let claimed = claim::<Deployment, ReplicaSet>(snapshot, &**deployment, &selector, |_| true);
    let mut sets = claimed.owned;
    sets.sort_by_key(|a| age_order(a));
    let at = sets.iter().position(|s| template_of(s).is_some_and(|t| same_template(t, &spec.template)));
    let new = at.map(|i| sets.remove(i));
    let hash = content_hash(&spec.template, deployment.status.as_ref().and_then(|s| s.collision_count));
    let name = format!("{}-{hash}", key.name);
    let name_taken = new.is_none() && snapshot.get::<ReplicaSet>(&key.namespace, &name).is_some();
    let old_pods_running = recreates(deployment) && old_pods_run(snapshot, key, &selector, new.as_deref());
    Some(Seen { deployment: Arc::clone(deployment), new, old: sets, claims: claimed.steps, hash, name_taken, old_pods_running })
}

/// Whether the strategy is `Recreate`.
pub(super) fn recreates(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref());
    strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate")
}

fn old_pods_run(snapshot: &Snapshot, key: &ObjectKey, selector: &Selector, new: Option<&ReplicaSet>) -> bool {
    let new_uid = new.and_then(|n| n.metadata.uid.as_deref());
    let prefix = format!("{}-", key.name);
    snapshot.list::<Pod>(&key.namespace).any(|p| {
        let owner = controller_of(&p.metadata).filter(|o| o.kind == "ReplicaSet" && o.name.starts_with(&prefix));
        selector.matches(p.metadata.labels.as_ref())
            && owner.is_some_and(|o| Some(o.uid.as_str()) != new_uid)
            && !kinds::pod::is_terminal(p)
    })
}

/// Oldest first; equals by name.
pub(super) fn age_order(set: &ReplicaSet) -> (Option<kinds::Time>, Option<String>) {
    (set.metadata.creation_timestamp.clone(), set.metadata.name.clone())
}

fn template_of(set: &ReplicaSet) -> Option<&PodTemplateSpec> {
    set.spec.as_ref()?.template.as_ref()
}

/// Equal but for the hash label.
fn same_template(of_set: &PodTemplateSpec, wanted: &PodTemplateSpec) -> bool {
    let strip = |t: &PodTemplateSpec| {
        let mut m = t.metadata.clone().unwrap_or_default();
        if let Some(l) = &mut m.labels {
            l.remove(HASH_LABEL);
        }
        m.labels = m.labels.filter(|l| !l.is_empty());
        m.annotations = m.annotations.filter(|a| !a.is_empty());
        m
    };
    of_set.spec == wanted.spec && strip(of_set) == strip(wanted)
}
