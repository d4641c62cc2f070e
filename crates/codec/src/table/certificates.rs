//! Rows of the certificates group.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::View;
use super::{Printer, human};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "CertificateSigningRequest" => request,
        "ClusterTrustBundle" => |o, _| vec![o.name(), json!(o.text("/spec/signerName"))],
        "PodCertificateRequest" => pod_request,
        _ => return None,
    })
}

fn request(csr: View<'_>, now: Timestamp) -> Vec<Value> {
    let duration = match csr.at("/spec/expirationSeconds").0.as_i64() {
        Some(seconds) => human::duration(seconds),
        None => "<none>".to_owned(),
    };
    let has = |kind: &str| csr.condition("/status/conditions", kind).is_some();
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !csr.text("/status/certificate").is_empty() {
        state.push_str(",Issued");
    }
    vec![csr.name(), csr.age(now), json!(csr.text("/spec/signerName")), json!(csr.text("/spec/username")), json!(duration), json!(state)]
}

fn pod_request(request: View<'_>, _: Timestamp) -> Vec<Value> {
    let spec = |field: &str| json!(request.at("/spec").text(field));
    let state = ["Issued", "Denied", "Failed"].into_iter().find(|kind| request.condition_is_true("/status/conditions", kind)).unwrap_or("Pending");
    let annotations: Vec<String> = request.entries("/spec/unverifiedUserAnnotations").map(|(key, value)| format!("{key}={}", value.show())).collect();
    vec![request.name(), spec("/podName"), spec("/serviceAccountName"), spec("/nodeName"), spec("/signerName"), json!(state), json!(annotations.join(","))]
}
