//! `matchLabelKeys` become plain requirements of the selector when a pod is created (KEP-3633, KEP-3243).

use crate::read::items;
use kinds::LabelSelector;
use kinds::api::core::v1::{PodAffinityTerm, PodSpec};
use kinds::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use std::collections::BTreeMap;

/// Merges the keys of affinity terms into their selectors.
pub(super) fn merge(spec: &mut PodSpec, labels: Option<&BTreeMap<String, String>>) {
    let Some(labels) = labels else { return };
    if let Some(a) = &mut spec.affinity {
        for p in a.pod_affinity.iter_mut() {
            let required = p.required_during_scheduling_ignored_during_execution.iter_mut().flatten();
            required.for_each(|t| term(t, labels));
            let preferred = p.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
            preferred.for_each(|t| term(&mut t.pod_affinity_term, labels));
        }
        for p in a.pod_anti_affinity.iter_mut() {
            let required = p.required_during_scheduling_ignored_during_execution.iter_mut().flatten();
            required.for_each(|t| term(t, labels));
            let preferred = p.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
            preferred.for_each(|t| term(&mut t.pod_affinity_term, labels));
        }
    }
}

/// Merges the keys of spread constraints into their selectors.
pub(super) fn merge_spread(spec: &mut PodSpec, labels: Option<&BTreeMap<String, String>>) {
    let Some(labels) = labels else { return };
    for c in spec.topology_spread_constraints.iter_mut().flatten() {
        let keys = items(&c.match_label_keys).to_vec();
        add(&mut c.label_selector, &keys, "In", labels);
    }
}

fn term(t: &mut PodAffinityTerm, labels: &BTreeMap<String, String>) {
    let (same, other) = (items(&t.match_label_keys).to_vec(), items(&t.mismatch_label_keys).to_vec());
    add(&mut t.label_selector, &same, "In", labels);
    add(&mut t.label_selector, &other, "NotIn", labels);
}

fn add(selector: &mut Option<LabelSelector>, keys: &[String], operator: &str, labels: &BTreeMap<String, String>) {
    let Some(selector) = selector else { return };
    for k in keys {
        let Some(v) = labels.get(k) else { continue };
        let r = LabelSelectorRequirement { key: k.clone(), operator: operator.into(), values: Some(vec![v.clone()]) };
        let list = selector.match_expressions.get_or_insert_default();
        if !list.contains(&r) {
            list.push(r);
        }
    }
}
