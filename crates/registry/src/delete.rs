//! Delete and deletecollection: preconditions, grace, propagation, finalizers. Docs: "Garbage Collection", "Finalizers".

use crate::admit::{Admission, Given, request_of, settle};
use crate::list::ListQuery;
use crate::registry::{Caller, Registry, unsaved, whole_seconds};
use cache::Entry;
use jiff::{SignedDuration, Timestamp};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use kinds::api::core::v1::{Namespace, Pod};
use kinds::{ApiError, DeleteOptions, Kind, Object, Path, Resource, Target, Time};
use rules::{Operation, admission};
use std::sync::Arc;
use store::Expect;

/// The finalizer of foreground deletion.
pub const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of orphaning deletion.
pub const ORPHAN: &str = "orphan";
/// Deletions of one deletecollection that run at the same time.
const COLLECTION_WORKERS: usize = 16;

/// What came of a delete.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// It is gone; this is how it last stood.
    Gone(Arc<Entry>),
    /// It lingers: grace period or finalizers.
    Lingers(Arc<Entry>),
}

impl Registry {
    /// Deletes an object, or starts its deletion.
    ///
    /// # Errors
    /// `NotFound`, failed preconditions, admission, the store.
    pub async fn delete(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        self.delete_admitted(caller, target, options, true).await
    }

    /// The same; an eviction was admitted as what it is, and is not shown to webhooks as a delete.
    pub(crate) async fn delete_admitted(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
        outside: bool,
    ) -> Result<Deleted, ApiError> {
        check_options(options)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.delete_once(caller, target, options, outside).await {
                Err(e) if e.is_conflict() && e.details.is_some() && tries < super::modify::CONFLICT_TRIES => {
                    // A failed precondition stays failed; a lost race is looked at again.
                    if e.message.contains(" in the precondition (") || e.message.contains("Precondition failed") {
                        return Err(e);
                    }
                    self.catch_up().await?;
                }
                done => return done,
            }
        }
    }

    async fn delete_once(
        &self,
        caller: &Caller,
        target: &Target,
        options: &DeleteOptions,
        outside: bool,
    ) -> Result<Deleted, ApiError> {
        let (resource, key) = (&target.resource, &target.key);
        let snapshot = self.image.snapshot();
        let old = snapshot.entry(resource, key).cloned().ok_or_else(|| ApiError::not_found(resource, &key.name))?;
        let old = crate::fieldowners::unfolded(old);
        check_preconditions(resource, &old, options)?;
        let ctx = self.ctx(&snapshot, caller);
        let given = Given::Delete(options);
        let dry_run = given.dry_run();
        let request = request_of(&Target::new(resource.clone(), key.clone()), Operation::Delete, dry_run);
        let admission =
            Admission { registry: self, caller, ctx: &ctx, request, given, settle: &settle, connect: None };
        if outside {
            admission.mutate_outside(None, Some(old.object())).await?;
        }
        admission::validate(&ctx, &admission.request, old.object(), Some(old.object()))?;
        if outside {
            admission.validate_outside(None, Some(old.object())).await?;
        }
        let next = self.after_delete(&old, options);
        if dry_run {
            return Ok(match next {
                Some(object) => Deleted::Lingers(unsaved(object)),
                None => Deleted::Gone(self.last_seen(old)),
            });
        }
        match next {
            None => {
                self.remove(resource, key, Expect::At(old.revision)).await?;
                Ok(Deleted::Gone(self.last_seen(old)))
            }
            Some(mut object) => {
                object.meta_mut().resource_version = None;
                let value = codec::encode(&object);
                if codec::is_at_revision(&old.json, &value, old.revision) {
                    return Ok(Deleted::Lingers(old));
                }
                self.put_encoded(resource, object, value, Expect::At(old.revision)).await.map(Deleted::Lingers)
            }
        }
    }

    /// The object as deletion leaves it, or `None` when it goes at once.
    fn after_delete(&self, old: &Entry, options: &DeleteOptions) -> Option<Object> {
        let mut object = crate::fieldowners::whole(old.object(), &old.json);
        let grace_s = grace(old.object(), options);
        let bare = matches!(old.object(), Object::Event(_)) || ends_by_contents(&old.object().resource());
        if !bare {
            propagate(&mut object, options, old.object());
        }
        let now = whole_seconds(self.clock.now());
        let deleting = old.meta().deletion_timestamp.is_some();
        if !deleting {
            crate::customs::hold(&mut object, now);
        }
        let held = object.meta().finalizers.as_ref().is_some_and(|f| !f.is_empty()) || is_held_namespace(&object);
        if deleting {
            shorten(&mut object, grace_s);
            let waits = object.meta().deletion_grace_period_seconds.unwrap_or(0) > 0;
            return (held || waits).then_some(object);
        }
        if grace_s == 0 && !held {
            return None;
        }
        let graceful = !ends_by_contents(&old.object().resource());
        mark_deleted(&mut object, now, grace_s, graceful);
        mark_terminating(&mut object);
        Some(object)
    }

    /// How a deleted object is shown: a pod ends with its grace over.
    fn last_seen(&self, old: Arc<Entry>) -> Arc<Entry> {
        if !matches!(old.object(), Object::Pod(_)) {
            return old;
        }
        let mut object = crate::fieldowners::whole(old.object(), &old.json);
        if old.meta().deletion_timestamp.is_some() {
            shorten(&mut object, 0);
        } else {
            mark_deleted(&mut object, whole_seconds(self.clock.now()), 0, true);
        }
        unsaved(object)
    }

    /// Deletes everything that a list would show.
    ///
    /// # Errors
    /// The first failure that is not `NotFound`.
    pub async fn delete_collection(
        &self,
        caller: &Caller,
        resource: &Resource,
        query: &ListQuery,
        options: &DeleteOptions,
    ) -> Result<crate::list::Listing, ApiError> {
        use futures_util::stream::{self, StreamExt};
        let listing = self.list_spoken(resource, query).await?;
        let outcomes = stream::iter(listing.entries.clone()).map(|e| async move {
            let target = Target::new(resource.clone(), e.key.clone());
            self.delete(caller, &target, options).await.map(|_| ())
        });
        let outcomes: Vec<_> = outcomes.buffer_unordered(COLLECTION_WORKERS).collect().await;
        match outcomes.into_iter().find_map(|r| r.err().filter(|e| !e.is_not_found())) {
            Some(e) => Err(e),
            None => Ok(listing),
        }
    }
}

