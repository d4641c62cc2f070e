//! PreBind of volumes: a chosen volume is reserved for its claim, or a claim is told which node its volume is to be made
//! for; then the pod waits until all of its claims are bound.
//!
//! Docs: "Storage Classes" (WaitForFirstConsumer). The PV controller and provisioners do the rest.

use super::act::{FIELD_MANAGER, Hands};
use cache::{Interest, Snapshot};
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kinds::{ApiError, Kind, ObjectKey, Patch, PatchKind, Target, WriteOptions};
use scheduler::plugins::volumes::claims::{SELECTED_NODE, annotation, is_bound};
use scheduler::{PodInfo, VolumeStep};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// `VolumeBindingArgs.bindTimeoutSeconds`.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

fn failed(why: impl std::fmt::Display) -> ApiError {
    ApiError {
        message: format!("running PreBind plugin \"VolumeBinding\": binding volumes: {why}"),
        ..ApiError::internal(why)
    }
}

impl Hands {
    /// Takes all steps and waits for what they lead to.
    pub(super) async fn bind_volumes(&self, pod: &PodInfo, node: &str, steps: &[VolumeStep]) -> Result<(), ApiError> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut subscription = self.source.subscribe(Interest::Only(vec![Kind::PersistentVolumeClaim.into()]));
        let snapshot = self.source.snapshot();
        for step in steps {
            self.take(pod, node, step, &snapshot).await?;
        }
        let claims: Vec<ObjectKey> = steps.iter().map(|s| claim_of(pod, s)).collect();
        let wait = async {
            while let Some(batch) = subscription.next().await {
                if are_bound(&claims, node, steps, &batch.snapshot)? {
                    return Ok(());
                }
            }
            Err(failed("the server is shutting down"))
        };
        timeout(BIND_TIMEOUT, wait).await.unwrap_or_else(|_| Err(failed("context deadline exceeded")))
    }

    async fn take(&self, pod: &PodInfo, node: &str, step: &VolumeStep, s: &Snapshot) -> Result<(), ApiError> {
        let key = claim_of(pod, step);
        let claim = s.find::<PersistentVolumeClaim>(&key);
        let claim = claim.ok_or_else(|| failed(format_args!("persistentvolumeclaim {:?} not found", key.name)))?;
        match step {
            VolumeStep::Provision { .. } => {
                if annotation(claim, SELECTED_NODE) == Some(node) {
                    return Ok(());
                }
                let body = json!({"metadata": {
                    "resourceVersion": claim.metadata.resource_version,
                    "annotations": {SELECTED_NODE: node},
                }});
                self.merge(Target::new(Kind::PersistentVolumeClaim, key), &body).await
            }
            VolumeStep::Bind { volume, .. } => {
                let v = s.get::<PersistentVolume>("", volume);
                let v = v.ok_or_else(|| failed(format_args!("persistentvolume {volume:?} not found")))?;
                let body = json!({
                    "metadata": {
                        "resourceVersion": v.metadata.resource_version,
                        "annotations": {BY_CONTROLLER: "yes"},
                    },
                    "spec": {"claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        "namespace": key.namespace,
                        "name": key.name,
                        "uid": claim.metadata.uid,
                        "resourceVersion": claim.metadata.resource_version,
                    }},
                });
                self.merge(Target::new(Kind::PersistentVolume, ObjectKey::cluster(volume.as_str())), &body).await
            }
        }
    }

    async fn merge(&self, target: Target, body: &Value) -> Result<(), ApiError> {
        let patch = Patch { kind: PatchKind::Merge, body: body.to_string().into_bytes() };
        let options = WriteOptions { field_manager: FIELD_MANAGER.to_owned(), ..WriteOptions::default() };
        self.api.patch(target, patch, options).await.map(drop)
    }
}

fn claim_of(pod: &PodInfo, step: &VolumeStep) -> ObjectKey {
    let (VolumeStep::Bind { claim, .. } | VolumeStep::Provision { claim }) = step;
    ObjectKey::new(pod.namespace(), claim.as_str())
}

/// Whether all are bound; a provisioner that gave up has taken the node off its claim.
fn are_bound(claims: &[ObjectKey], node: &str, steps: &[VolumeStep], s: &Snapshot) -> Result<bool, ApiError> {
    let mut all = true;
    for (key, step) in claims.iter().zip(steps) {
        let Some(claim) = s.find::<PersistentVolumeClaim>(key) else {
            return Err(failed(format_args!("persistentvolumeclaim {:?} not found", key.name)));
        };
        if is_bound(claim) {
            continue;
        }
        all = false;
        let made = matches!(step, VolumeStep::Provision { .. });
        if made && annotation(claim, SELECTED_NODE).is_none_or(|n| n != node) {
            return Err(failed(format_args!("provisioning failed for PVC {:?}", key.name)));
        }
    }
    Ok(all)
}
