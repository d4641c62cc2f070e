//! Why a pod goes nowhere, as data: a node, a plugin, its reasons; and the one sentence that Kubernetes makes of it.
//!
//! The sentence is what `kubectl describe pod` shows: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had
//! untolerated taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: ...`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A reason's text.
pub type Text = Cow<'static, str>;

/// How final a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Evicting pods might help.
    Resolvable,
    /// Evicting pods cannot help.
    Final,
    /// The plugin could not tell: try again.
    Error,
}

/// One plugin's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub plugin: &'static str,
    pub standing: Standing,
    pub reasons: Vec<Text>,
}

impl Refusal {
    /// A no that an eviction might turn into a yes.
    pub fn resolvable(plugin: &'static str, reason: impl Into<Text>) -> Self {
        Self { plugin, standing: Standing::Resolvable, reasons: vec![reason.into()] }
    }
    /// A no that no eviction changes.
    pub fn last(plugin: &'static str, reason: impl Into<Text>) -> Self {
        Self { plugin, standing: Standing::Final, reasons: vec![reason.into()] }
    }
    /// The plugin could not tell.
    pub fn error(plugin: &'static str, reason: impl Into<Text>) -> Self {
        Self { plugin, standing: Standing::Error, reasons: vec![reason.into()] }
    }
}

/// A no for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRefusal {
    pub node: Arc<str>,
    pub why: Refusal,
}

/// Why a pod goes to none of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unschedulable {
    /// How many nodes there are.
    pub total: usize,
    /// A no that holds whatever the node.
    pub before: Option<Refusal>,
    /// Every node that said no. Nodes that are not named were ruled out by `before`.
    pub nodes: Vec<NodeRefusal>,
    /// What preemption has to say; empty when it found victims.
    pub preemption: String,
    /// The pod's victims are still going: it stays nominated.
    pub keeps_hope: bool,
}

impl Unschedulable {
    /// Text of a cluster without nodes.
    pub const NO_NODES: &str = "no nodes available to schedule pods";

    /// Every plugin that had a part in it: only events that these care for can help.
    #[must_use]
    pub fn plugins(&self) -> BTreeSet<&'static str> {
        self.before.iter().map(|r| r.plugin).chain(self.nodes.iter().map(|n| n.why.plugin)).collect()
    }
    /// The refusal of that error standing, if a plugin could not tell.
    #[must_use]
    pub fn error(&self) -> Option<&Refusal> {
        let all = self.before.iter().chain(self.nodes.iter().map(|n| &n.why));
        all.into_iter().find(|r| r.standing == Standing::Error)
    }
    /// Reason to number of nodes.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for reason in self.nodes.iter().flat_map(|n| &n.why.reasons) {
            *counts.entry(reason.as_ref()).or_default() += 1;
        }
        counts
    }
    /// The sentence for the condition and the event.
    #[must_use]
    pub fn message(&self) -> String {
        if self.total == 0 {
            return Self::NO_NODES.to_owned();
        }
        let mut text = match &self.before {
            Some(r) => format!("0/{} nodes are available: {}.", self.total, r.reasons.join(", ")),
            None => histogram(self.total, &self.counts()),
        };
        if !self.preemption.is_empty() {
            text.push(' ');
            text.push_str(&self.preemption);
        }
        text
    }
}

/// `0/3 nodes are available: 1 this, 2 that.` The parts are sorted as text.
#[must_use]
pub fn histogram(total: usize, counts: &BTreeMap<&str, usize>) -> String {
    let mut parts: Vec<String> = counts.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    parts.sort();
    if parts.is_empty() {
        return format!("0/{total} nodes are available:");
    }
    format!("0/{total} nodes are available: {}.", parts.join(", "))
}
