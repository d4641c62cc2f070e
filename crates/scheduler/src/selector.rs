//! Node selectors (affinity terms over labels and fields), tolerations, and pod affinity terms, read once a pod.
//!
//! Docs: "Assigning Pods to Nodes", "Taints and Tolerations".

use kinds::Selector;
use kinds::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Taint, Toleration};
use kinds::selector::{Labels, Operator, Requirement};
use std::collections::BTreeSet;

/// One term: all its label and field requirements hold. An empty term matches nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeTerm {
    labels: Selector,
    /// On `metadata.name`, the only field.
    name: Selector,
    /// The only names it can match, when its fields say so.
    names: Option<BTreeSet<String>>,
}

/// Terms of which one must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeTerms(pub Vec<NodeTerm>);

const NAME_FIELD: &str = "metadata.name";

fn selector(list: Option<&Vec<NodeSelectorRequirement>>) -> Selector {
    let all: Option<Vec<_>> = list.into_iter().flatten().map(Requirement::of_node).collect();
    all.map_or(Selector::Nothing, Selector::All)
}

impl NodeTerm {
    /// Reads a term.
    #[must_use]
    pub fn read(t: &NodeSelectorTerm) -> Self {
        let empty = |l: &Option<Vec<NodeSelectorRequirement>>| l.as_ref().is_none_or(Vec::is_empty);
        if empty(&t.match_expressions) && empty(&t.match_fields) {
            return Self { labels: Selector::Nothing, name: Selector::Nothing, names: None };
        }
        let mut names: Option<BTreeSet<String>> = None;
        for r in t.match_fields.iter().flatten().filter(|r| r.key == NAME_FIELD && r.operator == "In") {
            let these: BTreeSet<String> = r.values.iter().flatten().cloned().collect();
            names = Some(names.map_or(these.clone(), |n| n.intersection(&these).cloned().collect()));
        }
        Self { labels: selector(t.match_expressions.as_ref()), name: selector(t.match_fields.as_ref()), names }
    }
    /// Whether a node with that name and these labels matches.
    #[must_use]
    pub fn matches(&self, name: &str, labels: Option<&Labels>) -> bool {
        let field = || Labels::from([(NAME_FIELD.to_owned(), name.to_owned())]);
        self.labels.matches(labels) && (self.name.is_everything() || self.name.matches(Some(&field())))
    }
}

impl NodeTerms {
    /// Reads a selector.
    #[must_use]
    pub fn read(s: &NodeSelector) -> Self {
        Self(s.node_selector_terms.iter().map(NodeTerm::read).collect())
    }
    /// Whether any term matches.
    #[must_use]
    pub fn matches(&self, name: &str, labels: Option<&Labels>) -> bool {
        self.0.iter().any(|t| t.matches(name, labels))
    }
    /// The only nodes that can match, when every term names nodes.
    #[must_use]
    pub fn names(&self) -> Option<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for t in &self.0 {
            all.extend(t.names.clone()?);
        }
        Some(all)
    }
}

/// Whether a toleration tolerates a taint.
#[must_use]
pub fn tolerates(t: &Toleration, taint: &Taint) -> bool {
    let text = |o: &Option<String>| o.clone().unwrap_or_default();
    let (effect, key) = (text(&t.effect), text(&t.key));
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match t.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => t.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        "Exists" => true,
        _ => false,
    }
}

/// The first taint of the kind that matters (`NoSchedule`, `NoExecute`) that none of these tolerate.
#[must_use]
pub fn untolerated<'t>(tolerations: &[Toleration], taints: &'t [Taint]) -> Option<&'t Taint> {
    let hard = |t: &&Taint| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute");
    taints.iter().filter(hard).find(|taint| !tolerations.iter().any(|t| tolerates(t, taint)))
}

/// A pod (anti-)affinity term, with its namespaces.
#[derive(Clone, Debug, PartialEq)]
pub struct AffinityTerm {
    namespaces: BTreeSet<String>,
    namespace_selector: Selector,
    selector: Selector,
    pub topology_key: String,
}

impl AffinityTerm {
    /// Reads a term of a pod in `namespace`. matchLabelKeys are merged into the selector by the API when the pod is
    /// created; what still carries them is merged here the same way.
    #[must_use]
    pub fn read(t: &PodAffinityTerm, namespace: &str, labels: Option<&Labels>) -> Self {
        let mut namespaces: BTreeSet<String> = t.namespaces.iter().flatten().cloned().collect();
        if namespaces.is_empty() && t.namespace_selector.is_none() {
            namespaces.insert(namespace.to_owned());
        }
        let mut selector = Selector::from_label_selector(t.label_selector.as_ref());
        merge_keys(&mut selector, t.match_label_keys.as_ref(), labels, Operator::In);
        merge_keys(&mut selector, t.mismatch_label_keys.as_ref(), labels, Operator::NotIn);
        Self {
            namespaces,
            namespace_selector: Selector::from_label_selector(t.namespace_selector.as_ref()),
            selector,
            topology_key: t.topology_key.clone(),
        }
    }
    /// Whether a pod of that namespace with these labels is meant; `of` gives a namespace's labels.
    pub fn matches<'l>(&self, namespace: &str, labels: Option<&Labels>, of: impl Fn(&str) -> Option<&'l Labels>) -> bool {
        let here = || {
            self.namespaces.contains(namespace)
                || match &self.namespace_selector {
                    Selector::Nothing => false,
                    s if s.is_everything() => true,
                    s => s.matches(of(namespace)),
                }
        };
        self.selector.matches(labels) && here()
    }
}

/// Adds the pod's own values of these labels to a selector, unless it compares them so already.
pub fn merge_keys(selector: &mut Selector, keys: Option<&Vec<String>>, labels: Option<&Labels>, operator: Operator) {
    let Selector::All(all) = selector else { return };
    for key in keys.into_iter().flatten() {
        let Some(value) = labels.and_then(|l| l.get(key)) else { continue };
        let r = Requirement { key: key.clone(), operator, values: vec![value.clone()] };
        if !all.contains(&r) {
            all.push(r);
        }
    }
}
