//! The taints that follow from a node's conditions.
//!
//! Docs: "Taints and Tolerations: taint nodes by condition".

use crate::numbers::filled;
use kinds::Time;
use kinds::api::core::v1::{Node, Taint};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, status, taint.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

fn holds(node: &Node, kind: &str, status: &str) -> bool {
    let all = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    all.is_some_and(|c| c.iter().any(|c| c.type_ == kind && c.status == status))
}

/// (key, effect, wanted) of every taint that is this controller's.
fn verdicts(node: &Node, all_down: bool) -> Vec<(&'static str, &'static str, bool)> {
    let mut out: Vec<_> = BY_CONDITION.iter().map(|(c, s, key)| (*key, "NoSchedule", holds(node, c, s))).collect();
    let cordoned = node.spec.as_ref().is_some_and(|s| s.unschedulable == Some(true));
    out.push((UNSCHEDULABLE, "NoSchedule", cordoned));
    out.push((NOT_READY, "NoExecute", holds(node, "Ready", "False") && !all_down));
    out.push((UNREACHABLE, "NoExecute", holds(node, "Ready", "Unknown") && !all_down));
    out
}

/// The node with the taints that it should have, when they differ.
pub(super) fn wanted(node: &Node, all_down: bool, now: &Time) -> Option<Node> {
    // A node that has never spoken keeps the taints it was registered with.
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")?;
    let before = crate::placement::taints(node);
    let mut taints = before.to_vec();
    for (key, effect, on) in verdicts(node, all_down) {
        let has = taints.iter().any(|t| t.key == key && t.effect == effect);
        if on && !has {
            taints.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                value: None,
                time_added: Some(now.clone()),
            });
        } else if !on && has {
            taints.retain(|t| t.key != key || t.effect != effect);
        }
    }
    if taints == before {
        return None;
    }
    let mut next = node.clone();
    next.spec.get_or_insert_default().taints = filled(taints);
    Some(next)
}
