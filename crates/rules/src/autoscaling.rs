//! HorizontalPodAutoscalers, as v2 stores them. Docs: "Horizontal Pod Autoscaling".

use crate::checks::{complain, not_negative_opt, quantity_not_negative};
use crate::names::{self, NameRule};
use crate::quantities::spell_opt;
use crate::read::{amount, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status_alone};
use kinds::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerStatus, MetricIdentifier, MetricSpec, MetricTarget, ObjectMetricSource, ResourceMetricSource,
};
use kinds::{FieldErrors, Kind, Path};

#[cfg(test)]
mod tests;

pub(crate) const ROW: Rules = Rules {
    default: edit!(HorizontalPodAutoscaler, default),
    prepare_create: edit!(HorizontalPodAutoscaler, |h: &mut HorizontalPodAutoscaler| {
        h.status = Some(HorizontalPodAutoscalerStatus::default());
    }),
    prepare_update: keep_status_alone!(HorizontalPodAutoscaler, HorizontalPodAutoscaler),
    prepare_status_update: keep_spec!(HorizontalPodAutoscaler, HorizontalPodAutoscaler),
    validate: check!(HorizontalPodAutoscaler, validate),
    validate_update: check_with_old!(HorizontalPodAutoscaler, |n: &HorizontalPodAutoscaler, o: &HorizontalPodAutoscaler, e: &mut FieldErrors| {
        let mut before = FieldErrors::default();
        validate(o, &mut before);
        validate(n, e);
        // A version that was wrong before the rule came may stay so.
        let version = "spec.scaleTargetRef.apiVersion";
        if before.0.iter().any(|x| x.path.to_string() == version) {
            e.0.retain(|x| x.path.to_string() != version);
        }
    }),
    validate_status_update: check_with_old!(HorizontalPodAutoscaler, |n: &HorizontalPodAutoscaler, _: &HorizontalPodAutoscaler, e: &mut FieldErrors| {
        let st = n.status.clone().unwrap_or_default();
        not_negative_opt(st.current_replicas, &Path::new("status.currentReplicas"), e);
        not_negative_opt(Some(st.desired_replicas), &Path::new("status.desiredReplicas"), e);
    }),
    ..Rules::plain(Kind::HorizontalPodAutoscaler, NameRule::DnsSubdomain)
};

/// The utilization to aim for where no metric is named.
const CPU_PERCENT: i32 = 80;
const PERIOD_S: i32 = 15;

fn default(h: &mut HorizontalPodAutoscaler) {
    let spec = &mut h.spec;
    spec.min_replicas.get_or_insert(1);
    if items(&spec.metrics).is_empty() {
        let target = MetricTarget {
            type_: "Utilization".into(),
            average_utilization: Some(CPU_PERCENT),
            ..MetricTarget::default()
        };
        let resource = Some(ResourceMetricSource { name: "cpu".into(), target });
        spec.metrics = Some(vec![MetricSpec { type_: "Resource".into(), resource, ..MetricSpec::default() }]);
    }
    for m in spec.metrics.iter_mut().flatten() {
        for t in targets(m) {
            spell_opt(&mut t.value);
            spell_opt(&mut t.average_value);
        }
    }
    if let Some(b) = &mut spec.behavior {
        behavior_defaults(b);
    }
}

fn targets(m: &mut MetricSpec) -> Vec<&mut MetricTarget> {
    let mut all = Vec::new();
    all.extend(m.resource.as_mut().map(|x| &mut x.target));
    all.extend(m.container_resource.as_mut().map(|x| &mut x.target));
    all.extend(m.pods.as_mut().map(|x| &mut x.target));
    all.extend(m.object.as_mut().map(|x| &mut x.target));
    all.extend(m.external.as_mut().map(|x| &mut x.target));
    all
}

fn behavior_defaults(b: &mut HorizontalPodAutoscalerBehavior) {
    let policy = |kind: &str, value| HPAScalingPolicy { type_: kind.into(), value, period_seconds: PERIOD_S };
    let up = b.scale_up.get_or_insert_default();
    up.stabilization_window_seconds.get_or_insert(0);
    up.select_policy.get_or_insert_with(|| "Max".into());
    up.policies.get_or_insert_with(|| vec![policy("Pods", 4), policy("Percent", 100)]);
    let down = b.scale_down.get_or_insert_default();
    down.select_policy.get_or_insert_with(|| "Max".into());
    down.policies.get_or_insert_with(|| vec![policy("Percent", 100)]);
    spell_opt(&mut up.tolerance);
    spell_opt(&mut down.tolerance);
}

