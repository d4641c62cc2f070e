//! The table itself.

use super::info::NodeInfo;
use super::volumes::Reservations;
use crate::podinfo::PodInfo;
use cache::Snapshot;
use kinds::ObjectKey;
use kinds::api::core::v1::{Node, Pod};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A pod on a node.
#[derive(Clone, Debug)]
pub struct Placement {
    pub pod: Arc<PodInfo>,
    slot: usize,
    /// Decided here, not seen yet.
    pub assumed: bool,
}

/// All nodes. Slots stay where they are; `order` is the order in which cycles look, zones taking turns.
#[derive(Clone, Debug, Default)]
pub struct NodeTable {
    slots: Vec<NodeInfo>,
    free: Vec<usize>,
    index: HashMap<Arc<str>, usize>,
    order: Vec<usize>,
    stale: bool,
    placed: HashMap<ObjectKey, Placement>,
    /// How many of them are assumed.
    assumed: usize,
    images: HashMap<String, usize>,
    with_terms: BTreeSet<usize>,
    with_required_anti: BTreeSet<usize>,
    nominated: HashMap<Arc<str>, Vec<Arc<PodInfo>>>,
    pub volumes: Reservations,
}

impl NodeTable {
    /// Everything from scratch.
    #[must_use]
    pub fn from_snapshot(s: &Snapshot) -> Self {
        let mut t = Self::default();
        s.list::<Node>("").for_each(|n| t.set_node(Arc::clone(n)));
        for p in s.list::<Pod>("").filter(|p| counts(p)) {
            t.place(Arc::new(PodInfo::new(Arc::clone(p))));
        }
        t.refresh();
        t
    }

