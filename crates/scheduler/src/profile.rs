//! Profiles: which plugins run, in which order, with which weights.
//!
//! Docs: "Scheduler Configuration" (default plugins). The defaults and weights are those of v1.36.

use crate::cycle::VolumeStep;
use crate::framework::{AnyFilter, AnyScore, Gate, Plugin, World};
use crate::nodes::NodeInfo;
use crate::plugins::{self, volumes::binding};
use crate::podinfo::PodInfo;
use crate::selector::NodeTerms;
use kinds::api::core::v1::TopologySpreadConstraint;

/// What a profile is told.
#[derive(Clone, Debug)]
pub struct ProfileConfig {
    /// The `spec.schedulerName` it answers to.
    pub name: String,
    /// Names of plugins that do not run in it.
    pub disabled: Vec<String>,
    /// `NodeAffinityArgs.addedAffinity`, required part.
    pub added_affinity: Option<NodeTerms>,
    /// `PodTopologySpreadArgs.defaultConstraints`; `None`: the system's own.
    pub default_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// `percentageOfNodesToScore`; `None` or 0: adaptive.
    pub percent: Option<u8>,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self {
            name: crate::DEFAULT_SCHEDULER.to_owned(),
            disabled: Vec::new(),
            added_affinity: None,
            default_constraints: None,
            percent: None,
        }
    }
}

/// A set of plugins, ready to run.
pub struct Profile {
    pub name: String,
    pub gates: Vec<Box<dyn Gate>>,
    pub filters: Vec<Box<dyn AnyFilter>>,
    pub scores: Vec<(i64, Box<dyn AnyScore>)>,
    pub percent: Option<u8>,
}

impl Profile {
    /// The plugins of that configuration.
    #[must_use]
    pub fn new(config: &ProfileConfig) -> Self {
        let runs = |name: &str| !config.disabled.iter().any(|d| d == name || d == "*");
        let mut p = plugins::defaults(config);
        p.gates.retain(|g| runs(g.name()));
        p.filters.retain(|f| runs(f.name()));
        p.scores.retain(|(_, s)| runs(s.name()));
        p
    }
    /// The plugin of that name, for asking it about events.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&dyn Plugin> {
        let filter = self.filters.iter().find(|f| f.name() == name).map(|f| f.as_plugin());
        filter.or_else(|| self.gates.iter().find(|g| g.name() == name).map(|g| &**g as &dyn Plugin))
    }
    /// The first gate that keeps a pod out, by plugin and reason.
    #[must_use]
    pub fn closed(&self, pod: &PodInfo) -> Option<(&'static str, String)> {
        self.gates.iter().find_map(|g| g.closed(pod).map(|why| (g.name(), why)))
    }
}

impl Profile {
    /// What the chosen node means for the pod's volumes.
    pub(crate) fn volume_steps(&self, pod: &PodInfo, node: &NodeInfo, world: &World<'_>) -> Vec<VolumeStep> {
        let binds = self.filters.iter().any(|f| f.name() == binding::NAME);
        if binds && !pod.claims.is_empty() { binding::steps(pod, node, world) } else { Vec::new() }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new(&ProfileConfig::default())
    }
}
