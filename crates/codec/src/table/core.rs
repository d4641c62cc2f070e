//! Rows of the core group (and of events.k8s.io).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::{View, containers, labels, load_balancer, or, shortened};
use super::{Printer, human, node, pod};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Pod" => pod::pod,
        "Node" => node::node,
        "Service" => service,
        "Namespace" => |o, now| vec![o.name(), json!(o.text("/status/phase")), o.age(now)],
        "Event" => event,
        "ConfigMap" => |o, now| vec![o.name(), json!(o.count("/data") + o.count("/binaryData")), o.age(now)],
        "Secret" => |o, now| vec![o.name(), json!(o.text("/type")), json!(o.count("/data")), o.age(now)],
        "ServiceAccount" => |o, now| vec![o.name(), o.age(now)],
        "Endpoints" => |o, now| vec![o.name(), json!(endpoints(o)), o.age(now)],
        "PersistentVolume" => persistent_volume,
        "PersistentVolumeClaim" => persistent_volume_claim,
        "ReplicationController" => replication_controller,
        "ResourceQuota" => resource_quota,
        "PodTemplate" => |o, _| {
            let [names, images] = containers(o.at("/template/spec"));
            vec![o.name(), names, images, json!(labels(o.at("/template/metadata/labels")))]
        },
        "ComponentStatus" => component_status,
        "Status" => |o, _| vec![json!(o.text("/status")), json!(o.text("/reason")), json!(o.text("/message"))],
        _ => return None,
    })
}

pub(super) fn events_printer(kind: &str) -> Option<Printer> {
    (kind == "Event").then_some(event as Printer)
}

fn service(service: View<'_>, now: Timestamp) -> Vec<Value> {
    let cluster_ip = service.list("/spec/clusterIPs").next().map_or(service.text_or("/spec/clusterIP", "<none>"), |ip| ip.text_or("", "<none>"));
    let ports: Vec<String> = service
        .list("/spec/ports")
        .map(|port| {
            let protocol = port.text_or("/protocol", "TCP");
            match port.int("/nodePort") {
                0 => format!("{}/{protocol}", port.int("/port")),
                node_port => format!("{}:{node_port}/{protocol}", port.int("/port")),
            }
        })
        .collect();
    vec![
        service.name(),
        json!(service.text("/spec/type")),
        json!(cluster_ip),
        json!(external_ip(service)),
        json!(or(ports.join(","), "<none>")),
        service.age(now),
        json!(labels(service.at("/spec/selector"))),
    ]
}

fn external_ip(service: View<'_>) -> String {
    let external = service.texts("/spec/externalIPs").join(",");
    match service.text("/spec/type") {
        "ClusterIP" | "NodePort" => or(external, "<none>"),
        "ExternalName" => service.text("/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let assigned = load_balancer(service.at("/status"));
            match (assigned.is_empty(), external.is_empty()) {
                (true, true) => "<pending>".to_owned(),
                (false, false) => format!("{assigned},{external}"),
                _ => assigned + &external,
            }
        }
        _ => "<unknown>".to_owned(),
    }
}

fn event(event: View<'_>, now: Timestamp) -> Vec<Value> {
    // events.k8s.io renames the older fields; both shapes print alike.
    let pick = |old: &str, new: &str| if event.has(old) { event.at(old) } else { event.at(new) };
    let object = pick("/involvedObject", "/regarding");
    let source = pick("/source", "/deprecatedSource");
    let first = pick("/firstTimestamp", "/deprecatedFirstTimestamp").text_or("", event.text("/eventTime"));
    let last = event.text_or("/series/lastObservedTime", pick("/lastTimestamp", "/deprecatedLastTimestamp").text_or("", first));
    let count = if event.has("/series") { event.int("/series/count") } else { pick("/count", "/deprecatedCount").int("") };
    let kind = object.text("/kind").to_lowercase();
    let target = match object.text("/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let (component, host) = match source.text("/component") {
        "" => (pick("/reportingComponent", "/reportingController").text(""), event.text("/reportingInstance")),
        component => (component, source.text("/host")),
    };
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    vec![
        json!(human::since(last, now)),
        json!(event.text("/type")),
        json!(event.text("/reason")),
        json!(target),
        json!(object.text("/fieldPath")),
        json!(source),
        json!(pick("/message", "/note").text("").trim()),
        json!(human::since(first, now)),
        json!(count.max(1)),
        event.name(),
    ]
}

