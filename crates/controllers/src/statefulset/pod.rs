//! The pod of one ordinal: its name, host name, labels and volumes.

use super::claims::claim_name;
use super::observe::Seen;
use crate::history::REVISION_LABEL;
use crate::plan::{Note, Step, reference};
use crate::template;
use kinds::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};

pub(super) const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The pod's name.
pub(super) fn name(seen: &Seen, ordinal: i32) -> String {
    format!("{}-{ordinal}", seen.name())
}

/// The revision that a pod is of.
pub(super) fn revision(pod: &Pod) -> &str {
    pod.metadata.labels.as_ref().and_then(|l| l.get(REVISION_LABEL)).map(String::as_str).unwrap_or_default()
}

/// Makes the pod of that ordinal from a template of that revision.
pub(super) fn creation(seen: &Seen, ordinal: i32, template: &PodTemplateSpec, revision: &str) -> Step {
    let mut pod = template::pod(&*seen.set, template);
    let name = name(seen, ordinal);
    pod.metadata.name = Some(name.clone());
    pod.metadata.generate_name = Some(format!("{}-", seen.name()));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    identify(seen, &mut pod, ordinal);
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name.clone());
    spec.subdomain = seen.spec().service_name.clone().filter(|s| !s.is_empty());
    let ok = Note::new("SuccessfulCreate", format!("create Pod {name} in StatefulSet {} successful", seen.name()));
    let failed = Note::new("FailedCreate", format!("create Pod {name} in StatefulSet {} failed error: ", seen.name()));
    Step::create(pod).telling(reference(&*seen.set), Some(ok), Some(failed))
}

/// Labels and volumes that make a pod this ordinal's.
fn identify(seen: &Seen, pod: &mut Pod, ordinal: i32) {
    let name = name(seen, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.to_owned(), name);
    labels.insert(INDEX_LABEL.to_owned(), ordinal.to_string());
    let templates = seen.spec().volume_claim_templates.as_deref().unwrap_or_default();
    if templates.is_empty() {
        return;
    }
    let volume = |t: &kinds::api::core::v1::PersistentVolumeClaim| Volume {
        name: t.metadata.name.clone().unwrap_or_default(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(t, seen.name(), ordinal),
            read_only: Some(false),
        }),
        ..Volume::default()
    };
    let own: Vec<Volume> = templates.iter().map(volume).collect();
    let all = pod.spec.get_or_insert_default().volumes.get_or_insert_default();
    all.retain(|v| !own.iter().any(|o| o.name == v.name));
    all.splice(0..0, own);
}

/// Gives a pod that lost them its identifying labels back.
pub(super) fn repair(seen: &Seen, ordinal: i32, pod: &Pod) -> Option<Step> {
    let label = pod.metadata.labels.as_ref().and_then(|l| l.get(NAME_LABEL));
    if label == pod.metadata.name.as_ref() {
        return None;
    }
    let mut next = pod.clone();
    let labels = next.metadata.labels.get_or_insert_default();
    labels.insert(NAME_LABEL.to_owned(), name(seen, ordinal));
    labels.insert(INDEX_LABEL.to_owned(), ordinal.to_string());
    let name = name(seen, ordinal);
    let ok = Note::new("SuccessfulUpdate", format!("update Pod {name} in StatefulSet {} successful", seen.name()));
    let failed = Note::new("FailedUpdate", format!("update Pod {name} in StatefulSet {} failed error: ", seen.name()));
    Some(Step::update(next).telling(reference(&*seen.set), Some(ok), Some(failed)))
}

/// Removes a pod.
pub(super) fn deletion(seen: &Seen, pod: &Pod) -> Step {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let ok = Note::new("SuccessfulDelete", format!("delete Pod {name} in StatefulSet {} successful", seen.name()));
    let failed = Note::new("FailedDelete", format!("delete Pod {name} in StatefulSet {} failed error: ", seen.name()));
    Step::delete_typed(pod).telling(reference(&*seen.set), Some(ok), Some(failed))
}
