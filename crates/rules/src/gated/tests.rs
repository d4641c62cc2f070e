//! Tables: per gate an object that has what it lets in, with the gate off and on, and where the stored object has it already; and
//! what gates change of verdicts.

use super::{drop_disabled, fill, judge, prepare_create};
use crate::context::NEEDS;
use crate::{Gates, rules};
use kinds::{FieldErrors, Kind, Object};
use serde_json::{Value, json};

fn object(kind: Kind, rest: &Value) -> Object {
    let mut whole = json!({"metadata": {"name": "x", "namespace": "default"}});
    for (key, v) in rest.as_object().into_iter().flatten() {
        whole[key] = v.clone();
    }
    codec::from_value(&kind.into(), whole).expect("an object")
}

fn gates(name: &str, on: bool) -> Gates {
    Gates::parse(&list(name, on)).expect("gates")
}

/// A gate turned, and what goes with it: what needs it goes off, what it needs comes on.
fn list(name: &str, on: bool) -> String {
    let linked = |name: &str| -> Vec<&'static str> {
        let of = |(gate, needed): &(&'static str, &'static [&'static str])| match on {
            true if *gate == name => needed.to_vec(),
            false if needed.contains(&name) => vec![*gate],
            _ => Vec::new(),
        };
        NEEDS.iter().flat_map(of).collect()
    };
    let mut all = format!("{name}={on}");
    linked(name).into_iter().for_each(|other| all.push_str(&format!(",{other}={on}")));
    all
}

fn pod(container: Value, spec: Value) -> Value {
    let mut spec = spec;
    let mut c = json!({"name": "c", "image": "i"});
    for (key, v) in container.as_object().into_iter().flatten() {
        c[key] = v.clone();
    }
    spec["containers"] = json!([c]);
    json!({"spec": spec})
}

fn container_status(rest: Value) -> Value {
    let mut c = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0});
    for (key, v) in rest.as_object().into_iter().flatten() {
        c[key] = v.clone();
    }
    json!({"status": {"containerStatuses": [c]}})
}

fn slice(device: Value) -> Value {
    let mut d = json!({"name": "d"});
    for (key, v) in device.as_object().into_iter().flatten() {
        d[key] = v.clone();
    }
    json!({"spec": {"driver": "a", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "devices": [d]}})
}

fn claim(request: Value) -> Value {
    json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": request}]}}})
}

fn allocated(result: Value, status: Value) -> Value {
    let mut r = json!({"driver": "a", "device": "d", "pool": "p", "request": "r"});
    for (key, v) in result.as_object().into_iter().flatten() {
        r[key] = v.clone();
    }
    let mut status = status;
    status["allocation"] = json!({"devices": {"results": [r]}});
    json!({"spec": {}, "status": status})
}

