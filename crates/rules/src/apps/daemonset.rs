//! DaemonSets. Docs: "DaemonSet"; KEP-1591 (surge).

use crate::checks::{int_or_percent, not_decremented, not_more_than_all, not_negative, not_negative_opt, scaled_value};
use crate::core::pod::{default, template, warnings};
use crate::meta::IMMUTABLE;
use crate::names::NameRule;
use crate::read::{fill, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, warnings};
use kinds::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use kinds::field::Bare;
use kinds::{FieldErrors, IntOrString, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(DaemonSet, default),
    prepare_create: edit!(DaemonSet, |d: &mut DaemonSet| {
        d.status = Some(DaemonSetStatus::default());
        d.metadata.generation = Some(1);
        note_template_generation(d, 1);
    }),
    prepare_update: edit_with_old!(DaemonSet, prepare_update),
    prepare_status_update: keep_spec!(DaemonSet, DaemonSet),
    validate: check!(DaemonSet, validate),
    validate_update: check_with_old!(DaemonSet, |n: &DaemonSet, o: &DaemonSet, e: &mut FieldErrors| {
        if let (Some(n), Some(o)) = (&n.spec, &o.spec)
            && n.selector != o.selector
        {
            e.invalid(&Path::new("spec.selector"), crate::json::workload_selector(&n.selector), IMMUTABLE);
        }
        validate(n, e);
    }),
    validate_status_update: check_with_old!(DaemonSet, validate_status),
    warnings: warnings!(DaemonSet, |n: &DaemonSet, _: Option<&DaemonSet>| n
        .spec
        .as_ref()
        .map(|s| warnings::template(&s.template, &Path::new("spec.template")))
        .unwrap_or_default()),
    ..Rules::plain(Kind::DaemonSet, NameRule::DnsSubdomain)
};

/// Where apps/v1 keeps what older versions had as a field: how often the template has changed.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn template_generation(d: &DaemonSet) -> i64 {
    let text = d.metadata.annotations.as_ref().and_then(|a| a.get(TEMPLATE_GENERATION));
    text.and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn note_template_generation(d: &mut DaemonSet, n: i64) {
    d.metadata.annotations.get_or_insert_default().insert(TEMPLATE_GENERATION.into(), n.to_string());
}

fn prepare_update(n: &mut DaemonSet, o: &DaemonSet) {
    n.status.clone_from(&o.status);
    let template = |d: &DaemonSet| d.spec.as_ref().map(|s| s.template.clone());
    let step = i64::from(template(n) != template(o));
    note_template_generation(n, template_generation(o) + step);
    let was = o.metadata.generation.unwrap_or_default();
    n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
}

fn default(d: &mut DaemonSet) {
    let spec = d.spec.get_or_insert_default();
    let strategy = spec.update_strategy.get_or_insert_default();
    fill(&mut strategy.type_, "RollingUpdate");
    if s(&strategy.type_) == "RollingUpdate" {
        let r = strategy.rolling_update.get_or_insert_default();
        r.max_unavailable.get_or_insert(IntOrString::Int(1));
        r.max_surge.get_or_insert(IntOrString::Int(0));
    }
    spec.revision_history_limit.get_or_insert(10);
    default::template(&mut spec.template);
    // The field that older versions had lives on as an annotation of every DaemonSet.
    d.metadata.annotations.get_or_insert_default().entry(TEMPLATE_GENERATION.into()).or_insert_with(|| "0".into());
}

fn validate(d: &DaemonSet, e: &mut FieldErrors) {
    let none = DaemonSetSpec::default();
    let spec = d.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    let selector = template::selector(&spec.selector, "DaemonSet", &path.child("selector"), e);
    template::of_running(&spec.template, &selector, "DaemonSet", &path.child("template"), e);
    not_negative_opt(spec.min_ready_seconds, &path.child("minReadySeconds"), e);
    if let Some(st) = &spec.update_strategy {
        strategy(st, &path.child("updateStrategy"), e);
    }
    not_negative_opt(spec.revision_history_limit, &path.child("revisionHistoryLimit"), e);
}

fn strategy(st: &DaemonSetUpdateStrategy, path: &Path, e: &mut FieldErrors) {
    match s(&st.type_) {
        "OnDelete" => {}
        "RollingUpdate" => match &st.rolling_update {
            None => e.required(&path.child("rollingUpdate"), ""),
            Some(r) => rolling(r, &path.child("rollingUpdate"), e),
        },
        other => {
            let rolling = st.rolling_update.as_ref().map(|r| {
                let value = |v: &Option<IntOrString>| serde_json::to_string(v).unwrap_or_default();
                format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", value(&r.max_unavailable), value(&r.max_surge))
            });
            let shown = format!("{{\"Type\":{other:?},\"RollingUpdate\":{}}}", rolling.as_deref().unwrap_or("null"));
            e.not_supported(path, Bare(shown), &["RollingUpdate", "OnDelete"]);
        }
    }
}

fn rolling(r: &RollingUpdateDaemonSet, path: &Path, e: &mut FieldErrors) {
    let zero = IntOrString::Int(0);
    let unavailable = r.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = r.max_surge.as_ref().unwrap_or(&zero);
    int_or_percent(unavailable, &path.child("maxUnavailable"), e);
    int_or_percent(surge, &path.child("maxSurge"), e);
    not_more_than_all(unavailable, &path.child("maxUnavailable"), e);
    not_more_than_all(surge, &path.child("maxSurge"), e);
    match (scaled_value(unavailable, 100) != 0, scaled_value(surge, 100) != 0) {
        (true, true) => {
            let why = "may not be set when maxUnavailable is non-zero";
            match surge {
                IntOrString::Int(n) => e.invalid(&path.child("maxSurge"), *n, why),
                IntOrString::String(t) => e.invalid(&path.child("maxSurge"), t, why),
            }
        }
        (false, false) => e.required(&path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

fn validate_status(n: &DaemonSet, o: &DaemonSet, e: &mut FieldErrors) {
    let none = DaemonSetStatus::default();
    let (new, old) = (n.status.as_ref().unwrap_or(&none), o.status.as_ref().unwrap_or(&none));
    let path = Path::new("status");
    for (name, v) in [
        ("currentNumberScheduled", new.current_number_scheduled),
        ("numberMisscheduled", new.number_misscheduled),
        ("desiredNumberScheduled", new.desired_number_scheduled),
        ("numberReady", new.number_ready),
    ] {
        not_negative_opt(Some(v), &path.child(name), e);
    }
    not_negative(new.observed_generation.unwrap_or_default(), &path.child("observedGeneration"), e);
    for (name, v) in [
        ("updatedNumberScheduled", new.updated_number_scheduled.unwrap_or_default()),
        ("numberAvailable", new.number_available.unwrap_or_default()),
        ("numberUnavailable", new.number_unavailable.unwrap_or_default()),
        ("collisionCount", new.collision_count.unwrap_or_default()),
    ] {
        not_negative_opt(Some(v), &path.child(name), e);
    }
    not_decremented(new.collision_count, old.collision_count, &path.child("collisionCount"), e);
}