fn check_options(options: &DeleteOptions) -> Result<(), ApiError> {
    if options.orphan_dependents.is_some() && options.propagation_policy.is_some() {
        let policy = options.propagation_policy.as_deref().unwrap_or_default();
        return Err(ApiError::invalid_options("DeleteOptions", |e| {
            e.invalid(&Path::new("propagationPolicy"), policy, "orphanDependents and deletionPropagation cannot be both set");
        }));
    }
    match options.propagation_policy.as_deref() {
        None | Some("Foreground" | "Background" | "Orphan") => Ok(()),
        Some(other) => Err(ApiError::invalid_options("DeleteOptions", |e| {
            e.not_supported(&Path::new("propagationPolicy"), other, &["Foreground", "Background", "Orphan", "nil"]);
        })),
    }
}

/// Kinds whose deletion is held by what lies in them: it has no grace, and no propagation of its own.
fn ends_by_contents(resource: &Resource) -> bool {
    matches!(resource.builtin(), Some(Kind::Namespace | Kind::CustomResourceDefinition))
}

/// What a client that names an object means by it: upstream tells the kind here, where it tells the resource elsewhere.
fn failed_precondition(resource: &Resource, name: &str, why: &str) -> ApiError {
    let details = kinds::error::Details {
        name: name.to_owned(),
        group: resource.group().to_owned(),
        kind: resource.kind_name().to_owned(),
        ..kinds::error::Details::default()
    };
    let group = resource.group();
    let told = if group.is_empty() { resource.kind_name().to_owned() } else { format!("{}.{group}", resource.kind_name()) };
    let text = format!("Operation cannot be fulfilled on {told} {name:?}: {why}");
    ApiError::new(409, "Conflict", text).with_details(details)
}

fn check_preconditions(resource: &Resource, old: &Entry, options: &DeleteOptions) -> Result<(), ApiError> {
    let Some(p) = &options.preconditions else { return Ok(()) };
    let name = &old.key.name;
    if ends_by_contents(resource) {
        return check_contents_preconditions(resource, old, p);
    }
    if let Some(want) = p.uid.as_deref().filter(|u| *u != old.uid()) {
        let why = format!(
            "the UID in the precondition ({want}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            old.uid()
        );
        return Err(failed_precondition(resource, name, &why));
    }
    let have = old.revision.to_string();
    if let Some(want) = p.resource_version.as_deref().filter(|v| *v != have) {
        let why = format!(
            "the ResourceVersion in the precondition ({want}) does not match the ResourceVersion in record ({have}). The object might have been modified"
        );
        return Err(failed_precondition(resource, name, &why));
    }
    Ok(())
}

