//! Verdicts, warnings and words that kube-apiserver v1.36.2 was seen to give (`cargo xtask oracle`), a row each.

use crate::rules;
use kinds::{FieldErrors, Kind, Object};
use serde_json::{Value, json};

fn read(kind: Kind, tree: &Value) -> Object {
    let mut whole = json!({"metadata": {"name": "a", "namespace": "oracle", "resourceVersion": "1"}});
    merge(&mut whole, tree);
    codec::decode(kind, whole.to_string().as_bytes()).expect("an object of that kind")
}

fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => from.iter().for_each(|(k, v)| merge(to.entry(k.clone()).or_insert(Value::Null), v)),
        (to, from) => *to = from.clone(),
    }
}

/// What is wrong with a new object, of what is told at `at` or below.
fn new(kind: Kind, tree: Value, at: &str, want: &[&str]) {
    let (mut o, r) = (read(kind, &tree), rules(kind));
    (r.default)(&mut o);
    (r.prepare_create)(&mut o);
    let mut e = FieldErrors::default();
    (r.validate)(&o, &mut e);
    told(&e, at, want, &tree);
}

/// What is wrong with a change.
fn changed(kind: Kind, (old, tree): (Value, Value), at: &str, want: &[&str]) {
    let (mut o, mut n, r) = (read(kind, &old), read(kind, &tree), rules(kind));
    (r.default)(&mut o);
    (r.default)(&mut n);
    (r.prepare_update)(&mut n, &o);
    let mut e = FieldErrors::default();
    (r.validate_update)(&n, &o, &mut e);
    told(&e, at, want, &tree);
}

fn told(e: &FieldErrors, at: &str, want: &[&str], tree: &Value) {
    let about = |t: &String| t.starts_with(at) && !t.starts_with("metadata.namespace");
    let found: Vec<String> = e.0.iter().map(ToString::to_string).filter(about).collect();
    let cut = |t: &str| t.split(" (e.g.").next().unwrap_or_default().to_owned();
    assert_eq!(found.iter().map(|t| cut(t)).collect::<Vec<_>>(), want, "{tree}");
}

fn warned(kind: Kind, tree: Value, want: &[&str]) {
    let (mut o, r) = (read(kind, &tree), rules(kind));
    (r.default)(&mut o);
    assert_eq!((r.warnings)(&o, None), want, "{tree}");
}

fn policy(change: Value) -> Value {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let mut whole = json!({"spec": {
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [rule]},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}],
    }});
    merge(&mut whole, &json!({ "spec": change }));
    whole
}

#[test]
fn admission_policies() {
    let kind = Kind::MutatingAdmissionPolicy;
    let judge = |change: Value, want: &[&str]| new(kind, policy(change), "spec.m", want);
    judge(json!({}), &[]);
    judge(json!({"matchConstraints": {"matchPolicy": ""}}), &["spec.matchConstraints.matchPolicy: Unsupported value: \"\": supported values: \"Equivalent\", \"Exact\""]);
    let rule = |operation: &str, scope: &str| {
        json!({"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": ["pods"], "scope": scope}]}})
    };
    judge(rule("CREATE", ""), &["spec.matchConstraints.resourceRules[0].scope: Unsupported value: \"\": supported values: \"*\", \"Cluster\", \"Namespaced\""]);
    judge(rule("DELETE", "*"), &["spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\""]);
    let both = json!({"mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {}, "jsonPatch": {}}]});
    judge(both, &[
        "spec.mutations[0].applyConfiguration.expression: Required value",
        "spec.mutations[0].jsonPatch: Invalid value: \"{jsonPatch}\": must not be specified when patchType is ApplyConfiguration",
    ]);
    let validating = |variables: Value| json!({"spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        "variables": variables, "validations": [{"expression": "variables.v == 1"}],
    }});
    let failed = "spec.validations[0].expression: Invalid value: \"variables.v == 1\": compilation failed: ERROR: <input>";
    let pointed = " | variables.v == 1\n | ";
    let judge = |variables: Value, want: &[&str]| new(Kind::ValidatingAdmissionPolicy, validating(variables), "spec.validations", want);
    judge(json!([]), &[&format!("{failed}:1:1: undeclared reference to 'variables' (in container '')\n{pointed}^")]);
    judge(json!([{"name": "v"}]), &[&format!("{failed}:1:10: undefined field 'v'\n{pointed}.........^")]);
    judge(json!([{"name": "v", "expression": "1"}]), &[]);
}

