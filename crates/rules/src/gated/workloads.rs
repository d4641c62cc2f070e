//! Fields of workloads. KEP-961 (`maxUnavailable` of StatefulSets), KEP-3973 (terminating replicas), KEP-4951 (tolerance).

use super::Part;
use kinds::IntOrString;
use kinds::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use kinds::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscaler};
use std::sync::Arc;

pub(super) const DEPLOYMENT: &[Part<Deployment>] = &[Part::new(
    &["DeploymentReplicaSetTerminatingReplicas"],
    |d| d.status.as_ref().is_some_and(|s| s.terminating_replicas.is_some()),
    |d| d.status.iter_mut().for_each(|s| s.terminating_replicas = None),
)];

pub(super) const REPLICA_SET: &[Part<ReplicaSet>] = &[Part::new(
    &["DeploymentReplicaSetTerminatingReplicas"],
    |r| r.status.as_ref().is_some_and(|s| s.terminating_replicas.is_some()),
    |r| r.status.iter_mut().for_each(|s| s.terminating_replicas = None),
)];

pub(super) const STATEFUL_SET: &[Part<StatefulSet>] = &[Part::new(
    &["MaxUnavailableStatefulSet"],
    |s| {
        let rolling = s.spec.as_ref().and_then(|s| s.update_strategy.as_ref()).and_then(|u| u.rolling_update.as_ref());
        rolling.is_some_and(|r| r.max_unavailable.is_some())
    },
    |s| {
        let rolling = s.spec.as_mut().and_then(|s| s.update_strategy.as_mut()).and_then(|u| u.rolling_update.as_mut());
        rolling.into_iter().for_each(|r| r.max_unavailable = None);
    },
)];

/// One pod at a time, where the set rolls.
pub(super) fn fill(set: &mut Arc<StatefulSet>) {
    let update = Arc::make_mut(set).spec.as_mut().and_then(|s| s.update_strategy.as_mut());
    let rolling = update.filter(|u| u.type_.as_deref() == Some("RollingUpdate")).and_then(|u| u.rolling_update.as_mut());
    rolling.into_iter().for_each(|r| {
        r.max_unavailable.get_or_insert(IntOrString::Int(1));
    });
}

pub(super) const AUTOSCALER: &[Part<HorizontalPodAutoscaler>] = &[Part::new(
    &["HPAConfigurableTolerance"],
    |h| h.spec.behavior.as_ref().is_some_and(|b| [&b.scale_up, &b.scale_down].into_iter().flatten().any(|r: &HPAScalingRules| r.tolerance.is_some())),
    |h| {
        if let Some(b) = &mut h.spec.behavior {
            [&mut b.scale_up, &mut b.scale_down].into_iter().flatten().for_each(|r| r.tolerance = None);
        }
    },
)];
