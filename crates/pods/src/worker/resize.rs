//! The worker's side of a resize: granted when the node has room, then written to the pod's group and the containers'
//! (wider limits to the pod first, narrower ones last), or to a container that is restarted for it.

use super::{Act, Ctx, Flight, Outcome, Worker};
use crate::note::Note;
use crate::plan::{Limits, resources};
use crate::resize::{self, Granted, Pending, Progress, Room};
use crate::roster;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::Pod;
use std::sync::Arc;

/// A deferred resize is looked at again this often.
const DEFERRED_AGAIN_S: i64 = 10;

/// What the worker knows of resizes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resizing {
    pub(crate) granted: Granted,
    pub(crate) pending: Option<Pending>,
    pub(crate) progress: Option<Progress>,
    /// The limits of the pod's own group; `None`: as it was made.
    pub(crate) whole: Option<Limits>,
    pub(crate) again_at: Option<Timestamp>,
    pub(crate) failures: u32,
}

impl Worker {
    /// The pod with the resources that the node has granted.
    pub(crate) fn granted(&self) -> Arc<Pod> {
        self.resizing.granted.applied_to(&self.pod)
    }

    pub(crate) fn sync_resize(&mut self, ctx: &mut Ctx<'_>) {
        self.grant(ctx);
        self.apply_limits(ctx);
    }

    fn grant(&mut self, ctx: &mut Ctx<'_>) {
        if !self.resizing.granted.differs(&self.pod) {
            self.resizing.pending = None;
            return;
        }
        let (pod, generation) = (Arc::clone(&self.pod), self.pod.metadata.generation);
        let waits = self.resizing.pending.as_ref().is_some_and(|p| p.generation == generation);
        if waits && self.resizing.again_at.is_some_and(|t| t > ctx.now) {
            return;
        }
        match ctx.world.room(&pod) {
            Room::Free => {
                self.resizing.granted = Granted::asked(&pod);
                self.resizing.pending = None;
                self.resizing.progress = Some(Progress { generation, error: None });
                self.resizing.again_at = None;
                ctx.note(Note::normal("ResizeStarted", resize::event_text("started", &pod, generation, "")));
            }
            Room::Deferred { reason, message } => {
                self.resizing.again_at = Some(ctx.now + SignedDuration::from_secs(DEFERRED_AGAIN_S));
                let pending = Pending { reason: "Deferred".to_owned(), message: message.clone(), generation };
                if self.resizing.pending.as_ref() != Some(&pending) {
                    ctx.note(Note::warning("ResizeDeferred", resize::event_text(&reason, &pod, generation, &message)));
                    self.resizing.pending = Some(pending);
                }
            }
        }
    }

    /// Writes what was granted wherever it is not in force yet.
    fn apply_limits(&mut self, ctx: &mut Ctx<'_>) {
        let retried = self.resizing.progress.as_ref().is_some_and(|p| p.error.is_some());
        if retried && self.resizing.again_at.is_some_and(|t| t > ctx.now) {
            return;
        }
        if self.flying(|f| matches!(f, Flight::Resize { .. } | Flight::ResizePod(_))) {
            return;
        }
        let pod = self.granted();
        let mut late = Vec::new();
        for c in roster::init(&pod).chain(roster::apps(&pod)) {
            let Some(id) = self.view.newest(&c.name).filter(|v| v.is_running()).map(|v| v.id.clone()) else { continue };
            let limits = resources::container(&pod, c, &self.facts);
            let memo = self.memo(&c.name);
            match &memo.applied {
                Some(applied) if *applied != limits => late.push((c, id, limits)),
                Some(_) => memo.in_force = c.resources.clone(),
                None => {
                    memo.applied = Some(limits);
                    memo.in_force = c.resources.clone();
                }
            }
        }
        let whole = resources::whole_pod(&pod);
        let now_whole = self.resizing.whole.get_or_insert_with(|| whole.clone()).clone();
        let wanted = if late.is_empty() { whole } else { resize::widest(&now_whole, &whole) };
        if wanted != now_whole {
            if let Some(sandbox) = self.view.ready_sandbox().map(|s| s.id.clone()) {
                let act = Act::ResizePod { sandbox, limits: wanted.clone() };
                self.launch(Flight::ResizePod(Box::new(wanted)), act, ctx);
            }
            return;
        }
        if late.is_empty() {
            self.resized(&pod, ctx);
            return;
        }
        for (c, id, limits) in late {
            let before = self.memo(&c.name).in_force.clone().unwrap_or_default();
            let changed = resize::differences(&before, &c.resources.clone().unwrap_or_default());
            if resize::wants_restart(c, &changed) {
                let grace_s = crate::probe::grace_s(None, &pod);
                self.kill(&id, &c.name, &format!("Container {} resize requires restart", c.name), grace_s, ctx);
                continue;
            }
            let flight = Flight::Resize { name: c.name.clone(), limits: Box::new(limits.clone()) };
            self.launch(flight, Act::Resize { container: id, limits }, ctx);
        }
    }

    fn resized(&mut self, pod: &Pod, ctx: &mut Ctx<'_>) {
        if let Some(progress) = self.resizing.progress.take() {
            self.resizing.failures = 0;
            self.resizing.again_at = self.resizing.again_at.filter(|_| self.resizing.pending.is_some());
            ctx.note(Note::normal("ResizeCompleted", resize::event_text("completed", pod, progress.generation, "")));
        }
    }

    /// A write of limits has ended.
    pub(crate) fn resize_done(&mut self, flight: Flight, outcome: &Outcome, ctx: &mut Ctx<'_>) {
        if let Outcome::Failed(f) = outcome {
            self.resizing.failures = self.resizing.failures.saturating_add(1);
            self.resizing.again_at = Some(ctx.now + super::absorb::retry_delay(self.resizing.failures + 1));
            let generation = self.pod.metadata.generation;
            let progress = self.resizing.progress.get_or_insert(Progress { generation, error: None });
            if progress.error.as_ref() != Some(&f.message) {
                progress.error = Some(f.message.clone());
                let text = resize::event_text("error", &self.pod, progress.generation, &f.message);
                ctx.note(Note::warning("ResizeError", text));
            }
            return;
        }
        match flight {
            Flight::Resize { name, limits } => self.memo(&name).applied = Some(*limits),
            Flight::ResizePod(limits) => self.resizing.whole = Some(*limits),
            _ => {}
        }
        if let Some(p) = self.resizing.progress.as_mut() {
            p.error = None;
        }
    }

    pub(crate) fn resize_time(&self) -> Option<Timestamp> {
        self.resizing.again_at
    }
}
