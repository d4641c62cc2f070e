//! The one adapter that hides a plugin's pre-state, so that a profile is a list of boxes.

use super::{Filter, Plugin, Prepared, Score, Suppose, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use std::collections::BTreeSet;

/// A filter of any pre-state.
pub trait AnyFilter: Plugin {
    /// Runs PreFilter. `Ok(None)`: it has nothing to say about this pod.
    ///
    /// # Errors
    /// A no whatever the node.
    fn ready<'p>(&'p self, pod: &PodInfo, world: &World<'_>) -> Result<Option<ReadyFilter<'p>>, Refusal>;
    /// As what it hears events.
    fn as_plugin(&self) -> &dyn Plugin;
}

/// A filter that has looked at the pod.
pub struct ReadyFilter<'p> {
    pub filter: Box<dyn CheckedFilter<'p> + 'p>,
    /// Only these nodes can do.
    pub narrow: Option<BTreeSet<String>>,
}

/// A filter with its pre-state.
pub trait CheckedFilter<'p> {
    /// The plugin's name.
    fn name(&self) -> &'static str;
    /// Runs Filter on one node.
    ///
    /// # Errors
    /// Why the pod cannot go there.
    fn check(&self, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Result<(), Refusal>;
    /// Thinks of a pod elsewhere.
    fn suppose(&mut self, pod: &PodInfo, suppose: &Suppose<'_>, world: &World<'_>);
    /// A copy with a pre-state of its own.
    fn fork(&self) -> Box<dyn CheckedFilter<'p> + 'p>;
}

struct WithPre<'p, F: Filter> {
    plugin: &'p F,
    pre: F::Pre,
}

impl<'p, F: Filter> CheckedFilter<'p> for WithPre<'p, F> {
    fn name(&self) -> &'static str {
        self.plugin.name()
    }
    fn check(&self, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Result<(), Refusal> {
        self.plugin.check(&self.pre, pod, node, world)
    }
    fn suppose(&mut self, pod: &PodInfo, suppose: &Suppose<'_>, world: &World<'_>) {
        self.plugin.suppose(&mut self.pre, pod, suppose, world);
    }
    fn fork(&self) -> Box<dyn CheckedFilter<'p> + 'p> {
        Box::new(Self { plugin: self.plugin, pre: self.pre.clone() })
    }
}

impl<F: Filter> AnyFilter for F {
    fn ready<'p>(&'p self, pod: &PodInfo, world: &World<'_>) -> Result<Option<ReadyFilter<'p>>, Refusal> {
        let (pre, narrow) = match self.prepare(pod, world) {
            Prepared::Ready(pre) => (pre, None),
            Prepared::Narrow(pre, names) => (pre, Some(names)),
            Prepared::Skip => return Ok(None),
            Prepared::Refuse(why) => return Err(why),
        };
        Ok(Some(ReadyFilter { filter: Box::new(WithPre { plugin: self, pre }), narrow }))
    }
    fn as_plugin(&self) -> &dyn Plugin {
        self
    }
}

/// A score of any pre-state.
pub trait AnyScore: Plugin {
    /// Runs PreScore. `None`: it has nothing to say.
    fn ready<'p>(&'p self, pod: &PodInfo, nodes: &[&NodeInfo], world: &World<'_>) -> Option<Box<dyn ReadyScore + 'p>>;
}

/// A score with its pre-state.
pub trait ReadyScore {
    /// Normalized scores, in the order of the nodes.
    fn scores(&self, pod: &PodInfo, nodes: &[&NodeInfo], world: &World<'_>) -> Vec<i64>;
}

struct ScoreWithPre<'p, S: Score> {
    plugin: &'p S,
    pre: S::Pre,
}

impl<S: Score> ReadyScore for ScoreWithPre<'_, S> {
    fn scores(&self, pod: &PodInfo, nodes: &[&NodeInfo], world: &World<'_>) -> Vec<i64> {
        let mut scores: Vec<i64> = nodes.iter().map(|n| self.plugin.score(&self.pre, pod, n, world)).collect();
        self.plugin.normalize(&self.pre, &mut scores, nodes);
        scores
    }
}

impl<S: Score> AnyScore for S {
    fn ready<'p>(&'p self, pod: &PodInfo, nodes: &[&NodeInfo], world: &World<'_>) -> Option<Box<dyn ReadyScore + 'p>> {
        let pre = self.prepare(pod, nodes, world)?;
        Some(Box::new(ScoreWithPre { plugin: self, pre }))
    }
}
