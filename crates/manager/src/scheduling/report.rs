//! What is written into pods: conditions, the nominated node, and references for events.

use jiff::Timestamp;
use kinds::api::core::v1::{ObjectReference, Pod, PodCondition};
use kinds::conditions::pod_condition;
use serde_json::{Value, json};

/// The pod as events name it.
pub(super) fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        field_path: None,
    }
}

/// A patch of one condition; its transition time moves only when its status does. `None`: it says so already.
fn condition(pod: &Pod, kind: &str, status: &str, says: (&str, &str), now: Timestamp) -> Option<Value> {
    let (reason, message) = says;
    let old: Option<&PodCondition> = pod_condition(pod, kind);
    let same = |c: &&PodCondition| {
        c.status == status && c.reason.as_deref() == Some(reason) && c.message.as_deref() == Some(message)
    };
    if old.filter(same).is_some() {
        return None;
    }
    let kept = old.filter(|c| c.status == status).and_then(|c| c.last_transition_time.as_ref()).map(|t| t.0);
    let since = kept.unwrap_or(now);
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    let mut c = json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": null,
        "lastTransitionTime": since.to_string(),
    });
    if let Some(g) = pod.metadata.generation {
        c["observedGeneration"] = json!(g);
    }
    Some(c)
}

/// `PodScheduled=False`, and where the pod hopes to go. `None`: the pod says all that already.
pub(super) fn not_scheduled(pod: &Pod, reason: &str, message: &str, nominated: Option<&str>, now: Timestamp) -> Option<Value> {
    let had = pod.status.as_ref().and_then(|s| s.nominated_node_name.as_deref()).filter(|n| !n.is_empty());
    let mut status = json!({});
    if let Some(c) = condition(pod, "PodScheduled", "False", (reason, message), now) {
        status["conditions"] = json!([c]);
    }
    if had != nominated {
        status["nominatedNodeName"] = json!(nominated);
    }
    (status != json!({})).then(|| json!({ "status": status }))
}

/// `DisruptionTarget=True` of a victim.
pub(super) fn disrupted(pod: &Pod, profile: &str, now: Timestamp) -> Option<Value> {
    let message = format!("{profile}: preempting to accommodate a higher priority pod");
    let c = condition(pod, "DisruptionTarget", "True", ("PreemptionByScheduler", &message), now)?;
    Some(json!({ "status": { "conditions": [c] } }))
}

/// Whether a less important pod hopes for that node.
pub(super) fn hopes_for(pod: &Pod, node: &str, priority: i32) -> bool {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return false };
    spec.node_name.is_none()
        && status.nominated_node_name.as_deref() == Some(node)
        && spec.priority.unwrap_or_default() < priority
}
