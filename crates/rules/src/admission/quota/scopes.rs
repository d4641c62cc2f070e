//! Which objects a quota's scopes take in. Docs: "Resource Quotas: Quota scopes".

use crate::read::{items, s};
use kinds::Object;
use kinds::api::core::v1::{PersistentVolumeClaim, Pod, PodSpec, ResourceQuotaSpec, ScopedResourceSelectorRequirement};

/// One demand of a quota: a scope by name demands that it applies.
pub(super) fn selectors(spec: &ResourceQuotaSpec) -> Vec<ScopedResourceSelectorRequirement> {
    let named = items(&spec.scopes).iter().map(|scope| ScopedResourceSelectorRequirement {
        scope_name: scope.clone(),
        operator: "Exists".to_owned(),
        values: None,
    });
    let selected = spec.scope_selector.iter().flat_map(|x| items(&x.match_expressions).iter().cloned());
    named.chain(selected).collect()
}

/// Whether a quota's scopes take the object in.
#[must_use]
pub fn in_scope(spec: &ResourceQuotaSpec, object: &Object) -> bool {
    items(&spec.scopes).iter().all(|scope| matches(scope, "Exists", &[], object))
        && spec.scope_selector.iter().flat_map(|x| items(&x.match_expressions)).all(|r| selects(r, object))
}

/// Whether a scope takes the object in.
pub(super) fn selects(r: &ScopedResourceSelectorRequirement, object: &Object) -> bool {
    matches(&r.scope_name, &r.operator, items(&r.values), object)
}

/// Scopes are of pods, and one is of claims; nothing else is in any.
fn matches(scope: &str, operator: &str, values: &[String], object: &Object) -> bool {
    match object {
        Object::Pod(p) => of_pod(scope, operator, values, p),
        Object::PersistentVolumeClaim(c) if scope == "VolumeAttributesClass" => of_classes(&attribute_classes(c), operator, values),
        _ => false,
    }
}

fn of_pod(scope: &str, operator: &str, values: &[String], p: &Pod) -> bool {
    let none = PodSpec::default();
    let pod = p.spec.as_ref().unwrap_or(&none);
    match scope {
        "Terminating" => is_terminating(p),
        "NotTerminating" => !is_terminating(p),
        "BestEffort" => kinds::pod::qos_class(pod) == "BestEffort",
        "NotBestEffort" => kinds::pod::qos_class(pod) != "BestEffort",
        "PriorityClass" => {
            let class = Some(s(&pod.priority_class_name)).filter(|c| !c.is_empty());
            of_classes(class.as_slice(), operator, values)
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

/// Whether a pod ends by itself.
pub(super) fn is_terminating(p: &Pod) -> bool {
    p.spec.as_ref().and_then(|s| s.active_deadline_seconds).is_some_and(|d| d >= 0)
}

/// Any of the classes will do; where there is none, absence is judged.
fn of_classes(classes: &[&str], operator: &str, values: &[String]) -> bool {
    match operator {
        "In" => classes.iter().any(|c| values.iter().any(|v| v == c)),
        "NotIn" => classes.is_empty() || classes.iter().any(|c| !values.iter().any(|v| v == c)),
        "DoesNotExist" => classes.is_empty(),
        _ => !classes.is_empty(),
    }
}

/// The classes of attributes that a claim has, has had or is to have.
fn attribute_classes(c: &PersistentVolumeClaim) -> Vec<&str> {
    let wanted = c.spec.as_ref().map(|x| s(&x.volume_attributes_class_name));
    let status = c.status.as_ref();
    let current = status.map(|x| s(&x.current_volume_attributes_class_name));
    let target = status.and_then(|x| x.modify_volume_status.as_ref()).map(|m| s(&m.target_volume_attributes_class_name));
    let mut all: Vec<&str> = [wanted, current, target].into_iter().flatten().filter(|name| !name.is_empty()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn crosses_namespaces(pod: &PodSpec) -> bool {
    let Some(a) = &pod.affinity else { return false };
    let terms = |required: &Option<Vec<kinds::api::core::v1::PodAffinityTerm>>,
                 preferred: &Option<Vec<kinds::api::core::v1::WeightedPodAffinityTerm>>| {
        let crosses = |t: &kinds::api::core::v1::PodAffinityTerm| !items(&t.namespaces).is_empty() || t.namespace_selector.is_some();
        items(required).iter().any(crosses) || items(preferred).iter().any(|t| crosses(&t.pod_affinity_term))
    };
    a.pod_affinity.as_ref().is_some_and(|p| {
        terms(&p.required_during_scheduling_ignored_during_execution, &p.preferred_during_scheduling_ignored_during_execution)
    }) || a.pod_anti_affinity.as_ref().is_some_and(|p| {
        terms(&p.required_during_scheduling_ignored_during_execution, &p.preferred_during_scheduling_ignored_during_execution)
    })
}

