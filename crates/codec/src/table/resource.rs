//! Rows of the resource and scheduling groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::View;
use super::{Printer, human};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "PriorityClass" => |o, now| {
            vec![o.name(), json!(o.int("/value")), json!(o.flag("/globalDefault")), o.age(now), json!(o.text("/preemptionPolicy"))]
        },
        "DeviceClass" | "ResourceClaimTemplate" | "Workload" => |o, now| vec![o.name(), o.age(now)],
        "ResourceClaim" => |o, now| vec![o.name(), json!(claim_state(o)), o.age(now)],
        "ResourceSlice" => |o, now| {
            vec![o.name(), json!(o.text("/spec/nodeName")), json!(o.text("/spec/driver")), json!(o.text("/spec/pool/name")), o.age(now)]
        },
        "DeviceTaintRule" => taint_rule,
        "ResourcePoolStatusRequest" => pool_status,
        "PodGroup" => pod_group,
        _ => return None,
    })
}

fn claim_state(claim: View<'_>) -> String {
    let mut states = Vec::new();
    if claim.has("/metadata/deletionTimestamp") {
        states.push("deleted");
    }
    if claim.has("/status/allocation") {
        states.push("allocated");
    } else if states.is_empty() {
        states.push("pending");
    }
    if claim.count("/status/reservedFor") > 0 {
        states.push("reserved");
    }
    states.join(",")
}

fn taint_rule(rule: View<'_>, now: Timestamp) -> Vec<Value> {
    let taint = rule.at("/spec/taint");
    let added = match taint.text("/timeAdded") {
        "" => "<unknown>".to_owned(),
        time => human::since(time, now),
    };
    vec![rule.name(), json!(taint.text("/key")), json!(taint.text("/value")), json!(taint.text("/effect")), json!(added), rule.age(now)]
}

fn pool_status(request: View<'_>, now: Timestamp) -> Vec<Value> {
    let total = |field: &str| request.list("/status/pools").map(|pool| pool.int(field)).sum::<i64>().to_string();
    let errors = request.list("/status/pools").filter(|pool| !pool.text("/validationError").is_empty()).count();
    let condition = request.list("/status/conditions").find(|c| c.text("/status") == "True");
    vec![
        request.name(),
        json!(request.text("/spec/driver")),
        json!(total("/totalDevices")),
        json!(total("/availableDevices")),
        json!(total("/allocatedDevices")),
        json!(total("/unavailableDevices")),
        json!(errors.to_string()),
        json!(request.int("/status/poolCount")),
        json!(condition.map_or("Pending", |c| c.text("/type"))),
        json!(condition.map_or_else(|| "<none>".to_owned(), |c| human::since(c.text("/lastTransitionTime"), now))),
    ]
}

fn pod_group(group: View<'_>, now: Timestamp) -> Vec<Value> {
    let policy = group.entries("/spec/schedulingPolicy").next().map_or("<none>", |(name, _)| name);
    let workload = group.entries("/spec").find_map(|(key, value)| key.starts_with("podGroupTemplateRef").then(|| value.text("/workload/workloadName"))).unwrap_or_default();
    let status = match group.condition("/status/conditions", "PodGroupScheduled").map(|c| c.text("/status")) {
        Some("True") => "Scheduled",
        _ => "Pending",
    };
    vec![group.name(), json!(policy), json!(workload), json!(status), group.age(now)]
}
