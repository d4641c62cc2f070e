//! One job and its pods, sorted by what they are to it.

use super::TRACKING;
use super::indexes::index_of;
use crate::claim::claim_held;
use crate::garbage::has_finalizer;
use crate::numbers::filled;
use crate::plan::{Pace, Plan, Step};
use cache::Snapshot;
use kinds::api::batch::v1::{Job, JobSpec, JobStatus};
use kinds::api::core::v1::Pod;
use kinds::owner::controller_of;
use kinds::pod::phase;
use kinds::{Kind, ObjectKey, Selector};
use std::sync::Arc;

/// What a pod is to its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// Being deleted; it is replaced only once it is over.
    Leaving,
    Succeeded,
    Failed,
}

/// One job as it stands.
#[derive(Debug)]
pub struct Seen {
    pub job: Arc<Job>,
    pub pods: Vec<(Arc<Pod>, Standing)>,
    pub(crate) claims: Vec<Step>,
}

impl Seen {
    pub(super) fn spec(&self) -> &JobSpec {
        self.job.spec.as_ref().expect("observed with a spec")
    }
    pub(super) fn status(&self) -> JobStatus {
        self.job.status.clone().unwrap_or_default()
    }
    pub(super) fn indexed(&self) -> bool {
        self.spec().completion_mode.as_deref() == Some("Indexed")
    }
    pub(super) fn suspended(&self) -> bool {
        self.spec().suspend == Some(true)
    }
    pub(super) fn of(&self, standing: Standing) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.iter().filter(move |(_, s)| *s == standing).map(|(p, _)| p)
    }
    /// Being deleted and not over.
    pub(super) fn terminating(&self) -> usize {
        self.pods.iter().filter(|(p, _)| p.metadata.deletion_timestamp.is_some() && !kinds::pod::is_terminal(p)).count()
    }
}

/// Gathers it; `None` when the job is gone (or another controller's).
pub fn observe(snapshot: &Snapshot, key: &ObjectKey) -> Option<Seen> {
    let job = snapshot.find::<Job>(key)?;
    let spec = job.spec.as_ref()?;
    let selector = Selector::from_label_selector(spec.selector.as_ref());
    let claimed = claim_held::<Job, Pod>(snapshot, &**job, &selector, Some(TRACKING), |_| true);
    let only_failed = spec.pod_replacement_policy.as_deref() == Some("Failed")
        || (spec.pod_replacement_policy.is_none() && spec.pod_failure_policy.is_some());
    let standing = |p: &Pod| match phase(p) {
        "Succeeded" => Standing::Succeeded,
        "Failed" => Standing::Failed,
        _ if p.metadata.deletion_timestamp.is_none() => Standing::Active,
        _ if only_failed => Standing::Leaving,
        _ => Standing::Failed,
    };
    let mut pods: Vec<_> = claimed.owned.into_iter().map(|p| (standing(&p), p)).map(|(s, p)| (p, s)).collect();
    pods.sort_by_key(|(p, _)| (index_of(p), p.metadata.creation_timestamp.clone(), p.metadata.name.clone()));
    Some(Seen { job: Arc::clone(job), pods, claims: claimed.steps })
}

/// Takes the tracking finalizer away.
pub(super) fn release(pod: &Pod) -> Step {
    let mut meta = pod.metadata.clone();
    let all = meta.finalizers.take().unwrap_or_default();
    meta.finalizers = filled(all.into_iter().filter(|f| f != TRACKING).collect());
    Step::patch_meta(Kind::Pod, &meta).lenient()
}

/// Pods of a job that is gone are counted by nobody.
pub(super) fn release_orphans(snapshot: &Snapshot, key: &ObjectKey) -> Plan {
    let of_job = |p: &&Arc<Pod>| {
        let owner = controller_of(&p.metadata).filter(|o| o.kind == "Job" && o.name == key.name);
        owner.is_some() && has_finalizer(&p.metadata, TRACKING)
    };
    let managed = snapshot.find::<Job>(key).is_some();
    let steps = if managed { Vec::new() } else { snapshot.list::<Pod>(&key.namespace).filter(of_job).map(|p| release(p)).collect() };
    Plan::because("the job is gone").wave(Pace::Parallel, steps)
}

/// Whether nobody will ever count the pod: it is tracked, and neither belongs to a job nor will be adopted by one.
pub(super) fn is_lost(snapshot: &Snapshot, pod: &Pod) -> bool {
    has_finalizer(&pod.metadata, TRACKING) && controller_of(&pod.metadata).is_none() && adopters(snapshot, pod).next().is_none()
}

/// The jobs that would take a pod without an owner.
pub(super) fn adopters<'s>(snapshot: &'s Snapshot, pod: &'s Pod) -> impl Iterator<Item = &'s Arc<Job>> {
    let free = controller_of(&pod.metadata).is_none() && pod.metadata.deletion_timestamp.is_none();
    let takes = move |job: &&Arc<Job>| {
        let selector = Selector::from_label_selector(job.spec.as_ref().and_then(|s| s.selector.as_ref()));
        let open = job.metadata.deletion_timestamp.is_none() && !selector.is_everything();
        free && open && selector.matches(pod.metadata.labels.as_ref())
    };
    snapshot.list::<Job>(pod.metadata.namespace.as_deref().unwrap_or_default()).filter(takes)
}

/// A tracked pod that nobody counts is let go.
pub(super) fn release_lost(snapshot: &Snapshot, key: &ObjectKey) -> Option<Plan> {
    let pod = snapshot.find::<Pod>(key).filter(|p| is_lost(snapshot, p))?;
    Some(Plan::because("no job counts it").wave(Pace::Parallel, vec![release(pod)]))
}