const SHOWN_ENDPOINTS: usize = 3;

fn endpoints(object: View<'_>) -> String {
    let mut all = Vec::new();
    for subset in object.list("/subsets") {
        let ips = || subset.list("/addresses").map(|a| a.text("/ip"));
        if subset.count("/ports") == 0 {
            all.extend(ips().map(str::to_owned));
        }
        for port in subset.list("/ports") {
            all.extend(ips().map(|ip| join_host_port(ip, port.int("/port"))));
        }
    }
    if all.is_empty() { "<none>".to_owned() } else { shortened(&all, SHOWN_ENDPOINTS, "+ {} more...") }
}

fn join_host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn access_modes(modes: &[&str]) -> String {
    let order = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    order.iter().filter(|(name, _)| modes.contains(name)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The storage class, which older objects carry as an annotation.
fn storage_class<'a>(object: View<'a>) -> &'a str {
    let annotation = object.entries("/metadata/annotations").find(|(key, _)| *key == "volume.beta.kubernetes.io/storage-class");
    annotation.map_or(object.text("/spec/storageClassName"), |(_, value)| value.text(""))
}

fn phase<'a>(object: View<'a>) -> &'a str {
    if object.has("/metadata/deletionTimestamp") { "Terminating" } else { object.text("/status/phase") }
}

fn persistent_volume(volume: View<'_>, now: Timestamp) -> Vec<Value> {
    let claim = if volume.has("/spec/claimRef") { format!("{}/{}", volume.text("/spec/claimRef/namespace"), volume.text("/spec/claimRef/name")) } else { String::new() };
    vec![
        volume.name(),
        json!(volume.at("/spec/capacity/storage").show()),
        json!(access_modes(&volume.texts("/spec/accessModes"))),
        json!(volume.text("/spec/persistentVolumeReclaimPolicy")),
        json!(phase(volume)),
        json!(claim),
        json!(storage_class(volume)),
        json!(volume.text_or("/spec/volumeAttributesClassName", "<unset>")),
        json!(volume.text("/status/reason")),
        volume.age(now),
        json!(volume.text_or("/spec/volumeMode", "<unset>")),
    ]
}

fn persistent_volume_claim(claim: View<'_>, now: Timestamp) -> Vec<Value> {
    let bound = !claim.text("/spec/volumeName").is_empty();
    vec![
        claim.name(),
        json!(phase(claim)),
        json!(claim.text("/spec/volumeName")),
        json!(if bound { or(claim.at("/status/capacity/storage").show(), "0") } else { String::new() }),
        json!(if bound { access_modes(&claim.texts("/status/accessModes")) } else { String::new() }),
        json!(storage_class(claim)),
        json!(claim.text_or("/spec/volumeAttributesClassName", "<unset>")),
        claim.age(now),
        json!(claim.text_or("/spec/volumeMode", "<unset>")),
    ]
}

fn replication_controller(rc: View<'_>, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(rc.at("/spec/template/spec"));
    vec![
        rc.name(),
        json!(rc.int("/spec/replicas")),
        json!(rc.int("/status/replicas")),
        json!(rc.int("/status/readyReplicas")),
        rc.age(now),
        names,
        images,
        json!(labels(rc.at("/spec/selector"))),
    ]
}

fn resource_quota(quota: View<'_>, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in quota.entries("/status/hard") {
        let used = quota.entries("/status/used").find(|(name, _)| *name == resource).map_or_else(|| "0".to_owned(), |(_, used)| used.show());
        let text = format!("{resource}: {used}/{}", hard.show());
        if resource.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
    }
    vec![quota.name(), json!(requests.join(", ")), json!(limits.join(", ")), quota.age(now)]
}

fn component_status(component: View<'_>, _: Timestamp) -> Vec<Value> {
    let healthy = component.list("/conditions").find(|c| c.text("/type") == "Healthy");
    let status = match healthy.map(|c| c.text("/status")) {
        Some("True") => "Healthy",
        Some("False") => "Unhealthy",
        _ => "Unknown",
    };
    let part = |field: &str| healthy.map(|c| c.text(field)).unwrap_or_default();
    vec![component.name(), json!(status), json!(part("/message")), json!(part("/error"))]
}
