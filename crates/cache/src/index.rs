//! Indexes that many deciders ask: who is owned by a uid, which pods a node runs, which slices a service has.

use crate::entry::Entry;
use imbl::{HashMap, OrdSet};
use kinds::api::core::v1::Pod;
use kinds::{ObjectKey, Resource};

/// The label by which an EndpointSlice names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// An index: a word to the objects that carry it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index(HashMap<String, OrdSet<(Resource, ObjectKey)>>);

impl Index {
    /// The objects filed under `word`, ordered.
    pub fn get<'a>(&'a self, word: &str) -> impl Iterator<Item = &'a (Resource, ObjectKey)> {
        self.0.get(word).into_iter().flatten()
    }
    fn file(&mut self, word: &str, item: (Resource, ObjectKey)) {
        self.0.entry(word.to_owned()).or_default().insert(item);
    }
    fn unfile(&mut self, word: &str, item: &(Resource, ObjectKey)) {
        let Some(set) = self.0.get_mut(word) else { return };
        set.remove(item);
        if set.is_empty() {
            self.0.remove(word);
        }
    }
}

/// All indexes. Public fields are read through [`crate::Snapshot`].
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    /// Owner uid to what it owns, of any resource.
    pub owned: Index,
    /// Node name to pods.
    pub on_node: Index,
    /// `namespace/service` to EndpointSlices.
    pub of_service: Index,
}

impl Indexes {
    pub(crate) fn change(&mut self, resource: &Resource, old: Option<&Entry>, new: Option<&Entry>) {
        for (index, words) in [
            (&mut self.owned, owners as fn(&Entry) -> Vec<String>),
            (&mut self.on_node, node),
            (&mut self.of_service, service),
        ] {
            let (before, after) = (old.map(words).unwrap_or_default(), new.map(words).unwrap_or_default());
            if before == after {
                continue;
            }
            if let Some(e) = old {
                let item = (resource.clone(), e.key.clone());
                before.iter().for_each(|w| index.unfile(w, &item));
            }
            if let Some(e) = new {
                after.iter().for_each(|w| index.file(w, (resource.clone(), e.key.clone())));
            }
        }
    }
}

fn owners(e: &Entry) -> Vec<String> {
    e.meta().owner_references.iter().flatten().map(|o| o.uid.clone()).collect()
}

fn node(e: &Entry) -> Vec<String> {
    let pod = e.object().typed::<Pod>().and_then(|p| p.spec.as_ref()).and_then(|s| s.node_name.clone());
    pod.filter(|n| !n.is_empty()).into_iter().collect()
}

fn service(e: &Entry) -> Vec<String> {
    if e.object().kind() != Some(kinds::Kind::EndpointSlice) {
        return Vec::new();
    }
    let name = e.meta().labels.as_ref().and_then(|l| l.get(SERVICE_NAME_LABEL));
    name.map(|n| format!("{}/{n}", e.key.namespace)).into_iter().collect()
}
