//! Rows as `kubectl get` prints them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CustomColumns, Include, cells, human, row};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().expect("a time")
}

const CREATED: &str = "2026-01-01T00:55:00Z";

fn show(object: &Value) -> Vec<String> {
    cells(object, now()).iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
}

fn check(mut object: Value, expect: &[&str]) {
    object["metadata"]["creationTimestamp"] = json!(CREATED);
    object["metadata"]["name"] = json!("x");
    assert_eq!(show(&object)[..expect.len()], *expect, "{object}");
}

fn pod(spec: Value, status: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec, "status": status})
}

#[test]
fn every_kind_has_as_many_cells_as_columns() {
    for resource in schema::resources().iter().filter(|r| r.verbs.contains(&"list")) {
        let object = json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {"name": "x"}});
        let columns = schema::columns(resource.group, resource.version, resource.kind);
        // An address has an age, and no column for it.
        let cells = cells(&object, now()).len() - usize::from(resource.kind == "IPAddress");
        assert_eq!(cells, columns.len(), "{} {}", resource.api_version(), resource.kind);
    }
}

#[test]
fn ages() {
    let table = [(0, "0s"), (-1, "0s"), (-2, "<invalid>"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (10_799, "179m"), (10_800, "3h"), (11_100, "3h5m"), (28_800, "8h"), (172_800, "2d"), (180_000, "2d2h"), (691_200, "8d"), (63_072_000, "2y"), (66_000_000, "2y33d"), (252_288_000, "8y")];
    for (seconds, text) in table {
        assert_eq!(human::duration(seconds), text, "{seconds}");
    }
}

#[test]
fn a_running_pod() {
    let status = json!({"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [
        {"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": "2026-01-01T00:58:00Z"}}},
        {"name": "b", "ready": false, "restartCount": 0, "state": {"running": {}}}]});
    check(pod(json!({"nodeName": "n", "containers": [{}, {}]}), status), &["x", "1/2", "Running", "2 (2m ago)", "5m", "10.0.0.1", "n", "<none>", "<none>"]);
}

#[test]
fn a_pods_status_is_its_most_telling_reason() {
    let one = |status: Value| json!({"phase": "Running", "containerStatuses": [status]});
    let spec = json!({"containers": [{}]});
    check(pod(spec.clone(), one(json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}))), &["x", "0/1", "CrashLoopBackOff"]);
    check(pod(spec.clone(), one(json!({"state": {"terminated": {"exitCode": 3}}}))), &["x", "0/1", "ExitCode:3"]);
    check(pod(spec.clone(), one(json!({"state": {"terminated": {"signal": 9}}}))), &["x", "0/1", "Signal:9"]);
    check(pod(spec.clone(), one(json!({"state": {"terminated": {"reason": "Completed"}}}))), &["x", "0/1", "Completed"]);
    check(pod(spec.clone(), json!({"phase": "Failed", "reason": "Evicted"})), &["x", "0/1", "Evicted"]);
    check(pod(spec.clone(), json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]})), &["x", "0/1", "SchedulingGated"]);
    let mut deleted = pod(spec, json!({"phase": "Running"}));
    deleted["metadata"]["deletionTimestamp"] = json!(CREATED);
    check(deleted, &["x", "0/1", "Terminating"]);
}

#[test]
fn init_containers_and_sidecars() {
    let spec = json!({"containers": [{}], "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]});
    let status = json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]});
    check(pod(spec.clone(), status), &["x", "0/2", "Init:0/2"]);
    let status = json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
    check(pod(spec.clone(), status), &["x", "0/2", "Init:ImagePullBackOff"]);
    let status = json!({"phase": "Running", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}},
        {"name": "s", "started": true, "ready": true, "state": {"running": {}}}], "containerStatuses": [{"ready": true, "state": {"running": {}}}]});
    check(pod(spec, status), &["x", "2/2", "Running", "0"]);
}

#[test]
fn workloads() {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "a"}},
        "template": {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}}}, "status": {"readyReplicas": 2, "updatedReplicas": 3}});
    check(deployment, &["x", "2/3", "3", "0", "5m", "a,b", "i:1,j", "app=a"]);
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"completions": 3}, "status": {"succeeded": 3, "startTime": CREATED,
        "completionTime": "2026-01-01T00:55:07Z", "conditions": [{"type": "Complete", "status": "True"}]}});
    check(job, &["x", "Complete", "3/3", "7s", "5m", "", "", "<none>"]);
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"schedule": "* * * * *", "suspend": false}, "status": {"active": [{}]}});
    check(cron, &["x", "* * * * *", "<none>", "False", "1", "<none>", "5m"]);
}

#[test]
fn services_and_nodes() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
        "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}], "selector": {"app": "a"}}});
    check(service, &["x", "NodePort", "10.96.0.9", "<none>", "80:30001/TCP,53/UDP", "5m", "app=a"]);
    check(json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}}), &["x", "LoadBalancer", "<none>", "<pending>", "<none>"]);
    check(json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ExternalName", "externalName": "a.b"}}), &["x", "ExternalName", "<none>", "a.b"]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}, "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.0"}, "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}]}});
    check(node, &["x", "Ready,SchedulingDisabled", "control-plane", "5m", "v1.36.0", "1.2.3.4", "<none>", "<unknown>"]);
}

#[test]
fn events() {
    let event = json!({"apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Pulled", "message": " done \n", "involvedObject": {"kind": "Pod", "name": "p"},
        "source": {"component": "kubelet", "host": "n"}, "firstTimestamp": CREATED, "lastTimestamp": "2026-01-01T00:59:00Z", "count": 4});
    check(event, &["60s", "Normal", "Pulled", "pod/p", "", "kubelet, n", "done", "5m", "4", "x"]);
    let new = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "reason": "Scheduled", "note": "n", "regarding": {"kind": "Pod", "name": "p"},
        "reportingController": "default-scheduler", "eventTime": "2026-01-01T00:59:30.000000Z"});
    check(new, &["30s", "", "Scheduled", "pod/p", "", "default-scheduler", "n", "30s", "1", "x"]);
}

#[test]
fn custom_columns_by_json_path() {
    let columns = CustomColumns::new(&[
        json!({"name": "Size", "type": "integer", "jsonPath": ".spec.size"}),
        json!({"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}),
        json!({"name": "Names", "type": "string", "jsonPath": ".spec.list[*].name", "priority": 1}),
        json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
    ])
    .expect("paths");
    let object = json!({"metadata": {"name": "x", "creationTimestamp": CREATED}, "spec": {"size": 3, "list": [{"name": "a"}, {"name": "b"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    assert_eq!(columns.cells(&object, now()), [json!("x"), json!(3), json!("True"), json!("a b"), json!("5m")]);
    assert_eq!(columns.definitions()[3]["priority"], 1);
    assert_eq!(columns.cells(&json!({}), now())[1], Value::Null);
    assert!(CustomColumns::new(&[json!({"jsonPath": "spec"})]).is_err());
}

#[test]
fn rows_carry_what_was_asked_for() {
    let object = pod(json!({}), json!({"phase": "Succeeded"}));
    let full = row(&object, Vec::new(), Include::Metadata);
    assert_eq!(full["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(full["conditions"][0]["reason"], "Succeeded");
    assert_eq!(row(&object, Vec::new(), Include::Object)["object"], object);
    assert_eq!(row(&object, Vec::new(), Include::None)["object"], Value::Null);
}
