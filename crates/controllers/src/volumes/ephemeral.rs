//! Generic ephemeral volumes: a claim that lives and dies with its pod.
//!
//! Docs: "Ephemeral Volumes: generic ephemeral volumes".

use crate::controller::{Controller, Ctx, Subject, Watches};
use crate::plan::{Event, Note, Plan, Step, reference};
use cache::{Change, Snapshot};
use kinds::api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use kinds::owner::{controller_ref, is_controlled_by};
use kinds::{Kind, ObjectMeta};
use std::sync::Arc;

/// The ephemeral volume controller.
pub const EPHEMERAL: Controller = Controller {
    name: "ephemeral_volume",
    account: "ephemeral-volume-controller",
    component: "ephemeral_volume",
    watches: Watches::Kinds(&[Kind::Pod, Kind::PersistentVolumeClaim]),
    wakes,
    subjects,
    plan,
};

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()).filter(|v| v.ephemeral.is_some())
}

fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let with = |p: &&Arc<Pod>| volumes(p).next().is_some();
    snapshot.list::<Pod>("").filter(with).map(|p| Subject::of(&**p)).collect()
}

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    if change.resource == Kind::PersistentVolumeClaim.into() {
        // A claim that went may have been in the way, or may be needed again.
        return if change.new.is_none() { crate::controller::managing(change, Kind::Pod) } else { Vec::new() };
    }
    let fresh = change.new_as::<Pod>().filter(|p| change.old.is_none() && volumes(p).next().is_some());
    fresh.map(|p| Subject::of(&**p)).into_iter().collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, _: &Ctx) -> Option<Plan> {
    let pod = snapshot.find::<Pod>(&subject.key)?;
    let existing = |name: &str| snapshot.get::<PersistentVolumeClaim>(&subject.key.namespace, name).cloned();
    Some(decide(pod, existing))
}

/// What is to be done for one pod.
#[must_use]
pub(super) fn decide(pod: &Pod, existing: impl Fn(&str) -> Option<Arc<PersistentVolumeClaim>>) -> Plan {
    let plan = Plan::because("claims of ephemeral volumes");
    if pod.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    let (ns, owner) = (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default());
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    volumes(pod).fold(plan, |plan, volume| {
        let name = format!("{owner}-{}", volume.name);
        match existing(&name) {
            Some(c) if is_controlled_by(&c.metadata, uid) => plan,
            Some(_) => {
                let text = format!(
                    "ephemeral volume {}: PVC {ns}/{name} was not created for pod {ns}/{owner} (pod is not owner)",
                    volume.name
                );
                plan.event(Event::warning(reference(pod), "FailedBinding", text))
            }
            None => plan.step(creation(pod, volume, name)),
        }
    })
}

fn creation(pod: &Pod, volume: &Volume, name: String) -> Step {
    let template = volume.ephemeral.as_ref().and_then(|e| e.volume_claim_template.clone()).unwrap_or_default();
    let from = template.metadata.unwrap_or_default();
    let metadata = ObjectMeta {
        name: Some(name),
        namespace: pod.metadata.namespace.clone(),
        labels: from.labels,
        annotations: from.annotations,
        owner_references: Some(vec![controller_ref(pod)]),
        ..ObjectMeta::default()
    };
    let claim = PersistentVolumeClaim { metadata, spec: Some(template.spec), status: None };
    let failed = Note::new("FailedBinding", format!("ephemeral volume {}: create PVC: ", volume.name));
    Step::create(claim).telling(reference(pod), None, Some(failed))
}
