//! Workloads, services, nodes and the other kinds that have a page of their own.

use super::{Page, access, controller, each, or_none, plain, pod, policy, storage};
use crate::failure::Outcome;
use crate::pods::selector_text;
use crate::query::Query;
use crate::select::Item;
use crate::session::Session;
use crate::times;
use base64::{Engine, engine::general_purpose::STANDARD};
use kinds::Quantity;
use serde_json::Value;

const KNOWN: &[&str] = &[
    "Deployment", "ReplicaSet", "ReplicationController", "DaemonSet", "StatefulSet", "Job", "CronJob", "Service", "Node", "Namespace", "ConfigMap", "Secret", "ServiceAccount", "Ingress", "PersistentVolumeClaim",
    "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "ResourceQuota", "LimitRange", "PersistentVolume", "StorageClass", "PriorityClass",
    "Endpoints", "EndpointSlice", "IngressClass", "CertificateSigningRequest",
];

/// Whether a kind has its own page.
pub(super) fn known(kind: &str) -> bool {
    KNOWN.contains(&kind)
}

/// Whether a kind's page ends with its events.
pub(super) fn has_events(kind: &str) -> bool {
    !matches!(kind, "Secret" | "Namespace" | "Event" | "ClusterRole" | "Role" | "RoleBinding" | "ClusterRoleBinding" | "ResourceQuota" | "LimitRange" | "NetworkPolicy")
}

/// The page of an object.
pub(super) async fn describe(session: &Session, page: &mut Page, item: &Item) -> Outcome {
    let object = &item.object;
    match item.mapping.kind.as_str() {
        "Deployment" => deployment(session, page, item).await,
        "ReplicaSet" | "ReplicationController" | "DaemonSet" | "StatefulSet" | "Job" => workload(session, page, item).await,
        "CronJob" => cronjob(page, object),
        "Service" => service(session, page, item).await,
        "Node" => node(session, page, item).await,
        "ConfigMap" => configmap(page, object),
        "Secret" => {
            page.head(object, true);
            page.line(0, "");
            page.pair(0, "Type", format!(" {}", plain(&object["type"])).replacen(' ', "", 1));
            page.line(0, "\nData\n====");
            for (key, value) in object["data"].as_object().into_iter().flatten() {
                let size = STANDARD.decode(plain(value)).map(|b| b.len()).unwrap_or_default();
                page.line(0, format!("{key}:\t{size} bytes"));
            }
        }
        "ServiceAccount" => {
            page.head(object, true);
            for (label, key) in [("Image pull secrets", "imagePullSecrets"), ("Mountable secrets", "secrets"), ("Tokens", "")] {
                page.pair(0, label, or_none(each(&object[key]).map(|s| plain(&s["name"])).collect::<Vec<_>>().join(", ")));
            }
        }
        "Ingress" => ingress(session, page, item).await,
        "PersistentVolumeClaim" => claim(session, page, item).await,
        "Role" | "ClusterRole" => access::role(page, object),
        "RoleBinding" | "ClusterRoleBinding" => access::binding(page, object),
        "HorizontalPodAutoscaler" => policy::autoscaler(page, object),
        "NetworkPolicy" => policy::network(page, object),
        "PodDisruptionBudget" => policy::budget(page, object),
        "ResourceQuota" => policy::quota(page, object),
        "LimitRange" => policy::limits(page, object),
        "PriorityClass" => policy::priority(page, object),
        "PersistentVolume" => storage::volume(page, object),
        "StorageClass" => storage::class(page, object),
        "Endpoints" => storage::endpoints(page, object),
        "EndpointSlice" => storage::slice(page, object),
        "IngressClass" => storage::ingress_class(page, object),
        "CertificateSigningRequest" => storage::request(page, object),
        _ => {
            page.head(object, false);
            page.pair(0, "Status", plain(&object["status"]["phase"]));
            let list = async |plural: &str| {
                // What cannot be read is not shown.
                let answer = session.client.get(&format!("/api/v1/namespaces/{}/{plural}", item.name)).await.unwrap_or_default();
                answer["items"].as_array().cloned().unwrap_or_default()
            };
            let (quotas, limits) = (list("resourcequotas").await, list("limitranges").await);
            policy::of_namespace(page, &quotas, &limits);
        }
    }
    Ok(())
}