#[test]
fn network_policies() {
    let port = |port: Value, end: i32| json!({"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": port, "endPort": end}]}]}});
    new(Kind::NetworkPolicy, port(json!("Bad_Value!"), 90), "spec", &[
        "spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric",
        "spec.ingress[0].ports[0].port: Invalid value: \"Bad_Value!\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    ]);
    let peer = json!({"spec": {"podSelector": {}, "egress": [{"to": [{"podSelector": {}, "ipBlock": {}}]}]}});
    new(Kind::NetworkPolicy, peer, "spec", &[
        "spec.egress[0].to[0].ipBlock.cidr: Required value",
        "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer",
    ]);
}

#[test]
fn storage() {
    let claim = |source: Value| json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "dataSource": source}});
    new(Kind::PersistentVolumeClaim, claim(json!({"kind": "other", "name": "x"})), "spec", &[]);
    new(Kind::PersistentVolumeClaim, claim(json!({})), "spec", &[]);
    new(Kind::PersistentVolumeClaim, claim(json!({"kind": "PersistentVolumeClaim", "name": ""})), "spec.dataSource.", &["spec.dataSource.name: Required value"]);
    warned(Kind::PersistentVolumeClaim, json!({"spec": {"resources": {"requests": {"storage": "100m"}}}}), &[
        "spec.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer",
    ]);
    new(Kind::CSIStorageCapacity, json!({"storageClassName": "c", "maximumVolumeSize": "-1"}), "", &[]);
    let class = |driver: &str| json!({"driverName": driver, "parameters": {"a": "b"}});
    changed(Kind::VolumeAttributesClass, (class("d"), class("")), "", &["driverName: Forbidden: updates to driverName are forbidden.", "driverName: Required value"]);
    let volume = |key: &str| json!({"spec": {"capacity": {"storage": "1"}, "accessModes": ["ReadWriteOnce"], "nfs": {"server": "s", "path": "/"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "Exists"}]}]}}}});
    let beta = "failure-domain.beta.kubernetes.io/zone";
    changed(Kind::PersistentVolume, (volume(beta), volume("topology.kubernetes.io/zone")), "nodeAffinity", &[]);
    changed(Kind::PersistentVolume, (volume("disk"), volume("")), "nodeAffinity", &[]);
    changed(Kind::PersistentVolume, (volume(beta), volume("other")), "nodeAffinity", &["nodeAffinity: Invalid value: field is immutable, except for updating from beta label to GA"]);
}

