//! Rows of the flowcontrol and internal.apiserver groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::View;

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "FlowSchema" => flow_schema,
        "PriorityLevelConfiguration" => priority_level,
        "StorageVersion" => storage_version,
        _ => return None,
    })
}

fn flow_schema(schema: View<'_>, now: Timestamp) -> Vec<Value> {
    let dangling = match schema.condition("/status/conditions", "Dangling") {
        Some(condition) => condition.text("/status"),
        None => "?",
    };
    vec![
        schema.name(),
        json!(schema.text_or("/spec/priorityLevelConfiguration/name", "<none>")),
        json!(schema.int("/spec/matchingPrecedence")),
        json!(schema.text_or("/spec/distinguisherMethod/type", "<none>")),
        schema.age(now),
        json!(dangling),
    ]
}

fn priority_level(level: View<'_>, now: Timestamp) -> Vec<Value> {
    let spec = level.at("/spec");
    let queuing = spec.at("/limited/limitResponse/queuing");
    let number = |view: View<'_>, pointer: &str| if view.has(pointer) { json!(view.int(pointer)) } else { json!("<none>") };
    let kind = if spec.has("/limited") { "/limited/nominalConcurrencyShares" } else { "/exempt/nominalConcurrencyShares" };
    vec![
        level.name(),
        json!(spec.text("/type")),
        number(spec, kind),
        number(queuing, "/queues"),
        number(queuing, "/handSize"),
        number(queuing, "/queueLengthLimit"),
        level.age(now),
    ]
}

fn storage_version(version: View<'_>, now: Timestamp) -> Vec<Value> {
    let versions: Vec<String> = version.list("/status/storageVersions").map(|v| format!("{}={}", v.text("/apiServerID"), v.text("/encodingVersion"))).collect();
    vec![version.name(), json!(version.text_or("/status/commonEncodingVersion", "<unset>")), json!(super::cells::or(versions.join(","), "<unset>")), version.age(now)]
}
