//! One constraint, read; and the constraints that a pod without any gets.

use super::PodTopologySpread;
use crate::framework::World;
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::selector::{merge_keys, untolerated};
use kinds::Selector;
use kinds::api::apps::v1::{ReplicaSet, StatefulSet};
use kinds::api::core::v1::{ReplicationController, Service, TopologySpreadConstraint};
use kinds::owner::controller_of;
use kinds::selector::Operator;

/// A label that every node has to itself.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const SYSTEM: [(&str, i32); 2] = [(HOSTNAME, 3), (ZONE, 5)];

/// A constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    pub key: String,
    pub max_skew: i64,
    pub min_domains: i64,
    pub selector: Selector,
    honours_affinity: bool,
    honours_taints: bool,
}

impl Constraint {
    fn read(c: &TopologySpreadConstraint, selector: Option<&Selector>, pod: &PodInfo) -> Self {
        let mut selector = selector.cloned().unwrap_or_else(|| Selector::from_label_selector(c.label_selector.as_ref()));
        merge_keys(&mut selector, c.match_label_keys.as_ref(), pod.labels(), Operator::In);
        Self {
            key: c.topology_key.clone(),
            max_skew: i64::from(c.max_skew),
            min_domains: c.min_domains.map_or(1, i64::from),
            selector,
            honours_affinity: c.node_affinity_policy.as_deref() != Some("Ignore"),
            honours_taints: c.node_taints_policy.as_deref() == Some("Honor"),
        }
    }
    /// Whether a node's pods are counted.
    pub(super) fn includes(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        (!self.honours_affinity || pod.selects(&node.name, node.labels()))
            && (!self.honours_taints || untolerated(pod.tolerations(), node.taints()).is_none())
    }
    /// How many pods of a node it is about.
    pub(super) fn count(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let n = node.pods.iter().filter(|p| self.counts(pod, p)).count();
        i64::try_from(n).unwrap_or(i64::MAX)
    }
    /// Whether it is about a pod.
    pub(super) fn counts(&self, pod: &PodInfo, other: &PodInfo) -> bool {
        !other.is_terminating() && other.namespace() == pod.namespace() && self.selector.matches(other.labels())
    }
}

/// What services and the pod's controller select it by.
fn default_selector(pod: &PodInfo, world: &World<'_>) -> Selector {
    let mut all = Vec::new();
    let mut take = |s: Selector| {
        if let Selector::All(r) = s {
            all.extend(r);
        }
    };
    for s in world.objects.list::<Service>(pod.namespace()) {
        let Some(map) = s.spec.as_ref().and_then(|s| s.selector.as_ref()).filter(|m| !m.is_empty()) else { continue };
        let selector = Selector::from_map(map);
        if selector.matches(pod.labels()) {
            take(selector);
        }
    }
    let Some(owner) = controller_of(&pod.pod.metadata) else { return Selector::All(all) };
    let (ns, name) = (pod.namespace(), owner.name.as_str());
    match (owner.kind.as_str(), owner.api_version.as_str()) {
        ("ReplicaSet", "apps/v1") => {
            if let Some(s) = world.objects.get::<ReplicaSet>(ns, name).and_then(|r| r.spec.as_ref()) {
                take(Selector::from_label_selector(Some(&s.selector)));
            }
        }
        ("StatefulSet", "apps/v1") => {
            if let Some(s) = world.objects.get::<StatefulSet>(ns, name).and_then(|r| r.spec.as_ref()) {
                take(Selector::from_label_selector(Some(&s.selector)));
            }
        }
        ("ReplicationController", "v1") => {
            let spec = world.objects.get::<ReplicationController>(ns, name).and_then(|r| r.spec.as_ref());
            if let Some(map) = spec.and_then(|s| s.selector.as_ref()) {
                take(Selector::from_map(map));
            }
        }
        _ => {}
    }
    Selector::All(all)
}

impl PodTopologySpread {
    /// Whether the system's own constraints apply to the pod: these do not ask nodes to have every label.
    pub(super) fn is_system_default(&self, pod: &PodInfo) -> bool {
        self.defaults.is_none() && pod.spec().topology_spread_constraints.as_ref().is_none_or(Vec::is_empty)
    }
    /// The hard (`DoNotSchedule`) or the soft constraints of a pod.
    pub(super) fn constraints(&self, pod: &PodInfo, hard: bool, world: &World<'_>) -> Vec<Constraint> {
        let wanted = |c: &&TopologySpreadConstraint| (c.when_unsatisfiable == "DoNotSchedule") == hard;
        let own = pod.spec().topology_spread_constraints.as_deref().unwrap_or_default();
        if !own.is_empty() {
            return own.iter().filter(wanted).map(|c| Constraint::read(c, None, pod)).collect();
        }
        if hard && self.defaults.is_none() {
            return Vec::new();
        }
        let system = || {
            let one = |(key, skew): &(&str, i32)| TopologySpreadConstraint {
                topology_key: (*key).to_owned(),
                max_skew: *skew,
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                ..TopologySpreadConstraint::default()
            };
            SYSTEM.iter().map(one).collect()
        };
        let defaults = self.defaults.clone().unwrap_or_else(system);
        let selector = default_selector(pod, world);
        if selector.is_everything() {
            return Vec::new();
        }
        defaults.iter().filter(wanted).map(|c| Constraint::read(c, Some(&selector), pod)).collect()
    }
}