fn number(v: &Value) -> i64 {
    v.as_i64().unwrap_or_default()
}

async fn owned(session: &Session, item: &Item, plural: &str) -> Vec<Value> {
    let group = if plural == "pods" { "/api/v1" } else { "/apis/apps/v1" };
    let query = Query::default().and("labelSelector", &selector_text(&item.object["spec"]["selector"]));
    // What cannot be read is not shown.
    let Ok(mut list) = session.client.get(&format!("{group}/namespaces/{}/{plural}{}", item.namespace, query.text())).await else { return Vec::new() };
    let Value::Array(all) = list["items"].take() else { return Vec::new() };
    let uid = &item.object["metadata"]["uid"];
    all.into_iter().filter(|o| each(&o["metadata"]["ownerReferences"]).any(|r| r["controller"] == true && r["uid"] == *uid)).collect()
}

async fn deployment(session: &Session, page: &mut Page, item: &Item) {
    let (object, spec, status) = (&item.object, &item.object["spec"], &item.object["status"]);
    page.pair(0, "Name", &item.name);
    page.pair(0, "Namespace", &item.namespace);
    page.pair(0, "CreationTimestamp", times::long(&plain(&object["metadata"]["creationTimestamp"])));
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    page.pair(0, "Selector", selector_text(&spec["selector"]));
    page.pair(0, "Replicas", format!("{} desired | {} updated | {} total | {} available | {} unavailable", number(&spec["replicas"]), number(&status["updatedReplicas"]), number(&status["replicas"]), number(&status["availableReplicas"]), number(&status["unavailableReplicas"])));
    page.pair(0, "StrategyType", plain(&spec["strategy"]["type"]));
    page.pair(0, "MinReadySeconds", number(&spec["minReadySeconds"]).to_string());
    let rolling = &spec["strategy"]["rollingUpdate"];
    if rolling.is_object() {
        page.pair(0, "RollingUpdateStrategy", format!("{} max unavailable, {} max surge", plain(&rolling["maxUnavailable"]), plain(&rolling["maxSurge"])));
    }
    pod::template(page, &spec["template"]);
    if each(&status["conditions"]).next().is_some() {
        page.line(0, "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------");
        each(&status["conditions"]).for_each(|c| page.line(1, format!("{} \t{}\t{}", plain(&c["type"]), plain(&c["status"]), plain(&c["reason"]))));
    }
    let mut template = spec["template"].clone();
    let sets = owned(session, item, "replicasets").await;
    let line = |o: &Value| format!("{} ({}/{} replicas created)", plain(&o["metadata"]["name"]), number(&o["status"]["replicas"]), number(&o["spec"]["replicas"]));
    let mut is_new = |o: &Value| {
        let mut other = o["spec"]["template"].clone();
        for t in [&mut template, &mut other] {
            if let Some(labels) = t["metadata"]["labels"].as_object_mut() {
                labels.remove("pod-template-hash");
            }
        }
        template == other
    };
    let (new, old): (Vec<&Value>, Vec<&Value>) = sets.iter().partition(|o| is_new(o));
    page.pair(0, "OldReplicaSets", or_none(old.into_iter().map(line).collect::<Vec<_>>().join(", ")));
    page.pair(0, "NewReplicaSet", or_none(new.into_iter().map(line).collect::<Vec<_>>().join(", ")));
}

