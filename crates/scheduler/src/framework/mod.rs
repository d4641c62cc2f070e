//! The scheduling framework: extension points as traits with a typed pre-state.
//!
//! Docs: "Scheduling Framework" (KEP-624). In order: PreEnqueue ([`Gate`]), QueueSort (the queue's own key), PreFilter and
//! Filter ([`Filter`]), PostFilter (`preemption`), PreScore, Score and NormalizeScore ([`Score`]), Reserve (the node
//! table's assumed pods), Permit and PreBind (values of the `Bind` outcome), Bind (the shell).

mod erased;

pub use erased::{AnyFilter, AnyScore, CheckedFilter, ReadyFilter, ReadyScore};

use crate::event::Event;
use crate::nodes::{NodeInfo, NodeTable};
use crate::podinfo::PodInfo;
use crate::reason::Refusal;
use cache::Snapshot;
use std::collections::BTreeSet;

/// The best normalized score.
pub const SCORE_MAX: i64 = 100;

/// Everything that a plugin may look at besides the pod.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub nodes: &'a NodeTable,
    /// All other objects: claims, volumes, classes, namespaces, services, budgets.
    pub objects: &'a Snapshot,
}

/// What all plugins have.
pub trait Plugin: Send + Sync + 'static {
    /// Its name in configuration, metrics and status.
    fn name(&self) -> &'static str;
    /// Whether a pod that this plugin refused should be tried again after an event. Asked only about pods that it
    /// refused.
    fn would_help(&self, event: &Event, pod: &PodInfo, world: &World<'_>) -> bool;
}

/// What a filter found before it looked at any node.
pub enum Prepared<P> {
    Ready(P),
    /// Only these nodes can do.
    Narrow(P, BTreeSet<String>),
    /// The pod does not concern it.
    Skip,
    /// No node can do.
    Refuse(Refusal),
}

/// PreEnqueue.
pub trait Gate: Plugin {
    /// The reason to keep the pod out of the queue.
    fn closed(&self, pod: &PodInfo) -> Option<String>;
}

/// PreFilter and Filter.
pub trait Filter: Plugin {
    /// What it computes once a pod.
    type Pre: Clone + Send + Sync;
    /// Looks at the pod and the whole cluster, once.
    fn prepare(&self, pod: &PodInfo, world: &World<'_>) -> Prepared<Self::Pre>;
    /// Looks at one node.
    ///
    /// # Errors
    /// Why the pod cannot go there.
    fn check(&self, pre: &Self::Pre, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Result<(), Refusal>;
    /// Thinks of `other` as being (`joins`) or not being on `node`, which preemption supposes.
    fn suppose(&self, _pre: &mut Self::Pre, _pod: &PodInfo, _suppose: &Suppose<'_>, _world: &World<'_>) {}
}

/// A pod thought to join or leave a node.
pub struct Suppose<'a> {
    pub other: &'a PodInfo,
    pub node: &'a NodeInfo,
    pub joins: bool,
}

/// PreScore, Score and NormalizeScore.
pub trait Score: Plugin {
    /// What it computes once a pod.
    type Pre: Send + Sync;
    /// Looks at the pod and at the nodes that can do; `None`: nothing to say.
    fn prepare(&self, pod: &PodInfo, nodes: &[&NodeInfo], world: &World<'_>) -> Option<Self::Pre>;
    /// A number for one node; the more the better.
    fn score(&self, pre: &Self::Pre, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> i64;
    /// Brings the numbers of all nodes into 0..=100.
    fn normalize(&self, _pre: &Self::Pre, _scores: &mut [i64], _nodes: &[&NodeInfo]) {}
}

/// Scales so that the largest number becomes 100; reversed, the smallest is the best.
pub fn scale(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for s in scores.iter_mut() {
        let scaled = if max == 0 { 0 } else { SCORE_MAX * *s / max };
        *s = if reverse { SCORE_MAX - scaled } else { scaled };
    }
}
