//! Volumes that are images (KEP-4639): pulled as their policy says, then mounted by the runtime for reading only.

use crate::hands::{Hands, chain};
use kinds::api::core::v1::{Pod, Secret};
use pods::image::{Need, need_by};
use pods::plan::VolumePlan;
use pods::{Outcome, roster};
use std::path::Path;

/// The runtime's name of a pod's image volumes; the volume's name follows.
fn prefix(uid: &str) -> String {
    format!("volume-{uid}-")
}

/// The documents of the pod's pull secrets.
fn secrets(hands: &Hands, pod: &Pod) -> Vec<Vec<u8>> {
    let snapshot = hands.source.snapshot();
    let names = roster::spec(pod).image_pull_secrets.iter().flatten().map(|s| &s.name);
    let found = names.filter_map(|n| snapshot.get::<Secret>(roster::namespace(pod), n));
    let document = |s: &std::sync::Arc<Secret>| {
        let data = s.data.as_ref()?;
        data.get(".dockerconfigjson").or_else(|| data.get(".dockercfg")).map(|b| b.0.clone())
    };
    found.filter_map(document).collect()
}

/// Pulls if that is due, and mounts. A volume that is mounted already stays as it is.
pub(super) async fn mount(hands: &Hands, pod: &Pod, plan: &VolumePlan, reference: &str, policy: Option<&str>) -> Result<(), String> {
    let target = Path::new(&plan.path);
    if super::unmount::is_mount(target) {
        return Ok(());
    }
    let present = hands.runtime.image(reference).await.map_err(|e| chain(&e))?.is_some();
    match need_by(policy, present) {
        Need::Nothing => {}
        Need::Missing => return Err(format!("image volume {reference:?} is not present with pull policy of Never")),
        Need::Pull => {
            if let Outcome::Failed(f) = hands.pull_image(reference, &secrets(hands, pod)).await {
                return Err(format!("failed to pull image {reference:?}: {}", f.message));
            }
        }
    }
    super::mkdir(target, 0o755)?;
    let key = format!("{}{}", prefix(roster::uid(pod)), plan.name);
    hands.runtime.mount_image(reference, &key, target).await.map_err(|e| chain(&e))
}

/// Lets go of all images of a pod's volumes; their mounts in the pod's directory are gone by now.
pub(super) async fn unmount_all(hands: &Hands, uid: &str) -> Result<(), String> {
    hands.runtime.unmount_images(&prefix(uid)).await.map_err(|e| chain(&e))
}
