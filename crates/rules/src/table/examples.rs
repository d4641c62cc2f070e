//! Whole objects as people write them: what a fresh cluster creates for itself, the demo's manifests, and the defaults
//! that a sparse manifest comes back with.

use crate::rules;
use kinds::{FieldErrors, Kind, Object};
use serde_json::{Value, json};

fn decode(tree: &Value) -> Object {
    let text = |k: &str| tree[k].as_str().unwrap_or_default();
    let kind = Kind::from_api_version(text("apiVersion"), text("kind")).expect("a known kind");
    codec::decode(kind, tree.to_string().as_bytes()).expect("decodes")
}

/// Decodes, fills in defaults, prepares for a create, and validates.
fn admit(tree: &Value) -> (Object, Vec<String>) {
    let mut o = crate::convert::to_stored(decode(tree)).unwrap_or_else(|_| decode(tree));
    let r = rules(o.kind().expect("built in"));
    (r.default)(&mut o);
    if r.kind.namespaced() && o.meta().namespace.is_none() {
        o.meta_mut().namespace = Some("default".into());
    }
    o.meta_mut().uid = Some("0000".into());
    (r.prepare_create)(&mut o);
    let mut e = FieldErrors::default();
    (r.validate)(&o, &mut e);
    (o, e.0.iter().map(ToString::to_string).collect())
}

#[test]
fn what_a_fresh_cluster_creates_is_valid() {
    let values = [
        ("\"${APISERVER_PORT}\"", "6443"),
        ("${SERVICE_CIDR_FIRST_IP}", "10.96.0.1"),
        ("${SERVICE_CIDR}", "10.96.0.0/12"),
        ("${ADVERTISE_ADDRESS}", "192.0.2.1"),
        ("${SERVER_HASH}", "abc"),
        ("${HOSTNAME}", "node"),
    ];
    let tables = [include_str!("../../../schema/data/objects.jsonl"), include_str!("../../../schema/data/rbac.jsonl")];
    let mut n = 0;
    for line in tables.iter().flat_map(|t| t.lines()).filter(|l| !l.is_empty()) {
        let mut text = line.to_owned();
        for (k, v) in values {
            text = text.replace(k, v);
        }
        let mut row: Value = serde_json::from_str(&text).expect("a row");
        // The table leaves times out of conditions; a create clears the status anyway.
        row["object"].as_object_mut().expect("an object").remove("status");
        let (o, errors) = admit(&row["object"]);
        assert_eq!(errors, Vec::<String>::new(), "{} {}", o.kind_name(), o.key());
        n += 1;
    }
    assert!(n > 200, "{n}");
}

#[test]
fn the_demo_is_valid() {
    let files = [
        include_str!("../../../../examples/dockercoins/hasher.yaml"),
        include_str!("../../../../examples/dockercoins/redis.yaml"),
        include_str!("../../../../examples/dockercoins/rng.yaml"),
        include_str!("../../../../examples/dockercoins/webui.yaml"),
        include_str!("../../../../examples/dockercoins/worker.yaml"),
    ];
    for document in files.iter().flat_map(|f| codec::yaml::documents(f).expect("YAML")) {
        let (o, errors) = admit(&document.value);
        assert_eq!(errors, Vec::<String>::new(), "{} {}", o.kind_name(), o.key());
    }
}

fn defaulted(tree: &Value) -> Value {
    let mut o = decode(tree);
    (rules(o.kind().expect("built in")).default)(&mut o);
    serde_json::from_slice(&codec::encode(&o)).expect("JSON")
}

fn pod_spec() -> Value {
    json!({
        "containers": [{
            "name": "web", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent", "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "livenessProbe": {
                "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3
            }
        }],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "securityContext": {}, "schedulerName": "default-scheduler"
    })
}

fn sparse() -> Value {
    let probe = json!({"httpGet": {"port": 80}});
    json!({"containers": [{"name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}], "livenessProbe": probe}]})
}

#[test]
fn a_sparse_pod_comes_back_whole() {
    let got = defaulted(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": sparse()}));
    let mut want = pod_spec();
    want["enableServiceLinks"] = json!(true);
    assert_eq!(got["spec"], want);
}

#[test]
fn a_sparse_deployment_comes_back_whole() {
    let labels = json!({"app": "web"});
    let spec = json!({"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": sparse()}});
    let got = defaulted(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}));
    let want = json!({
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600
    });
    assert_eq!(got["spec"], want);
}

#[test]
fn a_sparse_service_comes_back_whole() {
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    let got = defaulted(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec}));
    let want = json!({
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
        "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"
    });
    assert_eq!(got["spec"], want);
}

#[test]
fn sparse_batch_objects_come_back_whole() {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "busybox"}]}});
    let pod = |latest: &str| json!({
        "containers": [{"name": "a", "image": "busybox", "imagePullPolicy": latest, "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "securityContext": {}, "schedulerName": "default-scheduler"
    });
    let job = json!({"template": template});
    let got = defaulted(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": job}));
    let want = json!({
        "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
        "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": false,
        "template": {"metadata": {}, "spec": pod("Always")}
    });
    assert_eq!(got["spec"], want);
    let cron = json!({"schedule": "* * * * *", "jobTemplate": {"spec": job}});
    let got = defaulted(&json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "a"}, "spec": cron}));
    let want = json!({
        "schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": false,
        "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        "jobTemplate": {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": pod("Always")}}}
    });
    assert_eq!(got["spec"], want);
}