#[test]
fn classes_budgets_roles_and_revisions() {
    let tolerations = json!({"handler": "h", "scheduling": {"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]}});
    new(Kind::RuntimeClass, tolerations, "", &["scheduling.tolerations[1]: Duplicate value"]);
    new(Kind::PriorityClass, json!({"value": 1, "preemptionPolicy": ""}), "", &["preemptionPolicy: Required value"]);
    new(Kind::PodDisruptionBudget, json!({"spec": {"unhealthyPodEvictionPolicy": ""}}), "", &[
        "spec.unhealthyPodEvictionPolicy: Unsupported value: \"\": supported values: \"AlwaysAllow\", \"IfHealthyBudget\"",
    ]);
    let role = json!({"rules": [], "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "Bad_Value!"}}]}});
    let at = "aggregationRule.clusterRoleSelectors[0]: Invalid value: null";
    new(Kind::ClusterRole, role, at, &[&format!("{at}: invalid label selector.")]);
    new(Kind::ControllerRevision, json!({"data": "x", "revision": 1}), "", &["data: Required value: data must be a valid JSON object"]);
    let data = |data: Value| json!({"data": data, "revision": 1});
    changed(Kind::ControllerRevision, (data(json!({"a": 1})), data(json!("x"))), "", &["data: Invalid value: \"x\": field is immutable"]);
    changed(Kind::ControllerRevision, (data(json!({"a": 1})), json!({"revision": 1})), "", &["data: Invalid value: null: field is immutable"]);
}

#[test]
fn slices_of_devices_and_endpoints() {
    let slice = |node: &str| json!({"spec": {"driver": "d.example.com", "nodeName": node, "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}});
    changed(Kind::ResourceSlice, (slice("n"), slice("Bad_Value!")), "spec", &[
        "spec.nodeName: Invalid value: \"Bad_Value!\": field is immutable",
        "spec.nodeName: Invalid value: \"Bad_Value!\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    ]);
    let (mut new, old) = (json!({"addressType": "IPv4", "endpoints": []}), json!({"addressType": "IPv4"}));
    let (kind, generation) = (Kind::EndpointSlice, |new: &Value| {
        let (mut n, o) = (read(Kind::EndpointSlice, new), read(Kind::EndpointSlice, &old));
        (rules(Kind::EndpointSlice).prepare_update)(&mut n, &o);
        n.meta().generation
    });
    assert_eq!(generation(&new), Some(0), "an empty list is none");
    new["endpoints"] = json!([{"addresses": ["10.0.0.1"], "deprecatedTopology": {"a": "b"}}]);
    assert_eq!(generation(&new), Some(1));
    changed(kind, (old.clone(), new), "", &[]);
}

#[test]
fn jobs_are_looked_at_twice() {
    let job = |spec: Value| json!({"metadata": {"uid": "u"}, "spec": {"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": spec}}});
    let whole = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    let policy = "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"";
    changed(Kind::Job, (job(whole), job(json!({}))), "spec.template.spec.restartPolicy", &[policy, policy]);
}

fn pod(change: Value) -> Value {
    let mut whole = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
    merge(&mut whole, &json!({ "spec": change }));
    whole
}

#[test]
fn pods() {
    let judge = |change: Value, want: &[&str]| new(Kind::Pod, pod(change), "spec", want);
    judge(json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}}), &["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"]);
    judge(json!({"securityContext": {"fsGroupChangePolicy": ""}}), &["spec.securityContext.fsGroupChangePolicy: Unsupported value: \"\": supported values: \"Always\", \"OnRootMismatch\""]);
    let spread = json!({"maxSkew": 1, "topologyKey": "Bad_Value!", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}});
    judge(json!({"topologySpreadConstraints": [spread]}), &[]);
    judge(json!({"topologySpreadConstraints": [spread, spread]}), &[
        "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{Bad_Value!, DoNotSchedule}\"",
    ]);
    judge(json!({"volumes": [{"name": "v", "csi": {"driver": "d.example.com", "nodePublishSecretRef": {"name": "Bad"}}}]}), &[
        "spec.volumes[0].csi.name: Invalid value: \"Bad\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    ]);
    let mut o = read(Kind::Pod, &pod(json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "e", "valueFrom": {"fileKeyRef": {"key": "k", "path": "p", "volumeName": "v"}}}]}]})));
    (rules(Kind::Pod).default)(&mut o);
    assert_eq!(codec::to_value(&o)["spec"]["containers"][0]["env"][0]["valueFrom"]["fileKeyRef"]["optional"], json!(false));
}

#[test]
fn pods_are_warned_of() {
    let judge = |change: Value, want: &[&str]| warned(Kind::Pod, pod(change), want);
    judge(json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}, {"name": ""}]}), &[
        "spec.imagePullSecrets[1].name: duplicate name \"a\"",
        "spec.imagePullSecrets[2].name: invalid empty name \"\"",
    ]);
    judge(json!({"hostAliases": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}]}), &["spec.hostAliases[1].ip: duplicate ip \"1.2.3.4\""]);
    judge(json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]}), &[
        "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
    ]);
    let term = json!({"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["a b"]}]}});
    let why = crate::names::label_value("a b").swap_remove(0);
    let at = "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[0]";
    judge(json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}), &[&format!("{at}: a b is invalid, {why}")]);
    judge(json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostIP": "::1"}]}]}), &[
        "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:::1}",
    ]);
    let files = json!([{"key": "a", "path": "p"}, {"key": "b", "path": "p/q"}]);
    judge(json!({"volumes": [{"name": "v", "configMap": {"name": "m", "items": files}}]}), &["volume \"v\" (ConfigMap \"m\"): overlapping paths: \"p/q\" with \"p\""]);
    judge(json!({"volumes": [{"name": "v", "projected": {"sources": []}}]}), &[]);
    judge(json!({"volumes": [{"name": "v", "projected": {"sources": [{}]}}]}), &["volume \"v\" (Projected) has no sources provided"]);
    warned(Kind::Service, json!({"spec": {"clusterIP": "None", "loadBalancerIP": "x"}}), &["spec.loadBalancerIP is ignored for headless services"]);
}

#[test]
fn a_series_without_a_time_is_judged() {
    let tree = json!({"metadata": {"name": "a", "namespace": "b"}, "series": {"count": 2}});
    let event = codec::decode(Kind::EventsEvent, tree.to_string().as_bytes()).expect("an event");
    let Ok(Object::Event(stored)) = crate::convert::to_stored(event) else { panic!("an event") };
    assert_eq!(stored.series.as_ref().expect("a series").last_observed_time, None);
    new(Kind::StorageClass, json!({"provisioner": "p", "reclaimPolicy": ""}), "reclaimPolicy", &[]);
    new(Kind::CertificateSigningRequest, json!({"spec": {"request": "", "signerName": "a.b/c", "usages": ["any"]}}), "spec.request", &[
        "spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST",
    ]);
}

#[test]
fn conditions_without_a_time_are_read() {
    let service = read(Kind::Service, &json!({"status": {"conditions": [{"type": "A"}]}}));
    let time = codec::to_value(&service)["status"]["conditions"][0]["lastTransitionTime"].clone();
    assert_eq!(time, Value::Null);
}
