//! The node itself in the API: registered at the start, its status when it changes (or every five minutes), its lease
//! every ten seconds (docs: "Nodes", "Leases").

use crate::hands::Hands;
use crate::hands::api::options;
use crate::machine;
use crate::recorder::node_reference;
use jiff::Timestamp;
use kinds::api::coordination::v1::{Lease, LeaseSpec};
use kinds::api::core::v1::{Node, NodeSpec, NodeStatus};
use kinds::{ApiError, Kind, MicroTime, ObjectKey, ObjectMeta, OwnerReference, Target, Typed};
use pods::node_status::{self, Machine, Report};
use pods::Note;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_DURATION_S: i32 = 40;
/// How often the lease is renewed and the status looked at.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// A status that does not change is written this often.
const REPORT_MAX_S: i64 = 300;
/// While the API does not answer.
const RETRY: base::Backoff = base::Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(7) };
const CONFLICTS_MAX: u32 = 5;

pub(crate) struct NodeLoop {
    pub(crate) hands: Arc<Hands>,
    pub(crate) machine: Machine,
    /// The last status that was written, and when.
    reported: Option<(NodeStatus, Timestamp)>,
    lease: Option<Arc<Lease>>,
}

fn target(name: &str) -> Target {
    Target::new(Kind::Node, ObjectKey::cluster(name))
}

/// The node as it registers itself.
pub(crate) fn own_node(hands: &Hands, machine: &Machine, status: NodeStatus) -> Node {
    let config = &hands.config;
    let mut labels = config.labels.clone();
    for prefix in ["kubernetes.io", "beta.kubernetes.io"] {
        labels.insert(format!("{prefix}/os"), "linux".to_owned());
        labels.insert(format!("{prefix}/arch"), machine.architecture.clone());
    }
    labels.insert("kubernetes.io/hostname".to_owned(), config.hostname.clone());
    let managed = ("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), "true".to_owned());
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels),
            annotations: Some([managed].into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { taints: Some(config.taints.clone()).filter(|t| !t.is_empty()), ..NodeSpec::default() }),
        status: Some(status),
    }
}

/// What a status is made from, as of now.
pub(crate) async fn report(hands: &Hands) -> Report {
    let config = &hands.config;
    let (name, version) = hands.runtime.version();
    let mut not_ready = Vec::new();
    let images = match hands.runtime.images().await {
        Ok(list) => list,
        Err(e) => {
            not_ready.push(format!("container runtime is down: {e}"));
            Vec::new()
        }
    };
    let names = |i: &runtime::cri::ImageStatus| i.repo_digests.iter().chain(&i.repo_tags).cloned().collect::<Vec<_>>();
    let mut addresses: Vec<(String, String)> =
        config.node_ips.iter().map(|ip: &IpAddr| ("InternalIP".to_owned(), ip.to_string())).collect();
    addresses.push(("Hostname".to_owned(), config.hostname.clone()));
    Report {
        addresses,
        kubelet_version: config.kubelet_version.clone(),
        runtime_version: format!("{name}://{version}"),
        port: config.listen.map_or(10250, |l| i32::from(l.port())),
        pods_max: config.pods_max,
        images: images.iter().map(|i| (names(i), i.size_bytes)).collect(),
        not_ready,
        signals: machine::signals(&config.root_dir),
        thresholds: config.eviction_hard,
        volumes_in_use: Vec::new(),
    }
}

impl NodeLoop {
    pub(crate) fn new(hands: Arc<Hands>, machine: Machine) -> Self {
        Self { hands, machine, reported: None, lease: None }
    }

