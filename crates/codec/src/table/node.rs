//! The row of a node: readiness, roles, addresses and system information.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::View;

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

/// The cells of a node.
pub(super) fn node(node: View<'_>, now: Timestamp) -> Vec<Value> {
    let address = |kind: &str| node.list("/status/addresses").find(|a| a.text("/type") == kind).map_or("<none>", |a| a.text_or("/address", "<none>"));
    let info = |field: &str| node.at("/status/nodeInfo").text_or(field, "<unknown>");
    vec![
        node.name(),
        json!(status(node)),
        json!(roles(node)),
        node.age(now),
        json!(node.text("/status/nodeInfo/kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(info("/osImage")),
        json!(kernel(node, info("/kernelVersion"))),
        json!(info("/containerRuntimeVersion")),
    ]
}

/// The kernel, and for which machines it is.
fn kernel(node: View<'_>, version: &str) -> String {
    match node.text("/status/nodeInfo/architecture") {
        "" => version.to_owned(),
        machine => format!("{version} ({machine})"),
    }
}

fn status(node: View<'_>) -> String {
    let ready = match node.condition("/status/conditions", "Ready") {
        Some(condition) if condition.text("/status") == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if node.flag("/spec/unschedulable") { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn roles(node: View<'_>) -> String {
    let roles: BTreeSet<&str> = node
        .entries("/metadata/labels")
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == ROLE_LABEL => value.0.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    super::cells::or(roles.into_iter().collect::<Vec<_>>().join(","), "<none>")
}
