//! TaintToleration: tainted nodes take only pods that tolerate the taints, and are liked less for soft ones.
//!
//! Docs: "Taints and Tolerations". Since v1.35 the message names no keys.

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, Score, World, scale};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use crate::selector::{tolerates, untolerated};
use kinds::api::core::v1::{Node, Toleration};

/// Its name.
pub const NAME: &str = "TaintToleration";
const REASON: &str = "node(s) had untolerated taint(s)";
const SOFT: &str = "PreferNoSchedule";

/// The plugin.
pub struct TaintToleration;

fn tolerated(pod: &PodInfo, node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    untolerated(pod.tolerations(), taints).is_none()
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::PodEdited { old, new } => old.tolerations() != new.tolerations(),
            Event::NodeChanged { old, new } => !tolerated(pod, old) && tolerated(pod, new),
            Event::NodeAdded(n) => tolerated(pod, n),
            _ => false,
        }
    }
}

impl Filter for TaintToleration {
    type Pre = ();
    fn prepare(&self, _: &PodInfo, _: &World<'_>) -> Prepared<()> {
        Prepared::Ready(())
    }
    fn check(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        match untolerated(pod.tolerations(), node.taints()) {
            Some(_) => Err(Refusal::last(NAME, REASON)),
            None => Ok(()),
        }
    }
}

impl Score for TaintToleration {
    /// The tolerations that can meet a soft taint.
    type Pre = Vec<Toleration>;
    fn prepare(&self, pod: &PodInfo, _: &[&NodeInfo], _: &World<'_>) -> Option<Self::Pre> {
        let soft = |t: &&Toleration| t.effect.as_deref().is_none_or(|e| e.is_empty() || e == SOFT);
        Some(pod.tolerations().iter().filter(soft).cloned().collect())
    }
    fn score(&self, pre: &Self::Pre, _: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        let bad = node.taints().iter().filter(|t| t.effect == SOFT && !pre.iter().any(|p| tolerates(p, t)));
        i64::try_from(bad.count()).unwrap_or(i64::MAX)
    }
    fn normalize(&self, _: &Self::Pre, scores: &mut [i64], _: &[&NodeInfo]) {
        scale(scores, true);
    }
}