async fn workload(session: &Session, page: &mut Page, item: &Item) {
    let (object, spec, status) = (&item.object, &item.object["spec"], &item.object["status"]);
    let kind = item.mapping.kind.as_str();
    page.pair(0, "Name", &item.name);
    if kind == "DaemonSet" {
        page.pair(0, "Namespace", &item.namespace);
        page.pair(0, "Selector", selector_text(&spec["selector"]));
        page.map(0, "Node-Selector", &spec["template"]["spec"]["nodeSelector"], "=");
    } else {
        page.pair(0, "Namespace", &item.namespace);
        if kind == "StatefulSet" {
            page.pair(0, "CreationTimestamp", times::long(&plain(&object["metadata"]["creationTimestamp"])));
        }
        page.pair(0, "Selector", selector_text(&spec["selector"]));
    }
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    if let Some(owner) = controller(object) {
        page.pair(0, "Controlled By", owner);
    }
    match kind {
        "DaemonSet" => {
            page.line(0, format!("Desired Number of Nodes Scheduled: {}", number(&status["desiredNumberScheduled"])));
            page.line(0, format!("Current Number of Nodes Scheduled: {}", number(&status["currentNumberScheduled"])));
            page.line(0, format!("Number of Nodes Scheduled with Up-to-date Pods: {}", number(&status["updatedNumberScheduled"])));
            page.line(0, format!("Number of Nodes Scheduled with Available Pods: {}", number(&status["numberAvailable"])));
            page.line(0, format!("Number of Nodes Misscheduled: {}", number(&status["numberMisscheduled"])));
        }
        "StatefulSet" => {
            page.pair(0, "Replicas", format!("{} desired | {} total", number(&spec["replicas"]), number(&status["replicas"])));
            page.pair(0, "Update Strategy", plain(&spec["updateStrategy"]["type"]));
            if let Some(partition) = spec["updateStrategy"]["rollingUpdate"]["partition"].as_i64() {
                page.pair(1, "Partition", partition.to_string());
            }
        }
        "Job" => job(page, spec, status),
        _ => page.pair(0, "Replicas", format!("{} current / {} desired", number(&status["replicas"]), number(&spec["replicas"]))),
    }
    let pods = owned(session, item, "pods").await;
    let count = |phase: &str| pods.iter().filter(|p| p["status"]["phase"] == phase).count();
    if kind == "Job" {
        page.pair(0, "Pods Statuses", format!("{} Active ({} Ready) / {} Succeeded / {} Failed", number(&status["active"]), number(&status["ready"]), number(&status["succeeded"]), number(&status["failed"])));
    } else {
        page.pair(0, "Pods Status", format!("{} Running / {} Waiting / {} Succeeded / {} Failed", count("Running"), count("Pending"), count("Succeeded"), count("Failed")));
    }
    pod::template(page, &spec["template"]);
    if kind == "StatefulSet" {
        claims(page, &spec["volumeClaimTemplates"]);
    }
    if matches!(kind, "ReplicaSet" | "ReplicationController") && each(&status["conditions"]).next().is_some() {
        page.line(0, "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------");
        each(&status["conditions"]).for_each(|c| page.line(1, format!("{} \t{}\t{}", plain(&c["type"]), plain(&c["status"]), plain(&c["reason"]))));
    }
}

fn job(page: &mut Page, spec: &Value, status: &Value) {
    page.pair(0, "Parallelism", plain(&spec["parallelism"]));
    page.pair(0, "Completions", or_unset(&spec["completions"]));
    page.some(0, "Completion Mode", &spec["completionMode"]);
    page.some(0, "Suspend", &spec["suspend"]);
    page.some(0, "Backoff Limit", &spec["backoffLimit"]);
    if let Some(start) = status["startTime"].as_str() {
        page.pair(0, "Start Time", times::long(start));
    }
    if let Some(end) = status["completionTime"].as_str() {
        page.pair(0, "Completed At", times::long(end));
        let seconds = |t: &Value| t.as_str().and_then(times::since).unwrap_or_default();
        page.pair(0, "Duration", times::human(seconds(&status["startTime"]) - seconds(&status["completionTime"])));
    }
    if !spec["activeDeadlineSeconds"].is_null() {
        page.pair(0, "Active Deadline Seconds", format!("{}s", plain(&spec["activeDeadlineSeconds"])));
    }
}

fn or_unset(v: &Value) -> String {
    if v.is_null() { "<unset>".to_owned() } else { plain(v) }
}

