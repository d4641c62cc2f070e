//! `AdmissionReview`: the question, and what may be believed of the answer. API reference: admission.k8s.io/v1.

use super::matching::namespace;
use base64::Engine;
use kinds::error::{Cause, Details};
use kinds::ApiError;
use registry::admit::{Ask, Phase, options};
use rules::User;
use rules::policies::{Gvk, Gvr, Invocation, operation};
use serde_json::{Map, Value, json};

/// What a webhook answered.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    pub(super) status: Value,
    /// The text of a JSON patch; empty: none.
    pub(super) patch: Vec<u8>,
    pub(super) patch_type: String,
    pub(super) warnings: Vec<String>,
    pub(super) annotations: Vec<(String, String)>,
}

/// The version that is spoken with a webhook: the first of its list that is known here.
pub(super) fn version(known: &[String]) -> Result<&'static str, String> {
    let found = known.iter().find_map(|v| ["v1", "v1beta1"].into_iter().find(|o| o == v));
    found.ok_or_else(|| "webhook does not accept known AdmissionReview versions (v1, v1beta1)".to_owned())
}

fn gvr(g: &Gvr) -> Value {
    json!({ "group": g.group, "version": g.version, "resource": g.plural })
}

fn gvk(g: &Gvk) -> Value {
    json!({ "group": g.group, "version": g.version, "kind": g.kind })
}