fn validate(h: &HorizontalPodAutoscaler, e: &mut FieldErrors) {
    let (spec, path) = (&h.spec, Path::new("spec"));
    let least = spec.min_replicas.unwrap_or(1);
    if least < 1 {
        e.invalid(&path.child("minReplicas"), least, "must be greater than or equal to 1");
    }
    match spec.max_replicas {
        0 => e.required(&path.child("maxReplicas"), "must be set and greater than 0"),
        n if n < 0 => e.invalid(&path.child("maxReplicas"), n, "must be greater than or equal to 1"),
        _ => {}
    }
    if spec.max_replicas < least {
        let why = "must be greater than or equal to `minReplicas`";
        e.invalid(&path.child("maxReplicas"), spec.max_replicas, why);
    }
    reference(&spec.scale_target_ref, &path.child("scaleTargetRef"), e);
    let (at, version) = (path.child("scaleTargetRef").child("apiVersion"), s(&spec.scale_target_ref.api_version));
    if version.contains('/') {
        group_version(version, &at, e);
    } else if spec.scale_target_ref.kind != "ReplicationController" {
        // Of what scales, only that is in the core group.
        e.invalid(&at, version, "apiVersion must specify API group");
    }
    for (i, m) in items(&spec.metrics).iter().enumerate() {
        metric(m, &path.child("metrics").index(i), e);
    }
    if least == 0 && !items(&spec.metrics).iter().any(|m| ["Object", "External"].contains(&m.type_.as_str())) {
        e.forbidden(&path.child("metrics"), "must specify at least one Object or External metric to support scaling to zero replicas");
    }
    if let Some(b) = &spec.behavior {
        for (name, r) in [("scaleUp", &b.scale_up), ("scaleDown", &b.scale_down)] {
            if let Some(r) = r {
                scaling(r, &path.child("behavior").child(name), e);
            }
        }
    }
}

fn reference(r: &CrossVersionObjectReference, at: &Path, e: &mut FieldErrors) {
    for (name, v) in [("kind", &r.kind), ("name", &r.name)] {
        if v.is_empty() {
            e.required(&at.child(name), "");
        } else {
            complain(&at.child(name), v, names::path_segment(v), e);
        }
    }
}

/// The version of a scale target names its group: only the core group has none.
fn group_version(text: &str, at: &Path, e: &mut FieldErrors) {
    match text.split('/').collect::<Vec<_>>()[..] {
        [""] => e.invalid(at, text, "apiVersion must specify API group"),
        [version] => complain(at, text, names::dns1035_label(version), e),
        [group, version] => {
            complain(at, text, names::dns_subdomain(group), e);
            complain(at, text, names::dns1035_label(version), e);
        }
        _ => e.invalid(at, text, format!("unexpected GroupVersion string: {text}")),
    }
}

const METRIC_TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

fn metric(m: &MetricSpec, at: &Path, e: &mut FieldErrors) {
    let known = METRIC_TYPES.contains(&m.type_.as_str());
    if m.type_.is_empty() {
        e.required(&at.child("type"), "must specify a metric source type");
    }
    if !known {
        e.not_supported(&at.child("type"), &m.type_, METRIC_TYPES);
    }
    let named = [
        (m.object.is_some(), "object", "Object"),
        (m.external.is_some(), "external", "External"),
        (m.pods.is_some(), "pods", "Pods"),
        (m.resource.is_some(), "resource", "Resource"),
        (m.container_resource.is_some(), "containerResource", "ContainerResource"),
    ];
    let set: Vec<_> = named.iter().filter(|(set, _, _)| *set).collect();
    // Only the first is looked into.
    if let Some((_, field, _)) = set.first() {
        source(m, field, &at.child(field), e);
    }
    if !known {
        e.not_supported(&at.child("type"), &m.type_, METRIC_TYPES);
    } else if !set.iter().any(|(_, _, kind)| *kind == m.type_) {
        let field = named.iter().find(|(_, _, kind)| *kind == m.type_).map_or("", |(_, f, _)| f);
        e.required(&at.child(field), "must populate information for the given metric source");
    }
    if set.len() > 1 {
        for (_, field, _) in set.iter().filter(|(_, _, kind)| *kind != m.type_) {
            e.forbidden(&at.child(field), "must populate the given metric source only");
        }
    }
}

fn source(m: &MetricSpec, field: &str, at: &Path, e: &mut FieldErrors) {
    match field {
        "object" => m.object.iter().for_each(|x| object(x, at, e)),
        "external" => m.external.iter().for_each(|x| external(x, at, e)),
        "pods" => {
            if let Some(x) = &m.pods {
                identifier(&x.metric, &at.child("metric"), e);
                target(&x.target, &at.child("target"), e);
                if x.target.average_value.as_ref().is_none_or(|q| amount(q).is_zero()) {
                    e.required(&at.child("target").child("averageValue"), "must specify a positive target averageValue");
                }
            }
        }
        "resource" => {
            if let Some(x) = &m.resource {
                resource_metric(&x.name, false, &at.child("name"), e);
                resource_target(&x.target, &at.child("target"), e);
            }
        }
        _ => {
            if let Some(x) = &m.container_resource {
                resource_metric(&x.name, true, &at.child("name"), e);
                if x.container.is_empty() {
                    e.required(&at.child("container"), "must specify a container");
                } else {
                    complain(&at.child("container"), &x.container, names::dns_label(&x.container), e);
                }
                resource_target(&x.target, &at.child("target"), e);
            }
        }
    }
}

