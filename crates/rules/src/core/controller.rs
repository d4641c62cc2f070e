//! ReplicationControllers and PodTemplates. Docs: "ReplicationController".

use super::pod::{default, template, warnings};
use crate::apps::replicaset::replica_counts;
use crate::checks::not_negative_opt;
use crate::names::NameRule;
use crate::table::{
    Rules, check, check_with_old, edit, edit_with_old, fields, fresh, keep_spec, keep_status, warnings,
};
use kinds::api::core::v1::{PodTemplate, ReplicationController, ReplicationControllerSpec, ReplicationControllerStatus};
use kinds::{FieldErrors, Kind, Path, Selector};

pub(crate) const ROW: Rules = Rules {
    default: edit!(ReplicationController, default),
    prepare_create: fresh!(ReplicationController, ReplicationController),
    prepare_update: keep_status!(ReplicationController, ReplicationController),
    prepare_status_update: keep_spec!(ReplicationController, ReplicationController),
    validate: check!(ReplicationController, validate),
    validate_update: check_with_old!(ReplicationController, |n: &ReplicationController, _: &ReplicationController, e: &mut FieldErrors| validate(n, e)),
    validate_status_update: check_with_old!(ReplicationController, |n: &ReplicationController, _: &ReplicationController, e: &mut FieldErrors| {
        let none = ReplicationControllerStatus::default();
        let st = n.status.as_ref().unwrap_or(&none);
        let counts = [
            ("fullyLabeledReplicas", st.fully_labeled_replicas),
            ("readyReplicas", st.ready_replicas),
            ("availableReplicas", st.available_replicas),
        ];
        replica_counts(st.replicas, st.observed_generation, &counts, e);
    }),
    warnings: warnings!(ReplicationController, |n: &ReplicationController, _: Option<&ReplicationController>| {
        let t = n.spec.as_ref().and_then(|s| s.template.as_ref());
        t.map(|t| warnings::template(t, &Path::new("spec.template"))).unwrap_or_default()
    }),
    fields: fields!(ReplicationController, |r: &ReplicationController| {
        vec![("status.replicas", r.status.as_ref().map_or(0, |s| s.replicas).to_string())]
    }),
    ..Rules::plain(Kind::ReplicationController, NameRule::DnsSubdomain)
};

pub(crate) const TEMPLATE_ROW: Rules = Rules {
    default: edit!(PodTemplate, |t: &mut PodTemplate| default::template(t.template.get_or_insert_default())),
    prepare_create: edit!(PodTemplate, |t: &mut PodTemplate| t.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(PodTemplate, |n: &mut PodTemplate, o: &PodTemplate| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.template == o.template { was } else { was + 1 });
    }),
    validate: check!(PodTemplate, template_of),
    validate_update: check_with_old!(PodTemplate, |n: &PodTemplate, _: &PodTemplate, e: &mut FieldErrors| template_of(n, e)),
    ..Rules::plain(Kind::PodTemplate, NameRule::DnsSubdomain)
};

fn template_of(t: &PodTemplate, e: &mut FieldErrors) {
    let none = Default::default();
    template::validate(t.template.as_ref().unwrap_or(&none), &Path::new("template"), e);
}

/// The template's labels stand in for a selector that is not given, and for the controller's own labels.
fn default(r: &mut ReplicationController) {
    let spec = r.spec.get_or_insert_default();
    let labels = spec.template.as_ref().and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone());
    if let Some(labels) = labels.filter(|l| !l.is_empty()) {
        if spec.selector.as_ref().is_none_or(|s| s.is_empty()) {
            spec.selector = Some(labels.clone());
        }
        if r.metadata.labels.as_ref().is_none_or(|l| l.is_empty()) {
            r.metadata.labels = Some(labels);
        }
    }
    spec.replicas.get_or_insert(1);
    if let Some(t) = &mut spec.template {
        default::template(t);
    }
}

fn validate(r: &ReplicationController, e: &mut FieldErrors) {
    let none = ReplicationControllerSpec::default();
    let spec = r.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    not_negative_opt(spec.min_ready_seconds, &path.child("minReadySeconds"), e);
    let empty = Default::default();
    let labels = spec.selector.as_ref().unwrap_or(&empty);
    if labels.is_empty() {
        e.required(&path.child("selector"), "");
    }
    not_negative_opt(spec.replicas, &path.child("replicas"), e);
    match &spec.template {
        None => e.required(&path.child("template"), ""),
        Some(t) => template::of_running(t, &Selector::from_map(labels), "ReplicationController", &path.child("template"), e),
    }
}
