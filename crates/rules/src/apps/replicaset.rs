//! ReplicaSets. Docs: "ReplicaSet".

use crate::checks::not_negative_opt;
use crate::core::pod::{default, template, warnings};
use crate::meta::IMMUTABLE;
use crate::names::NameRule;
use crate::table::{
    Rules, check, check_with_old, edit, edit_with_old, fresh, keep_spec, keep_status, warnings,
};
use kinds::api::apps::v1::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(ReplicaSet, default),
    prepare_create: fresh!(ReplicaSet, ReplicaSet),
    prepare_update: keep_status!(ReplicaSet, ReplicaSet),
    prepare_status_update: keep_spec!(ReplicaSet, ReplicaSet),
    validate: check!(ReplicaSet, validate),
    validate_update: check_with_old!(ReplicaSet, |n: &ReplicaSet, o: &ReplicaSet, e: &mut FieldErrors| {
        validate(n, e);
        let (Some(n), Some(o)) = (&n.spec, &o.spec) else { return };
        if n.selector != o.selector {
            e.invalid(&Path::new("spec.selector"), crate::json::workload_selector(&n.selector), IMMUTABLE);
        }
    }),
    validate_status_update: check_with_old!(ReplicaSet, validate_status),
    warnings: warnings!(ReplicaSet, |n: &ReplicaSet, _: Option<&ReplicaSet>| {
        let t = n.spec.as_ref().and_then(|s| s.template.as_ref());
        t.map(|t| warnings::template(t, &Path::new("spec.template"))).unwrap_or_default()
    }),
    ..Rules::plain(Kind::ReplicaSet, NameRule::DnsSubdomain)
};

fn default(r: &mut ReplicaSet) {
    let spec = r.spec.get_or_insert_default();
    spec.replicas.get_or_insert(1);
    default::template(spec.template.get_or_insert_default());
}

fn validate(r: &ReplicaSet, e: &mut FieldErrors) {
    let none = ReplicaSetSpec::default();
    let spec = r.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    not_negative_opt(spec.replicas, &path.child("replicas"), e);
    not_negative_opt(spec.min_ready_seconds, &path.child("minReadySeconds"), e);
    let selector = template::selector(&spec.selector, "ReplicaSet", &path.child("selector"), e);
    match &spec.template {
        None => e.required(&path.child("template"), ""),
        Some(t) => template::of_running(t, &selector, "ReplicaSet", &path.child("template"), e),
    }
}

fn validate_status(n: &ReplicaSet, _: &ReplicaSet, e: &mut FieldErrors) {
    let none = ReplicaSetStatus::default();
    let st = n.status.as_ref().unwrap_or(&none);
    let counts = [
        ("fullyLabeledReplicas", st.fully_labeled_replicas),
        ("readyReplicas", st.ready_replicas),
        ("availableReplicas", st.available_replicas),
    ];
    replica_counts(st.replicas, st.observed_generation, &counts, e);
    not_negative_opt(st.terminating_replicas, &Path::new("status.terminatingReplicas"), e);
}

/// The counters of ReplicaSet and ReplicationController statuses.
pub(crate) fn replica_counts(
    replicas: i32,
    observed: Option<i64>,
    counts: &[(&str, Option<i32>); 3],
    e: &mut FieldErrors,
) {
    let path = Path::new("status");
    not_negative_opt(Some(replicas), &path.child("replicas"), e);
    for (name, n) in counts {
        not_negative_opt(*n, &path.child(name), e);
    }
    crate::checks::not_negative(observed.unwrap_or_default(), &path.child("observedGeneration"), e);
    crate::checks::not_more_than_replicas(counts, replicas, &path, e);
    let (ready, available) = (counts[1].1.unwrap_or_default(), counts[2].1.unwrap_or_default());
    if available > ready {
        e.invalid(&path.child("availableReplicas"), available, "cannot be greater than readyReplicas");
    }
}
