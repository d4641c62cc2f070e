//! The downward API: fields of the pod and amounts of its containers as text (docs: "Downward API").

use crate::facts::Facts;
use crate::roster;
use kinds::api::core::v1::{Container, ObjectFieldSelector, Pod, ResourceFieldSelector};
use kinds::quantity::Quantity;
use std::collections::BTreeMap;

/// Addresses of a pod that runs.
#[derive(Clone, Debug, Default)]
pub struct Addresses<'a> {
    pub pod_ips: &'a [String],
}

fn map_text(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(k, v): (&String, &String)| format!("{k}={}", go_quote(v));
    map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// A string in double quotes as Go's `%q` prints it.
#[must_use]
pub fn go_quote(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `metadata.labels['app']` as (`metadata.labels`, `app`).
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// The value of a field.
///
/// # Errors
/// A path that the downward API does not know.
pub fn field(selector: &ObjectFieldSelector, pod: &Pod, at: &Addresses<'_>, facts: &Facts) -> Result<String, String> {
    let (meta, spec) = (&pod.metadata, roster::spec(pod));
    let path = selector.field_path.as_str();
    if let Some((map, key)) = subscript(path) {
        let of = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(of.and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    let host = || facts.host_ips.first().map(ToString::to_string).unwrap_or_default();
    let host_ips = || facts.host_ips.iter().map(ToString::to_string).collect::<Vec<_>>();
    let network = |own: Vec<String>| if spec.host_network == Some(true) { host_ips() } else { own };
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => map_text(meta.labels.as_ref()),
        "metadata.annotations" => map_text(meta.annotations.as_ref()),
        "spec.nodeName" => facts.node_name.clone(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => host(),
        "status.hostIPs" => host_ips().join(","),
        "status.podIP" => network(at.pod_ips.to_vec()).into_iter().next().unwrap_or_default(),
        "status.podIPs" => network(at.pod_ips.to_vec()).join(","),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

fn ceil_div(amount: i64, by: i64) -> i64 {
    let by = by.max(1);
    amount / by + i64::from(amount % by > 0)
}

/// The amount of a container's resource in units of the divisor, rounded up. Limits that are not set are the node's.
///
/// # Errors
/// A resource that the downward API does not know, or a container that is not there.
pub fn resource(selector: &ResourceFieldSelector, pod: &Pod, own: &Container, facts: &Facts) -> Result<String, String> {
    let named = selector.container_name.as_deref().filter(|n| !n.is_empty() && *n != own.name);
    let other = match named {
        Some(n) => Some(roster::find(pod, n).ok_or_else(|| format!("container {n} not found"))?.1),
        None => None,
    };
    let c = other.as_ref().unwrap_or(own);
    let divisor = selector.divisor.as_ref().and_then(|q| Quantity::parse(&q.0).ok()).filter(|q| !q.is_zero());
    let divisor = divisor.unwrap_or_else(|| Quantity::units(1, kinds::quantity::Format::DecimalSi));
    let (list, name) = selector.resource.split_once('.').ok_or_else(|| unsupported(&selector.resource))?;
    let amounts = match list {
        "limits" => kinds::pod::container_limits(c),
        "requests" => kinds::pod::container_requests(c),
        _ => return Err(unsupported(&selector.resource)),
    };
    let set = amounts.get(name).copied();
    let value = match (name, list) {
        ("cpu", _) => {
            let milli = set.map_or(if list == "limits" { facts.cpu_milli } else { 0 }, |q| q.milli_value());
            ceil_div(milli, divisor.milli_value())
        }
        ("memory", _) => {
            let bytes = set.map_or(if list == "limits" { facts.memory_bytes } else { 0 }, |q| q.value());
            ceil_div(bytes, divisor.value())
        }
        ("ephemeral-storage", _) => ceil_div(set.map_or(0, |q| q.value()), divisor.value()),
        (n, _) if n.starts_with("hugepages-") => ceil_div(set.map_or(0, |q| q.value()), divisor.value()),
        _ => return Err(unsupported(&selector.resource)),
    };
    Ok(value.to_string())
}

fn unsupported(what: &str) -> String {
    format!("unsupported container resource : {what}")
}
