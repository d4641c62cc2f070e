//! Revisions: the new set's creation and annotations, the deployment's revision, and the old sets that are kept.
//!
//! Docs: "Deployments: rolling back", "clean up policy".

use super::observe::{HASH_LABEL, Seen};
use super::scale::{DESIRED, MAX, annotate, size};
use crate::plan::{Note, Step, reference};
use kinds::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use kinds::owner::controller_ref;
use kinds::ObjectMeta;
use std::collections::BTreeMap;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const ROLLBACK: &str = "deprecated.deployment.rollback.to";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The history annotation is cut from its old end to this length.
const HISTORY_BYTES_MAX: usize = 2000;
/// Every set is kept.
const KEEP_ALL: i32 = i32::MAX;

fn revision_of(set: &ReplicaSet) -> i64 {
    set.metadata.annotations.as_ref().and_then(|a| a.get(REVISION)).and_then(|r| r.parse().ok()).unwrap_or(0)
}

fn next_revision(seen: &Seen) -> i64 {
    seen.old.iter().map(|s| revision_of(s)).max().unwrap_or(0) + 1
}

/// The new set for the deployment's template.
pub(super) fn creation(seen: &Seen, replicas: i32) -> Step {
    let (d, spec) = (&*seen.deployment, seen.spec());
    let name = format!("{}-{}", seen.name(), seen.hash);
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), seen.hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), seen.hash.clone());
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: d.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_ref(d)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: Some(replicas),
            selector,
            template: Some(template),
        }),
        status: None,
    };
    annotate_revision(d, &mut set, next_revision(seen));
    annotate(seen, &mut set);
    let scaled = format!("Scaled up replica set {name} from 0 to {replicas}");
    let ok = (replicas > 0).then(|| Note::new("ScalingReplicaSet", scaled));
    let failed = Note::new("ReplicaSetCreateError", format!("Failed to create new replica set \"{name}\": "));
    Step::create(set).telling(reference(d), ok, Some(failed))
}

/// Copies the deployment's annotations to the set and moves its revision on. Tells whether anything changed.
fn annotate_revision(d: &Deployment, set: &mut ReplicaSet, revision: i64) -> bool {
    let notes = set.metadata.annotations.get_or_insert_default();
    let before = notes.clone();
    for (k, v) in d.metadata.annotations.iter().flatten().filter(|(k, _)| !is_own(k)) {
        notes.insert(k.clone(), v.clone());
    }
    let old = notes.get(REVISION).cloned();
    let old_number: i64 = old.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0);
    if old_number < revision {
        notes.insert(REVISION.to_owned(), revision.to_string());
        if let Some(old) = old.filter(|_| old_number > 0) {
            remember(notes, &old);
        }
    }
    *notes != before
}

/// Adds a revision that the set had before to its history.
fn remember(notes: &mut BTreeMap<String, String>, old: &str) {
    let history = notes.get(HISTORY).cloned().unwrap_or_default();
    let mut all: Vec<&str> = history.split(',').filter(|r| !r.is_empty()).collect();
    all.push(old);
    while all.len() > 1 && all.iter().map(|r| r.len() + 1).sum::<usize>() > HISTORY_BYTES_MAX {
        all.remove(0);
    }
    let text = all.join(",");
    notes.insert(HISTORY.to_owned(), text);
}

fn is_own(annotation: &str) -> bool {
    [LAST_APPLIED, REVISION, HISTORY, DESIRED, MAX, ROLLBACK].contains(&annotation)
}

/// The next write that brings the new set's and the deployment's revision in line, if one is needed.
pub(super) fn align(seen: &Seen) -> Option<Step> {
    let (d, new) = (&*seen.deployment, seen.new.as_deref()?);
    let mut set = new.clone();
    let changed = annotate_revision(d, &mut set, next_revision(seen));
    let min_ready = seen.spec().min_ready_seconds.unwrap_or(0);
    let set_spec = set.spec.get_or_insert_default();
    let late = set_spec.min_ready_seconds.unwrap_or(0) != min_ready;
    if changed || late {
        set_spec.min_ready_seconds = seen.spec().min_ready_seconds;
        return Some(Step::update(set));
    }
    let revision = new.metadata.annotations.as_ref().and_then(|a| a.get(REVISION))?;
    let known = d.metadata.annotations.as_ref().and_then(|a| a.get(REVISION));
    if known == Some(revision) {
        return None;
    }
    let mut d = d.clone();
    d.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision.clone());
    Some(Step::update(d))
}

/// Deletions of the oldest idle sets beyond the history limit.
pub(super) fn cleanup(seen: &Seen) -> Vec<Step> {
    let limit = seen.spec().revision_history_limit.unwrap_or(KEEP_ALL);
    let mut alive: Vec<_> = seen.old.iter().filter(|s| s.metadata.deletion_timestamp.is_none()).collect();
    let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    if limit == KEEP_ALL || surplus == 0 {
        return Vec::new();
    }
    alive.sort_by_key(|s| (revision_of(s), super::observe::age_order(s)));
    alive.into_iter().take(surplus).filter(|s| is_idle(s)).map(|s| Step::delete_typed(&**s)).collect()
}

fn is_idle(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    status.replicas == 0 && size(set) == 0 && set.metadata.generation <= status.observed_generation
}
