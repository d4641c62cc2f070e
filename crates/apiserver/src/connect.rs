//! Admission of connections: `exec`, `attach`, `portforward` and `proxy` show their options in place of an object.
//! Docs: "Dynamic Admission Control" (operation CONNECT); API reference: PodExecOptions and its kin.

use crate::call::Call;
use crate::request::RequestInfo;
use kinds::{ApiError, Kind, ObjectKey, Target};
use registry::admit::Connect;
use serde_json::{Value, json};
use std::sync::Arc;

/// Asks admission about a connection before it is made; the request says then what admission made of it.
pub(crate) async fn admit(call: &mut Call) -> Result<(), ApiError> {
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
    let changed = call.shared.registry.admit_connect(&call.caller, &Target::new(kind, key).sub(subresource), connect).await?;
    if let Some(changed) = changed {
        say(&changed, options_kind, Arc::make_mut(&mut call.info));
    }
    Ok(())
}

/// Changed options as the request would have said them.
fn say(options: &Value, kind: &str, info: &mut RequestInfo) {
    const FLAGS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];
    let list = |key: &str| options[key].as_array().into_iter().flatten();
    let mut said = Vec::new();
    match kind {
        "PodExecOptions" | "PodAttachOptions" => {
            said.extend(FLAGS.iter().filter(|f| options[**f] == true).map(|f| ((*f).to_owned(), "true".to_owned())));
            said.extend(options["container"].as_str().map(|c| ("container".to_owned(), c.to_owned())));
            said.extend(list("command").filter_map(Value::as_str).map(|w| ("command".to_owned(), w.to_owned())));
        }
        "PodPortForwardOptions" => said.extend(list("ports").map(|p| ("ports".to_owned(), p.to_string()))),
        _ => return info.rest = options["path"].as_str().unwrap_or_default().to_owned(),
    }
    let ours = |k: &str| FLAGS.contains(&k) || ["container", "command", "ports"].contains(&k);
    info.query.retain(|(k, _)| !ours(k));
    info.query.extend(said);
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
