//! What ReplicaSet and ReplicationController have in common, so that one decision serves both.

use kinds::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use kinds::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use kinds::{Selector, Typed};

/// The status that both kinds report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaStatus {
    pub replicas: i32,
    pub fully_labeled: Option<i32>,
    pub ready: Option<i32>,
    pub available: Option<i32>,
    pub terminating: Option<i32>,
    pub observed_generation: Option<i64>,
    pub conditions: Option<Vec<ReplicaSetCondition>>,
}

/// A kind that keeps a number of pods.
pub trait ReplicaKind: Typed {
    /// Whether its status counts terminating pods.
    const COUNTS_TERMINATING: bool;
    /// `spec.selector`.
    fn selector(&self) -> Selector;
    /// `spec.replicas`.
    fn replicas(&self) -> i32;
    /// `spec.minReadySeconds`.
    fn min_ready_s(&self) -> i32;
    /// `spec.template`.
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// `status`.
    fn status(&self) -> ReplicaStatus;
    /// The same object with another status.
    fn with_status(&self, status: ReplicaStatus) -> Self;
}

impl ReplicaKind for ReplicaSet {
    const COUNTS_TERMINATING: bool = true;
    fn selector(&self) -> Selector {
        Selector::from_label_selector(self.spec.as_ref().map(|s| &s.selector))
    }
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
    }
    fn min_ready_s(&self) -> i32 {
        self.spec.as_ref().and_then(|s| s.min_ready_seconds).unwrap_or(0)
    }
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }
    fn status(&self) -> ReplicaStatus {
        let s = self.status.clone().unwrap_or_default();
        ReplicaStatus {
            replicas: s.replicas,
            fully_labeled: s.fully_labeled_replicas,
            ready: s.ready_replicas,
            available: s.available_replicas,
            terminating: s.terminating_replicas,
            observed_generation: s.observed_generation,
            conditions: s.conditions,
        }
    }
    fn with_status(&self, s: ReplicaStatus) -> Self {
        let status = ReplicaSetStatus {
            replicas: s.replicas,
            fully_labeled_replicas: s.fully_labeled,
            ready_replicas: s.ready,
            available_replicas: s.available,
            terminating_replicas: s.terminating,
            observed_generation: s.observed_generation,
            conditions: s.conditions,
        };
        Self { status: Some(status), ..self.clone() }
    }
}

impl ReplicaKind for ReplicationController {
    const COUNTS_TERMINATING: bool = false;
    fn selector(&self) -> Selector {
        let labels = self.spec.as_ref().and_then(|s| s.selector.as_ref());
        labels.map_or(Selector::Nothing, Selector::from_map)
    }
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
    }
    fn min_ready_s(&self) -> i32 {
        self.spec.as_ref().and_then(|s| s.min_ready_seconds).unwrap_or(0)
    }
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }
    fn status(&self) -> ReplicaStatus {
        let s = self.status.clone().unwrap_or_default();
        let condition = |c: ReplicationControllerCondition| ReplicaSetCondition {
            last_transition_time: c.last_transition_time,
            message: c.message,
            reason: c.reason,
            status: c.status,
            type_: c.type_,
        };
        ReplicaStatus {
            replicas: s.replicas,
            fully_labeled: s.fully_labeled_replicas,
            ready: s.ready_replicas,
            available: s.available_replicas,
            terminating: None,
            observed_generation: s.observed_generation,
            conditions: s.conditions.map(|c| c.into_iter().map(condition).collect()),
        }
    }
    fn with_status(&self, s: ReplicaStatus) -> Self {
        let condition = |c: ReplicaSetCondition| ReplicationControllerCondition {
            last_transition_time: c.last_transition_time,
            message: c.message,
            reason: c.reason,
            status: c.status,
            type_: c.type_,
        };
        let status = ReplicationControllerStatus {
            replicas: s.replicas,
            fully_labeled_replicas: s.fully_labeled,
            ready_replicas: s.ready,
            available_replicas: s.available,
            observed_generation: s.observed_generation,
            conditions: s.conditions.map(|c| c.into_iter().map(condition).collect()),
        };
        Self { status: Some(status), ..self.clone() }
    }
}
