//! PostFilter, DefaultPreemption: which less important pods would have to go, and from which node.
//!
//! Docs: "Pod Priority and Preemption", "Disruptions" (preemption honours budgets as best it can).

use crate::cycle::{Outcome, Search, Turn, fits, fits_with_nominated, is_final};
use crate::framework::{CheckedFilter, Suppose, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::reason::{Text, Unschedulable, histogram};
use crate::score::next_random;
use jiff::Timestamp;
use kinds::api::policy::v1::PodDisruptionBudget;
use kinds::{ObjectKey, Selector};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Its name.
pub const NAME: &str = "DefaultPreemption";
/// At least this share of the nodes is tried, in percent …
const CANDIDATES_PERCENT: usize = 10;
/// … and at least so many.
const CANDIDATES_MIN: usize = 100;
const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";
const NEVER: &str = "not eligible due to preemptionPolicy=Never.";
const UNDER_WAY: &str = "not eligible due to a terminating pod on the nominated node.";
/// What v1.36 says first whenever PostFilter runs: the DynamicResources plugin has nothing to give back.
const FIRST: &str = "no new claims to deallocate, preemption: ";
/// All that v1.36 says when a pod was refused before any node was looked at: PostFilter finds no state of that plugin
/// and stops, so that nothing is said of preemption.
pub(crate) const NO_STATE: &str = "not found";

/// A node and who would have to go there.
struct Candidate<'a> {
    node: &'a NodeInfo,
    victims: Vec<Arc<PodInfo>>,
    violations: usize,
}

fn is_never(pod: &PodInfo) -> bool {
    pod.spec().preemption_policy.as_deref() == Some("Never")
}

/// Looks for the least bad node to make room on.
pub(crate) fn preempt(world: &World<'_>, pod: &Arc<PodInfo>, search: &Search<'_>, mut why: Unschedulable, turn: &mut Turn) -> Outcome {
    if is_never(pod) {
        why.preemption = format!("{FIRST}{NEVER}");
        return Outcome::Unschedulable(why);
    }
    if waits_for_victims(world, pod, &why) {
        why.preemption = format!("{FIRST}{UNDER_WAY}");
        why.keeps_hope = true;
        return Outcome::Unschedulable(why);
    }
    let mut said: BTreeMap<Text, usize> = BTreeMap::new();
    let mut hopeful = Vec::new();
    for refused in &why.nodes {
        match world.nodes.get(&refused.node) {
            Some(n) if !is_final(&refused.why) => hopeful.push(n),
            _ => *said.entry(NOT_HELPFUL.into()).or_default() += 1,
        }
    }
    let enough = (hopeful.len() * CANDIDATES_PERCENT / 100).max(CANDIDATES_MIN).min(hopeful.len());
    let offset = if hopeful.is_empty() { 0 } else { (next_random(&mut turn.seed) % hopeful.len() as u64) as usize };
    let budgets = Budgets::read(world);
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for n in 0..hopeful.len() {
        match victims_on(world, pod, hopeful[(offset + n) % hopeful.len()], search, &budgets) {
            Ok(c) => candidates.push(c),
            Err(reasons) => reasons.into_iter().for_each(|r| *said.entry(r).or_default() += 1),
        }
        if candidates.len() >= enough && candidates.iter().any(|c| c.violations == 0) {
            break;
        }
    }
    match pick(candidates) {
        Some(c) => Outcome::Preempt { node: Arc::clone(&c.node.name), victims: c.victims, why },
        None => {
            let counts = said.iter().map(|(r, n)| (r.as_ref(), *n)).collect();
            why.preemption = format!("{FIRST}{}", histogram(why.total, &counts));
            Outcome::Unschedulable(why)
        }
    }
}

/// The pod has made room before and its victims are still going.
fn waits_for_victims(world: &World<'_>, pod: &PodInfo, why: &Unschedulable) -> bool {
    let Some(name) = pod.nominated() else { return false };
    if why.nodes.iter().any(|n| &*n.node == name && is_final(&n.why)) {
        return false;
    }
    let preempted = |p: &PodInfo| {
        let c = kinds::conditions::pod_condition(&p.pod, "DisruptionTarget");
        c.is_some_and(|c| c.status == "True" && c.reason.as_deref() == Some("PreemptionByScheduler"))
    };
    let node = world.nodes.get(name);
    node.is_some_and(|n| n.pods.iter().any(|p| p.priority < pod.priority && p.is_terminating() && preempted(p)))
}

/// More important first: by priority, then by who runs longer; by name where that is equal, so that the same cluster
/// always gives the same answer.
fn importance(p: &PodInfo) -> (Reverse<i32>, Timestamp, ObjectKey) {
    (Reverse(p.priority), started(p), p.key.clone())
}

fn started(p: &PodInfo) -> Timestamp {
    p.pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map_or(Timestamp::MAX, |t| t.0)
}

/// A node as if some of its pods were gone, with filters that think the same.
struct Supposed<'p, 'w> {
    node: NodeInfo,
    filters: Vec<Box<dyn CheckedFilter<'p> + 'p>>,
    world: &'w World<'w>,
}