fn cronjob(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.head(object, true);
    page.pair(0, "Schedule", plain(&spec["schedule"]));
    page.pair(0, "Concurrency Policy", plain(&spec["concurrencyPolicy"]));
    page.pair(0, "Suspend", title(&spec["suspend"]));
    page.pair(0, "Successful Job History Limit", or_unset(&spec["successfulJobsHistoryLimit"]));
    page.pair(0, "Failed Job History Limit", or_unset(&spec["failedJobsHistoryLimit"]));
    page.pair(0, "Starting Deadline Seconds", if spec["startingDeadlineSeconds"].is_null() { "<unset>".to_owned() } else { format!("{}s", plain(&spec["startingDeadlineSeconds"])) });
    let job = &spec["jobTemplate"]["spec"];
    page.pair(0, "Selector", or_unset(&job["selector"]));
    page.pair(0, "Parallelism", or_unset(&job["parallelism"]));
    page.pair(0, "Completions", or_unset(&job["completions"]));
    pod::template(page, &job["template"]);
    page.pair(0, "Last Schedule Time", status["lastScheduleTime"].as_str().map_or_else(|| "<unset>".to_owned(), |t| format!(" {}", times::long(t)).trim_start().to_owned()));
    page.pair(0, "Active Jobs", or_none(each(&status["active"]).map(|j| plain(&j["name"])).collect::<Vec<_>>().join(", ")));
}

fn title(v: &Value) -> &'static str {
    if *v == true { "True" } else { "False" }
}

async fn service(session: &Session, page: &mut Page, item: &Item) {
    let (object, spec) = (&item.object, &item.object["spec"]);
    page.head(object, true);
    page.pair(0, "Selector", or_none(selector_text(&spec["selector"])));
    page.pair(0, "Type", plain(&spec["type"]));
    page.some(0, "IP Family Policy", &spec["ipFamilyPolicy"]);
    let join = |v: &Value| each(v).map(plain).collect::<Vec<_>>().join(",");
    if spec["ipFamilyPolicy"].is_string() {
        page.pair(0, "IP Families", or_none(join(&spec["ipFamilies"])));
        page.pair(0, "IP", plain(&spec["clusterIP"]));
        page.pair(0, "IPs", or_none(join(&spec["clusterIPs"])));
    } else {
        page.pair(0, "IP", plain(&spec["clusterIP"]));
    }
    if each(&spec["externalIPs"]).next().is_some() {
        page.pair(0, "External IPs", join(&spec["externalIPs"]));
    }
    page.some(0, "External Name", &spec["externalName"]);
    let query = Query::default().and("labelSelector", &format!("kubernetes.io/service-name={}", item.name));
    // Endpoints that cannot be read are not shown.
    let slices = session.client.get(&format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices{}", item.namespace, query.text())).await.unwrap_or_default();
    for port in each(&spec["ports"]) {
        let name = port["name"].as_str().unwrap_or("<unset>");
        page.pair(0, "Port", format!("{name}\t{}/{}", plain(&port["port"]), plain(&port["protocol"])).replace('\t', "  "));
        page.pair(0, "TargetPort", format!("{}/{}", plain(&port["targetPort"]), plain(&port["protocol"])));
        if number(&port["nodePort"]) > 0 {
            page.pair(0, "NodePort", format!("{name}  {}/{}", plain(&port["nodePort"]), plain(&port["protocol"])));
        }
        let mut addresses = Vec::new();
        for slice in each(&slices["items"]) {
            let number = each(&slice["ports"]).find(|p| p["name"].as_str().unwrap_or_default() == port["name"].as_str().unwrap_or_default()).map(|p| plain(&p["port"]));
            for endpoint in each(&slice["endpoints"]).filter(|e| e["conditions"]["ready"] != false) {
                addresses.extend(each(&endpoint["addresses"]).zip(number.iter()).map(|(a, n)| format!("{}:{n}", plain(a))));
            }
        }
        let more = if addresses.len() > 3 { format!(" + {} more...", addresses.len() - 3) } else { String::new() };
        addresses.truncate(3);
        page.pair(0, "Endpoints", addresses.join(",") + &more);
    }
    page.pair(0, "Session Affinity", plain(&spec["sessionAffinity"]));
    page.some(0, "External Traffic Policy", &spec["externalTrafficPolicy"]);
    page.some(0, "Internal Traffic Policy", &spec["internalTrafficPolicy"]);
}

fn configmap(page: &mut Page, object: &Value) {
    page.head(object, true);
    page.line(0, "\nData\n====");
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        page.line(0, format!("{key}:\n----\n{}\n", plain(value)));
    }
    page.line(0, "\nBinaryData\n====");
    for (key, value) in object["binaryData"].as_object().into_iter().flatten() {
        page.line(0, format!("{key}: {} bytes", STANDARD.decode(plain(value)).map(|b| b.len()).unwrap_or_default()));
    }
    page.line(0, "");
}

