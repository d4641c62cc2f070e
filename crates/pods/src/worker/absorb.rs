//! Taking news in: what an input changes in the worker's picture, before anything is decided.

use super::memo::Image;
use super::{Ctx, EffectId, Failure, Flight, Input, KillStep, Origin, Outcome, Stage, Volumes, Worker};
use crate::note::{Note, reason};
use crate::probe::Verdict;
use crate::roster;
use crate::view::ContainerView;
use jiff::SignedDuration;
use kinds::api::core::v1::Pod;
use std::sync::Arc;

/// The first delay before a failed mount, sandbox or API call is tried again; it doubles.
const RETRY_INITIAL_MS: i64 = 500;
/// The longest such delay.
const RETRY_MAX_MS: i64 = 122_000;

/// The delay after that many failures in a row.
pub(crate) fn retry_delay(failures: u32) -> SignedDuration {
    let doubled = RETRY_INITIAL_MS.saturating_mul(1i64 << failures.saturating_sub(1).min(20));
    SignedDuration::from_millis(doubled.min(RETRY_MAX_MS))
}

impl Worker {
    pub(crate) fn absorb(&mut self, input: Input, ctx: &mut Ctx<'_>) {
        match input {
            Input::Spec(pod) => self.absorb_spec(pod, ctx),
            Input::Gone => {
                self.gone = true;
                let grace_s = self.asked_grace_s();
                self.begin_terminating(grace_s, ctx);
            }
            Input::World => self.world_changed(),
            Input::Runtime(view) => {
                self.heard = true;
                self.view = view;
                self.view.sort();
                self.adopt();
            }
            Input::Container(c) => self.absorb_container(c),
            Input::SandboxGone(id) => {
                for s in self.view.sandboxes.iter_mut().filter(|s| s.id == id) {
                    s.ready = false;
                }
            }
            Input::End(ending, grace_s) => {
                if self.ending.is_none() && matches!(self.stage, Stage::Syncing) {
                    self.ending = Some(ending);
                }
                self.begin_terminating(grace_s, ctx);
            }
            Input::Done(id, outcome) => self.absorb_done(id, outcome, ctx),
            Input::Tick => {}
        }
    }

    /// What failed for want of an object may go at once now.
    fn world_changed(&mut self) {
        self.volume_retry = None;
        let wants = |m: &&mut super::Memo| m.waiting.as_ref().is_some_and(|w| w.reason == "CreateContainerConfigError");
        self.memos.values_mut().filter(wants).for_each(|m| m.start_hold.reset());
    }

    fn absorb_spec(&mut self, pod: Arc<Pod>, ctx: &mut Ctx<'_>) {
        self.pod = pod;
        self.started_at.get_or_insert(ctx.now);
        self.compare_published();
        if self.pod.metadata.deletion_timestamp.is_some() {
            let grace_s = self.asked_grace_s();
            self.begin_terminating(grace_s, ctx);
        } else if self.stage == Stage::Syncing && kinds::pod::is_terminal(&self.pod) {
            // A previous run of this node, or somebody else, has ended it: nothing starts any more.
            self.begin_terminating(0, ctx);
        }
    }

    /// Others may have written into our part of the status while we could not (the node controller marks pods of a node
    /// that it does not hear of): then it is told again.
    fn compare_published(&mut self) {
        if self.origin == Origin::Static || self.flying(|f| matches!(f, Flight::Publish(_))) {
            return;
        }
        if let Some(ours) = &self.published {
            let theirs = self.pod.status.clone().unwrap_or_default();
            self.overwritten = crate::status::merge(&theirs, ours) != theirs;
        }
    }

    /// The grace period that the deletion, or the spec, gives.
    pub(crate) fn asked_grace_s(&self) -> i64 {
        let meta = &self.pod.metadata;
        let deletion = meta.deletion_timestamp.as_ref().and(meta.deletion_grace_period_seconds);
        deletion.or(roster::spec(&self.pod).termination_grace_period_seconds).unwrap_or(30).max(1)
    }

    /// Containers that ran before this worker was born have started by all rules.
    fn adopt(&mut self) {
        let running: Vec<String> = self.view.running().map(|c| c.name.clone()).collect();
        for name in running {
            let memo = self.memo(&name);
            memo.post_start_pending = false;
        }
    }

    fn absorb_container(&mut self, c: ContainerView) {
        if c.is_exited() {
            self.kills.remove(&c.id);
            if let Some(memo) = self.memos.get_mut(&c.name) {
                memo.probes.retain(|_, p| p.container_id != c.id);
            }
        }
        self.view.put(c);
    }

