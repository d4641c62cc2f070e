//! The pod spec as a whole, in pods and in templates.

use super::containers::{self, Within};
use super::{placement, resources, security, volumes, windows};
use crate::checks::{complain, one_of};
use crate::meta;
use crate::names;
use crate::read::{has, items, on, s};
use kinds::api::core::v1::{PodDNSConfig, PodResourceClaim, PodSpec};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use std::collections::BTreeSet;

/// Limits of resolver configuration.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;

/// Everything that must hold of a pod's spec.
pub fn validate(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let unsound = volumes::volumes(p, &path.child("volumes"), e);
    resource_claims(p, &path.child("resourceClaims"), e);
    let pruned = (!unsound.is_empty()).then(|| without_volumes(p, &unsound));
    let w = Within { spec: pruned.as_ref().unwrap_or(p), host_users: p.host_users != Some(false) };
    containers::app(&w, &path.child("containers"), e);
    containers::init(&w, &path.child("initContainers"), e);
    containers::ephemeral(&w, &path.child("ephemeralContainers"), e);
    resources::pod_level(p, &path.child("resources"), e);
    one_of(s(&p.restart_policy), &["Always", "OnFailure", "Never"], &path.child("restartPolicy"), e);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(s(&p.dns_policy), &dns, &path.child("dnsPolicy"), e);
    meta::labels(p.node_selector.as_ref(), &path.child("nodeSelector"), e);
    security::pod(p, path, e);
    placement::affinity(p.affinity.as_ref(), &path.child("affinity"), e);
    dns_config(p.dns_config.as_ref(), s(&p.dns_policy), &path.child("dnsConfig"), e);
    for (i, g) in items(&p.readiness_gates).iter().enumerate() {
        let at = path.child("readinessGates").index(i).child("conditionType");
        complain(&at, &g.condition_type, names::qualified_name(&g.condition_type), e);
    }
    scheduling_gates(p, &path.child("schedulingGates"), e);
    placement::spread(items(&p.topology_spread_constraints), &path.child("topologySpreadConstraints"), e);
    host_users(p, path, e);
    identity(p, path, e);
    placement::tolerations(items(&p.tolerations), &path.child("tolerations"), e);
    host_aliases(p, &path.child("hostAliases"), e);
    classes(p, path, e);
    windows::pod(p, path, e);
}

