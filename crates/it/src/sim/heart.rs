//! A simulated node's heartbeat: it registers, renews its lease every ten seconds, and writes its status when that has
//! changed or five minutes have passed (docs: "Nodes", "Leases").

use super::kubelet::Deps;
use base::Clock;
use jiff::Timestamp;
use kinds::api::coordination::v1::Lease;
use kinds::api::core::v1::{Node, NodeStatus};
use kinds::{ApiError, Kind, MicroTime, Object, ObjectKey, Target, Typed, WriteOptions};
use pods::eviction::Signals;
use pods::node_status::{self, Machine, Report};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// What every machine has.
pub const CPUS: i64 = 4;
pub const MEMORY_BYTES: i64 = 8 << 30;
pub const PODS_MAX: i64 = 20;
const PERIOD: Duration = Duration::from_secs(10);
const REPORT_MAX_S: i64 = 300;
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Beats until its future is dropped.
pub async fn run(deps: Deps) {
    let mut reported: Option<Timestamp> = None;
    loop {
        // What fails is tried again at the next beat.
        let _ = renew(&deps).await;
        let now = deps.clock.now();
        let recent = reported.is_some_and(|at| now.as_second() - at.as_second() < REPORT_MAX_S);
        if report(&deps, recent).await.is_ok() && !recent {
            reported = Some(now);
        }
        sleep(PERIOD + Duration::from_millis(deps.chance.below(200))).await;
    }
}

fn status(deps: &Deps, old: Option<&NodeStatus>) -> NodeStatus {
    let machine = Machine {
        cpus: CPUS,
        memory_bytes: MEMORY_BYTES,
        nodefs_bytes: 100 << 30,
        architecture: "amd64".into(),
        ..Machine::default()
    };
    let report = Report {
        addresses: vec![("InternalIP".into(), deps.machine.ip()), ("Hostname".into(), deps.machine.name.clone())],
        kubelet_version: "v1.36.0".into(),
        runtime_version: "sim://1".into(),
        port: 10250,
        pods_max: PODS_MAX,
        signals: Signals {
            memory_available_bytes: MEMORY_BYTES,
            memory_capacity_bytes: MEMORY_BYTES,
            nodefs_available_bytes: 90 << 30,
            nodefs_capacity_bytes: 100 << 30,
            nodefs_inodes_free: 1000,
            nodefs_inodes: 1000,
            pids_available: 1000,
            pids_max: 1000,
        },
        ..Report::default()
    };
    node_status::build(&machine, &report, old, deps.clock.now())
}

fn options() -> WriteOptions {
    WriteOptions { field_manager: "kubelet".to_owned(), ..WriteOptions::default() }
}

async fn report(deps: &Deps, recent: bool) -> Result<(), ApiError> {
    let name = &deps.machine.name;
    let target = Target::new(Kind::Node, ObjectKey::cluster(name.clone()));
    let node = match deps.api.get(target.clone()).await {
        Ok(found) => Node::from_object(found).expect("a node"),
        Err(e) if e.is_not_found() => {
            let tree = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}});
            let mut node: Object = codec::from_value(&Kind::Node.into(), tree).expect("a node");
            if let Object::Node(n) = &mut node {
                Arc::make_mut(n).status = Some(status(deps, None));
            }
            return deps.api.create(target, node, options()).await.map(drop);
        }
        Err(e) => return Err(e),
    };
    let old = node.status.clone().unwrap_or_default();
    let new = status(deps, Some(&old));
    if recent && !node_status::differs(&old, &new) {
        return Ok(());
    }
    let next = Node { status: Some(new), ..(*node).clone() };
    deps.api.update(target.sub("status"), next.into(), options()).await.map(drop)
}

async fn renew(deps: &Deps) -> Result<(), ApiError> {
    let name = &deps.machine.name;
    let target = Target::new(Kind::Lease, ObjectKey::new(LEASE_NAMESPACE, name));
    let now = MicroTime(deps.clock.now());
    match deps.api.get(target.clone()).await {
        Ok(found) => {
            let mut next = Lease::from_object(found).map(|l| (*l).clone()).expect("a lease");
            next.spec.get_or_insert_default().renew_time = Some(now);
            deps.api.update(target, next.into(), options()).await.map(drop)
        }
        Err(e) if e.is_not_found() => {
            let owner = deps.api.get(Target::new(Kind::Node, ObjectKey::cluster(name.clone()))).await?;
            let tree = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": name, "uid": owner.meta().uid}]},
                "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now.0.to_string()}});
            let lease = codec::from_value(&Kind::Lease.into(), tree).expect("a lease");
            deps.api.create(target, lease, options()).await.map(drop)
        }
        Err(e) => Err(e),
    }
}
