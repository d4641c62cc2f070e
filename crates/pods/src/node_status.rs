//! The node's own status: capacity, what pods may have of it, conditions (docs: "Node status").

use crate::eviction::{Pressure, Signals, Thresholds};
use crate::status::time;
use jiff::Timestamp;
use kinds::api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeFeatures, NodeRuntimeHandler,
    NodeRuntimeHandlerFeatures, NodeStatus, NodeSystemInfo,
};
use kinds::quantity::Format;
use kinds::{Quantity, QuantityText};
use std::collections::BTreeMap;

/// At most this many images are listed.
pub const IMAGES_MAX: usize = 50;
/// At most this many names an image.
const NAMES_MAX: usize = 5;

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub cpus: i64,
    pub memory_bytes: i64,
    pub nodefs_bytes: i64,
    /// Huge page sizes (`2Mi`) and how many bytes of each are set aside.
    pub hugepages_bytes: BTreeMap<String, i64>,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel_version: String,
    pub os_image: String,
    pub architecture: String,
    pub swap_bytes: i64,
}

/// What else a status says.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub addresses: Vec<(String, String)>,
    pub kubelet_version: String,
    pub runtime_version: String,
    pub port: i32,
    pub pods_max: i64,
    pub images: Vec<(Vec<String>, u64)>,
    /// Why the node is not ready, empty when it is.
    pub not_ready: Vec<String>,
    pub signals: Signals,
    pub thresholds: Thresholds,
    pub volumes_in_use: Vec<String>,
}

fn quantity(n: i64, format: Format) -> QuantityText {
    Quantity::units(n, format).text()
}

fn bytes(n: i64) -> QuantityText {
    QuantityText(format!("{}Ki", n / 1024))
}

fn amounts(m: &Machine, pods_max: i64, kept: Option<&Thresholds>) -> BTreeMap<String, QuantityText> {
    let memory = (m.memory_bytes - kept.map_or(0, |t| t.memory_available.of(m.memory_bytes))).max(0);
    let disk = match kept {
        Some(t) => quantity((m.nodefs_bytes - t.nodefs_available.of(m.nodefs_bytes)).max(0), Format::DecimalSi),
        None => bytes(m.nodefs_bytes),
    };
    let mut all = BTreeMap::from([
        ("cpu".to_owned(), quantity(m.cpus, Format::DecimalSi)),
        ("memory".to_owned(), bytes(memory)),
        ("ephemeral-storage".to_owned(), disk),
        ("pods".to_owned(), quantity(pods_max, Format::DecimalSi)),
    ]);
    for (size, n) in &m.hugepages_bytes {
        all.insert(format!("hugepages-{size}"), quantity(*n, Format::BinarySi));
    }
    all
}

/// Resources that somebody else has given the node (docs: "Advertise Extended Resources for a Node") stay; all of them
/// may be used by pods.
fn with_extended(mut own: BTreeMap<String, QuantityText>, old: Option<&NodeStatus>) -> BTreeMap<String, QuantityText> {
    let given = old.and_then(|s| s.capacity.as_ref()).into_iter().flatten();
    for (name, amount) in given.filter(|(n, _)| n.contains('/')) {
        own.entry(name.clone()).or_insert_with(|| amount.clone());
    }
    own
}

