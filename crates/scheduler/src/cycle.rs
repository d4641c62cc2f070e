//! One scheduling cycle: which node a pod goes to, from a frozen view of the cluster.
//!
//! Docs: "Scheduling Framework" (scheduling cycle), "Scheduler Performance Tuning" (how many nodes are looked at).

use crate::framework::{CheckedFilter, Suppose, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::preemption;
use crate::profile::Profile;
use crate::reason::{NodeRefusal, Refusal, Standing, Text, Unschedulable};
use crate::score;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Fewer feasible nodes than this are never searched for.
const FEASIBLE_MIN: usize = 100;
/// The adaptive share of nodes never falls below this percentage.
const PERCENT_MIN: usize = 5;
/// The share starts at this percentage and falls by one every [`NODES_A_PERCENT`] nodes.
const PERCENT_START: usize = 50;
const NODES_A_PERCENT: usize = 125;

/// What carries over from cycle to cycle, and chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Where the next search starts, so that all nodes get their turn.
    pub start: usize,
    /// The seed that ties are broken with.
    pub seed: u64,
}

/// What to do before a pod can be bound (PreBind), about its volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeStep {
    /// Bind this existing volume to the claim.
    Bind { claim: String, volume: String },
    /// Ask for a volume for the claim that suits the chosen node.
    Provision { claim: String },
}

/// What a cycle comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Bind { node: Arc<str>, volumes: Vec<VolumeStep>, evaluated: usize, feasible: usize },
    /// No node will do, and evicting pods does not help (or must not be).
    Unschedulable(Unschedulable),
    /// No node will do, but this one will when the victims are gone.
    Preempt { node: Arc<str>, victims: Vec<Arc<PodInfo>>, why: Unschedulable },
}

/// A profile's filters after PreFilter, ready for one pod.
pub(crate) struct Search<'p> {
    pub filters: Vec<Box<dyn CheckedFilter<'p> + 'p>>,
    /// Only these nodes can do, and who says so.
    pub narrow: Option<(BTreeSet<String>, BTreeSet<&'static str>)>,
}

/// How many feasible nodes are enough.
#[must_use]
pub fn enough(nodes: usize, percent: Option<u8>) -> usize {
    if nodes < FEASIBLE_MIN {
        return nodes;
    }
    let percent = match percent {
        Some(p) if p > 0 => usize::from(p),
        _ => PERCENT_START.saturating_sub(nodes / NODES_A_PERCENT).max(PERCENT_MIN),
    };
    if percent >= 100 { nodes } else { (nodes * percent / 100).max(FEASIBLE_MIN) }
}

/// Decides about one pod.
#[must_use]
pub fn cycle(world: &World<'_>, profile: &Profile, pod: &Arc<PodInfo>, turn: &mut Turn) -> Outcome {
    let total = world.nodes.len();
    if total == 0 {
        return Outcome::Unschedulable(Unschedulable::default());
    }
    let search = match prepare(world, profile, pod) {
        Ok(s) => s,
        Err(before) => {
            let mut why = Unschedulable { total, before: Some(before), ..Unschedulable::default() };
            preemption::NO_STATE.clone_into(&mut why.preemption);
            return Outcome::Unschedulable(why);
        }
    };
    let found = find(world, profile, pod, &search, turn);
    match found.feasible.as_slice() {
        [] => {
            let why = Unschedulable { total, nodes: found.refused, ..Unschedulable::default() };
            if why.error().is_some() {
                return Outcome::Unschedulable(why);
            }
            preemption::preempt(world, pod, &search, why, turn)
        }
        [only] => bind(world, profile, pod, only, &found),
        many => {
            let best = score::best(world, profile, pod, many, turn);
            bind(world, profile, pod, best, &found)
        }
    }
}

fn bind(world: &World<'_>, profile: &Profile, pod: &PodInfo, node: &NodeInfo, found: &Found<'_>) -> Outcome {
    Outcome::Bind {
        node: Arc::clone(&node.name),
        volumes: profile.volume_steps(pod, node, world),
        evaluated: found.evaluated,
        feasible: found.feasible.len(),
    }
}

