//! What several statuses have in common: conditions, the addresses of load balancers. API reference: "Condition",
//! "LoadBalancerStatus"; KEP-1860 (`ipMode`).

use crate::checks::{complain, repeated};
use crate::names;
use crate::read::{has, items, s};
use kinds::api::core::v1::{LoadBalancerIngress, ServiceStatus};
use kinds::api::networking::v1::{IngressLoadBalancerIngress, IngressStatus};
use kinds::apimachinery::pkg::apis::meta::v1::Condition;
use kinds::{FieldErrors, Path};
use regex::Regex;
use std::sync::LazyLock;

const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;
const STATUSES: &[&str] = &["False", "True", "Unknown"];
/// What a reason looks like.
const REASON: &str = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?";
static REASON_FORM: LazyLock<Regex> = LazyLock::new(|| Regex::new(&format!("^{REASON}$")).expect("a constant that the tests compile"));

/// The conditions of newer kinds, which are all of one form.
pub(crate) fn conditions(list: &[Condition], path: &Path, e: &mut FieldErrors) {
    let again = repeated(list.iter().map(|c| &c.type_));
    for (i, c) in list.iter().enumerate() {
        let at = path.index(i);
        if again[i] {
            e.duplicate(&at.child("type"), &c.type_);
        }
        condition(c, &at, e);
    }
}

fn condition(c: &Condition, at: &Path, e: &mut FieldErrors) {
    complain(&at.child("type"), &c.type_, names::qualified_name(&c.type_), e);
    if !STATUSES.contains(&c.status.as_str()) {
        e.not_supported(&at.child("status"), &c.status, STATUSES);
    }
    if let Some(n) = c.observed_generation.filter(|n| *n < 0) {
        e.invalid(&at.child("observedGeneration"), n, "must be greater than or equal to zero");
    }
    if is_unset(&c.last_transition_time) {
        e.required(&at.child("lastTransitionTime"), "");
    }
    if c.reason.is_empty() {
        e.required(&at.child("reason"), "");
    } else {
        if !REASON_FORM.is_match(&c.reason) {
            let why = format!(
                "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or \
                 '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or \
                 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '{REASON}')"
            );
            e.invalid(&at.child("reason"), &c.reason, why);
        }
        if c.reason.len() > REASON_BYTES_MAX {
            e.too_long(&at.child("reason"), REASON_BYTES_MAX);
        }
    }
    if c.message.len() > MESSAGE_BYTES_MAX {
        e.too_long(&at.child("message"), MESSAGE_BYTES_MAX);
    }
}

/// Go's zero time, which stands for none where the types must have one.
fn is_unset(t: &kinds::Time) -> bool {
    const ZERO_SECOND: i64 = -62_135_596_800;
    t.0.as_second() == ZERO_SECOND
}

/// The addresses of a service of that type.
pub(crate) fn service(new: &ServiceStatus, old: Option<&ServiceStatus>, balanced: bool, e: &mut FieldErrors) {
    let list = |s: &ServiceStatus| s.load_balancer.as_ref().and_then(|l| l.ingress.clone()).unwrap_or_default();
    let (new, old) = (list(new), old.map(list).unwrap_or_default());
    let path = Path::new("status.loadBalancer.ingress");
    if !balanced && !new.is_empty() {
        e.forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for (i, x) in new.iter().enumerate() {
        let at = path.index(i);
        let known = old.iter().any(|o| o.ip == x.ip);
        ip(s(&x.ip), known, &at.child("ip"), e);
        ip_mode(x, &at.child("ipMode"), e);
        hostname(s(&x.hostname), &at.child("hostname"), e);
    }
}

fn ip_mode(x: &LoadBalancerIngress, at: &Path, e: &mut FieldErrors) {
    match x.ip_mode.as_deref() {
        None if has(&x.ip) => e.required(at, "must be specified when `ip` is set"),
        Some(_) if !has(&x.ip) => e.forbidden(at, "may not be specified when `ip` is not set"),
        Some(mode) if !["Proxy", "VIP"].contains(&mode) => e.not_supported(at, mode, &["Proxy", "VIP"]),
        _ => {}
    }
}

/// The addresses of an ingress.
pub(crate) fn ingress(new: &IngressStatus, old: Option<&IngressStatus>, e: &mut FieldErrors) {
    let list = |s: &IngressStatus| -> Vec<IngressLoadBalancerIngress> { s.load_balancer.as_ref().and_then(|l| l.ingress.clone()).unwrap_or_default() };
    let (new, old) = (list(new), old.map(list).unwrap_or_default());
    for (i, x) in new.iter().enumerate() {
        let at = Path::new("status.loadBalancer.ingress").index(i);
        let known = old.iter().any(|o| o.ip == x.ip);
        ip(s(&x.ip), known, &at.child("ip"), e);
        hostname(s(&x.hostname), &at.child("hostname"), e);
    }
}

fn ip(ip: &str, known: bool, at: &Path, e: &mut FieldErrors) {
    if !ip.is_empty() && !known {
        complain(at, ip, names::ip(ip), e);
    }
}

fn hostname(name: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        return;
    }
    complain(at, name, names::dns_subdomain(name), e);
    if names::ip(name).is_empty() {
        e.invalid(at, name, "must be a DNS name, not an IP address");
    }
}

