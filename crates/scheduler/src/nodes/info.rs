//! One node with what its pods take of it, kept incrementally.

use crate::podinfo::{HostPort, PodInfo};
use crate::resources::Resources;
use kinds::ObjectKey;
use kinds::api::core::v1::{Node, Taint};
use kinds::pod::Amounts;
use kinds::selector::Labels;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// Where a node is told to be.
pub const ZONE_LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
/// In which region.
pub const REGION_LABELS: [&str; 2] = ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];

static NO_NODE: LazyLock<Arc<Node>> = LazyLock::new(Arc::default);

/// A node and its pods, assumed ones included.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    pub name: Arc<str>,
    /// False: pods name it, but there is no such node (any more).
    pub exists: bool,
    pub node: Arc<Node>,
    pub pods: Vec<Arc<PodInfo>>,
    pub requested: Resources,
    /// As scores count it.
    pub nonzero: Resources,
    pub allocatable: Resources,
    /// How many pods it can hold.
    pub pods_max: i64,
    pub ports: Vec<HostPort>,
    /// Pods with any pod affinity or anti-affinity.
    pub with_terms: Vec<Arc<PodInfo>>,
    /// Pods with required anti-affinity.
    pub with_required_anti: Vec<Arc<PodInfo>>,
    /// Claims in use here and by how many pods.
    pub claims: BTreeMap<ObjectKey, usize>,
    /// Image name to its size in bytes.
    pub images: Arc<HashMap<String, i64>>,
}

fn drop_pod(list: &mut Vec<Arc<PodInfo>>, uid: &str, key: &ObjectKey) -> Option<Arc<PodInfo>> {
    let at = list.iter().position(|p| p.uid == uid && p.key == *key)?;
    Some(list.swap_remove(at))
}

impl NodeInfo {
    /// A name without a node.
    #[must_use]
    pub fn absent(name: Arc<str>) -> Self {
        Self {
            name,
            exists: false,
            node: Arc::clone(&NO_NODE),
            pods: Vec::new(),
            requested: Resources::default(),
            nonzero: Resources::default(),
            allocatable: Resources::default(),
            pods_max: 0,
            ports: Vec::new(),
            with_terms: Vec::new(),
            with_required_anti: Vec::new(),
            claims: BTreeMap::new(),
            images: Arc::default(),
        }
    }
    /// A node without pods.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        let mut info = Self::absent(node.metadata.name.as_deref().unwrap_or_default().into());
        info.set_node(node);
        info
    }
    /// Takes over what a node says of itself.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|s| s.allocatable.as_ref().or(s.capacity.as_ref()));
        self.allocatable = Resources::read(allocatable);
        let pods = allocatable.and_then(|a| a.get("pods"));
        self.pods_max = pods.and_then(|q| kinds::Quantity::parse(&q.0).ok()).map_or(0, |q| q.value());
        let images = status.and_then(|s| s.images.as_ref());
        let named = images.into_iter().flatten().flat_map(|i| {
            i.names.iter().flatten().map(|n| (n.clone(), i.size_bytes.unwrap_or_default()))
        });
        self.images = Arc::new(named.collect());
        self.exists = true;
        self.node = node;
    }
    /// Forgets the node but not its pods.
    pub fn unset_node(&mut self) {
        let pods = std::mem::take(&mut self.pods);
        *self = Self::absent(Arc::clone(&self.name));
        pods.into_iter().for_each(|p| self.add(p));
    }
    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> Option<&Labels> {
        self.node.metadata.labels.as_ref()
    }
    /// One label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key).map(String::as_str)
    }
    /// Its taints.
    #[must_use]
    pub fn taints(&self) -> &[Taint] {
        self.node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default()
    }
    /// Region and zone as one word; empty when it tells neither.
    #[must_use]
    pub fn zone(&self) -> String {
        let first = |keys: &[&str]| keys.iter().find_map(|k| self.label(k)).unwrap_or_default();
        let (region, zone) = (first(&REGION_LABELS), first(&ZONE_LABELS));
        if region.is_empty() && zone.is_empty() { String::new() } else { format!("{region}:\0:{zone}") }
    }
    /// Puts a pod here.
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.nonzero.add(&pod.nonzero);
        self.ports.extend(pod.ports.iter().cloned());
        for c in &pod.claims {
            *self.claims.entry(ObjectKey::new(pod.namespace(), c.as_str())).or_default() += 1;
        }
        if pod.has_pod_terms() {
            self.with_terms.push(Arc::clone(&pod));
        }
        if !pod.anti_affinity.required.is_empty() {
            self.with_required_anti.push(Arc::clone(&pod));
        }
        self.pods.push(pod);
    }
    /// Takes a pod away; tells whether it was here.
    pub fn remove(&mut self, pod: &PodInfo) -> bool {
        let Some(pod) = drop_pod(&mut self.pods, &pod.uid, &pod.key) else { return false };
        self.requested.sub(&pod.requests);
        self.nonzero.sub(&pod.nonzero);
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|p| p == port) {
                self.ports.swap_remove(at);
            }
        }
        for c in &pod.claims {
            let key = ObjectKey::new(pod.namespace(), c.as_str());
            if let Some(n) = self.claims.get_mut(&key) {
                *n -= 1;
                if *n == 0 {
                    self.claims.remove(&key);
                }
            }
        }
        drop_pod(&mut self.with_terms, &pod.uid, &pod.key);
        drop_pod(&mut self.with_required_anti, &pod.uid, &pod.key);
        true
    }
    /// Everything in a comparable form, for audits.
    #[must_use]
    pub fn digest(&self) -> String {
        let keys = |list: &[Arc<PodInfo>]| {
            let mut keys: Vec<String> = list.iter().map(|p| format!("{}={}", p.key, p.uid)).collect();
            keys.sort();
            keys
        };
        let mut ports: Vec<String> = self.ports.iter().map(|p| format!("{p:?}")).collect();
        ports.sort();
        format!(
            "{} {} {:?} {:?} {:?} {} {:?} {:?} {:?} {ports:?} {:?}",
            self.name,
            self.exists,
            self.requested,
            self.nonzero,
            self.allocatable,
            self.pods_max,
            keys(&self.pods),
            keys(&self.with_terms),
            keys(&self.with_required_anti),
            self.claims
        )
    }
}

/// A node's free amounts, for people who ask why.
#[must_use]
pub fn free(node: &NodeInfo) -> Amounts {
    use kinds::quantity::{Format, Quantity};
    let mut left = node.allocatable.clone();
    left.sub(&node.requested);
    let mut out = Amounts::new();
    out.insert("cpu".into(), Quantity::milli(left.cpu_milli));
    out.insert("memory".into(), Quantity::units(left.memory_bytes, Format::BinarySi));
    out.insert("ephemeral-storage".into(), Quantity::units(left.ephemeral_bytes, Format::BinarySi));
    out.extend(left.scalars.iter().map(|(n, v)| (n.to_string(), Quantity::units(*v, Format::DecimalSi))));
    out
}
