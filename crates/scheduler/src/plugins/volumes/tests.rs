//! Tables and laws of `volumes`.

use crate::cycle::{Outcome, VolumeStep};
use crate::kit::{Cluster, node, pod};

const CLASSES: &str = "
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: now}, provisioner: x}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: later}, provisioner: x, volumeBindingMode: WaitForFirstConsumer}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: local}, provisioner: kubernetes.io/no-provisioner, volumeBindingMode: WaitForFirstConsumer}
";

fn claim(class: &str, more: &str) -> String {
    format!("---\n{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data{more}}}, spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}\n")
}

fn volume(name: &str, node: &str, size: &str) -> String {
    format!("---\n{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: {name}}}, spec: {{storageClassName: local, accessModes: [ReadWriteOnce], capacity: {{storage: {size}}}, nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: ['{node}']}}]}}]}}}}}}}}\n")
}

fn check(world: &str, expect: &str) {
    let cluster = Cluster::new(&(node("n", "2", "", "") + &node("m", "2", "", "") + CLASSES + world));
    assert_eq!(cluster.says(&user()), expect, "{world}");
}

fn user() -> std::sync::Arc<crate::PodInfo> {
    pod("metadata: {name: p}\nspec: {containers: [{name: c}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}")
}

#[test]
fn claims_that_no_node_can_help() {
    check("", "0/2 nodes are available: persistentvolumeclaim \"data\" not found. not found");
    check(&claim("now", ""), "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found");
    let going = claim("now", ", deletionTimestamp: '2026-01-01T00:00:00Z'");
    check(&going, "0/2 nodes are available: persistentvolumeclaim \"data\" is being deleted. not found");
}

#[test]
fn bound_volumes_tie_a_pod_to_their_nodes() {
    let bound = claim("local", ", annotations: {pv.kubernetes.io/bind-completed: 'yes'}").replace("spec: {", "spec: {volumeName: v, ");
    check(&(bound.clone() + &volume("v", "m", "1Gi")), "m");
    const TAIL: &str = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    let far = volume("v", "elsewhere", "1Gi");
    check(&(bound.clone() + &far), &format!("0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity. {TAIL}"));
    let gone = "2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
    check(&bound, &format!("0/2 nodes are available: {gone}. {TAIL}"));
}

#[test]
fn static_volumes_are_found_and_promised() {
    let world = node("n", "2", "", "") + &node("m", "2", "", "") + CLASSES + &claim("local", "");
    const TAIL: &str = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    let says = |more: &str| Cluster::new(&(world.clone() + more)).says(&user());
    let none = format!("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. {TAIL}");
    assert_eq!(says(""), none);
    assert_eq!(says(&volume("small", "n", "500Mi")), none);
    let mut c = Cluster::new(&(world.clone() + &volume("big", "m", "5Gi") + &volume("fits", "m", "2Gi")));
    let Outcome::Bind { node, volumes, .. } = c.cycle(&user()) else { panic!("no node") };
    assert_eq!((&*node, volumes), ("m", vec![VolumeStep::Bind { claim: "data".into(), volume: "fits".into() }]));
    c.table.volumes.promise("fits", kinds::ObjectKey::new("default", "other"));
    c.table.volumes.promise("big", kinds::ObjectKey::new("default", "another"));
    assert_eq!(c.says(&user()), none);
}

#[test]
fn volumes_are_made_where_the_pod_goes() {
    let world = node("n", "2", "", "") + CLASSES + &claim("later", "");
    let Outcome::Bind { volumes, .. } = Cluster::new(&world).cycle(&user()) else { panic!("no node") };
    assert_eq!(volumes, vec![VolumeStep::Provision { claim: "data".into() }]);
    let tells = "---\n{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: x}, spec: {storageCapacity: true}}\n";
    let says = Cluster::new(&(world + tells)).says(&user());
    assert!(says.starts_with("0/1 nodes are available: 1 node(s) did not have enough free storage. "), "{says}");
}

#[test]
fn one_pod_only() {
    let claim = claim("local", ", annotations: {pv.kubernetes.io/bind-completed: 'yes'}")
        .replace("spec: {", "spec: {volumeName: v, ")
        .replace("ReadWriteOnce]", "ReadWriteOncePod]");
    let other = "---\n{apiVersion: v1, kind: Pod, metadata: {name: o}, spec: {nodeName: m, containers: [{name: c}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}}\n";
    let world = node("n", "2", "", "") + &node("m", "2", "", "") + CLASSES + &claim + &volume("v", "m", "1Gi") + other;
    const NO: &str = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
    assert_eq!(Cluster::new(&world).refuses(&user(), "n"), format!("VolumeRestrictions: {NO}"));
}

#[test]
fn limits() {
    let world = node("n", "2", "", "")
        + CLASSES
        + &claim("later", "")
        + "---\n{apiVersion: storage.k8s.io/v1, kind: CSINode, metadata: {name: 'n'}, spec: {drivers: [{name: x, nodeID: 'n', allocatable: {count: 0}}]}}\n";
    assert_eq!(Cluster::new(&world).refuses(&user(), "n"), "NodeVolumeLimits: node(s) exceed max volume count");
    assert_eq!(Cluster::new(&world.replace("count: 0", "count: 1")).refuses(&user(), "n"), "");
}