    /// Registers, then renews until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        while let Err(e) = self.register().await {
            failures += 1;
            tracing::warn!(err = %e, "Unable to register the node with the API server");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY.delay(failures)) => {}
            }
        }
        tracing::info!(node = self.hands.config.node_name, "Registered the node");
        let mut beat = tokio::time::interval(PERIOD);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            let (lease, status) = (self.renew().await, self.report().await);
            for (what, result) in [("lease", lease), ("status", status)] {
                if let Err(e) = result {
                    tracing::warn!(err = %e, what, "Failed to tell the API server that the node lives");
                }
            }
        }
    }

    async fn current(&self, fresh: bool) -> Result<Option<Arc<Node>>, ApiError> {
        let name = &self.hands.config.node_name;
        if !fresh && let Some(n) = self.hands.source.snapshot().get::<Node>("", name) {
            return Ok(Some(Arc::clone(n)));
        }
        match self.hands.api.get(target(name)).await {
            Ok(o) => Ok(Node::from_object(o).ok()),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn register(&mut self) -> Result<(), ApiError> {
        let now = self.hands.clock.now();
        let report = report(&self.hands).await;
        let status = node_status::build(&self.machine, &report, None, now);
        let own = own_node(&self.hands, &self.machine, status);
        match self.current(false).await? {
            None => {
                self.hands.api.create(target(&self.hands.config.node_name), own.clone().into(), options()).await?;
            }
            Some(found) => self.relabel(&found, &own).await?,
        }
        let note = Note::normal("Starting", "Starting kubelet.");
        self.hands.recorder.note(node_reference(&own), note);
        self.report().await?;
        self.hands.recorder.note(node_reference(&own), Note::normal("NodeReady", format!("Node {} status is now: NodeReady", self.hands.config.node_name)));
        Ok(())
    }

    /// Our labels on a node that stands there already.
    async fn relabel(&self, found: &Node, own: &Node) -> Result<(), ApiError> {
        let mut next = found.clone();
        let labels = next.metadata.labels.get_or_insert_default();
        labels.extend(own.metadata.labels.clone().unwrap_or_default());
        next.metadata.annotations.get_or_insert_default().extend(own.metadata.annotations.clone().unwrap_or_default());
        if next == *found {
            return Ok(());
        }
        match self.hands.api.update(target(&self.hands.config.node_name), next.into(), options()).await {
            Err(e) if !e.is_conflict() => Err(e),
            _ => Ok(()),
        }
    }

    /// Writes the status if it has changed or is old.
    async fn report(&mut self) -> Result<(), ApiError> {
        let report = report(&self.hands).await;
        let now = self.hands.clock.now();
        for attempt in 0..CONFLICTS_MAX {
            let Some(node) = self.current(attempt > 0).await? else {
                self.reported = None;
                return Box::pin(self.register_again()).await;
            };
            let old = node.status.clone().unwrap_or_default();
            let status = node_status::build(&self.machine, &report, Some(&old), now);
            let status = NodeStatus { config: old.config.clone(), ..status };
            let recent = self.reported.as_ref().is_some_and(|(_, at)| now.as_second() - at.as_second() < REPORT_MAX_S);
            if recent && !node_status::differs(&old, &status) {
                return Ok(());
            }
            let next = Node { status: Some(status.clone()), ..(*node).clone() };
            match self.hands.api.update(target(&self.hands.config.node_name).sub("status"), next.into(), options()).await {
                Ok(_) => {
                    self.reported = Some((status, now));
                    return Ok(());
                }
                Err(e) if e.is_conflict() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Somebody deleted the node object while the node lives.
    async fn register_again(&mut self) -> Result<(), ApiError> {
        let now = self.hands.clock.now();
        let report = report(&self.hands).await;
        let own = own_node(&self.hands, &self.machine, node_status::build(&self.machine, &report, None, now));
        self.hands.api.create(target(&self.hands.config.node_name), own.into(), options()).await.map(|_| ())
    }

    async fn renew(&mut self) -> Result<(), ApiError> {
        let name = self.hands.config.node_name.clone();
        let target = Target::new(Kind::Lease, ObjectKey::new(LEASE_NAMESPACE, &name));
        let now = MicroTime(self.hands.clock.now());
        if let Some(have) = self.lease.take() {
            let mut next = (*have).clone();
            next.spec.get_or_insert_default().renew_time = Some(now.clone());
            match self.hands.api.update(target.clone(), next.into(), options()).await {
                Ok(o) => {
                    self.lease = Lease::from_object(o).ok();
                    return Ok(());
                }
                Err(e) if e.is_conflict() || e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        let answer = match self.hands.api.get(target.clone()).await {
            Ok(found) => {
                let mut next = Lease::from_object(found).map(|l| (*l).clone()).unwrap_or_default();
                let spec = next.spec.get_or_insert_default();
                spec.holder_identity = Some(name);
                spec.lease_duration_seconds = Some(LEASE_DURATION_S);
                spec.renew_time = Some(now);
                self.hands.api.update(target, next.into(), options()).await?
            }
            Err(e) if e.is_not_found() => {
                let lease = self.new_lease(&name, now);
                self.hands.api.create(target, lease.into(), options()).await?
            }
            Err(e) => return Err(e),
        };
        self.lease = Lease::from_object(answer).ok();
        Ok(())
    }

    fn new_lease(&self, name: &str, now: MicroTime) -> Lease {
        let node = self.hands.source.snapshot().get::<Node>("", name).cloned();
        let owner = node.map(|n| OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: name.to_owned(),
            uid: n.metadata.uid.clone().unwrap_or_default(),
            ..OwnerReference::default()
        });
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(LEASE_NAMESPACE.to_owned()),
                owner_references: owner.map(|o| vec![o]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(name.to_owned()),
                lease_duration_seconds: Some(LEASE_DURATION_S),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}
