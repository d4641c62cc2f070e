//! Pods made from a pod template, as every workload controller makes them.

use crate::numbers::{Chance, generate_name};
use kinds::api::core::v1::{Pod, PodTemplateSpec};
use kinds::owner::controller_ref;
use kinds::{ObjectMeta, Typed};

/// A pod of `template` that `owner` manages, without a name yet.
pub(crate) fn pod<O: Typed>(owner: &O, template: &PodTemplateSpec) -> Pod {
    let from = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            namespace: owner.meta().namespace.clone(),
            labels: from.labels,
            annotations: from.annotations,
            finalizers: from.finalizers,
            owner_references: Some(vec![controller_ref(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// The same with a generated name.
pub(crate) fn named_pod<O: Typed>(owner: &O, template: &PodTemplateSpec, chance: &mut Chance) -> Pod {
    let mut pod = pod(owner, template);
    let prefix = format!("{}-", owner.meta().name.as_deref().unwrap_or_default());
    generate_name(&mut pod.metadata, &prefix, chance);
    pod
}