fn conditions(r: &Report, old: Option<&NodeStatus>, now: Timestamp) -> Vec<NodeCondition> {
    let under: Vec<Pressure> = r.signals.pressures(&r.thresholds).into_iter().map(|(p, ..)| p).collect();
    let pressure = |kind: &str, of: Pressure, yes: &str, no: &str, what: &str| {
        let on = under.contains(&of);
        let message = if on { format!("kubelet has {what}") } else { format!("kubelet has {}", healthy(what)) };
        (kind.to_owned(), on, if on { yes } else { no }.to_owned(), message)
    };
    let ready = r.not_ready.is_empty();
    let message = if ready { "kubelet is posting ready status".to_owned() } else { join(&r.not_ready) };
    let reason = if ready { "KubeletReady" } else { "KubeletNotReady" };
    [
        pressure("MemoryPressure", Pressure::Memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory", "insufficient memory available"),
        pressure("DiskPressure", Pressure::Disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure", "disk pressure"),
        pressure("PIDPressure", Pressure::Pids, "KubeletHasInsufficientPID", "KubeletHasSufficientPID", "insufficient PID available"),
        ("Ready".to_owned(), ready, reason.to_owned(), message),
    ]
    .into_iter()
    .map(|(kind, on, reason, message)| {
        let status = if on { "True" } else { "False" };
        let before = old.and_then(|s| s.conditions.as_ref()).and_then(|l| l.iter().find(|c| c.type_ == kind));
        let since = before.filter(|c| c.status == status).and_then(|c| c.last_transition_time.clone());
        NodeCondition {
            type_: kind,
            status: status.to_owned(),
            reason: Some(reason),
            message: Some(message),
            last_heartbeat_time: Some(time(now)),
            last_transition_time: Some(since.unwrap_or_else(|| time(now))),
        }
    })
    .collect()
}

fn healthy(what: &str) -> String {
    match what {
        "disk pressure" => "no disk pressure".to_owned(),
        other => other.replace("insufficient", "sufficient"),
    }
}

fn join(list: &[String]) -> String {
    if list.len() == 1 { list[0].clone() } else { format!("[{}]", list.join(", ")) }
}

fn images(r: &Report) -> Option<Vec<ContainerImage>> {
    let mut list: Vec<_> = r.images.iter().collect();
    list.sort_by_key(|(names, size)| (std::cmp::Reverse(*size), names.clone()));
    let image = |(names, size): &(Vec<String>, u64)| ContainerImage {
        names: Some(names.iter().take(NAMES_MAX).cloned().collect()),
        size_bytes: i64::try_from(*size).ok(),
    };
    Some(list.into_iter().take(IMAGES_MAX).map(image).collect()).filter(|l: &Vec<_>| !l.is_empty())
}

/// The status, keeping what others wrote into the old one.
#[must_use]
pub fn build(m: &Machine, r: &Report, old: Option<&NodeStatus>, now: Timestamp) -> NodeStatus {
    let foreign = old.and_then(|s| s.conditions.clone()).unwrap_or_default();
    let mut all = conditions(r, old, now);
    let own: Vec<String> = all.iter().map(|c| c.type_.clone()).collect();
    all.splice(0..0, foreign.into_iter().filter(|c| !own.contains(&c.type_)));
    let addresses = r.addresses.iter().map(|(k, a)| NodeAddress { type_: k.clone(), address: a.clone() });
    let handler = NodeRuntimeHandler {
        name: Some(String::new()),
        features: Some(NodeRuntimeHandlerFeatures { recursive_read_only_mounts: Some(true), user_namespaces: Some(true) }),
    };
    NodeStatus {
        addresses: Some(addresses.collect()),
        capacity: Some(with_extended(amounts(m, r.pods_max, None), old)),
        allocatable: Some(with_extended(amounts(m, r.pods_max, Some(&r.thresholds)), old)),
        conditions: Some(all),
        daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: r.port }) }),
        node_info: Some(NodeSystemInfo {
            architecture: m.architecture.clone(),
            boot_id: m.boot_id.clone(),
            container_runtime_version: r.runtime_version.clone(),
            kernel_version: m.kernel_version.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: r.kubelet_version.clone(),
            machine_id: m.machine_id.clone(),
            operating_system: "linux".to_owned(),
            os_image: m.os_image.clone(),
            swap: None,
            system_uuid: m.system_uuid.clone(),
        }),
        images: images(r),
        runtime_handlers: Some(vec![handler]),
        features: Some(NodeFeatures { supplemental_groups_policy: Some(true) }),
        volumes_in_use: Some(r.volumes_in_use.clone()).filter(|v| !v.is_empty()),
        volumes_attached: old.and_then(|s| s.volumes_attached.clone()),
        ..NodeStatus::default()
    }
}

/// Whether two statuses differ in more than their heartbeats.
#[must_use]
pub fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let still = |s: &NodeStatus| {
        let mut s = s.clone();
        for c in s.conditions.iter_mut().flatten() {
            c.last_heartbeat_time = None;
        }
        s
    };
    still(a) != still(b)
}

#[cfg(test)]
mod tests;
