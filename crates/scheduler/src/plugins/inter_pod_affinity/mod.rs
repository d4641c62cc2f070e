//! InterPodAffinity: pods that want to be near, or apart from, other pods; and pods that others want to be apart from.
//!
//! Docs: "Assigning Pods to Nodes" (inter-pod affinity and anti-affinity).

mod filter;
mod score;

use crate::event::Event;
use crate::framework::{Plugin, World};
use crate::nodes::NodeInfo;
use crate::podinfo::PodInfo;
use crate::selector::AffinityTerm;
use kinds::api::core::v1::Namespace;
use kinds::selector::Labels;
use std::collections::HashMap;

/// Its name.
pub const NAME: &str = "InterPodAffinity";

/// The plugin.
pub struct InterPodAffinity;

/// Numbers a topology domain: label key, then label value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domains(HashMap<String, HashMap<String, i64>>);

impl Domains {
    /// Adds to the domain that a node is in, if it is in one.
    fn add(&mut self, node: &NodeInfo, key: &str, n: i64) {
        let Some(value) = node.label(key) else { return };
        if !self.0.contains_key(key) {
            self.0.insert(key.to_owned(), HashMap::new());
        }
        let Some(values) = self.0.get_mut(key) else { return };
        let at = values.entry(value.to_owned()).or_default();
        *at += n;
        if *at == 0 {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }
    fn get(&self, key: &str, value: &str) -> i64 {
        self.0.get(key).and_then(|v| v.get(value)).copied().unwrap_or(0)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn matches(term: &AffinityTerm, pod: &PodInfo, world: &World<'_>) -> bool {
    let of = |ns: &str| -> Option<&Labels> { world.objects.get::<Namespace>("", ns)?.metadata.labels.as_ref() };
    term.matches(pod.namespace(), pod.labels(), of)
}

/// A pod counts as wanted only when all terms mean it.
fn matches_all(terms: &[AffinityTerm], pod: &PodInfo, world: &World<'_>) -> bool {
    !terms.is_empty() && terms.iter().all(|t| matches(t, pod, world))
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        NAME
    }
    fn would_help(&self, event: &Event, pod: &PodInfo, world: &World<'_>) -> bool {
        let wanted = |p: &PodInfo| matches_all(&pod.affinity.required, p, world);
        let unwanted = |p: &PodInfo| {
            pod.anti_affinity.required.iter().any(|t| matches(t, p, world))
                || p.anti_affinity.required.iter().any(|t| matches(t, pod, world))
        };
        match event {
            Event::PodPlaced(p) => wanted(p),
            Event::PodLeft(p) => unwanted(p),
            Event::PodAltered { old, new } => (!wanted(old) && wanted(new)) || (unwanted(old) && !unwanted(new)),
            Event::PodEdited { old, new } => old.labels() != new.labels(),
            Event::Namespace => true,
            _ => event.labelled().is_some(),
        }
    }
}
