//! What a kubelet may: a table over a small world.

use super::*;
use crate::testing::World;
use kinds::selector::Requirement;
use kinds::{Object, ObjectMeta};
use kinds::api::core::v1::*;

fn meta(namespace: &str, name: &str) -> ObjectMeta {
    let namespace = Some(namespace.to_owned()).filter(|n| !n.is_empty());
    ObjectMeta { name: Some(name.into()), namespace, ..ObjectMeta::default() }
}

fn pod(name: &str, node: &str) -> Pod {
    let volume = |name: &str| Volume { name: name.into(), ..Volume::default() };
    let container = Container {
        env_from: Some(vec![EnvFromSource { config_map_ref: Some(ConfigMapEnvSource { name: "cm".into(), optional: None }), ..Default::default() }]),
        ..Container::default()
    };
    let spec = PodSpec {
        node_name: Some(node.into()),
        service_account_name: Some("sa".into()),
        containers: vec![container],
        volumes: Some(vec![
            Volume { secret: Some(SecretVolumeSource { secret_name: Some("sec".into()), ..Default::default() }), ..volume("v") },
            Volume { persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: "claim".into(), read_only: None }), ..volume("c") },
            Volume { ephemeral: Some(EphemeralVolumeSource::default()), ..volume("e") },
        ]),
        ..PodSpec::default()
    };
    Pod { metadata: meta("a", name), spec: Some(spec), ..Pod::default() }
}

fn world() -> World {
    let mut mirror = pod("mirror", "n2");
    mirror.metadata.annotations = Some([(uses_mirror().to_owned(), "x".to_owned())].into());
    let volume = PersistentVolumeSpec {
        claim_ref: Some(ObjectReference { namespace: Some("a".into()), name: Some("claim".into()), ..Default::default() }),
        csi: Some(CSIPersistentVolumeSource {
            node_stage_secret_ref: Some(SecretReference { name: Some("stage".into()), namespace: Some("b".into()) }),
            controller_publish_secret_ref: Some(SecretReference { name: Some("control".into()), namespace: Some("b".into()) }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let all: Vec<Object> = vec![
        pod("p", "n1").into(),
        mirror.into(),
        PersistentVolume { metadata: meta("", "pv"), spec: Some(volume), ..Default::default() }.into(),
    ];
    World::new(all)
}

fn uses_mirror() -> &'static str {
    "kubernetes.io/config.mirror"
}

fn ask(verb: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
    let (group, resource) = resource.rsplit_once('|').unwrap_or(("", resource));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb: verb.into(),
        group: group.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    }
}

#[test]
fn a_node_reads_what_its_pods_use() {
    let w = world();
    let none = "no relationship found between node 'n1' and this object";
    for (verb, resource, namespace, name, want) in [
        ("get", "secrets", "a", "sec", Ok(())),
        ("watch", "secrets", "a", "sec", Ok(())),
        ("get", "secrets", "b", "sec", no(none)),
        ("get", "secrets", "a", "other", no(none)),
        ("list", "secrets", "a", "", no("No Object name found")),
        ("delete", "secrets", "a", "sec", no("can only read resources of this type")),
        ("get", "secrets", "b", "stage", Ok(())),
        ("get", "secrets", "b", "control", no(none)),
        ("get", "configmaps", "a", "cm", Ok(())),
        ("get", "persistentvolumeclaims", "a", "claim", Ok(())),
        ("get", "persistentvolumeclaims", "a", "p-e", Ok(())),
        ("list", "persistentvolumeclaims", "a", "", no("can only get individual resources of this type")),
        ("patch", "persistentvolumeclaims/status", "a", "claim", Ok(())),
        ("get", "persistentvolumes", "", "pv", Ok(())),
        ("create", "serviceaccounts/token", "a", "sa", Ok(())),
        ("create", "serviceaccounts/token", "a", "other", no(none)),
        ("get", "pods", "a", "p", Ok(())),
        ("get", "pods", "a", "mirror", no(none)),
        ("list", "pods", "", "", no("can only list/watch pods with spec.nodeName field selector")),
        ("create", "pods/eviction", "a", "x", Ok(())),
        ("create", "pods/exec", "a", "p", no("")),
        ("list", "nodes", "", "", no("node 'n1' cannot read all nodes, only its own Node object")),
        ("get", "nodes", "", "n2", no("node 'n1' cannot read 'n2', only its own Node object")),
        ("get", "nodes", "", "n1", Ok(())),
        ("delete", "nodes", "", "n1", no("")),
        ("update", "coordination.k8s.io|leases", "kube-node-lease", "n1", Ok(())),
        ("update", "coordination.k8s.io|leases", "kube-node-lease", "n2", no("can only access node lease with the same name as the requesting node")),
        ("update", "coordination.k8s.io|leases", "a", "n1", no("can only access leases in the \"kube-node-lease\" system namespace")),
        ("list", "services", "", "", Ok(())),
        ("delete", "services", "a", "s", no("")),
    ] {
        assert_eq!(authorize(&w.snapshot, "n1", &ask(verb, resource, namespace, name)), want, "{verb} {resource} {namespace}/{name}");
    }
    assert!(authorize(&w.snapshot, "n2", &ask("get", "secrets", "a", "sec")).is_err(), "mirror pods give nothing");
}

#[test]
fn lists_are_narrowed_to_the_node() {
    let w = world();
    let of = |node: &str| {
        let r = Requirement { key: "spec.nodeName".into(), operator: Operator::In, values: vec![node.into()] };
        Attributes { fields: vec![r], ..ask("list", "pods", "", "") }
    };
    assert_eq!(authorize(&w.snapshot, "n1", &of("n1")), Ok(()));
    assert!(authorize(&w.snapshot, "n1", &of("n2")).is_err());
}
