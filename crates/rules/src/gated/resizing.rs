//! What gates change of resizes: pods as a whole (KEP-5419), init containers.

use super::pods::as_a_whole;
use crate::Gates;
use crate::read::items;
use kinds::api::core::v1::Pod;
use kinds::{FieldErrors, Path};

/// Adds what a server without the gates refuses.
pub(super) fn judge(gates: &Gates, n: &Pod, o: &Pod, e: &mut FieldErrors) {
    let (Some(new), Some(old)) = (&n.spec, &o.spec) else { return };
    if e.0.iter().any(|x| x.path == Path::new("[]")) {
        return;
    }
    if (as_a_whole(new) || as_a_whole(old)) && !gates.on("InPlacePodLevelResourcesVerticalScaling") {
        let why = "resize of pods with pod-level resources is forbidden when InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled";
        // Nothing more is looked at.
        e.0.retain(|x| !is_of_a_resize(&x.detail));
        e.forbidden(&Path::new("[]"), why);
        return;
    }
    if gates.on("InPlacePodVerticalScalingInitContainers") {
        return;
    }
    for (i, (c, was)) in items(&new.init_containers).iter().zip(items(&old.init_containers)).enumerate() {
        if c != was && !kinds::pod::is_sidecar(c) {
            let at = Path::new("spec.initContainers").index(i).to_string();
            e.0.retain(|x| !(x.path.to_string().starts_with(&at) && is_of_a_resize(&x.detail)));
            e.forbidden(&Path::new("spec"), "resources for non-sidecar init containers are immutable");
        }
    }
}

fn is_of_a_resize(detail: &str) -> bool {
    detail.contains("cannot be removed") || detail.starts_with("only cpu and memory resources") || detail.contains("cannot be resized") || detail.ends_with("on resize")
}