/// The addresses behind a Service's port, or why there are none.
async fn behind(session: &Session, namespace: &str, service: &Value) -> String {
    let name = plain(&service["name"]);
    let Ok(found) = session.client.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).await else {
        return format!("<error: services \"{name}\" not found>");
    };
    let wanted = &service["port"];
    let port = each(&found["spec"]["ports"]).find(|p| p["port"] == wanted["number"] || (wanted["name"].is_string() && p["name"] == wanted["name"]));
    let port_name = port.map(|p| plain(&p["name"])).unwrap_or_default();
    let query = Query::default().and("labelSelector", &format!("kubernetes.io/service-name={name}"));
    let slices = session.client.get(&format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices{}", query.text())).await.unwrap_or_default();
    let mut all = Vec::new();
    for slice in each(&slices["items"]) {
        let number = each(&slice["ports"]).find(|p| plain(&p["name"]) == port_name).map(|p| plain(&p["port"]));
        for endpoint in each(&slice["endpoints"]).filter(|e| e["conditions"]["ready"] != false) {
            all.extend(each(&endpoint["addresses"]).zip(number.iter()).map(|(a, n)| format!("{}:{n}", plain(a))));
        }
    }
    let more = if all.len() > 3 { format!(" + {} more...", all.len() - 3) } else { String::new() };
    all.truncate(3);
    all.join(",") + &more
}

async fn ingress(session: &Session, page: &mut Page, item: &Item) {
    let (object, spec) = (&item.object, &item.object["spec"]);
    let backend = async |b: &Value| {
        if b["resource"].is_object() {
            return format!("APIGroup: {}, Kind: {}, Name: {}", plain(&b["resource"]["apiGroup"]), plain(&b["resource"]["kind"]), plain(&b["resource"]["name"]));
        }
        let port = &b["service"]["port"];
        let port = if port["number"].is_null() { plain(&port["name"]) } else { plain(&port["number"]) };
        format!("{}:{port} ({})", plain(&b["service"]["name"]), behind(session, &item.namespace, &b["service"]).await)
    };
    page.pair(0, "Name", &item.name);
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.pair(0, "Namespace", &item.namespace);
    page.pair(0, "Address", each(&object["status"]["loadBalancer"]["ingress"]).map(|i| plain(if i["ip"].is_null() { &i["hostname"] } else { &i["ip"] })).collect::<Vec<_>>().join(","));
    page.pair(0, "Ingress Class", or_none(plain(&spec["ingressClassName"])));
    let default = if spec["defaultBackend"].is_null() { "<default>".to_owned() } else { backend(&spec["defaultBackend"]).await };
    page.pair(0, "Default backend", &default);
    if each(&spec["tls"]).next().is_some() {
        page.line(0, "TLS:");
        for tls in each(&spec["tls"]) {
            let hosts = each(&tls["hosts"]).map(plain).collect::<Vec<_>>().join(",");
            match tls["secretName"].as_str().unwrap_or_default() {
                "" => page.line(1, format!("SNI routes {hosts}")),
                secret => page.line(1, format!("{secret} terminates {hosts}")),
            }
        }
    }
    page.line(0, "Rules:\n  Host\tPath\tBackends\n  ----\t----\t--------");
    let mut count = 0;
    for rule in each(&spec["rules"]) {
        if each(&rule["http"]["paths"]).next().is_none() {
            continue;
        }
        count += 1;
        page.line(1, format!("{}\t", rule["host"].as_str().filter(|h| !h.is_empty()).unwrap_or("*")));
        for p in each(&rule["http"]["paths"]) {
            page.line(1, format!("  \t{} \t{}", plain(&p["path"]), backend(&p["backend"]).await));
        }
    }
    if count == 0 {
        page.line(1, format!("*\t* \t{default}"));
    }
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
}

