//! The hard constraints.

use super::{Constraint, NAME, PodTopologySpread};
use crate::framework::{Filter, Prepared, Suppose, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use std::collections::HashMap;

const SKEWED: &str = "node(s) didn't match pod topology spread constraints";
const NO_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// One constraint with how many pods are in each of its domains.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    constraint: Constraint,
    domains: HashMap<String, i64>,
    /// The smallest count; 0 while there are fewer domains than wanted.
    min: i64,
}

impl Counted {
    fn settle(&mut self) {
        let few = i64::try_from(self.domains.len()).unwrap_or(i64::MAX) < self.constraint.min_domains;
        self.min = if few { 0 } else { self.domains.values().copied().min().unwrap_or(i64::from(i32::MAX)) };
    }
}

fn has_all(constraints: &[Counted], node: &NodeInfo) -> bool {
    constraints.iter().all(|c| node.label(&c.constraint.key).is_some())
}

impl Filter for PodTopologySpread {
    type Pre = Vec<Counted>;
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Self::Pre> {
        let constraints = self.constraints(pod, true, world);
        if constraints.is_empty() {
            return Prepared::Skip;
        }
        let empty = |constraint| Counted { constraint, domains: HashMap::new(), min: 0 };
        let mut all: Vec<Counted> = constraints.into_iter().map(empty).collect();
        for node in world.nodes.iter().filter(|n| has_all(&all, n)).collect::<Vec<_>>() {
            for c in all.iter_mut().filter(|c| c.constraint.includes(pod, node)) {
                let Some(value) = node.label(&c.constraint.key) else { continue };
                let n = c.constraint.count(pod, node);
                match c.domains.get_mut(value) {
                    Some(at) => *at += n,
                    None => {
                        c.domains.insert(value.to_owned(), n);
                    }
                }
            }
        }
        all.iter_mut().for_each(Counted::settle);
        Prepared::Ready(all)
    }

    fn check(&self, pre: &Self::Pre, pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        for c in pre {
            let Some(value) = node.label(&c.constraint.key) else { return Err(Refusal::last(NAME, NO_LABEL)) };
            let itself = i64::from(c.constraint.selector.matches(pod.labels()));
            let there = c.domains.get(value).copied().unwrap_or(0);
            if there + itself - c.min > c.constraint.max_skew {
                return Err(Refusal::resolvable(NAME, SKEWED));
            }
        }
        Ok(())
    }

    fn suppose(&self, pre: &mut Self::Pre, pod: &PodInfo, s: &Suppose<'_>, _: &World<'_>) {
        if !has_all(pre, s.node) {
            return;
        }
        for c in pre.iter_mut() {
            if !c.constraint.includes(pod, s.node) || !c.constraint.counts(pod, s.other) {
                continue;
            }
            if let Some(at) = s.node.label(&c.constraint.key).and_then(|v| c.domains.get_mut(v)) {
                *at += if s.joins { 1 } else { -1 };
            }
            c.settle();
        }
    }
}
