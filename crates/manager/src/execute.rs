//! Carrying out a plan through the API port: waves in order, each at its pace; what a step tells goes to the recorder.

use crate::events::Recorder;
use controllers::{Action, Event, Failed, Note, Pace, Plan, Severity, Step};
use futures_util::stream::{self, StreamExt};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use kinds::{Api, ApiError, DeleteOptions, Object, Revision, Target, WriteOptions};
use std::sync::Arc;

/// At most this many writes of one wave are under way at once.
const PARALLEL_MAX: usize = 64;
const FIELD_MANAGER: &str = "kube-controller-manager";
/// Definitions are tended by kube-apiserver itself.
const OF_THE_SERVER: (&str, &str) = ("apiextensions-controller", "kube-apiserver");
const TERMINATING_CAUSE: &str = "NamespaceTerminating";

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub failed: Failed,
    pub error: Box<ApiError>,
    /// The step was to change or delete an object that is not there (any more).
    pub stale: bool,
}

/// The hands of one controller.
#[derive(Clone)]
pub(crate) struct Hands {
    pub api: Arc<dyn Api>,
    pub recorder: Recorder,
    pub component: &'static str,
}

impl Hands {
    /// All waves, then the status, then the events. The answer is the newest revision written.
    pub(crate) async fn carry_out(&self, plan: &Plan) -> Result<Revision, Failure> {
        let mut newest = Revision::ZERO;
        for wave in &plan.waves {
            let wrote = match wave.pace {
                Pace::Ordered => self.ordered(&wave.steps).await,
                Pace::Parallel => self.parallel(&wave.steps).await,
                Pace::SlowStart => self.slow_start(&wave.steps).await,
            };
            newest = newest.max(match wrote {
                // Nothing new comes into a namespace that goes away; what is there must still be tended (the pods of a
                // Job wait for it to take its finalizer away).
                Err(f) if is_terminating(&f.error) => continue,
                wrote => wrote?,
            });
        }
        if let Some(status) = &plan.status {
            newest = newest.max(self.step(status).await?);
        }
        for e in &plan.events {
            self.recorder.record(self.component, e.clone());
        }
        Ok(newest)
    }

    async fn ordered(&self, steps: &[Step]) -> Result<Revision, Failure> {
        let mut newest = Revision::ZERO;
        for s in steps {
            newest = newest.max(self.step(s).await?);
        }
        Ok(newest)
    }

    async fn parallel(&self, steps: &[Step]) -> Result<Revision, Failure> {
        type Write<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Revision, Failure>> + Send + 'a>>;
        let writes: Vec<Write> = steps.iter().map(|s| Box::pin(self.step(s)) as Write).collect();
        let all: Vec<_> = stream::iter(writes).buffer_unordered(PARALLEL_MAX).collect().await;
        all.into_iter().try_fold(Revision::ZERO, |newest, r| Ok(newest.max(r?)))
    }

    async fn slow_start(&self, steps: &[Step]) -> Result<Revision, Failure> {
        let (mut newest, mut rest, mut batch) = (Revision::ZERO, steps, 1);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            newest = newest.max(self.parallel(now).await?);
            (rest, batch) = (later, batch * 2);
        }
        Ok(newest)
    }

    /// One write, and what it tells.
    pub(crate) async fn step(&self, step: &Step) -> Result<Revision, Failure> {
        match self.write(&step.action).await {
            Ok(revision) => {
                self.tell(step, Severity::Normal, step.ok.as_ref(), "");
                Ok(revision)
            }
            Err(e) if step.lenient && (e.is_not_found() || e.is_already_exists()) => Ok(Revision::ZERO),
            // What cannot be made there any more must not keep the rest of the plan (finalizers, statuses) from happening.
            Err(e) if matches!(step.action, Action::Create { .. }) && is_terminating(&e) => Ok(Revision::ZERO),
            Err(e) => {
                let retried = e.is_conflict();
                if !retried {
                    self.tell(step, Severity::Warning, step.failed.as_ref(), &e.message);
                }
                let reason = step.failed.as_ref().map_or("", |n| n.reason);
                let creates = matches!(step.action, Action::Create { .. });
                let failed = Failed { reason, message: e.message.clone() };
                Err(Failure { failed, stale: e.is_not_found() && !creates, error: Box::new(e) })
            }
        }
    }

    fn tell(&self, step: &Step, severity: Severity, note: Option<&Note>, error: &str) {
        let (Some(about), Some(note)) = (&step.about, note) else { return };
        let message = format!("{}{error}", note.message);
        self.recorder.record(self.component, Event { about: about.clone(), severity, reason: note.reason, message });
    }

    async fn write(&self, action: &Action) -> Result<Revision, ApiError> {
        let manager = if self.component == OF_THE_SERVER.0 { OF_THE_SERVER.1 } else { FIELD_MANAGER };
        let options = WriteOptions { field_manager: manager.to_owned(), ..WriteOptions::default() };
        let written = match action {
            Action::Create { object } => {
                let target = Target::new(object.resource(), object.key());
                Some(self.api.create(target, object.clone(), options).await?)
            }
            Action::Update { object, subresource } => {
                let target = Target::new(object.resource(), object.key()).sub(subresource);
                Some(self.api.update(target, object.clone(), options).await?)
            }
            Action::Patch { target, patch } => Some(self.api.patch(target.clone(), patch.clone(), options).await?),
            Action::Post { target, object } => Some(self.api.create(target.clone(), object.clone(), options).await?),
            Action::Delete { target, uid, resource_version, propagation, grace_s } => {
                let conditional = uid.is_some() || resource_version.is_some();
                let preconditions =
                    conditional.then(|| Preconditions { uid: uid.clone(), resource_version: resource_version.clone() });
                let options = DeleteOptions {
                    preconditions,
                    propagation_policy: propagation.map(|p| p.as_str().to_owned()),
                    grace_period_seconds: *grace_s,
                    ..DeleteOptions::default()
                };
                self.api.delete(target.clone(), options).await?
            }
        };
        Ok(written.as_ref().and_then(revision_of).unwrap_or_default())
    }
}

fn revision_of(object: &Object) -> Option<Revision> {
    Revision::parse(object.meta().resource_version.as_deref()?)
}

/// Nothing can be created in a namespace that goes away; that is no failure worth telling or retrying.
pub(crate) fn is_terminating(e: &ApiError) -> bool {
    e.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.reason == TERMINATING_CAUSE))
}
