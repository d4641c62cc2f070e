//! Where a pod may run: node selectors, affinity, tolerations, spreading.

use crate::checks::{complain, one_of_opt, repeated};
use crate::meta::{self, Values};
use crate::names;
use crate::read::{has, items, s};
use kinds::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use kinds::{FieldErrors, Path};

/// Affinity to nodes, to pods and away from pods.
pub(super) fn affinity(a: Option<&Affinity>, path: &Path, e: &mut FieldErrors) {
    let Some(a) = a else { return };
    if let Some(n) = &a.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(r) = &n.required_during_scheduling_ignored_during_execution {
            let at = path.child("requiredDuringSchedulingIgnoredDuringExecution");
            node_selector(r, &at, e);
            crate::core::volume::affinity_values(r, &at, e);
        }
        for (i, p) in items(&n.preferred_during_scheduling_ignored_during_execution).iter().enumerate() {
            let at = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(i);
            weight(p.weight, &at, e);
            term(&p.preference, &at.child("preference"), e);
        }
    }
    let groups = [
        ("podAffinity", a.pod_affinity.as_ref().map(|p| {
            (&p.required_during_scheduling_ignored_during_execution, &p.preferred_during_scheduling_ignored_during_execution)
        })),
        ("podAntiAffinity", a.pod_anti_affinity.as_ref().map(|p| {
            (&p.required_during_scheduling_ignored_during_execution, &p.preferred_during_scheduling_ignored_during_execution)
        })),
    ];
    for (name, terms) in groups {
        let Some((required, preferred)) = terms else { continue };
        pod_terms(items(required), items(preferred), &path.child(name), e);
    }
}

fn weight(w: i32, at: &Path, e: &mut FieldErrors) {
    if !(1..=100).contains(&w) {
        e.invalid(&at.child("weight"), w, "must be in the range 1-100");
    }
}

fn pod_terms(required: &[PodAffinityTerm], preferred: &[WeightedPodAffinityTerm], path: &Path, e: &mut FieldErrors) {
    for (i, t) in required.iter().enumerate() {
        pod_term(t, &path.child("requiredDuringSchedulingIgnoredDuringExecution").index(i), e);
    }
    for (i, t) in preferred.iter().enumerate() {
        let at = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(i);
        weight(t.weight, &at, e);
        pod_term(&t.pod_affinity_term, &at.child("podAffinityTerm"), e);
    }
}

fn pod_term(t: &PodAffinityTerm, path: &Path, e: &mut FieldErrors) {
    meta::label_selector(t.label_selector.as_ref(), Values::Strict, &path.child("labelSelector"), e);
    meta::label_selector(t.namespace_selector.as_ref(), Values::Strict, &path.child("namespaceSelector"), e);
    for n in items(&t.namespaces) {
        complain(&path.child("namespace"), n, names::dns_label(n), e);
    }
    topology_key(&t.topology_key, &path.child("topologyKey"), e);
    label_keys(items(&t.match_label_keys), t.label_selector.is_some(), &path.child("matchLabelKeys"), e);
    label_keys(items(&t.mismatch_label_keys), t.label_selector.is_some(), &path.child("mismatchLabelKeys"), e);
}

fn label_keys(keys: &[String], selector: bool, path: &Path, e: &mut FieldErrors) {
    if !keys.is_empty() && !selector {
        e.forbidden(path, "must not be specified when labelSelector is not set");
    }
    for (i, k) in keys.iter().enumerate() {
        complain(&path.index(i), k, names::qualified_name(k), e);
    }
}

fn topology_key(key: &str, path: &Path, e: &mut FieldErrors) {
    if key.is_empty() {
        e.required(path, "can not be empty");
    }
    complain(path, key, names::qualified_name(key), e);
}

/// A node selector: terms that are alternatives.
pub(crate) fn node_selector(s: &NodeSelector, path: &Path, e: &mut FieldErrors) {
    let path = path.child("nodeSelectorTerms");
    if s.node_selector_terms.is_empty() {
        e.required(&path, "must have at least one node selector term");
    }
    for (i, t) in s.node_selector_terms.iter().enumerate() {
        term(t, &path.index(i), e);
    }
}