/// Gate, kind, an object, and where what the gate lets in stands.
fn table() -> Vec<(&'static str, Kind, Value, &'static str)> {
    let env = json!([{"name": "A", "valueFrom": {"fileKeyRef": {"key": "k", "path": "p", "volumeName": "v"}}}]);
    let projected = |s: Value| json!({"volumes": [{"name": "v", "projected": {"sources": [s]}}]});
    let template = json!({"spec": {"selector": {}, "template": pod(json!({}), json!({"hostnameOverride": "h"}))}});
    let spread = json!([{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"]}]);
    vec![
        ("PodLevelResources", Kind::Pod, pod(json!({}), json!({"resources": {"limits": {"cpu": "1"}}})), "/spec/resources"),
        ("MatchLabelKeysInPodTopologySpread", Kind::Pod, pod(json!({}), json!({"topologySpreadConstraints": spread})), "/spec/topologySpreadConstraints/0/matchLabelKeys"),
        ("ClusterTrustBundleProjection", Kind::Pod, pod(json!({}), projected(json!({"clusterTrustBundle": {"path": "p"}}))), "/spec/volumes/0/projected/sources/0/clusterTrustBundle"),
        ("PodCertificateRequest", Kind::Pod, pod(json!({}), projected(json!({"podCertificate": {"keyType": "ED25519", "signerName": "a/b"}}))), "/spec/volumes/0/projected/sources/0/podCertificate"),
        ("GenericWorkload", Kind::Pod, pod(json!({}), json!({"schedulingGroup": {"podGroupName": "g"}})), "/spec/schedulingGroup"),
        ("ContainerRestartRules", Kind::Pod, pod(json!({"restartPolicy": "Never"}), json!({})), "/spec/containers/0/restartPolicy"),
        ("HostnameOverride", Kind::Pod, pod(json!({}), json!({"hostnameOverride": "h"})), "/spec/hostnameOverride"),
        ("HostnameOverride", Kind::Deployment, template, "/spec/template/spec/hostnameOverride"),
        ("EnvFiles", Kind::Pod, pod(json!({"env": env}), json!({})), "/spec/containers/0/env/0/valueFrom/fileKeyRef"),
        ("ContainerStopSignals", Kind::Pod, pod(json!({"lifecycle": {"stopSignal": "SIGHUP"}}), json!({})), "/spec/containers/0/lifecycle"),
        ("InPlacePodLevelResourcesVerticalScaling", Kind::Pod, json!({"status": {"resources": {"limits": {"cpu": "1"}}}}), "/status/resources"),
        ("DRAExtendedResource", Kind::Pod, json!({"status": {"extendedResourceClaimStatus": {"resourceClaimName": "c", "requestMappings": []}}}), "/status/extendedResourceClaimStatus"),
        ("ResourceHealthStatus", Kind::Pod, container_status(json!({"allocatedResourcesStatus": [{"name": "n"}]})), "/status/containerStatuses/0/allocatedResourcesStatus"),
        ("ResourceHealthStatusMessage", Kind::Pod, container_status(json!({"allocatedResourcesStatus": [{"name": "n", "resources": [{"resourceID": "i", "message": "m"}]}]})), "/status/containerStatuses/0/allocatedResourcesStatus/0/resources/0/message"),
        ("ImageVolumeWithDigest", Kind::Pod, container_status(json!({"volumeMounts": [{"name": "n", "mountPath": "/", "volumeStatus": {"image": {"imageRef": "r"}}}]})), "/status/containerStatuses/0/volumeMounts/0/volumeStatus"),
        ("DRANodeAllocatableResources", Kind::Pod, json!({"status": {"nodeAllocatableResourceClaimStatuses": [{"resourceClaimName": "c"}]}}), "/status/nodeAllocatableResourceClaimStatuses"),
        ("DeploymentReplicaSetTerminatingReplicas", Kind::Deployment, json!({"status": {"terminatingReplicas": 1}}), "/status/terminatingReplicas"),
        ("DeploymentReplicaSetTerminatingReplicas", Kind::ReplicaSet, json!({"status": {"replicas": 1, "terminatingReplicas": 1}}), "/status/terminatingReplicas"),
        ("MaxUnavailableStatefulSet", Kind::StatefulSet, json!({"spec": {"selector": {}, "template": {}, "updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}}), "/spec/updateStrategy/rollingUpdate/maxUnavailable"),
        ("HPAConfigurableTolerance", Kind::HorizontalPodAutoscaler, json!({"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "k", "name": "n"}, "behavior": {"scaleUp": {"tolerance": "1"}}}}), "/spec/behavior/scaleUp/tolerance"),
        ("CrossNamespaceVolumeDataSource", Kind::PersistentVolumeClaim, json!({"spec": {"dataSourceRef": {"kind": "k", "name": "n", "namespace": "other"}}}), "/spec/dataSourceRef"),
        ("VolumeLimitScaling", Kind::CSIDriver, json!({"spec": {"preventPodSchedulingIfMissing": true}}), "/spec/preventPodSchedulingIfMissing"),
        ("NodeDeclaredFeatures", Kind::Node, json!({"status": {"declaredFeatures": ["a"]}}), "/status/declaredFeatures"),
        ("CoordinatedLeaderElection", Kind::Lease, json!({"spec": {"strategy": "OldestEmulationVersion"}}), "/spec/strategy"),
        ("DRAExtendedResource", Kind::DeviceClass, json!({"spec": {"extendedResourceName": "a/b"}}), "/spec/extendedResourceName"),
        ("DRAPrioritizedList", Kind::ResourceClaim, json!({"spec": {"devices": {"requests": [{"name": "r", "firstAvailable": [{"name": "s", "deviceClassName": "c"}]}]}}}), "/spec/devices/requests/0/firstAvailable"),
        ("DRADeviceTaints", Kind::ResourceClaim, claim(json!({"deviceClassName": "c", "tolerations": [{"operator": "Exists"}]})), "/spec/devices/requests/0/exactly/tolerations"),
        ("DRAConsumableCapacity", Kind::ResourceClaim, claim(json!({"deviceClassName": "c", "capacity": {"requests": {"a": "1"}}})), "/spec/devices/requests/0/exactly/capacity"),
        ("DRAConsumableCapacity", Kind::ResourceClaimTemplate, json!({"spec": claim(json!({"deviceClassName": "c", "capacity": {"requests": {"a": "1"}}}))}), "/spec/spec/devices/requests/0/exactly/capacity"),
        ("DRAConsumableCapacity", Kind::ResourceClaim, allocated(json!({"shareID": "s"}), json!({})), "/status/allocation/devices/results/0/shareID"),
        ("DRADeviceBindingConditions", Kind::ResourceClaim, allocated(json!({"bindingConditions": ["b"]}), json!({})), "/status/allocation/devices/results/0/bindingConditions"),
        ("DRAResourceClaimDeviceStatus", Kind::ResourceClaim, allocated(json!({}), json!({"devices": [{"driver": "a", "device": "d", "pool": "p"}]})), "/status/devices"),
        ("DRADeviceTaints", Kind::ResourceSlice, slice(json!({"taints": [{"key": "k", "effect": "NoSchedule"}]})), "/spec/devices/0/taints"),
        ("DRAPartitionableDevices", Kind::ResourceSlice, slice(json!({"nodeName": "n"})), "/spec/devices/0/nodeName"),
        ("DRADeviceBindingConditions", Kind::ResourceSlice, slice(json!({"bindsToNode": true})), "/spec/devices/0/bindsToNode"),
        ("DRAResourceClaimDeviceStatus", Kind::ResourceSlice, slice(json!({"bindsToNode": true})), "/spec/devices/0/bindsToNode"),
        ("DRAConsumableCapacity", Kind::ResourceSlice, slice(json!({"allowMultipleAllocations": true})), "/spec/devices/0/allowMultipleAllocations"),
        ("DRANodeAllocatableResources", Kind::ResourceSlice, slice(json!({"nodeAllocatableResourceMappings": {"cpu": {}}})), "/spec/devices/0/nodeAllocatableResourceMappings"),
        ("DRAListTypeAttributes", Kind::ResourceSlice, slice(json!({"attributes": {"a": {"strings": ["s"]}}})), "/spec/devices/0/attributes/a/strings"),
    ]
}

#[test]
fn what_a_gate_lets_in_goes_without_it_unless_it_was_there() {
    for (gate, kind, tree, at) in table() {
        let given = object(kind, &tree);
        let left = |on: bool, old: Option<&Object>| {
            let mut new = given.clone();
            drop_disabled(&gates(gate, on), &mut new, old);
            codec::to_value(&new).pointer(at).is_some()
        };
        assert!(codec::to_value(&given).pointer(at).is_some(), "{gate} {kind:?}: the table");
        assert!(!left(false, None), "{gate} {kind:?}: off");
        assert!(left(true, None), "{gate} {kind:?}: on");
        assert!(left(false, Some(&given)), "{gate} {kind:?}: off, and used before");
        assert!(!left(false, Some(&object(kind, &bare(&tree)))), "{gate} {kind:?}: off, and not used before");
    }
}

/// The least that such an object has.
fn bare(tree: &Value) -> Value {
    let mut tree = tree.clone();
    let spec = tree["spec"].clone();
    let kept = ["selector", "template", "maxReplicas", "scaleTargetRef", "group", "scope", "names", "versions", "driver", "pool", "containers"];
    let mut left = json!({});
    for key in kept.iter().filter(|k| spec.get(**k).is_some()) {
        left[*key] = match *key {
            "template" => json!({}),
            "containers" => json!([{"name": "c", "image": "i"}]),
            _ => spec[*key].clone(),
        };
    }
    if spec.get("spec").is_some() {
        left["spec"] = json!({});
    }
    tree["spec"] = left;
    if let Some(map) = tree.as_object_mut() {
        map.remove("status");
    }
    tree
}

#[test]
fn the_default_gates_copy_nothing() {
    let mut new = object(Kind::Pod, &pod(json!({}), json!({"hostnameOverride": "h"})));
    let before = new.clone();
    drop_disabled(&Gates::default(), &mut new, None);
    let (Object::Pod(a), Object::Pod(b)) = (&new, &before) else { unreachable!("pods") };
    assert!(std::sync::Arc::ptr_eq(a, b));
}

#[test]
fn defaults_come_with_their_gates() {
    let set = json!({"spec": {"selector": {}, "template": {}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {}}}});
    for (gate, kind, tree, at, value) in [
        ("MaxUnavailableStatefulSet", Kind::StatefulSet, set, "/spec/updateStrategy/rollingUpdate/maxUnavailable", json!(1)),
        ("VolumeLimitScaling", Kind::CSIDriver, json!({"spec": {}}), "/spec/preventPodSchedulingIfMissing", json!(false)),
    ] {
        for on in [true, false] {
            let mut o = object(kind, &tree);
            fill(&gates(gate, on), &mut o);
            assert_eq!(codec::to_value(&o).pointer(at), on.then_some(&value), "{gate} {on}");
        }
    }
}

#[test]
fn keys_are_merged_into_selectors_with_both_gates() {
    let spread = json!([{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"], "labelSelector": {}}]);
    let mut tree = pod(json!({}), json!({"topologySpreadConstraints": spread}));
    tree["metadata"] = json!({"name": "x", "namespace": "default", "labels": {"a": "b"}});
    let merged = |list: &str| {
        let mut o = object(Kind::Pod, &tree);
        prepare_create(&Gates::parse(list).expect("gates"), rules(Kind::Pod), &mut o);
        codec::to_value(&o).pointer("/spec/topologySpreadConstraints/0/labelSelector/matchExpressions").is_some()
    };
    assert!(merged(""));
    assert!(!merged("MatchLabelKeysInPodTopologySpreadSelectorMerge=false"));
    assert!(!merged(&list("MatchLabelKeysInPodTopologySpread", false)));
}

#[test]
fn the_status_of_a_range_is_wiped_by_a_gate() {
    let tree = json!({"spec": {"cidrs": ["10.0.0.0/24"]}, "status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}});
    for on in [true, false] {
        let mut o = object(Kind::ServiceCIDR, &tree);
        prepare_create(&gates("ServiceCIDRStatusFieldWiping", on), rules(Kind::ServiceCIDR), &mut o);
        assert_eq!(codec::to_value(&o).pointer("/status/conditions").is_none(), on);
    }
}

/// What is wrong with a new object, or with a changed one.
fn wrong(list: &str, kind: Kind, tree: &Value, old: Option<&Value>) -> Vec<String> {
    let (all, mut new) = (Gates::parse(list).expect("gates"), object(kind, tree));
    (rules(kind).default)(&mut new);
    let old = old.map(|o| {
        let mut old = object(kind, o);
        (rules(kind).default)(&mut old);
        old
    });
    let mut e = FieldErrors::default();
    match &old {
        None => (rules(kind).validate)(&new, &mut e),
        Some(old) => (rules(kind).validate_update)(&new, old, &mut e),
    }
    judge(&all, "", &new, old.as_ref(), &mut e);
    e.0.iter().map(ToString::to_string).filter(|x| !x.contains("immutable") && !x.contains("resourceVersion")).collect()
}

#[test]
fn gates_change_what_is_refused() {
    let with = |c: Value, s: Value| pod(c, s);
    let relabels = with(json!({}), json!({"securityContext": {"seLinuxChangePolicy": "MountOption"}}));
    let compares = with(json!({}), json!({"tolerations": [{"key": "k", "operator": "Gt", "value": "5"}]}));
    let private = with(json!({}), json!({"hostUsers": false, "hostNetwork": true}));
    let from_nothing = with(json!({"env": [{"name": "A", "valueFrom": {}}]}), json!({}));
    let all = json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}]});
    let mut costs = with(json!({}), json!({}));
    costs["metadata"] = json!({"name": "x", "namespace": "default", "annotations": {"controller.kubernetes.io/pod-deletion-cost": "+1"}});
    let zero = json!({"spec": {"minReplicas": 0, "maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "n"},
        "metrics": [{"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}]}});
    let digits = json!({"metadata": {"name": "1x", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}});
    let zeros = with(json!({}), json!({"dnsConfig": {"nameservers": ["010.0.0.1"]}}));
    let mapped = with(json!({}), json!({"dnsConfig": {"nameservers": ["::ffff:10.0.0.1"]}}));
    let spread = |key: &str| json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule",
        "matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {key: "b"}}}]});
    let cases: [(&str, Kind, &Value, &[&str], &[&str]); 12] = [
        ("SELinuxMount", Kind::Pod, &relabels, &["spec.securityContext.seLinuxChangePolicy: Unsupported value: \"MountOption\": supported values: \"Recursive\""], &[]),
        ("TaintTolerationComparisonOperators", Kind::Pod, &compares, &["spec.tolerations[0].operator: Unsupported value: \"Gt\": supported values: \"Equal\", \"Exists\", \"Lt\", \"Gt\""], &[]),
        ("UserNamespacesHostNetworkSupport", Kind::Pod, &private, &["spec.hostNetwork: Forbidden: when `hostUsers` is false"], &[]),
        ("EnvFiles", Kind::Pod, &from_nothing,
            &["spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"],
            &["spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"]),
        ("RestartAllContainersOnContainerExits", Kind::Pod, &with(all, json!({})), &["spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"RestartAllContainers\": supported values: \"Restart\""], &[]),
        ("PodDeletionCost", Kind::Pod, &costs, &[], &["metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+1\": must be a 32bit integer"]),
        ("HPAScaleToZero", Kind::HorizontalPodAutoscaler, &zero, &["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"], &[]),
        ("RelaxedServiceNameValidation", Kind::Service, &digits, &["metadata.name: Invalid value: \"1x\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"], &[]),
        ("StrictIPCIDRValidation", Kind::Pod, &zeros, &[], &["spec.dnsConfig.nameservers[0]: Invalid value: \"010.0.0.1\": must not have leading 0s"]),
        ("StrictIPCIDRValidation", Kind::Pod, &mapped, &[], &["spec.dnsConfig.nameservers[0]: Invalid value: \"::ffff:10.0.0.1\": must not be an IPv4-mapped IPv6 address"]),
        ("MatchLabelKeysInPodTopologySpreadSelectorMerge", Kind::Pod, &with(json!({}), spread("a")), &["spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"], &[]),
        ("MatchLabelKeysInPodTopologySpreadSelectorMerge", Kind::Pod, &with(json!({}), spread("b")), &[], &[]),
    ];
    for (gate, kind, tree, off, on) in cases {
        let own = |all: Vec<String>| -> Vec<String> { all.into_iter().filter(|x| !x.starts_with("spec.clusterIP")).collect() };
        assert_eq!(own(wrong(&list(gate, false), kind, tree, None)), off, "{gate} off");
        assert_eq!(own(wrong(&list(gate, true), kind, tree, None)), on, "{gate} on");
        if matches!(gate, "SELinuxMount" | "TaintTolerationComparisonOperators" | "UserNamespacesHostNetworkSupport" | "HPAScaleToZero") {
            assert_eq!(wrong(&list(gate, false), kind, tree, Some(tree)), [""; 0], "{gate} off, and used before");
        }
    }
}

#[test]
fn a_halted_job_changes_as_its_gates_let_it() {
    let job = |cpu: &str, node: &str, status: Value| {
        let spec = json!({"restartPolicy": "Never", "nodeSelector": {"n": node}, "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]});
        json!({"spec": {"suspend": true, "template": {"spec": spec}}, "status": status})
    };
    let fresh = json!({});
    let halted = json!({"startTime": "2020-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]});
    let changed = |list: &str, status: &Value, cpu: &str, node: &str| {
        let (new, old) = (object(Kind::Job, &job(cpu, node, status.clone())), object(Kind::Job, &job("1", "a", status.clone())));
        let mut e = FieldErrors::default();
        (rules(Kind::Job).validate_update)(&new, &old, &mut e);
        judge(&Gates::parse(list).expect("gates"), "", &new, Some(&old), &mut e);
        let all: Vec<String> = e.0.iter().filter(|x| x.detail == crate::meta::IMMUTABLE).map(|x| x.path.to_string()).collect();
        all
    };
    let (resources, scheduling) = ("MutablePodResourcesForSuspendedJobs=false", "MutableSchedulingDirectivesForSuspendedJobs=false");
    assert_eq!(changed("", &halted, "2", "b"), [""; 0]);
    assert_eq!(changed(resources, &halted, "2", "a"), ["spec.template"]);
    assert_eq!(changed(resources, &halted, "1", "b"), [""; 0]);
    assert_eq!(changed(scheduling, &halted, "2", "a"), [""; 0]);
    assert_eq!(changed(scheduling, &halted, "1", "b"), ["spec.template.spec"]);
    assert_eq!(changed(scheduling, &fresh, "1", "b"), [""; 0], "it has never started");
}
