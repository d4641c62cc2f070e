//! The required terms.

use super::{Domains, InterPodAffinity, NAME, matches, matches_all};
use crate::framework::{Filter, Prepared, Suppose, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;

const NOT_NEAR: &str = "node(s) didn't match pod affinity rules";
const NOT_APART: &str = "node(s) didn't match pod anti-affinity rules";
const OTHERS_APART: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// How many pods are where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Pods that want this one elsewhere.
    others: Domains,
    /// Pods that this one wants near.
    near: Domains,
    /// Pods that this one wants elsewhere.
    apart: Domains,
}

impl Counts {
    fn others(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, n: i64, world: &World<'_>) {
        for t in other.anti_affinity.required.iter().filter(|t| matches(t, pod, world)) {
            self.others.add(node, &t.topology_key, n);
        }
    }
    fn own(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, n: i64, world: &World<'_>) {
        if matches_all(&pod.affinity.required, other, world) {
            pod.affinity.required.iter().for_each(|t| self.near.add(node, &t.topology_key, n));
        }
        for t in pod.anti_affinity.required.iter().filter(|t| matches(t, other, world)) {
            self.apart.add(node, &t.topology_key, n);
        }
    }

    fn is_near(&self, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> bool {
        let mut near = true;
        for t in &pod.affinity.required {
            let Some(value) = node.label(&t.topology_key) else { return false };
            near &= self.near.get(&t.topology_key, value) > 0;
        }
        // The first of a group that wants to be near itself may start anywhere.
        near || (self.near.is_empty() && matches_all(&pod.affinity.required, pod, world))
    }
}

fn in_any(domains: &Domains, node: &NodeInfo) -> bool {
    domains.0.iter().any(|(key, values)| node.label(key).and_then(|v| values.get(v)).is_some_and(|n| *n > 0))
}

impl Filter for InterPodAffinity {
    type Pre = Counts;
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Counts> {
        let mut counts = Counts::default();
        for node in world.nodes.with_required_anti() {
            node.with_required_anti.iter().for_each(|other| counts.others(pod, other, node, 1, world));
        }
        let asks = !pod.affinity.required.is_empty() || !pod.anti_affinity.required.is_empty();
        if asks {
            for node in world.nodes.iter() {
                node.pods.iter().for_each(|other| counts.own(pod, other, node, 1, world));
            }
        }
        if asks || !counts.others.is_empty() { Prepared::Ready(counts) } else { Prepared::Skip }
    }

    fn check(&self, pre: &Counts, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Result<(), Refusal> {
        if !pre.is_near(pod, node, world) {
            return Err(Refusal::last(NAME, NOT_NEAR));
        }
        let clashes = |t: &crate::selector::AffinityTerm| {
            node.label(&t.topology_key).is_some_and(|v| pre.apart.get(&t.topology_key, v) > 0)
        };
        if pod.anti_affinity.required.iter().any(clashes) {
            return Err(Refusal::resolvable(NAME, NOT_APART));
        }
        if in_any(&pre.others, node) {
            return Err(Refusal::resolvable(NAME, OTHERS_APART));
        }
        Ok(())
    }

    fn suppose(&self, pre: &mut Counts, pod: &PodInfo, s: &Suppose<'_>, world: &World<'_>) {
        let n = if s.joins { 1 } else { -1 };
        pre.others(pod, s.other, s.node, n, world);
        pre.own(pod, s.other, s.node, n, world);
    }
}