/// The name of a resource whose use is measured.
fn resource_metric(name: &str, of_container: bool, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(at, "must specify a resource name");
    } else if of_container {
        crate::core::pod::resources::container_resource_name(name, at, e);
    }
}

fn object(x: &ObjectMetricSource, at: &Path, e: &mut FieldErrors) {
    reference(&x.described_object, &at.child("describedObject"), e);
    identifier(&x.metric, &at.child("metric"), e);
    target(&x.target, &at.child("target"), e);
    if x.target.value.is_none() && x.target.average_value.is_none() {
        e.required(&at.child("target").child("averageValue"), "must set either a target value or averageValue");
    }
}

fn external(x: &ExternalMetricSource, at: &Path, e: &mut FieldErrors) {
    identifier(&x.metric, &at.child("metric"), e);
    target(&x.target, &at.child("target"), e);
    match (&x.target.value, &x.target.average_value) {
        (None, None) => e.required(&at.child("target").child("averageValue"), "must set either a target value for metric or a per-pod target"),
        (Some(_), Some(_)) => e.forbidden(&at.child("target").child("value"), "may not set both a target value for metric and a per-pod target"),
        _ => {}
    }
}

fn identifier(m: &MetricIdentifier, at: &Path, e: &mut FieldErrors) {
    if m.name.is_empty() {
        e.required(&at.child("name"), "must specify a metric name");
    } else {
        complain(&at.child("name"), &m.name, names::path_segment(&m.name), e);
    }
}

fn target(t: &MetricTarget, at: &Path, e: &mut FieldErrors) {
    if t.type_.is_empty() {
        e.required(&at.child("type"), "must specify a metric target type");
        e.invalid(&at.child("type"), &t.type_, "must be either Utilization, Value, or AverageValue");
    } else if !["AverageValue", "Utilization", "Value"].contains(&t.type_.as_str()) {
        e.invalid(&at.child("type"), &t.type_, "must be either Utilization, Value, or AverageValue");
    }
    for (name, q) in [("value", &t.value), ("averageValue", &t.average_value)] {
        if let Some(q) = q {
            if amount(q).is_negative() || amount(q).is_zero() {
                e.invalid(&at.child(name), &q.0, "must be positive");
            }
        }
    }
    if let Some(n) = t.average_utilization.filter(|n| *n < 1) {
        e.invalid(&at.child("averageUtilization"), n, "must be greater than 0");
    }
}

fn resource_target(t: &MetricTarget, at: &Path, e: &mut FieldErrors) {
    target(t, at, e);
    match (t.average_utilization, &t.average_value) {
        (None, None) => e.required(&at.child("averageUtilization"), "must set either a target raw value or a target utilization"),
        (Some(_), Some(_)) => e.forbidden(&at.child("averageValue"), "may not set both a target raw value and a target utilization"),
        _ => {}
    }
}

const WINDOW_S_MAX: i32 = 3600;
const PERIOD_S_MAX: i32 = 1800;

fn scaling(r: &HPAScalingRules, at: &Path, e: &mut FieldErrors) {
    if let Some(n) = r.stabilization_window_seconds {
        if n < 0 {
            e.invalid(&at.child("stabilizationWindowSeconds"), n, "must be greater than or equal to zero");
        }
        if n > WINDOW_S_MAX {
            e.invalid(&at.child("stabilizationWindowSeconds"), n, format!("must be less than or equal to {WINDOW_S_MAX}"));
        }
    }
    if let Some(q) = &r.tolerance {
        quantity_not_negative(q, &at.child("tolerance"), e);
    }
    if r.select_policy.is_some() && !["Disabled", "Max", "Min"].contains(&s(&r.select_policy)) {
        e.not_supported(&at.child("selectPolicy"), s(&r.select_policy), &["Disabled", "Max", "Min"]);
    }
    if items(&r.policies).is_empty() {
        e.required(&at.child("policies"), "must specify at least one Policy");
    }
    for (i, p) in items(&r.policies).iter().enumerate() {
        let at = at.child("policies").index(i);
        if !["Percent", "Pods"].contains(&p.type_.as_str()) {
            e.not_supported(&at.child("type"), &p.type_, &["Percent", "Pods"]);
        }
        if p.value <= 0 {
            e.invalid(&at.child("value"), p.value, "must be greater than zero");
        }
        if p.period_seconds <= 0 {
            e.invalid(&at.child("periodSeconds"), p.period_seconds, "must be greater than zero");
        }
        if p.period_seconds > PERIOD_S_MAX {
            e.invalid(&at.child("periodSeconds"), p.period_seconds, format!("must be less than or equal to {PERIOD_S_MAX}"));
        }
    }
}
