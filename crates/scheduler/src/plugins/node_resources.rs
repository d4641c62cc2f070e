//! NodeResourcesFit and NodeResourcesBalancedAllocation: what a pod requests must be free on its node; emptier and
//! evenly used nodes are better.
//!
//! Docs: "Resource Management for Pods and Containers", "Resource Bin Packing" (LeastAllocated is the default).

use crate::event::Event;
use crate::framework::{Filter, Plugin, Prepared, SCORE_MAX, Score, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::{Refusal, Standing, Text};
use crate::resources::Resources;
use kinds::api::core::v1::Node;

/// The filter's name, and that of its score.
pub const NAME: &str = "NodeResourcesFit";
/// The other score's name.
pub const BALANCED: &str = "NodeResourcesBalancedAllocation";
const TOO_MANY: &str = "Too many pods";

/// NodeResourcesFit.
pub struct Fit;

/// One resource that is short: its name, and whether the node lacks it even when it is empty.
struct Short<'a> {
    name: &'a str,
    never: bool,
}

fn shortages<'a>(want: &'a Resources, used: &Resources, all: &Resources) -> Vec<Short<'a>> {
    let mut short = Vec::new();
    let mut check = |name: &'a str, want: i64, used: i64, all: i64| {
        if want > 0 && want > all.saturating_sub(used) {
            short.push(Short { name, never: want > all });
        }
    };
    check("cpu", want.cpu_milli, used.cpu_milli, all.cpu_milli);
    check("memory", want.memory_bytes, used.memory_bytes, all.memory_bytes);
    check("ephemeral-storage", want.ephemeral_bytes, used.ephemeral_bytes, all.ephemeral_bytes);
    for (name, amount) in &want.scalars {
        check(name, *amount, used.scalar(name), all.scalar(name));
    }
    short
}

/// Whether a node without pods could hold it.
fn could_hold(pod: &PodInfo, node: &Node) -> bool {
    let all = NodeInfo::new(node.clone().into());
    all.pods_max > 0 && shortages(&pod.requests, &Resources::default(), &all.allocatable).is_empty()
}

/// Whether one of the amounts that the pod wants got larger.
fn grew(pod: &PodInfo, old: &Node, new: &Node) -> bool {
    let (old, new) = (NodeInfo::new(old.clone().into()), NodeInfo::new(new.clone().into()));
    let (a, b, want) = (&old.allocatable, &new.allocatable, &pod.requests);
    new.pods_max > old.pods_max
        || (want.cpu_milli > 0 && b.cpu_milli > a.cpu_milli)
        || (want.memory_bytes > 0 && b.memory_bytes > a.memory_bytes)
        || (want.ephemeral_bytes > 0 && b.ephemeral_bytes > a.ephemeral_bytes)
        || want.scalars.iter().any(|(n, _)| b.scalar(n) > a.scalar(n))
}

fn shrank(old: &Resources, new: &Resources) -> bool {
    new.cpu_milli < old.cpu_milli || new.memory_bytes < old.memory_bytes || new.ephemeral_bytes < old.ephemeral_bytes
        || old.scalars.iter().any(|(n, v)| new.scalar(n) < *v)
}

impl Plugin for Fit {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, _: &World<'_>) -> bool {
        match event {
            Event::PodLeft(_) => true,
            Event::PodAltered { old, new } | Event::PodEdited { old, new } => shrank(&old.requests, &new.requests),
            Event::NodeAdded(n) => could_hold(pod, n),
            Event::NodeChanged { old, new } => event.grown().is_some() && could_hold(pod, new) && grew(pod, old, new),
            _ => false,
        }
    }
}

impl Filter for Fit {
    type Pre = ();
    fn prepare(&self, _: &PodInfo, _: &World<'_>) -> Prepared<()> {
        Prepared::Ready(())
    }
    fn check(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> Result<(), Refusal> {
        let crowded = i64::try_from(node.pods.len()).unwrap_or(i64::MAX) >= node.pods_max;
        let short = shortages(&pod.requests, &node.requested, &node.allocatable);
        if !crowded && short.is_empty() {
            return Ok(());
        }
        let standing = if short.iter().any(|s| s.never) { Standing::Final } else { Standing::Resolvable };
        let mut reasons: Vec<Text> = if crowded { vec![TOO_MANY.into()] } else { Vec::new() };
        reasons.extend(short.iter().map(|s| Text::from(format!("Insufficient {}", s.name))));
        Err(Refusal { plugin: NAME, standing, reasons })
    }
}

/// How much of a resource is left when the pod is there, of 100.
fn left(all: i64, used: i64) -> i64 {
    if all <= 0 || used > all { 0 } else { i64::try_from(i128::from(all - used) * i128::from(SCORE_MAX) / i128::from(all)).unwrap_or(0) }
}

impl Score for Fit {
    type Pre = ();
    fn prepare(&self, _: &PodInfo, _: &[&NodeInfo], _: &World<'_>) -> Option<()> {
        Some(())
    }
    fn score(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for (all, used, more) in [
            (node.allocatable.cpu_milli, node.nonzero.cpu_milli, pod.nonzero.cpu_milli),
            (node.allocatable.memory_bytes, node.nonzero.memory_bytes, pod.nonzero.memory_bytes),
        ] {
            if all > 0 {
                sum += left(all, used.saturating_add(more));
                weights += 1;
            }
        }
        if weights == 0 { 0 } else { sum / weights }
    }
}

/// NodeResourcesBalancedAllocation.
pub struct Balanced;

impl Plugin for Balanced {
    fn name(&self) -> &'static str {
        BALANCED
    }
    fn would_help(&self, _: &Event, _: &PodInfo, _: &World<'_>) -> bool {
        false
    }
}

impl Score for Balanced {
    type Pre = ();
    /// A pod that requests neither says nothing about balance.
    fn prepare(&self, pod: &PodInfo, _: &[&NodeInfo], _: &World<'_>) -> Option<()> {
        (pod.requests.cpu_milli > 0 || pod.requests.memory_bytes > 0).then_some(())
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn score(&self, (): &(), pod: &PodInfo, node: &NodeInfo, _: &World<'_>) -> i64 {
        let mut fractions = Vec::with_capacity(2);
        for (all, used, more) in [
            (node.allocatable.cpu_milli, node.requested.cpu_milli, pod.requests.cpu_milli),
            (node.allocatable.memory_bytes, node.requested.memory_bytes, pod.requests.memory_bytes),
        ] {
            if all > 0 {
                fractions.push((used.saturating_add(more) as f64 / all as f64).min(1.0));
            }
        }
        // For two fractions the standard deviation is half their distance.
        let deviation = if let [a, b] = fractions[..] { (a - b).abs() / 2.0 } else { 0.0 };
        ((1.0 - deviation) * SCORE_MAX as f64) as i64
    }
}