impl Supposed<'_, '_> {
    fn set(&mut self, pod: &PodInfo, other: &Arc<PodInfo>, joins: bool) {
        if joins {
            self.node.add(Arc::clone(other));
        } else {
            self.node.remove(other);
        }
        let suppose = Suppose { other, node: &self.node, joins };
        self.filters.iter_mut().for_each(|f| f.suppose(pod, &suppose, self.world));
    }
    fn fits(&self, pod: &PodInfo) -> Result<(), Vec<Text>> {
        fits_with_nominated(self.world, pod, &self.node, &self.filters).map_err(|r| r.reasons)
    }
}

/// All less important pods go; then as many as possible come back, the most important first, those under a budget before
/// the others.
fn victims_on<'a>(
    world: &World<'a>,
    pod: &Arc<PodInfo>,
    node: &'a NodeInfo,
    search: &Search<'_>,
    budgets: &Budgets,
) -> Result<Candidate<'a>, Vec<Text>> {
    let mut lesser: Vec<Arc<PodInfo>> = node.pods.iter().filter(|p| p.priority < pod.priority).cloned().collect();
    if lesser.is_empty() {
        return Err(vec![NO_VICTIMS.into()]);
    }
    let filters = search.filters.iter().map(|f| f.fork()).collect();
    let mut supposed = Supposed { node: node.clone(), filters, world };
    for p in &lesser {
        supposed.set(pod, p, false);
    }
    supposed.fits(pod)?;
    lesser.sort_by_cached_key(|p| importance(p));
    let (violating, others) = budgets.split(lesser);
    let (mut victims, mut violations) = (Vec::new(), 0);
    for (list, violates) in [(violating, true), (others, false)] {
        for p in list {
            supposed.set(pod, &p, true);
            if supposed.fits(pod).is_err() {
                supposed.set(pod, &p, false);
                violations += usize::from(violates);
                victims.push(p);
            }
        }
    }
    if victims.is_empty() {
        return Err(vec![NO_VICTIMS.into()]);
    }
    victims.sort_by_cached_key(|p| importance(p));
    Ok(Candidate { node, victims, violations })
}

/// The least bad: fewest budget violations, then the least important first victim, the smallest sum of priorities, the
/// fewest victims, the latest start of the most important victims.
fn pick(candidates: Vec<Candidate<'_>>) -> Option<Candidate<'_>> {
    let sum = |c: &Candidate<'_>| c.victims.iter().map(|v| i64::from(v.priority) + i64::from(i32::MAX) + 1).sum::<i64>();
    let top = |c: &Candidate<'_>| c.victims.iter().map(|v| v.priority).max().unwrap_or(i32::MIN);
    let earliest = |c: &Candidate<'_>| c.victims.iter().filter(|v| v.priority == top(c)).map(|v| started(v)).min();
    let rank = |c: &Candidate<'_>| (c.violations, top(c), sum(c), c.victims.len(), Reverse(earliest(c)));
    candidates.into_iter().min_by_key(rank)
}

/// Budgets and how many disruptions each still allows.
struct Budgets(Vec<(String, Selector, i32, Vec<String>)>);

impl Budgets {
    fn read(world: &World<'_>) -> Self {
        let one = |b: &Arc<PodDisruptionBudget>| {
            let (spec, status) = (b.spec.as_ref()?, b.status.as_ref());
            let selector = Selector::from_label_selector(spec.selector.as_ref());
            let disrupted = status.and_then(|s| s.disrupted_pods.as_ref()).into_iter().flatten().map(|(n, _)| n.clone());
            let allowed = status.and_then(|s| s.disruptions_allowed).unwrap_or(0);
            Some((b.metadata.namespace.clone().unwrap_or_default(), selector, allowed, disrupted.collect()))
        };
        Self(world.objects.list::<PodDisruptionBudget>("").filter_map(one).collect())
    }
    /// Those whose going violates a budget, and the others; the order stays.
    fn split(&self, pods: Vec<Arc<PodInfo>>) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
        let mut left: Vec<i32> = self.0.iter().map(|b| b.2).collect();
        pods.into_iter().partition(|p| {
            let mut violates = false;
            for (i, (namespace, selector, _, disrupted)) in self.0.iter().enumerate() {
                let covers = namespace == p.namespace()
                    && p.labels().is_some_and(|l| !l.is_empty())
                    && selector.matches(p.labels())
                    && !disrupted.contains(&p.key.name);
                if covers {
                    left[i] -= 1;
                    violates |= left[i] < 0;
                }
            }
            violates
        })
    }
}

/// Whether a pod would fit on a node if nothing else changed; for people who ask why.
#[must_use]
pub fn would_fit(world: &World<'_>, pod: &PodInfo, node: &NodeInfo, profile: &crate::profile::Profile) -> bool {
    let ready: Result<Vec<_>, _> = profile.filters.iter().map(|f| f.ready(pod, world)).collect();
    ready.is_ok_and(|r| {
        let filters: Vec<_> = r.into_iter().flatten().map(|r| r.filter).collect();
        fits(world, pod, node, &filters).is_ok()
    })
}
