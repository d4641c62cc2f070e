//! Rows of the admissionregistration and apiregistration groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::View;

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => |o, now| vec![o.name(), json!(o.count("/webhooks")), o.age(now)],
        "ValidatingAdmissionPolicy" => |o, now| policy(o, "/spec/validations", now),
        "MutatingAdmissionPolicy" => |o, now| policy(o, "/spec/mutations", now),
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => binding,
        "APIService" => api_service,
        _ => return None,
    })
}

fn policy(policy: View<'_>, rules: &str, now: Timestamp) -> Vec<Value> {
    let kind = policy.at("/spec/paramKind");
    let kind = if kind.0.is_null() { "<unset>".to_owned() } else { format!("{}/{}", kind.text("/apiVersion"), kind.text("/kind")) };
    vec![policy.name(), json!(policy.count(rules)), json!(kind), policy.age(now)]
}

fn binding(binding: View<'_>, now: Timestamp) -> Vec<Value> {
    let reference = binding.at("/spec/paramRef");
    let text = match (reference.0.is_null(), reference.text("/namespace"), reference.text_or("/name", "*")) {
        (true, ..) => "<unset>".to_owned(),
        (_, "", name) => name.to_owned(),
        (_, namespace, name) => format!("{namespace}/{name}"),
    };
    vec![binding.name(), json!(binding.text("/spec/policyName")), json!(text), binding.age(now)]
}

fn api_service(service: View<'_>, now: Timestamp) -> Vec<Value> {
    let target = service.at("/spec/service");
    let target = if target.0.is_null() { "Local".to_owned() } else { format!("{}/{}", target.text("/namespace"), target.text("/name")) };
    let available = match service.condition("/status/conditions", "Available") {
        Some(c) if c.text("/status") == "True" => "True".to_owned(),
        Some(c) => format!("{} ({})", c.text("/status"), c.text("/reason")),
        None => "Unknown".to_owned(),
    };
    vec![service.name(), json!(target), json!(available), service.age(now)]
}
