//! Telling the API server: a pod's status, and its end.

use super::Hands;
use kinds::api::core::v1::{Pod, PodStatus};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use kinds::{ApiError, DeleteOptions, Kind, ObjectKey, Target, Typed, WriteOptions};
use pods::{Failure, Outcome, roster, status};
use std::sync::Arc;

/// A write that meets a newer object is merged and tried again this often.
const CONFLICTS_MAX: u32 = 5;

fn gone() -> Outcome {
    Outcome::Failed(Failure { gone: true, ..Failure::new("the pod is gone from the API") })
}

fn refused(e: &ApiError) -> Outcome {
    Outcome::Failed(Failure { gone: e.is_not_found(), ..Failure::new(e.to_string()) })
}

fn target(pod: &Pod) -> Target {
    Target::new(Kind::Pod, ObjectKey::of(&pod.metadata))
}

pub(crate) fn options() -> WriteOptions {
    WriteOptions { field_manager: "kubelet".to_owned(), ..WriteOptions::default() }
}

impl Hands {
    /// The object whose status shows this pod: itself, or a static pod's mirror.
    fn shown(&self, pod: &Pod, found: &Pod) -> bool {
        found.metadata.uid == pod.metadata.uid || crate::static_pods::mirrors(found, pod)
    }

    async fn current(&self, pod: &Pod, fresh: bool) -> Result<Option<Arc<Pod>>, ApiError> {
        let found = if fresh {
            match self.api.get(target(pod)).await {
                Ok(o) => Pod::from_object(o).ok(),
                Err(e) if e.is_not_found() => None,
                Err(e) => return Err(e),
            }
        } else {
            self.source.snapshot().get::<Pod>(roster::namespace(pod), roster::name(pod)).cloned()
        };
        Ok(found.filter(|f| self.shown(pod, f)))
    }

    pub(crate) async fn publish(&self, pod: &Pod, status: PodStatus) -> Outcome {
        for attempt in 0..CONFLICTS_MAX {
            let current = match self.current(pod, attempt > 0).await {
                Ok(Some(p)) => p,
                Ok(None) => return gone(),
                Err(e) => return refused(&e),
            };
            let merged = status::merge(&current.status.clone().unwrap_or_default(), &status);
            if current.status.as_ref() == Some(&merged) {
                return Outcome::Done;
            }
            let next = Pod { status: Some(merged), ..(*current).clone() };
            match self.api.update(target(pod).sub("status"), next.into(), options()).await {
                Ok(_) => return Outcome::Done,
                Err(e) if e.is_conflict() => {}
                Err(e) => return refused(&e),
            }
        }
        Outcome::Failed(Failure::new("the status met a newer object again and again"))
    }

    pub(crate) async fn delete(&self, pod: &Pod) -> Outcome {
        let current = match self.current(pod, false).await {
            Ok(Some(p)) => p,
            Ok(None) => return gone(),
            Err(e) => return refused(&e),
        };
        let preconditions = Preconditions { uid: current.metadata.uid.clone(), resource_version: None };
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteOptions::default()
        };
        match self.api.delete(target(pod), options).await {
            Ok(_) => Outcome::Done,
            // Another object of that name stands there: ours is gone.
            Err(e) if e.is_conflict() => gone(),
            Err(e) => refused(&e),
        }
    }
}