async fn claim(session: &Session, page: &mut Page, item: &Item) {
    let (object, spec, status) = (&item.object, &item.object["spec"], &item.object["status"]);
    page.pair(0, "Name", &item.name);
    page.pair(0, "Namespace", &item.namespace);
    page.pair(0, "StorageClass", plain(&spec["storageClassName"]));
    page.pair(0, "Status", plain(&status["phase"]));
    page.pair(0, "Volume", plain(&spec["volumeName"]));
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    page.pair(0, "Finalizers", storage::finalizers(object));
    page.pair(0, "Capacity", plain(&status["capacity"]["storage"]));
    page.pair(0, "Access Modes", storage::modes(&status["accessModes"]));
    page.some(0, "VolumeMode", &spec["volumeMode"]);
    // Pods that cannot be read are not shown.
    let pods = session.client.get(&format!("/api/v1/namespaces/{}/pods", item.namespace)).await.unwrap_or_default();
    let uses = |p: &&Value| each(&p["spec"]["volumes"]).any(|v| v["persistentVolumeClaim"]["claimName"] == item.name.as_str());
    let users: Vec<String> = each(&pods["items"]).filter(uses).map(|p| plain(&p["metadata"]["name"])).collect();
    page.pair(0, "Used By", or_none(users.join("\n\t")));
}

/// The claims that a StatefulSet makes.
fn claims(page: &mut Page, templates: &Value) {
    if each(templates).next().is_none() {
        page.pair(0, "Volume Claims", "<none>");
        return;
    }
    page.line(0, "Volume Claims:");
    for t in each(templates) {
        page.pair(1, "Name", plain(&t["metadata"]["name"]));
        page.pair(1, "StorageClass", plain(&t["spec"]["storageClassName"]));
        page.map(1, "Labels", &t["metadata"]["labels"], "=");
        page.map(1, "Annotations", &t["metadata"]["annotations"], ": ");
        page.pair(1, "Capacity", or_none(plain(&t["spec"]["resources"]["requests"]["storage"])).replace("<none>", "<default>"));
        page.pair(1, "Access Modes", format!("[{}]", each(&t["spec"]["accessModes"]).map(plain).collect::<Vec<_>>().join(" ")));
    }
}

fn amount(v: &Value) -> Option<Quantity> {
    Quantity::parse(v.as_str()?).ok()
}

/// Requests and limits of a pod's containers for a resource, in thousandths.
fn used(pod: &Value, key: &str, resource: &str) -> i64 {
    each(&pod["spec"]["containers"]).filter_map(|c| amount(&c["resources"][key][resource])).map(|q| q.milli_value()).sum()
}

