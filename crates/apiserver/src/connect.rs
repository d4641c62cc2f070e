//! Admission of connections: `exec`, `attach`, `portforward` and `proxy` show their options in place of an object.
//! Docs: "Dynamic Admission Control" (operation CONNECT); API reference: PodExecOptions and its kin.

use crate::call::Call;
use kinds::{ApiError, Kind, ObjectKey, Target};
use registry::admit::Connect;
use serde_json::{Value, json};

/// Asks admission about a connection before it is made.
pub(crate) async fn admit(call: &Call) -> Result<(), ApiError> {
    let info = &call.info;
    let (kind, options_kind) = match info.resource.as_str() {
        "pods" => (Kind::Pod, pod_options(&info.subresource)),
        "services" => (Kind::Service, "ServiceProxyOptions"),
        _ => (Kind::Node, "NodeProxyOptions"),
    };
    let subresource = match info.subresource.as_str() {
        "exec" => "exec",
        "attach" => "attach",
        "portforward" => "portforward",
        _ => "proxy",
    };
    let options = options(call, options_kind);
    let key = ObjectKey::new(info.namespace.clone(), info.name.clone());
    let connect = Connect { kind: options_kind, options: &options };
    call.shared.registry.admit_connect(&call.caller, &Target::new(kind, key).sub(subresource), connect).await
}

fn pod_options(subresource: &str) -> &'static str {
    match subresource {
        "exec" => "PodExecOptions",
        "attach" => "PodAttachOptions",
        "portforward" => "PodPortForwardOptions",
        _ => "PodProxyOptions",
    }
}

fn options(call: &Call, kind: &str) -> Value {
    let info = &call.info;
    let mut tree = json!({ "kind": kind, "apiVersion": "v1" });
    match kind {
        "PodExecOptions" | "PodAttachOptions" => {
            for flag in ["stdin", "stdout", "stderr", "tty"] {
                if info.flag(flag) {
                    tree[flag] = true.into();
                }
            }
            if let Some(c) = info.param("container").filter(|c| !c.is_empty()) {
                tree["container"] = c.into();
            }
            if kind == "PodExecOptions" {
                tree["command"] = info.params("command").collect();
            }
        }
        "PodPortForwardOptions" => {
            let ports = info.params("ports").flat_map(|p| p.split(',')).filter_map(|p| p.parse::<i32>().ok());
            let ports: Vec<i32> = ports.collect();
            if !ports.is_empty() {
                tree["ports"] = json!(ports);
            }
        }
        _ => {
            if !info.rest.is_empty() {
                tree["path"] = info.rest.as_str().into();
            }
        }
    }
    tree
}
