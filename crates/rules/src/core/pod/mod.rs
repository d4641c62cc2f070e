//! Pods: defaults, validation, what may change, and how they end.
//!
//! Docs: "Pods", "Pod Lifecycle", API reference "Pod v1 core"; KEP-277 (ephemeral containers), KEP-1287 (resize),
//! KEP-3521 (scheduling gates), KEP-5067 (generation).

mod containers;
pub mod default;
mod env;
mod mounts;
mod placement_keys;
pub(crate) mod placement;
mod probes;
pub mod resize;
pub mod resources;
mod security;
pub mod spec;
mod status;
pub mod template;
#[cfg(test)]
mod tests;
pub mod update;
pub(crate) mod volume_default;
pub(crate) mod volumes;
pub(crate) mod warnings;
mod overlaps;
mod windows;

use crate::names::NameRule;
use crate::read::{items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, fields, warnings};
use kinds::api::core::v1::{Pod, PodCondition, PodStatus};
use kinds::{DeleteOptions, FieldErrors, Kind, Object, Path};
use std::sync::Arc;

pub(crate) const ROW: Rules = Rules {
    default: edit!(Pod, default::pod),
    prepare_create: edit!(Pod, prepare_create),
    prepare_update: edit_with_old!(Pod, prepare_update),
    prepare_status_update: Some(edit_with_old!(Pod, status::prepare)),
    validate: check!(Pod, validate),
    validate_update: check_with_old!(Pod, update::validate),
    validate_status_update: check_with_old!(Pod, status::validate),
    warnings: warnings!(Pod, warnings::pod),
    graceful_delete: Some(grace_s),
    fields: fields!(Pod, field_values),
    ..Rules::plain(Kind::Pod, NameRule::DnsSubdomain)
};

/// A new pod waits for its node: status says `Pending`, its QoS class, and whether gates hold it back.
fn prepare_create(p: &mut Pod) {
    p.metadata.generation = Some(1);
    let spec = p.spec.get_or_insert_default();
    let mut status = PodStatus {
        phase: Some("Pending".into()),
        qos_class: Some(kinds::pod::qos_class(spec).into()),
        ..PodStatus::default()
    };
    if !items(&spec.scheduling_gates).is_empty() {
        status.conditions = Some(vec![PodCondition {
            type_: "PodScheduled".into(),
            status: "False".into(),
            reason: Some("SchedulingGated".into()),
            message: Some("Scheduling is blocked due to non-empty scheduling gates".into()),
            ..PodCondition::default()
        }]);
    }
    p.status = Some(status);
    placement_keys::merge(spec, p.metadata.labels.as_ref());
}

/// The keys of a new pod's spread constraints become part of their selectors.
pub(crate) fn merge_spread(p: &mut Arc<Pod>) {
    let keys = |p: &Pod| p.spec.as_ref().is_some_and(|s| items(&s.topology_spread_constraints).iter().any(|c| !items(&c.match_label_keys).is_empty()));
    if keys(p) {
        let p = Arc::make_mut(p);
        if let Some(spec) = &mut p.spec {
            placement_keys::merge_spread(spec, p.metadata.labels.as_ref());
        }
    }
}

fn prepare_update(n: &mut Pod, o: &Pod) {
    n.status.clone_from(&o.status);
    let generation = o.metadata.generation.unwrap_or_default();
    n.metadata.generation = Some(if n.spec == o.spec { generation } else { generation + 1 });
}

fn validate(p: &Pod, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    spec::validate(spec, &Path::new("spec"), e);
    if !items(&spec.ephemeral_containers).is_empty() {
        e.forbidden(&Path::new("spec.ephemeralContainers"), "cannot be set on create");
    }
    if !s(&spec.node_name).is_empty() && !items(&spec.scheduling_gates).is_empty() {
        e.forbidden(&Path::new("spec.nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

/// How long a pod is given to end. Zero: it goes at once, as it does when no node ever had it or when it has ended.
fn grace_s(o: &Object, options: &DeleteOptions) -> i64 {
    let Object::Pod(p) = o else { return 0 };
    let spec = p.spec.as_ref();
    let wanted = options.grace_period_seconds.or_else(|| spec.and_then(|s| s.termination_grace_period_seconds));
    let wanted = wanted.unwrap_or_default();
    if spec.is_none_or(|x| s(&x.node_name).is_empty()) || kinds::pod::is_terminal(p) {
        return 0;
    }
    if wanted < 0 { 1 } else { wanted }
}

fn field_values(p: &Pod) -> Vec<(&'static str, String)> {
    let (none, no_status) = (Default::default(), PodStatus::default());
    let spec = p.spec.as_ref().unwrap_or(&none);
    let status = p.status.as_ref().unwrap_or(&no_status);
    let ip = items(&status.pod_ips).first().map_or_else(|| s(&status.pod_ip).to_owned(), |ip| ip.ip.clone());
    vec![
        ("spec.nodeName", s(&spec.node_name).into()),
        ("spec.restartPolicy", s(&spec.restart_policy).into()),
        ("spec.schedulerName", s(&spec.scheduler_name).into()),
        ("spec.serviceAccountName", s(&spec.service_account_name).into()),
        ("spec.hostNetwork", (spec.host_network == Some(true)).to_string()),
        ("status.phase", s(&status.phase).into()),
        ("status.podIP", ip),
        ("status.podIPs", String::new()),
        ("status.nominatedNodeName", s(&status.nominated_node_name).into()),
    ]
}
