//! A pod with everything that plugins ask of it read once: requests, ports, selectors, affinity terms, claims.

use crate::resources::{Resources, pod_nonzero, pod_requests};
use crate::selector::{AffinityTerm, NodeTerm, NodeTerms};
use kinds::api::core::v1::{Pod, PodSpec, Toleration, Volume, WeightedPodAffinityTerm};
use kinds::selector::Labels;
use kinds::{ObjectKey, Selector};
use std::sync::{Arc, LazyLock};

static NO_SPEC: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);

/// A port that a pod takes on its node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub protocol: String,
    /// `0.0.0.0` for every address.
    pub ip: String,
    pub port: i32,
}

impl HostPort {
    /// Whether both cannot be on one node.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        const ANY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip == ANY || other.ip == ANY)
    }
}

/// Required and preferred terms of one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTerms {
    pub required: Vec<AffinityTerm>,
    pub preferred: Vec<(i64, AffinityTerm)>,
}

impl PodTerms {
    fn is_empty(&self) -> bool {
        self.required.is_empty() && self.preferred.is_empty()
    }
}

/// A pod as the scheduler sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PodInfo {
    pub pod: Arc<Pod>,
    pub key: ObjectKey,
    pub uid: String,
    pub priority: i32,
    pub requests: Resources,
    /// CPU and memory as scores count them.
    pub nonzero: Resources,
    pub ports: Vec<HostPort>,
    /// `spec.nodeSelector`.
    pub node_selector: Selector,
    pub required_nodes: Option<NodeTerms>,
    pub preferred_nodes: Vec<(i64, NodeTerm)>,
    pub affinity: PodTerms,
    pub anti_affinity: PodTerms,
    /// The names of the claims it mounts, ephemeral ones included.
    pub claims: Vec<String>,
}

impl PodInfo {
    /// Reads a pod.
    #[must_use]
    pub fn new(pod: Arc<Pod>) -> Self {
        let key = ObjectKey::of(&pod.metadata);
        let spec = pod.spec.as_ref().unwrap_or(&NO_SPEC);
        let labels = pod.metadata.labels.as_ref();
        let affinity = spec.affinity.as_ref();
        let nodes = affinity.and_then(|a| a.node_affinity.as_ref());
        let required = nodes.and_then(|n| n.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = nodes.and_then(|n| n.preferred_during_scheduling_ignored_during_execution.as_ref());
        let near = affinity.and_then(|a| a.pod_affinity.as_ref());
        let apart = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
        let terms = |required: Option<&Vec<_>>, preferred: Option<&Vec<WeightedPodAffinityTerm>>| PodTerms {
            required: required.into_iter().flatten().map(|t| AffinityTerm::read(t, &key.namespace, labels)).collect(),
            preferred: preferred
                .into_iter()
                .flatten()
                .map(|w| (i64::from(w.weight), AffinityTerm::read(&w.pod_affinity_term, &key.namespace, labels)))
                .collect(),
        };
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            priority: spec.priority.unwrap_or_default(),
            requests: pod_requests(&pod),
            nonzero: pod_nonzero(&pod),
            ports: host_ports(spec),
            node_selector: spec.node_selector.as_ref().map_or_else(Selector::everything, Selector::from_map),
            required_nodes: required.map(NodeTerms::read),
            preferred_nodes: preferred
                .into_iter()
                .flatten()
                .filter(|p| p.weight != 0)
                .map(|p| (i64::from(p.weight), NodeTerm::read(&p.preference)))
                .collect(),
            affinity: terms(
                near.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
                near.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
            anti_affinity: terms(
                apart.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
                apart.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
            claims: claims(&key.name, spec),
            key,
            pod,
        }
    }
    /// Its spec.
    #[must_use]
    pub fn spec(&self) -> &PodSpec {
        self.pod.spec.as_ref().unwrap_or(&NO_SPEC)
    }
    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.key.namespace
    }
    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> Option<&Labels> {
        self.pod.metadata.labels.as_ref()
    }
    /// Its tolerations.
    #[must_use]
    pub fn tolerations(&self) -> &[Toleration] {
        self.spec().tolerations.as_deref().unwrap_or_default()
    }
    /// Its volumes.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        self.spec().volumes.as_deref().unwrap_or_default()
    }
    /// The node it is bound to, if any.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.spec().node_name.as_deref().filter(|n| !n.is_empty())
    }
    /// The node that it hopes for after a preemption.
    #[must_use]
    pub fn nominated(&self) -> Option<&str> {
        self.pod.status.as_ref()?.nominated_node_name.as_deref().filter(|n| !n.is_empty())
    }
    /// The scheduler that it asks for.
    #[must_use]
    pub fn scheduler(&self) -> &str {
        self.spec().scheduler_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(crate::DEFAULT_SCHEDULER)
    }
    /// Whether it is being deleted.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }
    /// Whether it says anything about other pods.
    #[must_use]
    pub fn has_pod_terms(&self) -> bool {
        !self.affinity.is_empty() || !self.anti_affinity.is_empty()
    }
    /// Whether `spec.nodeSelector` and required node affinity allow a node.
    #[must_use]
    pub fn selects(&self, name: &str, labels: Option<&Labels>) -> bool {
        self.node_selector.matches(labels) && self.required_nodes.as_ref().is_none_or(|r| r.matches(name, labels))
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| kinds::pod::is_sidecar(c));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    ports
        .filter_map(|p| {
            let port = p.host_port.filter(|n| *n > 0)?;
            let or = |o: &Option<String>, d: &str| o.clone().filter(|s| !s.is_empty()).unwrap_or_else(|| d.to_owned());
            Some(HostPort { protocol: or(&p.protocol, "TCP"), ip: or(&p.host_ip, "0.0.0.0"), port })
        })
        .collect()
}

fn claims(pod: &str, spec: &PodSpec) -> Vec<String> {
    let volumes = spec.volumes.iter().flatten();
    volumes
        .filter_map(|v| match (&v.persistent_volume_claim, &v.ephemeral) {
            (Some(c), _) => Some(c.claim_name.clone()),
            (None, Some(_)) => Some(format!("{pod}-{}", v.name)),
            _ => None,
        })
        .collect()
}
