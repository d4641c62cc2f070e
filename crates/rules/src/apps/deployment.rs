//! Deployments. Docs: "Deployments"; API reference "DeploymentSpec v1 apps".

use crate::checks::{int_or_percent, not_decremented, not_more_than_all, not_more_than_replicas, not_negative, not_negative_opt, scaled_value};
use crate::core::pod::{default, template, warnings};
use crate::meta::IMMUTABLE;
use crate::names::NameRule;
use crate::read::{fill, s};
use crate::table::{
    Rules, check, check_with_old, edit, edit_with_old, fresh, keep_spec_and_labels, warnings,
};
use kinds::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment,
};
use kinds::field::Bare;
use kinds::{FieldErrors, IntOrString, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Deployment, default),
    prepare_create: fresh!(Deployment, Deployment),
    prepare_update: edit_with_old!(Deployment, |n: &mut Deployment, o: &Deployment| {
        n.status.clone_from(&o.status);
        // Annotations count too: rollbacks and change causes are told by them.
        let same = n.spec == o.spec && n.metadata.annotations == o.metadata.annotations;
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if same { was } else { was + 1 });
    }),
    prepare_status_update: keep_spec_and_labels!(Deployment, Deployment),
    validate: check!(Deployment, validate),
    validate_update: check_with_old!(Deployment, |n: &Deployment, o: &Deployment, e: &mut FieldErrors| {
        validate(n, e);
        selector_kept(n, o, e);
    }),
    validate_status_update: check_with_old!(Deployment, validate_status),
    warnings: warnings!(Deployment, |n: &Deployment, _: Option<&Deployment>| n
        .spec
        .as_ref()
        .map(|s| warnings::template(&s.template, &Path::new("spec.template")))
        .unwrap_or_default()),
    ..Rules::plain(Kind::Deployment, NameRule::DnsSubdomain)
};

const HISTORY: i32 = 10;
const DEADLINE_S: i32 = 600;
/// Writing this as the deadline means there is none.
const NO_DEADLINE: i32 = i32::MAX;

fn default(d: &mut Deployment) {
    let spec = d.spec.get_or_insert_default();
    spec.replicas.get_or_insert(1);
    let strategy = spec.strategy.get_or_insert_default();
    fill(&mut strategy.type_, "RollingUpdate");
    if s(&strategy.type_) == "RollingUpdate" {
        let r = strategy.rolling_update.get_or_insert_default();
        r.max_unavailable.get_or_insert(IntOrString::String("25%".into()));
        r.max_surge.get_or_insert(IntOrString::String("25%".into()));
    }
    spec.revision_history_limit.get_or_insert(HISTORY);
    spec.progress_deadline_seconds.get_or_insert(DEADLINE_S);
    default::template(&mut spec.template);
}

fn validate(d: &Deployment, e: &mut FieldErrors) {
    let none = DeploymentSpec::default();
    let spec = d.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    not_negative_opt(spec.replicas, &path.child("replicas"), e);
    let selector = template::selector(&spec.selector, "Deployment", &path.child("selector"), e);
    template::of_running(&spec.template, &selector, "ReplicaSet", &path.child("template"), e);
    if let Some(st) = &spec.strategy {
        strategy(st, &path.child("strategy"), e);
    }
    not_negative_opt(spec.min_ready_seconds, &path.child("minReadySeconds"), e);
    not_negative_opt(spec.revision_history_limit, &path.child("revisionHistoryLimit"), e);
    if let Some(n) = spec.progress_deadline_seconds {
        let at = path.child("progressDeadlineSeconds");
        not_negative_opt(Some(n), &at, e);
        if n <= spec.min_ready_seconds.unwrap_or_default() && n != NO_DEADLINE {
            e.invalid(&at, n, "must be greater than minReadySeconds");
        }
    }
}

fn strategy(st: &DeploymentStrategy, path: &Path, e: &mut FieldErrors) {
    match s(&st.type_) {
        "Recreate" => {
            if st.rolling_update.is_some() {
                let at = path.child("rollingUpdate");
                e.forbidden(&at, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => match &st.rolling_update {
            None => e.required(&path.child("rollingUpdate"), "this should be defaulted and never be nil"),
            Some(r) => rolling(r, &path.child("rollingUpdate"), e),
        },
        other => {
            let rolling = st.rolling_update.as_ref().map(|r| {
                let value = |v: &Option<IntOrString>| serde_json::to_string(v).unwrap_or_default();
                format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", value(&r.max_unavailable), value(&r.max_surge))
            });
            let shown = format!("{{\"Type\":{other:?},\"RollingUpdate\":{}}}", rolling.as_deref().unwrap_or("null"));
            e.not_supported(path, Bare(shown), &["Recreate", "RollingUpdate"]);
        }
    }
}

fn rolling(r: &RollingUpdateDeployment, path: &Path, e: &mut FieldErrors) {
    let zero = IntOrString::Int(0);
    let unavailable = r.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = r.max_surge.as_ref().unwrap_or(&zero);
    int_or_percent(unavailable, &path.child("maxUnavailable"), e);
    int_or_percent(surge, &path.child("maxSurge"), e);
    if scaled_value(unavailable, 100) == 0 && scaled_value(surge, 100) == 0 {
        let at = path.child("maxUnavailable");
        let why = "may not be 0 when `maxSurge` is 0";
        match unavailable {
            IntOrString::Int(n) => e.invalid(&at, *n, why),
            IntOrString::String(t) => e.invalid(&at, t, why),
        }
    }
    not_more_than_all(unavailable, &path.child("maxUnavailable"), e);
}

fn selector_kept(n: &Deployment, o: &Deployment, e: &mut FieldErrors) {
    let (Some(n), Some(o)) = (&n.spec, &o.spec) else { return };
    if n.selector != o.selector {
        e.invalid(&Path::new("spec.selector"), crate::json::workload_selector(&n.selector), IMMUTABLE);
    }
}

fn validate_status(n: &Deployment, o: &Deployment, e: &mut FieldErrors) {
    let none = DeploymentStatus::default();
    let (new, old) = (n.status.as_ref().unwrap_or(&none), o.status.as_ref().unwrap_or(&none));
    let path = Path::new("status");
    not_negative(new.observed_generation.unwrap_or_default(), &path.child("observedGeneration"), e);
    for (name, v) in [
        ("replicas", new.replicas),
        ("updatedReplicas", new.updated_replicas),
        ("readyReplicas", new.ready_replicas),
        ("availableReplicas", new.available_replicas),
        ("unavailableReplicas", new.unavailable_replicas),
        ("terminatingReplicas", new.terminating_replicas),
        ("collisionCount", new.collision_count),
    ] {
        not_negative_opt(v, &path.child(name), e);
    }
    let counts = [
        ("updatedReplicas", new.updated_replicas),
        ("readyReplicas", new.ready_replicas),
        ("availableReplicas", new.available_replicas),
    ];
    not_more_than_replicas(&counts, new.replicas.unwrap_or_default(), &path, e);
    let (ready, available) = (new.ready_replicas.unwrap_or_default(), new.available_replicas.unwrap_or_default());
    if available > ready {
        e.invalid(&path.child("availableReplicas"), available, "cannot be greater than readyReplicas");
    }
    not_decremented(new.collision_count, old.collision_count, &path.child("collisionCount"), e);
}