/// `authentication.k8s.io/v1` UserInfo.
pub(crate) fn user_info(user: &User) -> Value {
    let mut tree = json!({});
    for (k, v) in [("username", &user.name), ("uid", &user.uid)] {
        if !v.is_empty() {
            tree[k] = v.as_str().into();
        }
    }
    if !user.groups.is_empty() {
        tree["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        tree["extra"] = json!(user.extra);
    }
    tree
}

/// The request without its objects: also what expressions see as `request`.
pub(super) fn request(ask: &Ask<'_>, (uid, asked, shown): (&str, &Invocation, &Invocation)) -> Map<String, Value> {
    let r = ask.request;
    let mut tree = json!({
        "uid": uid, "kind": gvk(&shown.kind), "resource": gvr(&shown.resource),
        "requestKind": gvk(&asked.kind), "requestResource": gvr(&asked.resource),
        "operation": operation(r.operation), "userInfo": user_info(&ask.caller.user),
        "dryRun": r.dry_run, "options": options(ask.given),
    });
    if !r.subresource.is_empty() {
        tree["subResource"] = r.subresource.into();
        tree["requestSubResource"] = r.subresource.into();
    }
    for (k, v) in [("name", r.name.as_str()), ("namespace", namespace(ask))] {
        if !v.is_empty() {
            tree[k] = v.into();
        }
    }
    match tree {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The question as JSON; objects are given encoded.
pub(super) fn body(version: &str, request: &Map<String, Value>, object: Option<&[u8]>, old: Option<&[u8]>) -> Vec<u8> {
    let head = serde_json::to_vec(request).unwrap_or_default();
    let mut out = Vec::with_capacity(head.len() + object.map_or(4, <[u8]>::len) + old.map_or(4, <[u8]>::len) + 128);
    out.extend_from_slice(b"{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/");
    out.extend_from_slice(version.as_bytes());
    out.extend_from_slice(b"\",\"request\":");
    out.extend_from_slice(head.strip_suffix(b"}").unwrap_or(&head));
    out.extend_from_slice(b",\"object\":");
    out.extend_from_slice(object.unwrap_or(b"null"));
    out.extend_from_slice(b",\"oldObject\":");
    out.extend_from_slice(old.unwrap_or(b"null"));
    out.extend_from_slice(b"}}");
    out
}

/// Reads an answer and checks that it is one.
///
/// # Errors
/// What is wrong with it, as upstream words it.
pub(super) fn verdict(phase: Phase, version: &str, uid: &str, bytes: &[u8]) -> Result<Verdict, String> {
    let review: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let response = review.get("response").filter(|r| r.is_object()).ok_or("webhook response was absent")?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
    let wanted = format!("admission.k8s.io/{version}");
    let got = || format!("{}, Kind={kind}", if api_version.contains('/') { api_version.clone() } else { format!("/{api_version}") });
    let strict = version == "v1";
    let given_uid = text(&response["uid"]);
    if strict && given_uid != uid {
        return Err(format!("expected response.uid={uid:?}, got {given_uid:?}"));
    }
    let silent = api_version.is_empty() && kind.is_empty();
    if (strict || !silent) && (api_version != wanted || kind != "AdmissionReview") {
        return Err(format!("expected webhook response of {wanted}, Kind=AdmissionReview, got {}", got()));
    }
    let (patch, patch_type) = patch_of(phase, strict, response)?;
    let annotations = response["auditAnnotations"].as_object().into_iter().flatten();
    Ok(Verdict {
        allowed: response["allowed"] == true,
        status: response.get("status").cloned().unwrap_or_default(),
        patch,
        patch_type,
        warnings: response["warnings"].as_array().into_iter().flatten().map(text).collect(),
        annotations: annotations.map(|(k, v)| (k.clone(), text(v))).collect(),
    })
}

fn patch_of(phase: Phase, strict: bool, response: &Value) -> Result<(Vec<u8>, String), String> {
    let encoded = response["patch"].as_str().unwrap_or_default();
    let kind = response["patchType"].as_str();
    if phase == Phase::Validate {
        if strict && !encoded.is_empty() {
            return Err("validating webhook may not return response.patch".to_owned());
        }
        if strict && kind.is_some() {
            return Err("validating webhook may not return response.patchType".to_owned());
        }
        return Ok((Vec::new(), String::new()));
    }
    if strict {
        match kind {
            None if !encoded.is_empty() => return Err("webhook returned response.patch but not response.patchType".to_owned()),
            Some(_) if encoded.is_empty() => return Err("webhook returned response.patchType but not response.patch".to_owned()),
            Some("") => return Err("webhook returned invalid response.patchType of \"\"".to_owned()),
            _ => {}
        }
    }
    let patch = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|e| format!("illegal base64 data: {e}"))?;
    Ok((patch, kind.unwrap_or("JSONPatch").to_owned()))
}

/// A refusal: the webhook's own status, never below 400, with its name in front.
pub(super) fn denial(name: &str, status: &Value) -> ApiError {
    let text = |k: &str| status[k].as_str().unwrap_or_default();
    let by = format!("admission webhook {name:?} denied the request");
    let (message, reason) = (text("message"), text("reason"));
    let message = match (message, reason) {
        ("", "") => format!("{by} without explanation"),
        ("", reason) => format!("{by}: {reason}"),
        (message, _) => format!("{by}: {message}"),
    };
    let code = status["code"].as_u64().and_then(|c| u16::try_from(c).ok()).filter(|c| *c >= 400).unwrap_or(400);
    let e = ApiError::new(code, reason.to_owned(), message);
    match &status["details"] {
        Value::Object(d) => e.with_details(details(d)),
        _ => e,
    }
}

fn details(d: &Map<String, Value>) -> Details {
    let text = |v: Option<&Value>| v.and_then(Value::as_str).unwrap_or_default().to_owned();
    let cause = |c: &Value| Cause {
        reason: text(c.get("reason")),
        message: text(c.get("message")),
        field: text(c.get("field")),
    };
    Details {
        name: text(d.get("name")),
        group: text(d.get("group")),
        kind: text(d.get("kind")),
        uid: text(d.get("uid")),
        causes: d.get("causes").and_then(Value::as_array).into_iter().flatten().map(cause).collect(),
        retry_after_s: d.get("retryAfterSeconds").and_then(Value::as_i64).and_then(|s| i32::try_from(s).ok()),
    }
}