/// Runs PreFilter.
fn prepare<'p>(world: &World<'_>, profile: &'p Profile, pod: &PodInfo) -> Result<Search<'p>, Refusal> {
    let mut search = Search { filters: Vec::with_capacity(profile.filters.len()), narrow: None };
    for f in &profile.filters {
        let Some(ready) = f.ready(pod, world)? else { continue };
        if let Some(names) = ready.narrow {
            let (kept, by) = search.narrow.take().map_or_else(
                || (names.clone(), BTreeSet::new()),
                |(old, by)| (old.intersection(&names).cloned().collect(), by),
            );
            let by: BTreeSet<_> = by.into_iter().chain([f.name()]).collect();
            if kept.is_empty() {
                return Err(Refusal::last(f.name(), unsatisfied(&by, true)));
            }
            search.narrow = Some((kept, by));
        }
        search.filters.push(ready.filter);
    }
    Ok(search)
}

fn unsatisfied(by: &BTreeSet<&'static str>, all: bool) -> Text {
    let names: Vec<&str> = by.iter().copied().collect();
    let tail = if all && names.len() > 1 { " simultaneously" } else { "" };
    format!("node(s) didn't satisfy plugin(s) [{}]{tail}", names.join(" ")).into()
}

struct Found<'a> {
    feasible: Vec<&'a NodeInfo>,
    refused: Vec<NodeRefusal>,
    evaluated: usize,
}

fn find<'a>(world: &World<'a>, profile: &Profile, pod: &PodInfo, search: &Search<'_>, turn: &mut Turn) -> Found<'a> {
    let mut found = Found { feasible: Vec::new(), refused: Vec::new(), evaluated: 0 };
    if let Some(node) = pod.nominated().and_then(|n| world.nodes.get(n)) {
        let allowed = search.narrow.as_ref().is_none_or(|(names, _)| names.contains(&*node.name));
        if allowed && fits_with_nominated(world, pod, node, &search.filters).is_ok() {
            found.feasible.push(node);
            found.evaluated = 1;
            return found;
        }
    }
    let total = world.nodes.len();
    let enough = enough(total, profile.percent);
    let start = turn.start % total;
    for n in 0..total {
        let node = world.nodes.at((start + n) % total);
        if let Some((names, by)) = &search.narrow {
            if !names.contains(&*node.name) {
                let plugin = by.first().copied().unwrap_or_default();
                let why = Refusal::last(plugin, unsatisfied(by, false));
                found.refused.push(NodeRefusal { node: Arc::clone(&node.name), why });
                continue;
            }
        }
        found.evaluated += 1;
        match fits_with_nominated(world, pod, node, &search.filters) {
            Ok(()) => found.feasible.push(node),
            Err(why) => found.refused.push(NodeRefusal { node: Arc::clone(&node.name), why }),
        }
        if found.feasible.len() >= enough {
            turn.start = (start + n + 1) % total;
            return found;
        }
    }
    turn.start = start;
    found
}

/// Runs Filter on one node; the first no counts.
pub(crate) fn fits<'p>(
    world: &World<'_>,
    pod: &PodInfo,
    node: &NodeInfo,
    filters: &[Box<dyn CheckedFilter<'p> + 'p>],
) -> Result<(), Refusal> {
    filters.iter().try_for_each(|f| f.check(pod, node, world))
}

/// Pods that made room on a node count as being there for pods that are not more important; but the pod must also fit
/// without them, as they may never come.
pub(crate) fn fits_with_nominated<'p>(
    world: &World<'_>,
    pod: &PodInfo,
    node: &NodeInfo,
    filters: &[Box<dyn CheckedFilter<'p> + 'p>],
) -> Result<(), Refusal> {
    let expected = world.nodes.nominated(&node.name);
    let ahead: Vec<_> = expected.iter().filter(|p| p.priority >= pod.priority && p.uid != pod.uid).collect();
    if !ahead.is_empty() {
        let mut node = node.clone();
        let mut filters: Vec<_> = filters.iter().map(|f| f.fork()).collect();
        for other in ahead {
            node.add(Arc::clone(other));
            let suppose = Suppose { other, node: &node, joins: true };
            filters.iter_mut().for_each(|f| f.suppose(pod, &suppose, world));
        }
        fits(world, pod, &node, &filters)?;
    }
    fits(world, pod, node, filters)
}

/// Whether a refusal is one that evictions cannot change.
pub(crate) fn is_final(why: &Refusal) -> bool {
    why.standing != Standing::Resolvable
}
