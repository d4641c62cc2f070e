//! ControllerRevisions: the templates that a DaemonSet or StatefulSet has had, numbered.
//!
//! Docs: "ControllerRevision v1"; "Perform a Rollback on a DaemonSet".
//!
//! Laws: 1. the present template has exactly one revision, and it has the highest number. 2. Going back to an older
//! template renumbers its revision instead of making another. 3. Revisions beyond the limit go, oldest first, unless a
//! pod is of them.

use crate::plan::Step;
use kinds::api::apps::v1::ControllerRevision;
use kinds::hash::content_hash;
use kinds::owner::controller_ref;
use kinds::{Kind, Object, ObjectKey, ObjectMeta, RawExtension, Typed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label by which pods name their revision.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

/// The revisions of one owner and what its template looks like as one.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Lowest number first.
    pub all: Vec<Arc<ControllerRevision>>,
    pub data: Value,
    pub hash: String,
    /// Whether the name that a new revision would get belongs to something else.
    pub name_taken: bool,
}

/// The present revision, or the write that brings it about.
pub(crate) enum Present {
    Is(Arc<ControllerRevision>),
    Write(Box<Step>),
    Collides,
}

/// The patch that puts a template back: what a revision keeps. `object_json` is the owner as it is stored.
pub(crate) fn data_of(object_json: &[u8]) -> Value {
    let whole: Value = serde_json::from_slice(object_json).unwrap_or_default();
    let mut template = whole.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    if let Some(t) = template.as_object_mut() {
        t.insert("$patch".to_owned(), json!("replace"));
    }
    json!({ "spec": { "template": template } })
}

impl History {
    /// From the owner's revisions, its stored JSON and its collision count.
    pub(crate) fn new(
        mut all: Vec<Arc<ControllerRevision>>,
        object_json: &[u8],
        collisions: Option<i32>,
        taken: impl Fn(&str) -> bool,
    ) -> Self {
        all.sort_by_key(|r| (r.revision, r.metadata.creation_timestamp.clone(), r.metadata.name.clone()));
        let data = data_of(object_json);
        let hash = content_hash(&data, collisions);
        let name_taken = taken(&hash);
        Self { all, data, hash, name_taken }
    }

    fn highest(&self) -> i64 {
        self.all.last().map_or(0, |r| r.revision)
    }

    /// The present revision: found, renumbered or made. `label` gives a new one its labels and name.
    pub(crate) fn present<O: Typed>(&self, owner: &O, labels: BTreeMap<String, String>) -> Present {
        let same = |r: &&Arc<ControllerRevision>| r.data.as_ref().is_some_and(|d| d.0 == self.data);
        if let Some(found) = self.all.iter().rev().find(same) {
            if found.revision == self.highest() {
                return Present::Is(Arc::clone(found));
            }
            let next = ControllerRevision { revision: self.highest() + 1, ..ControllerRevision::clone(found) };
            return Present::Write(Box::new(Step::update(next)));
        }
        if self.name_taken {
            return Present::Collides;
        }
        let name = owner.meta().name.clone().unwrap_or_default();
        let metadata = ObjectMeta {
            name: Some(format!("{name}-{}", self.hash)),
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_ref(owner)]),
            ..ObjectMeta::default()
        };
        let revision = self.highest() + 1;
        let made = ControllerRevision { metadata, data: Some(RawExtension(self.data.clone())), revision };
        Present::Write(Box::new(Step::create(made)))
    }

    /// Deletions beyond the limit, of revisions other than the present that no pod is of.
    pub(crate) fn surplus(&self, limit: Option<i32>, present: &str, live: impl Fn(&ControllerRevision) -> bool) -> Vec<Step> {
        let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
        let old: Vec<_> = self.all.iter().filter(|r| r.metadata.name.as_deref() != Some(present) && !live(r)).collect();
        let n = old.len().saturating_sub(limit);
        old.into_iter().take(n).map(|r| Step::delete_typed(&**r)).collect()
    }
}

/// The owner's stored JSON and its revisions.
pub(crate) fn observe<O: Typed>(snapshot: &cache::Snapshot, owner: &O, collisions: Option<i32>) -> Option<History> {
    let key = ObjectKey::of(owner.meta());
    let entry = snapshot.entry(&O::KIND.into(), &key)?;
    let uid = owner.meta().uid.as_deref().unwrap_or_default();
    let own = snapshot.owned_as::<ControllerRevision>(uid);
    let all = own.filter(|r| kinds::owner::is_controlled_by(&r.metadata, uid)).cloned().collect();
    let taken = |hash: &str| {
        snapshot.get::<ControllerRevision>(&key.namespace, &format!("{}-{hash}", key.name)).is_some()
    };
    Some(History::new(all, &entry.json, collisions, taken))
}

/// The pod template that a revision keeps, through the codec that the shell lent.
pub(crate) fn template_of(
    revision: &ControllerRevision,
    decode: fn(Kind, &Value) -> Option<Object>,
) -> Option<kinds::api::core::v1::PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    let whole = json!({ "apiVersion": "v1", "kind": "PodTemplate", "metadata": {}, "template": template });
    let object = decode(Kind::PodTemplate, &whole)?;
    object.typed::<kinds::api::core::v1::PodTemplate>()?.template.clone()
}