/// Addresses of a pod or its host: new ones are addresses, and there is one of each family at most.
pub(crate) fn addresses(new: &[&str], old: &[&str], path: &Path, e: &mut FieldErrors) {
    for (i, ip) in new.iter().enumerate() {
        if !old.contains(ip) {
            complain(&path.index(i), ip, names::ip(ip), e);
        }
    }
    if new.len() > 1 {
        let six: Vec<bool> = new.iter().filter_map(|ip| ip.parse::<std::net::IpAddr>().ok()).map(|ip| ip.is_ipv6()).collect();
        let both = six.len() == new.len() && six.contains(&true) && six.contains(&false);
        if !both || new.len() > 2 {
            let shown: Vec<String> = new.iter().map(|ip| format!("{{\"IP\":{ip:?}}}")).collect();
            let shown = kinds::field::Bare(format!("[{}]", shown.join(",")));
            e.invalid(path, shown, "may specify no more than one IP for each IP family");
        }
    }
}

/// One text of each item.
pub(crate) fn texts<T>(list: &Option<Vec<T>>, text: impl Fn(&T) -> &str) -> Vec<&str> {
    items(list).iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is wrong with the status of that kind when it is set so.
    fn judged(kind: kinds::Kind, old: serde_json::Value, new: serde_json::Value) -> Vec<String> {
        let read = |tree: &serde_json::Value| codec::decode(kind, tree.to_string().as_bytes()).expect("an object of that kind");
        let (mut new, old) = (read(&new), read(&old));
        let rules = crate::rules(kind);
        rules.prepare_status_update.expect("a status")(&mut new, &old);
        let mut e = FieldErrors::default();
        (rules.validate_status_update)(&new, &old, &mut e);
        e.0.iter().filter(|x| !x.path.to_string().starts_with("metadata")).map(ToString::to_string).collect()
    }

    fn object(spec: serde_json::Value, status: serde_json::Value) -> serde_json::Value {
        json!({"metadata": {"name": "a", "namespace": "b", "resourceVersion": "1"}, "spec": spec, "status": status})
    }

    #[test]
    fn statuses_are_judged_as_kube_apiserver_judges_them() {
        let template = json!({"spec": {"containers": []}});
        let (job, pod) = (json!({"template": template}), json!({"containers": [{"name": "c"}]}));
        let cases = [
            (kinds::Kind::Service, json!({"type": "ClusterIP"}), json!({}), json!({"loadBalancer": {"ingress": [{"ip": "x"}]}}),
                vec!["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"]),
            (kinds::Kind::Service, json!({"type": "LoadBalancer"}), json!({}), json!({"loadBalancer": {"ingress": [{"hostname": "1.2.3.4", "ipMode": "VIP"}]}}),
                vec!["status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
                    "status.loadBalancer.ingress[0].hostname: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address"]),
            (kinds::Kind::Job, job.clone(), json!({"failed": 2}), json!({"failed": 1, "ready": 1}),
                vec!["status.ready: Invalid value: 1: cannot set more ready pods than active",
                    "status.failed: Invalid value: 1: cannot decrease the failed counter"]),
            (kinds::Kind::Job, job, json!({}), json!({"failedIndexes": "1"}),
                vec!["status.failedIndexes: Invalid value: \"1\": cannot set non-null failedIndexes when backoffLimitPerIndex is null"]),
            (kinds::Kind::Pod, pod.clone(), json!({"qosClass": "Burstable"}), json!({"qosClass": "Guaranteed", "observedGeneration": -1}),
                vec!["status.observedGeneration: Invalid value: -1: must be a non-negative integer",
                    "status.qosClass: Invalid value: \"Guaranteed\": field is immutable"]),
            (kinds::Kind::Pod, pod, json!({"podIPs": [{"ip": "odd"}]}), json!({"podIPs": [{"ip": "odd"}]}), vec![]),
            (kinds::Kind::StatefulSet, json!({"selector": {}, "template": template}), json!({"replicas": 1, "collisionCount": 2}), json!({"replicas": 1, "readyReplicas": 2}),
                vec!["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
                    "status.collisionCount: Invalid value: 0: cannot be decremented"]),
        ];
        for (kind, spec, old, new, want) in cases {
            assert_eq!(judged(kind, object(spec.clone(), old), object(spec, new.clone())), want, "{kind:?} {new}");
        }
    }

    #[test]
    fn conditions_have_a_form() {
        let time = kinds::Time("2026-01-01T00:00:00Z".parse().expect("a time"));
        let one = Condition { type_: "A".into(), status: "Maybe".into(), reason: "9".into(), last_transition_time: time, message: String::new(), observed_generation: None };
        let mut e = FieldErrors::default();
        conditions(&[one.clone(), one], &Path::new("c"), &mut e);
        let fields: Vec<String> = e.0.iter().map(|x| x.path.to_string()).collect();
        assert_eq!(fields, ["c[0].status", "c[0].reason", "c[1].type", "c[1].status", "c[1].reason"]);
    }
}
