//! The soft constraints.

use super::constraint::HOSTNAME;
use super::{Constraint, PodTopologySpread};
use crate::framework::{SCORE_MAX, Score, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One constraint with its domains; nodes are counted when they are scored.
#[derive(Debug)]
struct Weighed {
    constraint: Constraint,
    domains: HashMap<String, i64>,
    weight: f64,
}

/// What is known of the nodes that can do.
#[derive(Debug)]
pub struct Soft {
    all: Vec<Weighed>,
    /// Nodes without all labels, where that matters: they are the worst.
    ignored: HashSet<Arc<str>>,
}

fn has_all(constraints: &[Constraint], node: &NodeInfo) -> bool {
    constraints.iter().all(|c| node.label(&c.key).is_some())
}

impl Score for PodTopologySpread {
    type Pre = Soft;

    #[allow(clippy::cast_precision_loss)]
    fn prepare(&self, pod: &PodInfo, nodes: &[&NodeInfo], world: &World<'_>) -> Option<Soft> {
        let constraints = self.constraints(pod, false, world);
        if constraints.is_empty() {
            return None;
        }
        let strict = !self.is_system_default(pod);
        let left_out = |n: &NodeInfo| strict && !has_all(&constraints, n);
        let ignored: HashSet<Arc<str>> = nodes.iter().filter(|n| left_out(n)).map(|n| Arc::clone(&n.name)).collect();
        let mut all = Vec::new();
        for constraint in &constraints {
            let mut domains: HashMap<String, i64> = HashMap::new();
            let mut size = nodes.len() - ignored.len();
            if constraint.key != HOSTNAME {
                let values = nodes.iter().filter(|n| !ignored.contains(&n.name)).filter_map(|n| n.label(&constraint.key));
                domains.extend(values.map(|v| (v.to_owned(), 0)));
                size = domains.len();
            }
            all.push(Weighed { constraint: constraint.clone(), domains, weight: (size as f64 + 2.0).ln() });
        }
        if all.iter().any(|w| !w.domains.is_empty()) {
            for node in world.nodes.iter().filter(|n| !n.pods.is_empty() && !left_out(n)) {
                for w in all.iter_mut().filter(|w| !w.domains.is_empty() && w.constraint.includes(pod, node)) {
                    if let Some(at) = node.label(&w.constraint.key).and_then(|v| w.domains.get_mut(v)) {
                        *at += w.constraint.count(pod, node);
                    }
                }
            }
        }
        Some(Soft { all, ignored })
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn score(&self, pre: &Soft, pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        if pre.ignored.contains(&node.name) {
            return 0;
        }
        let mut sum = 0.0;
        for w in &pre.all {
            let Some(value) = node.label(&w.constraint.key) else { continue };
            let there =
                if w.constraint.key == HOSTNAME { w.constraint.count(pod, node) } else { w.domains.get(value).copied().unwrap_or(0) };
            sum += there as f64 * w.weight + (w.constraint.max_skew - 1) as f64;
        }
        sum.round() as i64
    }

    fn normalize(&self, pre: &Soft, scores: &mut [i64], nodes: &[&NodeInfo]) {
        let kept = || scores.iter().zip(nodes).filter(|(_, n)| !pre.ignored.contains(&n.name)).map(|(s, _)| *s);
        let (min, max) = (kept().min().unwrap_or(0), kept().max().unwrap_or(0));
        for (s, n) in scores.iter_mut().zip(nodes) {
            *s = match () {
                () if pre.ignored.contains(&n.name) => 0,
                () if max == 0 => SCORE_MAX,
                () => SCORE_MAX * (max + min - *s) / max,
            };
        }
    }
}
