//! The preferred terms, of the pod itself and of those that are there.

use super::{Domains, InterPodAffinity, matches};
use crate::framework::{SCORE_MAX, Score, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;

/// What a pod that requires to be near this one counts for (`hardPodAffinityWeight`).
const HARD_WEIGHT: i64 = 1;

fn weigh(domains: &mut Domains, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, world: &World<'_>) {
    for (terms, sign) in [(&pod.affinity.preferred, 1), (&pod.anti_affinity.preferred, -1)] {
        for (weight, t) in terms.iter().filter(|(_, t)| matches(t, other, world)) {
            domains.add(node, &t.topology_key, sign * weight);
        }
    }
    for t in other.affinity.required.iter().filter(|t| matches(t, pod, world)) {
        domains.add(node, &t.topology_key, HARD_WEIGHT);
    }
    for (terms, sign) in [(&other.affinity.preferred, 1), (&other.anti_affinity.preferred, -1)] {
        for (weight, t) in terms.iter().filter(|(_, t)| matches(t, pod, world)) {
            domains.add(node, &t.topology_key, sign * weight);
        }
    }
}

impl Score for InterPodAffinity {
    type Pre = Domains;
    fn prepare(&self, pod: &PodInfo, _: &[&NodeInfo], world: &World<'_>) -> Option<Domains> {
        let mut domains = Domains::default();
        if pod.affinity.preferred.is_empty() && pod.anti_affinity.preferred.is_empty() {
            for node in world.nodes.with_terms() {
                node.with_terms.iter().for_each(|other| weigh(&mut domains, pod, other, node, world));
            }
        } else {
            for node in world.nodes.iter() {
                node.pods.iter().for_each(|other| weigh(&mut domains, pod, other, node, world));
            }
        }
        (!domains.is_empty()).then_some(domains)
    }
    fn score(&self, pre: &Domains, _: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        pre.0.iter().filter_map(|(key, values)| values.get(node.label(key)?)).sum()
    }
    fn normalize(&self, _: &Domains, scores: &mut [i64], _: &[&NodeInfo]) {
        let (min, max) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for s in scores.iter_mut() {
            *s = if max > min { SCORE_MAX * (*s - min) / (max - min) } else { 0 };
        }
    }
}