fn term(t: &NodeSelectorTerm, path: &Path, e: &mut FieldErrors) {
    for (i, r) in items(&t.match_expressions).iter().enumerate() {
        requirement(r, &path.child("matchExpressions").index(i), e);
    }
    for (i, r) in items(&t.match_fields).iter().enumerate() {
        let at = path.child("matchFields").index(i);
        match r.operator.as_str() {
            "In" | "NotIn" if items(&r.values).len() != 1 => {
                e.required(&at.child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
            }
            "In" | "NotIn" => {}
            other => e.invalid(&at.child("operator"), other, "not a valid selector operator"),
        }
        if r.key == "metadata.name" {
            for (j, v) in items(&r.values).iter().enumerate() {
                complain(&at.child("values").index(j), v, names::dns_subdomain(v), e);
            }
        } else {
            e.invalid(&at.child("key"), &r.key, "not a valid field selector key");
        }
    }
}

fn requirement(r: &NodeSelectorRequirement, at: &Path, e: &mut FieldErrors) {
    let n = items(&r.values).len();
    match r.operator.as_str() {
        "In" | "NotIn" if n == 0 => {
            e.required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if n > 0 => {
            e.forbidden(&at.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if n != 1 => {
            e.required(&at.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => e.invalid(&at.child("operator"), other, "not a valid selector operator"),
    }
    complain(&at.child("key"), &r.key, names::qualified_name(&r.key), e);
}

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Tolerations.
pub(crate) fn tolerations(list: &[Toleration], path: &Path, e: &mut FieldErrors) {
    for (i, t) in list.iter().enumerate() {
        let at = path.index(i);
        if has(&t.key) {
            complain(&at.child("key"), s(&t.key), names::qualified_name(s(&t.key)), e);
        } else if s(&t.operator) != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            e.invalid(&at.child("operator"), s(&t.operator), why);
        }
        if t.toleration_seconds.is_some() && s(&t.effect) != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            e.invalid(&at.child("effect"), s(&t.effect), why);
        }
        match s(&t.operator) {
            "" | "Equal" => {
                let why = names::label_value(s(&t.value));
                if !why.is_empty() {
                    e.invalid(&at.child("operator"), s(&t.value), why.join(";"));
                }
            }
            "Exists" if has(&t.value) => {
                e.invalid(&at.child("operator"), s(&t.value), "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            // Numbers are compared with a gate alone.
            other @ ("Lt" | "Gt") => e.not_supported(&at.child("operator"), other, &["Equal", "Exists", "Lt", "Gt"]),
            other => e.not_supported(&at.child("operator"), other, &["Equal", "Exists"]),
        }
        if has(&t.effect) && !EFFECTS.contains(&s(&t.effect)) {
            e.not_supported(&at.child("effect"), s(&t.effect), EFFECTS);
        }
    }
}

/// Spreading over failure domains.
pub(super) fn spread(list: &[TopologySpreadConstraint], path: &Path, e: &mut FieldErrors) {
    // The one before is told of the one after.
    let mut again = repeated(list.iter().rev().map(|c| (&c.topology_key, &c.when_unsatisfiable)));
    again.reverse();
    for (i, c) in list.iter().enumerate() {
        let at = path.index(i);
        if c.max_skew <= 0 {
            e.invalid(&at.child("maxSkew"), c.max_skew, "must be greater than zero");
        }
        if c.topology_key.is_empty() {
            e.required(&at.child("topologyKey"), "can not be empty");
        }
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&c.when_unsatisfiable.as_str()) {
            e.not_supported(&at.child("whenUnsatisfiable"), &c.when_unsatisfiable, &actions);
        }
        if again[i] {
            let shown = format!("{{{}, {}}}", c.topology_key, c.when_unsatisfiable);
            e.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), shown);
        }
        if let Some(n) = c.min_domains {
            if n <= 0 {
                e.invalid(&at.child("minDomains"), n, "must be greater than zero");
            }
            if c.when_unsatisfiable != "DoNotSchedule" {
                let why = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}", c.when_unsatisfiable);
                e.invalid(&at.child("minDomains"), n, why);
            }
        }
        one_of_opt(&c.node_affinity_policy, &["Honor", "Ignore"], &at.child("nodeAffinityPolicy"), e);
        one_of_opt(&c.node_taints_policy, &["Honor", "Ignore"], &at.child("nodeTaintsPolicy"), e);
        label_keys(items(&c.match_label_keys), c.label_selector.is_some(), &at.child("matchLabelKeys"), e);
        meta::label_selector(c.label_selector.as_ref(), Values::Strict, &at.child("labelSelector"), e);
    }
}