fn identity(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    for (name, value, rule) in [
        ("serviceAccountName", &p.service_account_name, names::dns_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", &p.node_name, names::dns_subdomain),
    ] {
        if has(value) {
            complain(&path.child(name), s(value), rule(s(value)), e);
        }
    }
    if let Some(n) = p.active_deadline_seconds.filter(|n| !(1..=i64::from(i32::MAX)).contains(n)) {
        let why = format!("must be between 1 and {}, inclusive", i32::MAX);
        e.invalid(&path.child("activeDeadlineSeconds"), n, why);
    }
    for (name, value) in [("hostname", &p.hostname), ("subdomain", &p.subdomain)] {
        if has(value) {
            complain(&path.child(name), s(value), names::dns_label(s(value)), e);
        }
    }
    if let Some(h) = &p.hostname_override {
        const HOSTNAME_MAX: usize = 64;
        let at = path.child("hostnameOverride");
        if on(p.set_hostname_as_fqdn) {
            e.forbidden(&at, "may not be specified when setHostnameAsFQDN is true");
        }
        if on(p.host_network) {
            e.forbidden(&at, "may not be specified when hostNetwork is true");
        }
        if h.len() > HOSTNAME_MAX {
            e.too_long(&at, HOSTNAME_MAX);
        }
        complain(&at, h, names::dns_subdomain(h), e);
    }
}

/// What may happen for the sake of a pod.
pub(crate) const PREEMPTION: &[&str] = &["PreemptLowerPriority", "Never"];

fn classes(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    for (name, value) in [("priorityClassName", &p.priority_class_name), ("runtimeClassName", &p.runtime_class_name)] {
        if has(value) {
            complain(&path.child(name), s(value), names::dns_subdomain(s(value)), e);
        }
    }
    if let Some(policy) = &p.preemption_policy {
        crate::checks::one_of(policy, PREEMPTION, &path.child("preemptionPolicy"), e);
    }
    for (name, q) in p.overhead.iter().flatten() {
        let at = path.child("overhead").child("limits").key(name);
        resources::container_resource_name(name, &at, e);
        resources::resource_amount(name, q, &at, e);
    }
    if let Some(os) = &p.os {
        if os.name.is_empty() {
            e.required(&path.child("os").child("name"), "");
        } else {
            one_of(&os.name, &["linux", "windows"], &path.child("os"), e);
        }
    }
}

fn host_users(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    if p.host_users != Some(false) {
        return;
    }
    for (name, set) in [("hostNetwork", p.host_network), ("HostPID", p.host_pid), ("hostIPC", p.host_ipc)] {
        if on(set) {
            e.forbidden(&path.child(name), "when `hostUsers` is false");
        }
    }
    for (i, c) in p.containers.iter().enumerate() {
        if !items(&c.volume_devices).is_empty() {
            let at = path.child("containers").index(i).child("volumeDevices");
            e.forbidden(&at, "when `hostUsers` is false");
        }
    }
}

fn host_aliases(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    for (i, a) in items(&p.host_aliases).iter().enumerate() {
        complain(&path.index(i).child("ip"), &a.ip, names::ip(&a.ip), e);
        for (j, h) in items(&a.hostnames).iter().enumerate() {
            complain(&path.index(i).child("hostnames").index(j), h, names::dns_subdomain(h), e);
        }
    }
}

fn scheduling_gates(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (i, g) in items(&p.scheduling_gates).iter().enumerate() {
        complain(&path.index(i), &g.name, names::qualified_name(&g.name), e);
        if !seen.insert(&g.name) {
            e.duplicate(&path.index(i), &g.name);
        }
    }
}

fn resource_claims(p: &PodSpec, path: &Path, e: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (i, c) in items(&p.resource_claims).iter().enumerate() {
        let at = path.index(i);
        if c.name.is_empty() {
            e.required(&at.child("name"), "");
        } else if !seen.insert(&c.name) {
            e.duplicate(&at.child("name"), &c.name);
        } else {
            complain(&at.child("name"), &c.name, names::dns_label(&c.name), e);
        }
        match (&c.resource_claim_name, &c.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                e.invalid(&at, shown_claim(c), why);
            }
            (None, None) => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                e.invalid(&at, shown_claim(c), why);
            }
            _ => {}
        }
        for (name, value) in [
            ("resourceClaimName", &c.resource_claim_name),
            ("resourceClaimTemplateName", &c.resource_claim_template_name),
        ] {
            if let Some(v) = value {
                complain(&at.child(name), v, names::dns_subdomain(v), e);
            }
        }
    }
}

fn without_volumes(p: &PodSpec, unsound: &[usize]) -> PodSpec {
    let mut pruned = p.clone();
    let left = items(&p.volumes).iter().enumerate().filter(|(i, _)| !unsound.contains(i)).map(|(_, v)| v.clone());
    pruned.volumes = Some(left.collect());
    pruned
}

/// A pod's claim as Go prints it.
fn shown_claim(c: &PodResourceClaim) -> Bare {
    let text = |t: &Option<String>| t.as_ref().map_or("null".to_owned(), |t| format!("{t:?}"));
    Bare(format!(
        "{{\"Name\":{:?},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
        c.name, text(&c.resource_claim_name), text(&c.resource_claim_template_name)
    ))
}

fn dns_config(c: Option<&PodDNSConfig>, policy: &str, path: &Path, e: &mut FieldErrors) {
    let servers = c.map_or(0, |c| items(&c.nameservers).len());
    if policy == "None" {
        if c.is_none() {
            e.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if servers == 0 {
            e.required(&path.child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
            return;
        }
    }
    let Some(c) = c else { return };
    if servers > NAMESERVERS_MAX {
        let why = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        e.invalid(&path.child("nameservers"), crate::json::list(items(&c.nameservers)), why);
    }
    for (i, n) in items(&c.nameservers).iter().enumerate() {
        complain(&path.child("nameservers").index(i), n, names::ip(n), e);
    }
    let searches = items(&c.searches);
    if searches.len() > SEARCHES_MAX {
        let why = format!("must not have more than {SEARCHES_MAX} search paths");
        e.invalid(&path.child("searches"), crate::json::list(searches), why);
    }
    if searches.join(" ").len() > SEARCH_CHARS_MAX {
        let why = format!("must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list");
        e.invalid(&path.child("searches"), crate::json::list(searches), why);
    }
    for (i, x) in searches.iter().enumerate() {
        if x != "." {
            complain(&path.child("searches").index(i), x, names::dns_search(x.strip_suffix('.').unwrap_or(x)), e);
        }
    }
    for (i, o) in items(&c.options).iter().enumerate() {
        if !has(&o.name) {
            e.required(&path.child("options").index(i), "must not be empty");
        }
    }
}
