//! The writes that follow a decision.

use super::report;
use crate::events::Recorder;
use base::Clock;
use cache::{Snapshot, Source};
use controllers::{Event, Severity};
use kinds::api::core::v1::{Binding, ObjectReference, Pod};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use kinds::{Api, ApiError, DeleteOptions, Kind, Object, ObjectMeta, Patch, PatchKind, Target, WriteOptions};
use scheduler::{Decision, Outcome, PodInfo};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

pub(super) const FIELD_MANAGER: &str = "kube-scheduler";

/// What writes and tells.
pub(super) struct Hands {
    pub api: Arc<dyn Api>,
    pub source: Arc<dyn Source>,
    pub clock: Arc<dyn Clock>,
    pub recorder: Recorder,
    /// Profile names that live as long as the process.
    pub names: HashMap<String, &'static str>,
}

/// Something to be written.
pub(super) enum Work {
    Bind { decision: Decision, began: Instant },
    /// Deletes the victims.
    Preempt { decision: Decision },
    /// Tells that no node will do.
    Refused { decision: Decision },
    /// Tells that something went wrong.
    Failed { decision: Decision, error: String },
}

/// How it went.
pub(super) struct Done {
    pub work: Work,
    pub result: Result<(), ApiError>,
}

impl Work {
    /// Whether it may take long: it waits for volumes.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Bind { decision, .. } if matches!(&decision.outcome, Outcome::Bind { volumes, .. } if !volumes.is_empty()))
    }
    /// The pod that it is about.
    pub(super) fn pod(&self) -> &Arc<PodInfo> {
        let (Self::Bind { decision, .. } | Self::Preempt { decision } | Self::Refused { decision } | Self::Failed { decision, .. }) =
            self;
        &decision.pod
    }
}

/// Does it.
pub(super) async fn carry_out(hands: Arc<Hands>, snapshot: Snapshot, work: Work) -> Done {
    let result = match &work {
        Work::Bind { decision, .. } => hands.bind(decision).await,
        Work::Preempt { decision } => hands.preempt(decision, &snapshot).await,
        Work::Refused { decision } => hands.refused(decision, &snapshot).await,
        Work::Failed { decision, error } => hands.error(decision, error, &snapshot).await,
    };
    Done { work, result }
}

fn options() -> WriteOptions {
    WriteOptions { field_manager: FIELD_MANAGER.to_owned(), ..WriteOptions::default() }
}

impl Hands {
    fn tell(&self, profile: &str, pod: &Pod, severity: Severity, reason: &'static str, message: String) {
        let Some(component) = self.names.get(profile) else { return };
        let about = report::reference(pod);
        self.recorder.record(component, Event { about, severity, reason, message });
    }

    /// The binding cycle.
    async fn bind(&self, d: &Decision) -> Result<(), ApiError> {
        let Outcome::Bind { node, volumes, .. } = &d.outcome else { return Ok(()) };
        self.bind_volumes(&d.pod, node, volumes).await?;
        let binding = Binding {
            metadata: ObjectMeta {
                namespace: Some(d.pod.key.namespace.clone()),
                name: Some(d.pod.key.name.clone()),
                uid: Some(d.pod.uid.clone()),
                ..ObjectMeta::default()
            },
            target: ObjectReference { kind: Some("Node".into()), name: Some(node.to_string()), ..ObjectReference::default() },
        };
        let target = Target::new(Kind::Pod, d.pod.key.clone()).sub("binding");
        self.api.create(target, Object::from(binding), options()).await.map_err(|mut e| {
            e.message = format!("binding rejected: running Bind plugin \"DefaultBinder\": {}", e.message);
            e
        })?;
        let message = format!("Successfully assigned {} to {node}", d.pod.key);
        self.tell(&d.profile, &d.pod.pod, Severity::Normal, "Scheduled", message);
        Ok(())
    }

    pub(super) async fn patch_status(&self, pod: &PodInfo, body: Option<serde_json::Value>) -> Result<(), ApiError> {
        let Some(body) = body else { return Ok(()) };
        let target = Target::new(Kind::Pod, pod.key.clone()).sub("status");
        let patch = Patch { kind: PatchKind::Strategic, body: body.to_string().into_bytes() };
        self.api.patch(target, patch, options()).await.map(drop)
    }

    async fn refused(&self, d: &Decision, s: &Snapshot) -> Result<(), ApiError> {
        let (why, nominated) = match &d.outcome {
            Outcome::Unschedulable(why) => {
                (why, d.pod.nominated().filter(|_| why.keeps_hope).map(str::to_owned))
            }
            Outcome::Preempt { why, node, .. } => (why, Some(node.to_string())),
            Outcome::Bind { .. } => return Ok(()),
        };
        let (reason, message) = match why.error() {
            Some(e) => ("SchedulerError", format!("running Filter plugin \"{}\": {}", e.plugin, e.reasons.join(", "))),
            None => ("Unschedulable", why.message()),
        };
        self.tell(&d.profile, &d.pod.pod, Severity::Warning, "FailedScheduling", message.clone());
        let pod = s.find::<Pod>(&d.pod.key).unwrap_or(&d.pod.pod);
        self.patch_status(&d.pod, report::not_scheduled(pod, reason, &message, nominated.as_deref(), self.clock.now())).await
    }

    async fn error(&self, d: &Decision, error: &str, s: &Snapshot) -> Result<(), ApiError> {
        self.tell(&d.profile, &d.pod.pod, Severity::Warning, "FailedScheduling", error.to_owned());
        let pod = s.find::<Pod>(&d.pod.key).unwrap_or(&d.pod.pod);
        let nominated = d.pod.nominated();
        self.patch_status(&d.pod, report::not_scheduled(pod, "SchedulerError", error, nominated, self.clock.now())).await
    }

    /// Says to each victim why it goes, and deletes it; less important pods that hoped for the node hope no more.
    async fn preempt(&self, d: &Decision, s: &Snapshot) -> Result<(), ApiError> {
        let Outcome::Preempt { node, victims, .. } = &d.outcome else { return Ok(()) };
        for v in victims {
            match self.evict(d, v, s).await {
                Err(e) if e.is_not_found() => continue,
                other => other?,
            }
            let message = format!("Preempted by pod {} on node {node}", d.pod.uid);
            self.tell(&d.profile, &v.pod, Severity::Normal, "Preempted", message);
        }
        for p in s.list::<Pod>("").filter(|p| report::hopes_for(p, node, d.pod.priority)) {
            let info = PodInfo::new(Arc::clone(p));
            let cleared = serde_json::json!({"status": {"nominatedNodeName": null}});
            if let Err(e) = self.patch_status(&info, Some(cleared)).await {
                tracing::debug!(pod = %info.key, error = %e, "could not clear the nominated node");
            }
        }
        Ok(())
    }

    async fn evict(&self, d: &Decision, victim: &PodInfo, s: &Snapshot) -> Result<(), ApiError> {
        if victim.is_terminating() {
            return Ok(());
        }
        let pod = s.find::<Pod>(&victim.key).unwrap_or(&victim.pod);
        self.patch_status(victim, report::disrupted(pod, &d.profile, self.clock.now())).await?;
        let preconditions = Some(Preconditions { uid: Some(victim.uid.clone()), resource_version: None });
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        self.api.delete(Target::new(Kind::Pod, victim.key.clone()), options).await.map(drop)
    }
}