    fn absorb_done(&mut self, id: EffectId, outcome: Outcome, ctx: &mut Ctx<'_>) {
        let Some(flight) = self.flights.remove(&id) else { return };
        match flight {
            Flight::Mount(plans) => self.mounted(plans, outcome, ctx),
            Flight::Unmount => self.unmounted(&outcome, ctx),
            Flight::Sandbox => self.sandbox_made(outcome, ctx),
            Flight::StopSandbox(id) => self.sandbox_stopped(&id, &outcome, ctx),
            Flight::RemoveSandbox(id) => {
                if !matches!(outcome, Outcome::Failed(_)) {
                    self.view.containers.retain(|c| c.sandbox_id != id);
                    self.view.sandboxes.retain(|s| s.id != id);
                } else {
                    self.api_failed(ctx);
                }
            }
            Flight::FindImage(name) => self.image_found(&name, outcome, ctx),
            Flight::Pull(name) => self.image_pulled(&name, outcome, ctx),
            Flight::Start(name) => self.started(&name, outcome, ctx),
            Flight::PostStart { name, container } => self.post_started(&name, &container, &outcome, ctx),
            Flight::PreStop { container } => self.pre_stopped(&container, &outcome, ctx),
            Flight::Probe { name, kind, container } => {
                let verdict = match outcome {
                    Outcome::Probed(v) => v,
                    Outcome::Failed(f) => Verdict::Error(f.message),
                    _ => Verdict::Success,
                };
                self.probed(&name, kind, &container, &verdict, ctx);
            }
            Flight::Stop(id) => self.stopped(&id, outcome, ctx),
            Flight::RemoveContainer(id) => self.view.containers.retain(|c| c.id != id),
            f @ (Flight::Resize { .. } | Flight::ResizePod(_)) => self.resize_done(f, &outcome, ctx),
            Flight::Publish(status) => self.publish_done(*status, &outcome, ctx),
            Flight::Delete => match outcome {
                Outcome::Failed(f) if !f.gone => self.api_failed(ctx),
                _ => self.stage = Stage::Finished,
            },
        }
    }

    fn mounted(&mut self, plans: Vec<crate::plan::VolumePlan>, outcome: Outcome, ctx: &mut Ctx<'_>) {
        match outcome {
            Outcome::Failed(f) => self.volumes_failed(&[volume_text(&f)], ctx),
            Outcome::Mounted { refresh_at } => {
                self.volume_failures = 0;
                self.volume_retry = None;
                self.volumes = Volumes::Made { plans, refresh_at };
            }
            _ => self.volumes = Volumes::Made { plans, refresh_at: None },
        }
    }

    pub(crate) fn volumes_failed(&mut self, texts: &[String], ctx: &mut Ctx<'_>) {
        self.volume_failures = self.volume_failures.saturating_add(1);
        self.volume_retry = Some(ctx.now + retry_delay(self.volume_failures));
        texts.iter().for_each(|t| ctx.note(Note::warning(reason::FAILED_MOUNT, t.clone())));
    }

    fn unmounted(&mut self, outcome: &Outcome, ctx: &mut Ctx<'_>) {
        match outcome {
            Outcome::Failed(_) => self.api_failed(ctx),
            _ => self.volumes = Volumes::Gone,
        }
    }

    fn sandbox_made(&mut self, outcome: Outcome, ctx: &mut Ctx<'_>) {
        match outcome {
            Outcome::Sandbox(s) => {
                self.sandbox_failures = 0;
                self.sandbox_retry = None;
                self.view.put_sandbox(s);
            }
            Outcome::Failed(f) => self.sandbox_failed(&f.message, ctx),
            _ => {}
        }
    }

    pub(crate) fn sandbox_failed(&mut self, message: &str, ctx: &mut Ctx<'_>) {
        self.sandbox_failures = self.sandbox_failures.saturating_add(1);
        self.sandbox_retry = Some(ctx.now + retry_delay(self.sandbox_failures + 1));
        let text = format!("Failed to create pod sandbox: {message}");
        ctx.note(Note::warning(reason::FAILED_SANDBOX, text));
    }

    fn sandbox_stopped(&mut self, id: &str, outcome: &Outcome, ctx: &mut Ctx<'_>) {
        if let Outcome::Failed(f) = outcome {
            ctx.note(Note::warning(reason::FAILED_KILL, format!("error killing pod: {}", f.message)));
            self.api_failed(ctx);
            return;
        }
        for s in self.view.sandboxes.iter_mut().filter(|s| s.id == id) {
            s.ready = false;
        }
    }

    fn image_found(&mut self, name: &str, outcome: Outcome, ctx: &mut Ctx<'_>) {
        match outcome {
            Outcome::Image(found) => self.memo(name).image = Image::Found(found),
            Outcome::Failed(f) => {
                let now = ctx.now;
                let memo = self.memo(name);
                memo.start_hold.next(now, now);
                memo.wait(crate::image::waiting::INSPECT, f.message);
            }
            _ => {}
        }
    }

    fn stopped(&mut self, id: &str, outcome: Outcome, ctx: &mut Ctx<'_>) {
        match outcome {
            Outcome::Container(Some(c)) => self.absorb_container(c),
            Outcome::Container(None) => {
                self.kills.remove(id);
                self.view.containers.retain(|c| c.id != id);
            }
            Outcome::Failed(f) => {
                ctx.note(Note::warning(reason::FAILED_KILL, format!("error killing pod: {}", f.message)));
                let at = ctx.now + retry_delay(2);
                if let Some(k) = self.kills.get_mut(id) {
                    k.step = KillStep::Again { at };
                }
            }
            _ => {}
        }
    }

    /// Something that is tried again later went wrong.
    pub(crate) fn api_failed(&mut self, ctx: &Ctx<'_>) {
        self.api_failures = self.api_failures.saturating_add(1);
        self.publish_retry = Some(ctx.now + retry_delay(self.api_failures));
    }
}

fn volume_text(f: &Failure) -> String {
    match &f.volume {
        Some(v) => format!("MountVolume.SetUp failed for volume \"{v}\" : {}", f.message),
        None => f.message.clone(),
    }
}
