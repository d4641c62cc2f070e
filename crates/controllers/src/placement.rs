//! Whether a pod may be on a node: required node affinity, node selector, taints and tolerations.
//!
//! Docs: "Assigning Pods to Nodes", "Taints and Tolerations".

use kinds::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration};
use kinds::selector::Requirement;
use kinds::Selector;
use std::collections::BTreeMap;

/// Whether this toleration tolerates that taint.
pub(crate) fn tolerates(t: &Toleration, taint: &Taint) -> bool {
    let effect = t.effect.as_deref().unwrap_or_default();
    let key = t.key.as_deref().unwrap_or_default();
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match t.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => !key.is_empty() && t.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        _ => false,
    }
}

/// The first taint of one of these effects that nothing tolerates.
pub(crate) fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[&str]) -> Option<&'a Taint> {
    let mut of_effect = taints.iter().filter(|t| effects.contains(&t.effect.as_str()));
    of_effect.find(|taint| !tolerations.iter().any(|t| tolerates(t, taint)))
}

fn all_match(list: Option<&Vec<NodeSelectorRequirement>>, labels: &BTreeMap<String, String>) -> bool {
    let all: Option<Vec<Requirement>> = list.into_iter().flatten().map(Requirement::of_node).collect();
    all.is_some_and(|r| Selector::All(r).matches(Some(labels)))
}

fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let empty = |l: &Option<Vec<NodeSelectorRequirement>>| l.as_ref().is_none_or(Vec::is_empty);
    if empty(&term.match_expressions) && empty(&term.match_fields) {
        return false;
    }
    let fields = BTreeMap::from([("metadata.name".to_owned(), node.metadata.name.clone().unwrap_or_default())]);
    let none = BTreeMap::new();
    all_match(term.match_expressions.as_ref(), node.metadata.labels.as_ref().unwrap_or(&none))
        && all_match(term.match_fields.as_ref(), &fields)
}

/// Whether any of the terms matches the node.
pub(crate) fn any_term_matches(terms: &[NodeSelectorTerm], node: &Node) -> bool {
    terms.iter().any(|t| term_matches(t, node))
}

/// Whether node selector and required node affinity allow the node.
pub(crate) fn affinity_allows(spec: &PodSpec, node: &Node) -> bool {
    if let Some(wanted) = &spec.node_selector
        && !Selector::from_map(wanted).matches(node.metadata.labels.as_ref()) {
            return false;
        }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|r| any_term_matches(&r.node_selector_terms, node))
}

/// The taints of a node.
pub(crate) fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default()
}
