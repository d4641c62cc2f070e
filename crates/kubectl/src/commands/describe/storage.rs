//! Volumes, storage classes, endpoints and slices, ingress classes, signing requests.

use super::policy::plain_annotations;
use super::{Page, each, or_none, plain, pod};
use crate::times;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// `RWO,ROX`.
pub(super) fn modes(list: &Value) -> String {
    let short = |m: &str| match m {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    each(list).map(|m| short(m.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

pub(super) fn finalizers(object: &Value) -> String {
    format!("[{}]", each(&object["metadata"]["finalizers"]).map(plain).collect::<Vec<_>>().join(" "))
}

pub(super) fn volume(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.head(object, false);
    page.pair(0, "Finalizers", finalizers(object));
    page.pair(0, "StorageClass", plain(&spec["storageClassName"]));
    if object["metadata"]["deletionTimestamp"].is_null() {
        page.pair(0, "Status", plain(&status["phase"]));
    } else {
        page.pair(0, "Status", format!("Terminating (lasts {})", times::age(object["metadata"]["deletionTimestamp"].as_str())));
    }
    let claim = &spec["claimRef"];
    page.pair(0, "Claim", if claim.is_object() { format!("{}/{}", plain(&claim["namespace"]), plain(&claim["name"])) } else { String::new() });
    page.pair(0, "Reclaim Policy", plain(&spec["persistentVolumeReclaimPolicy"]));
    page.pair(0, "Access Modes", modes(&spec["accessModes"]));
    page.some(0, "VolumeMode", &spec["volumeMode"]);
    page.pair(0, "Capacity", plain(&spec["capacity"]["storage"]));
    let required = &spec["nodeAffinity"]["required"];
    if required.is_object() {
        page.line(0, "Node Affinity:\t");
        page.line(1, "Required Terms:\t");
        for (i, term) in each(&required["nodeSelectorTerms"]).enumerate() {
            let expressions: Vec<String> = each(&term["matchExpressions"]).map(expression).collect();
            page.line(2, format!("Term {i}:\t{}", expressions.join("\n      \t")));
        }
    } else {
        page.pair(0, "Node Affinity", "<none>");
    }
    page.pair(0, "Message", plain(&status["message"]));
    page.line(0, "Source:");
    let known = ["hostPath", "nfs", "local", "csi", "fc", "iscsi"];
    if let Some((kind, _)) = spec.as_object().and_then(|m| m.iter().find(|(k, _)| known.contains(&k.as_str()))) {
        let mut source = serde_json::Map::new();
        source.insert(kind.clone(), spec[kind.as_str()].clone());
        pod::volume_source(page, &Value::Object(source), 2);
    }
}

fn expression(e: &Value) -> String {
    let values = each(&e["values"]).map(plain).collect::<Vec<_>>().join(", ");
    let (key, operator) = (plain(&e["key"]), plain(&e["operator"]).to_lowercase());
    if values.is_empty() { format!("{key} {operator}") } else { format!("{key} {operator} [{values}]") }
}

pub(super) fn class(page: &mut Page, object: &Value) {
    let default = object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.pair(0, "IsDefaultClass", if default { "Yes" } else { "No" });
    plain_annotations(page, object);
    page.pair(0, "Provisioner", plain(&object["provisioner"]));
    let parameters: Vec<String> = object["parameters"].as_object().into_iter().flatten().map(|(k, v)| format!("{k}={}", plain(v))).collect();
    page.pair(0, "Parameters", or_none(parameters.join(",")));
    let expands = &object["allowVolumeExpansion"];
    page.pair(0, "AllowVolumeExpansion", match expands.as_bool() {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    });
    let options = each(&object["mountOptions"]);
    let options: Vec<String> = options.map(plain).collect();
    if options.is_empty() {
        page.pair(0, "MountOptions", "<none>");
    } else {
        page.line(0, "MountOptions:");
        options.iter().for_each(|o| page.line(1, o));
    }
    page.pair(0, "ReclaimPolicy", plain(&object["reclaimPolicy"]));
    page.pair(0, "VolumeBindingMode", plain(&object["volumeBindingMode"]));
}

pub(super) fn endpoints(page: &mut Page, object: &Value) {
    page.head(object, true);
    page.line(0, "Subsets:");
    for subset in each(&object["subsets"]) {
        let list = |key: &str| or_none(each(&subset[key]).map(|a| plain(&a["ip"])).collect::<Vec<_>>().join(","));
        page.pair(1, "Addresses", list("addresses"));
        page.pair(1, "NotReadyAddresses", list("notReadyAddresses"));
        if each(&subset["ports"]).next().is_some() {
            page.line(1, "Ports:");
            page.line(2, "Name\tPort\tProtocol");
            page.line(2, "----\t----\t--------");
            each(&subset["ports"]).for_each(|p| page.line(2, format!("{}\t{}\t{}", named(p), plain(&p["port"]), plain(&p["protocol"]))));
        }
        page.line(0, "");
    }
}

fn named(port: &Value) -> String {
    port["name"].as_str().filter(|n| !n.is_empty()).unwrap_or("<unset>").to_owned()
}

pub(super) fn slice(page: &mut Page, object: &Value) {
    page.head(object, true);
    page.pair(0, "AddressType", plain(&object["addressType"]));
    if each(&object["ports"]).next().is_none() {
        page.line(0, "Ports: <unset>");
    } else {
        page.line(0, "Ports:");
        page.line(1, "Name\tPort\tProtocol");
        page.line(1, "----\t----\t--------");
        for p in each(&object["ports"]) {
            let port = if p["port"].is_null() { "<unset>".to_owned() } else { plain(&p["port"]) };
            page.line(1, format!("{}\t{port}\t{}", named(p), plain(&p["protocol"])));
        }
    }
    if each(&object["endpoints"]).next().is_none() {
        page.line(0, "Endpoints: <none>");
        return;
    }
    page.line(0, "Endpoints:");
    let text = |v: &Value| v.as_str().filter(|t| !t.is_empty()).unwrap_or("<unset>").to_owned();
    for endpoint in each(&object["endpoints"]) {
        page.pair(1, "- Addresses", each(&endpoint["addresses"]).map(plain).collect::<Vec<_>>().join(", "));
        page.line(2, "Conditions:");
        page.pair(3, "Ready", endpoint["conditions"]["ready"].as_bool().map_or_else(|| "<unset>".to_owned(), |b| b.to_string()));
        page.pair(2, "Hostname", text(&endpoint["hostname"]));
        let target = &endpoint["targetRef"];
        if target.is_object() {
            page.pair(2, "TargetRef", format!("{}/{}", plain(&target["kind"]), plain(&target["name"])));
        }
        page.pair(2, "NodeName", text(&endpoint["nodeName"]));
        page.pair(2, "Zone", text(&endpoint["zone"]));
    }
}

pub(super) fn ingress_class(page: &mut Page, object: &Value) {
    page.head(object, false);
    page.pair(0, "Controller", plain(&object["spec"]["controller"]));
    let parameters = &object["spec"]["parameters"];
    if parameters.is_object() {
        page.line(0, "Parameters:");
        page.some(1, "APIGroup", &parameters["apiGroup"]);
        page.pair(1, "Kind", plain(&parameters["kind"]));
        page.pair(1, "Name", plain(&parameters["name"]));
    }
}

pub(super) fn request(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.pair(0, "Name", plain(&object["metadata"]["name"]));
    page.map(0, "Labels", &object["metadata"]["labels"], "=");
    page.map(0, "Annotations", &object["metadata"]["annotations"], ": ");
    page.pair(0, "CreationTimestamp", times::long(&plain(&object["metadata"]["creationTimestamp"])));
    page.pair(0, "Requesting User", plain(&spec["username"]));
    page.some(0, "Signer", &spec["signerName"]);
    if !spec["expirationSeconds"].is_null() {
        page.pair(0, "Requested Duration", times::human(spec["expirationSeconds"].as_i64().unwrap_or_default()));
    }
    let mut words: Vec<String> = each(&status["conditions"]).map(|c| plain(&c["type"])).collect();
    if words.is_empty() {
        words.push("Pending".to_owned());
    }
    if status["certificate"].as_str().is_some_and(|c| STANDARD.decode(c).is_ok_and(|b| !b.is_empty())) {
        words.push("Issued".to_owned());
    }
    page.pair(0, "Status", words.join(","));
}