    fn slot(&mut self, name: &str) -> usize {
        if let Some(at) = self.index.get(name) {
            return *at;
        }
        let info = NodeInfo::absent(name.into());
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.slots.push(info.clone());
                self.slots.len() - 1
            }
        };
        self.index.insert(Arc::clone(&info.name), at);
        self.slots[at] = info;
        at
    }

    fn count_images(&mut self, at: usize, joins: bool) {
        let images = Arc::clone(&self.slots[at].images);
        for name in images.keys() {
            let n = self.images.entry(name.clone()).or_default();
            *n = if joins { *n + 1 } else { *n - 1 };
            if *n == 0 {
                self.images.remove(name);
            }
        }
    }

    /// Takes a node in, or its new state.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let at = self.slot(node.metadata.name.as_deref().unwrap_or_default());
        let before = self.slots[at].exists.then(|| self.slots[at].zone());
        self.count_images(at, false);
        self.slots[at].set_node(node);
        self.count_images(at, true);
        self.stale |= before != Some(self.slots[at].zone());
    }

    /// Forgets a node; its pods stay known.
    pub fn remove_node(&mut self, name: &str) {
        let Some(at) = self.index.get(name).copied() else { return };
        self.count_images(at, false);
        self.slots[at].unset_node();
        self.stale = true;
        self.let_go(at);
    }

    fn let_go(&mut self, at: usize) {
        let info = &self.slots[at];
        for (set, any) in [
            (&mut self.with_terms, !info.with_terms.is_empty()),
            (&mut self.with_required_anti, !info.with_required_anti.is_empty()),
        ] {
            if any {
                set.insert(at);
            } else {
                set.remove(&at);
            }
        }
        if !info.exists && info.pods.is_empty() && self.index.remove(&info.name).is_some() {
            self.free.push(at);
        }
    }

    fn put(&mut self, pod: Arc<PodInfo>, node: &str, assumed: bool) {
        self.unplace(&pod.key);
        let slot = self.slot(node);
        self.slots[slot].add(Arc::clone(&pod));
        self.placed.insert(pod.key.clone(), Placement { pod, slot, assumed });
        self.assumed += usize::from(assumed);
        self.let_go(slot);
    }

    /// A pod is seen on its node; whatever was assumed of it is over.
    pub fn place(&mut self, pod: Arc<PodInfo>) {
        let Some(node) = pod.node().map(str::to_owned) else { return };
        self.put(pod, &node, false);
    }

    /// Assumes a pod on a node until it is placed there or forgotten.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.put(pod, node, true);
    }

    /// A pod is off its node.
    pub fn unplace(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let p = self.placed.remove(key)?;
        self.assumed -= usize::from(p.assumed);
        let was_here = self.slots[p.slot].remove(&p.pod);
        assert!(was_here, "the node table lost pod {key}: it is corrupt");
        self.let_go(p.slot);
        Some(p.pod)
    }

    /// Where a pod is.
    #[must_use]
    pub fn placement(&self, key: &ObjectKey) -> Option<(&Placement, &NodeInfo)> {
        self.placed.get(key).map(|p| (p, &self.slots[p.slot]))
    }

    /// Every pod that is only assumed to be placed.
    pub fn assumed(&self) -> impl Iterator<Item = (&Placement, &NodeInfo)> {
        self.placed.values().filter(|p| p.assumed).map(|p| (p, &self.slots[p.slot]))
    }

    /// A waiting pod is expected on a node (it made room there), or (`None`) on none.
    pub fn nominate(&mut self, pod: &Arc<PodInfo>, node: Option<&str>) {
        self.nominated.retain(|_, pods| {
            pods.retain(|p| p.key != pod.key);
            !pods.is_empty()
        });
        if let Some(node) = node {
            self.nominated.entry(node.into()).or_default().push(Arc::clone(pod));
        }
    }
    /// The pods expected on a node.
    #[must_use]
    pub fn nominated(&self, node: &str) -> &[Arc<PodInfo>] {
        if self.nominated.is_empty() {
            return &[];
        }
        self.nominated.get(node).map_or(&[], Vec::as_slice)
    }

    /// Brings the order up to date. Cycles need that after nodes came or went.
    pub fn refresh(&mut self) {
        if !self.stale {
            return;
        }
        self.stale = false;
        let mut zones: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut existing: Vec<usize> = (0..self.slots.len()).filter(|at| self.slots[*at].exists).collect();
        existing.sort_by(|a, b| self.slots[*a].name.cmp(&self.slots[*b].name));
        for at in existing {
            zones.entry(self.slots[at].zone()).or_default().push(at);
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or(0);
        self.order = (0..longest).flat_map(|n| zones.values().filter_map(move |z| z.get(n).copied())).collect();
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
    /// The node at that place of the order.
    #[must_use]
    pub fn at(&self, place: usize) -> &NodeInfo {
        &self.slots[self.order[place]]
    }
    /// All nodes in order.
    pub fn iter(&self) -> impl Iterator<Item = &NodeInfo> {
        self.order.iter().map(|at| &self.slots[*at])
    }
    /// A node by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&NodeInfo> {
        self.index.get(name).map(|at| &self.slots[*at]).filter(|n| n.exists)
    }
    /// The nodes with pods that have affinity or anti-affinity terms.
    pub fn with_terms(&self) -> impl Iterator<Item = &NodeInfo> {
        self.with_terms.iter().map(|at| &self.slots[*at]).filter(|n| n.exists)
    }
    /// The nodes with pods that have required anti-affinity terms.
    pub fn with_required_anti(&self) -> impl Iterator<Item = &NodeInfo> {
        self.with_required_anti.iter().map(|at| &self.slots[*at]).filter(|n| n.exists)
    }
    /// On how many nodes an image is.
    #[must_use]
    pub fn nodes_with_image(&self, name: &str) -> usize {
        self.images.get(name).copied().unwrap_or(0)
    }
    /// How many pods are placed, and how many of these are only assumed to be.
    #[must_use]
    pub fn pod_counts(&self) -> (usize, usize) {
        (self.placed.len(), self.assumed)
    }

    /// Recomputes everything from a snapshot and what is assumed, and compares.
    ///
    /// # Errors
    /// What differs.
    pub fn audit(&self, s: &Snapshot) -> Result<(), String> {
        let mut fresh = Self::from_snapshot(s);
        for (p, n) in self.assumed() {
            fresh.assume(Arc::clone(&p.pod), &n.name);
        }
        fresh.stale = true;
        fresh.refresh();
        let names = |t: &Self| t.iter().map(|n| Arc::clone(&n.name)).collect::<Vec<_>>();
        let digest = |t: &Self| t.index.iter().map(|(n, at)| (Arc::clone(n), t.slots[*at].digest())).collect::<BTreeMap<_, _>>();
        let sets = |t: &Self, set: &BTreeSet<usize>| set.iter().map(|at| Arc::clone(&t.slots[*at].name)).collect::<BTreeSet<_>>();
        let (want, have) = (digest(&fresh), digest(self));
        if want != have {
            let differs = want.iter().find(|(n, d)| have.get(*n) != Some(d));
            return Err(format!("node {differs:?} against {:?}", differs.and_then(|(n, _)| have.get(n))));
        }
        match () {
            () if fresh.assumed != self.assumed => Err("the count of assumed pods differs".into()),
            () if names(&fresh) != names(self) => Err("the order of nodes differs".into()),
            () if fresh.images != self.images => Err("image counts differ".into()),
            () if sets(&fresh, &fresh.with_terms) != sets(self, &self.with_terms) => Err("with_terms differs".into()),
            () if sets(&fresh, &fresh.with_required_anti) != sets(self, &self.with_required_anti) => {
                Err("with_required_anti differs".into())
            }
            () => Ok(()),
        }
    }
}

/// Whether a pod takes room on a node.
#[must_use]
pub fn counts(pod: &Pod) -> bool {
    let on_node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).is_some_and(|n| !n.is_empty());
    on_node && !kinds::pod::is_terminal(pod)
}