/// The same in the words of the storage, which those kinds ask directly.
fn check_contents_preconditions(resource: &Resource, old: &Entry, wanted: &Preconditions) -> Result<(), ApiError> {
    let have = old.revision.to_string();
    let told = |what: &str, want: &str, have: &str| {
        ApiError::conflict(resource, &old.key.name, format!("Precondition failed: {what} in precondition: {want}, {what} in object meta: {have}"))
    };
    if let Some(want) = wanted.uid.as_deref().filter(|u| *u != old.uid()) {
        return Err(told("UID", want, old.uid()));
    }
    match wanted.resource_version.as_deref().filter(|v| *v != have) {
        Some(want) => Err(told("ResourceVersion", want, &have)),
        None => Ok(()),
    }
}

/// Seconds of grace: the pod's own or the caller's, none where nothing could use it.
fn grace(object: &Object, options: &DeleteOptions) -> i64 {
    let Some(pod) = object.typed::<Pod>() else { return 0 };
    let spec = pod.spec.as_ref();
    let scheduled = spec.is_some_and(|s| s.node_name.as_deref().is_some_and(|n| !n.is_empty()));
    if !scheduled || kinds::pod::is_terminal(pod) {
        return 0;
    }
    let own_s = spec.and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
    options.grace_period_seconds.unwrap_or(own_s).max(0)
}

/// Puts the finalizers of the chosen propagation in place.
fn propagate(object: &mut Object, options: &DeleteOptions, old: &Object) {
    let had = |f: &str| old.meta().finalizers.iter().flatten().any(|x| x == f);
    let (orphan, foreground) = match (options.propagation_policy.as_deref(), options.orphan_dependents) {
        (Some("Orphan"), _) | (None, Some(true)) => (true, false),
        (Some("Foreground"), _) => (false, true),
        (Some(_), _) | (None, Some(false)) => (false, false),
        (None, None) => (had(ORPHAN), had(FOREGROUND)),
    };
    if (orphan, foreground) == (had(ORPHAN), had(FOREGROUND)) {
        return;
    }
    let meta = object.meta_mut();
    let mut finalizers = meta.finalizers.take().unwrap_or_default();
    finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
    if orphan {
        finalizers.push(ORPHAN.to_owned());
    }
    if foreground {
        finalizers.push(FOREGROUND.to_owned());
    }
    meta.finalizers = (!finalizers.is_empty()).then_some(finalizers);
}

fn is_held_namespace(object: &Object) -> bool {
    let spec = object.typed::<Namespace>().and_then(|n| n.spec.as_ref());
    spec.and_then(|s| s.finalizers.as_ref()).is_some_and(|f| !f.is_empty())
}

/// A deletion that is under way may come sooner.
fn shorten(object: &mut Object, grace_s: i64) {
    let meta = object.meta_mut();
    let left_s = meta.deletion_grace_period_seconds.unwrap_or(0);
    if grace_s < left_s {
        meta.deletion_grace_period_seconds = Some(grace_s);
        let sooner = |at: Timestamp| at.checked_sub(SignedDuration::from_secs(left_s - grace_s)).unwrap_or(at);
        meta.deletion_timestamp = meta.deletion_timestamp.take().map(|t| Time(sooner(t.0)));
    }
}

/// Sets the times of deletion; what ends gracefully has another generation by it.
fn mark_deleted(object: &mut Object, now: Timestamp, grace_s: i64, graceful: bool) {
    let meta = object.meta_mut();
    meta.deletion_timestamp = Some(Time(now.checked_add(SignedDuration::from_secs(grace_s)).unwrap_or(now)));
    if graceful {
        meta.deletion_grace_period_seconds = Some(grace_s);
        meta.generation = meta.generation.map(|g| if g > 0 { g + 1 } else { g });
    }
}

fn mark_terminating(object: &mut Object) {
    if let Object::Namespace(ns) = object {
        Arc::make_mut(ns).status.get_or_insert_default().phase = Some("Terminating".to_owned());
    }
}