fn milli(resource: &str, n: i64) -> String {
    if resource == "cpu" {
        return if n % 1000 == 0 { (n / 1000).to_string() } else { format!("{n}m") };
    }
    let bytes = n / 1000;
    let unit = [(1_i64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")].into_iter().find(|(u, _)| bytes > 0 && bytes % u == 0);
    unit.map_or_else(|| bytes.to_string(), |(u, name)| format!("{}{name}", bytes / u))
}

async fn node(session: &Session, page: &mut Page, item: &Item) {
    let (object, spec, status) = (&item.object, &item.object["spec"], &item.object["status"]);
    page.pair(0, "Name", &item.name);
    let roles: Vec<&str> = object["metadata"]["labels"].as_object().into_iter().flatten().filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/")).collect();
    page.pair(0, "Roles", or_none(roles.join(",")));
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    page.pair(0, "CreationTimestamp", times::long(&plain(&object["metadata"]["creationTimestamp"])));
    let taints: Vec<String> = each(&spec["taints"]).map(|t| format!("{}{}:{}", plain(&t["key"]), t["value"].as_str().filter(|v| !v.is_empty()).map(|v| format!("={v}")).unwrap_or_default(), plain(&t["effect"]))).collect();
    page.pair(0, "Taints", or_none(taints.join("\n\t")));
    page.pair(0, "Unschedulable", (spec["unschedulable"] == true).to_string());
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}", item.name);
    // A node may have no lease yet.
    if let Ok(lease) = session.client.get(&path).await {
        page.line(0, "Lease:");
        page.pair(1, "HolderIdentity", or_unset(&lease["spec"]["holderIdentity"]));
        page.pair(1, "AcquireTime", "<unset>");
        page.pair(1, "RenewTime", lease["spec"]["renewTime"].as_str().map_or_else(|| "<unset>".to_owned(), times::long));
    }
    if each(&status["conditions"]).next().is_some() {
        page.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n  ----\t------\t-----------------\t------------------\t------\t-------");
        for c in each(&status["conditions"]) {
            let time = |k: &str| times::long(&plain(&c[k]));
            page.line(1, format!("{} \t{} \t{} \t{} \t{} \t{}", plain(&c["type"]), plain(&c["status"]), time("lastHeartbeatTime"), time("lastTransitionTime"), plain(&c["reason"]), plain(&c["message"])));
        }
    }
    page.line(0, "Addresses:");
    each(&status["addresses"]).for_each(|a| page.pair(1, &plain(&a["type"]), plain(&a["address"])));
    for (label, key) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        page.line(0, format!("{label}:"));
        status[key].as_object().into_iter().flatten().for_each(|(k, v)| page.pair(1, k, plain(v)));
    }
    page.line(0, "System Info:");
    for (label, key) in [("Machine ID", "machineID"), ("System UUID", "systemUUID"), ("Boot ID", "bootID"), ("Kernel Version", "kernelVersion"), ("OS Image", "osImage"), ("Operating System", "operatingSystem"), ("Architecture", "architecture"), ("Container Runtime Version", "containerRuntimeVersion"), ("Kubelet Version", "kubeletVersion"), ("Kube-Proxy Version", "kubeProxyVersion")] {
        page.pair(1, label, plain(&status["nodeInfo"][key]));
    }
    page.some(0, "PodCIDR", &spec["podCIDR"]);
    if each(&spec["podCIDRs"]).next().is_some() {
        page.pair(0, "PodCIDRs", each(&spec["podCIDRs"]).map(plain).collect::<Vec<_>>().join(","));
    }
    node_pods(session, page, item).await;
}

async fn node_pods(session: &Session, page: &mut Page, item: &Item) {
    let fields = format!("spec.nodeName={},status.phase!=Succeeded,status.phase!=Failed", item.name);
    // Who may read a node may not always read its pods.
    let Ok(list) = session.client.get(&format!("/api/v1/pods{}", Query::default().and("fieldSelector", &fields).text())).await else { return };
    let pods: Vec<&Value> = each(&list["items"]).collect();
    let allocatable = &item.object["status"]["allocatable"];
    let percent = |resource: &str, n: i64| amount(&allocatable[resource]).map(|q| q.milli_value()).filter(|a| *a > 0).map_or(0, |a| i64::try_from(i128::from(n) * 100 / i128::from(a)).unwrap_or_default());
    let cell = |resource: &str, n: i64| format!("{} ({}%)", milli(resource, n), percent(resource, n));
    page.pair(0, "Non-terminated Pods", format!("({} in total)", pods.len()));
    page.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    page.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    for pod in &pods {
        let of = |key: &str, resource: &str| cell(resource, used(pod, key, resource));
        page.line(1, format!("{}\t{}\t\t{}\t{}\t{}\t{}\t{}", plain(&pod["metadata"]["namespace"]), plain(&pod["metadata"]["name"]), of("requests", "cpu"), of("limits", "cpu"), of("requests", "memory"), of("limits", "memory"), times::age(pod["metadata"]["creationTimestamp"].as_str())));
    }
    page.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    page.line(1, "Resource\tRequests\tLimits\n  --------\t--------\t------");
    let mut resources = vec!["cpu", "memory", "ephemeral-storage"];
    resources.extend(allocatable.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).filter(|k| k.starts_with("hugepages-")));
    for resource in resources {
        let of = |key: &str| cell(resource, pods.iter().map(|p| used(p, key, resource)).sum());
        page.line(1, format!("{resource}\t{}\t{}", of("requests"), of("limits")));
    }
}
