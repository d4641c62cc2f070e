//! Keeping a pod running: deadline, volumes, sandbox, then containers.

use super::actions::Look;
use super::memo::Image;
use super::{Act, Ctx, Flight, Stage, Volumes, Worker};
use crate::note::{Note, reason};
use crate::plan::downward::Addresses;
use crate::plan::volume;
use crate::plan::sandbox;
use crate::restart;
use crate::roster;
use crate::status::{self, Ending};
use jiff::Timestamp;

impl Worker {
    pub(crate) fn sync(&mut self, ctx: &mut Ctx<'_>) {
        self.started_at.get_or_insert(ctx.now);
        if self.deadline().is_some_and(|d| d <= ctx.now) {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            ctx.note(Note::normal(reason::DEADLINE, message.clone()));
            self.ending = Some(Ending { reason: "DeadlineExceeded".to_owned(), message, disruption: false });
            let grace_s = self.asked_grace_s();
            self.begin_terminating(grace_s, ctx);
            return;
        }
        if status::phase::is_done(&self.seen(ctx.now)) {
            self.begin_terminating(self.asked_grace_s(), ctx);
            return;
        }
        self.sync_volumes(ctx);
        self.sync_sandbox(ctx);
        self.find_images(ctx);
        let ready = self.view.ready_sandbox().map(|s| s.id.clone());
        let made = matches!(self.volumes, Volumes::Made { .. });
        if let (Some(sandbox), true) = (ready, made) {
            self.sync_containers(&sandbox, ctx);
            self.sync_resize(ctx);
            self.prune(ctx);
        }
    }

    /// When the pod has been active for too long.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let seconds = roster::spec(&self.pod).active_deadline_seconds?;
        (self.stage == Stage::Syncing).then_some(super::later(self.started_at?, seconds))
    }

    fn sync_volumes(&mut self, ctx: &mut Ctx<'_>) {
        if self.flying(|f| matches!(f, Flight::Mount(_))) || self.volume_retry.is_some_and(|t| t > ctx.now) {
            return;
        }
        let planned = volume::plan(&self.pod, &Addresses::default(), &self.facts, ctx.world);
        match (planned, &self.volumes) {
            (Ok(plans), Volumes::Unmade) => self.launch(Flight::Mount(plans.clone()), Act::Mount(plans), ctx),
            (Ok(plans), Volumes::Made { plans: made, refresh_at }) => {
                if plans != *made || refresh_at.is_some_and(|t| t <= ctx.now) {
                    self.launch(Flight::Mount(plans.clone()), Act::Mount(plans), ctx);
                }
            }
            (Err(wrong), Volumes::Unmade) => {
                let texts: Vec<String> = wrong.iter().map(volume::VolumeError::text).collect();
                self.volumes_failed(&texts, ctx);
            }
            // An object that a running pod refers to has gone: what was written stays.
            (Err(_), _) | (_, Volumes::Gone) => {}
        }
    }

    /// Whether a new sandbox would have anything to run.
    fn wants_sandbox(&self) -> bool {
        let spec = roster::spec(&self.pod);
        if self.view.sandboxes.is_empty() {
            return true;
        }
        roster::apps(&self.pod).any(|c| match self.view.newest(&c.name) {
            None => true,
            Some(v) if v.is_exited() => restart::restarts(c, spec, v.exit_code),
            Some(_) => restart::policy(c, spec) != "Never",
        })
    }

    fn sync_sandbox(&mut self, ctx: &mut Ctx<'_>) {
        let busy = self.flying(|f| matches!(f, Flight::Sandbox | Flight::StopSandbox(_)));
        if busy || self.view.ready_sandbox().is_some() || self.sandbox_retry.is_some_and(|t| t > ctx.now) {
            return;
        }
        let orphans: Vec<(String, String)> = self.view.running().map(|c| (c.id.clone(), c.name.clone())).collect();
        if !orphans.is_empty() {
            let grace_s = crate::probe::grace_s(None, &self.pod);
            for (id, name) in orphans {
                self.kill(&id, &name, &format!("Stopping container {name}"), grace_s, ctx);
            }
            return;
        }
        if !self.wants_sandbox() {
            return;
        }
        let attempt = self.view.sandbox().map_or(0, |s| s.attempt + 1);
        let granted = self.granted();
        match sandbox::plan(&granted, attempt, &self.facts) {
            Ok(plan) => {
                self.resizing.whole = Some(crate::plan::resources::whole_pod(&granted));
                if attempt > 0 && self.sandbox_failures == 0 {
                    let text = "Pod sandbox changed, it will be killed and re-created.";
                    ctx.note(Note::normal(reason::SANDBOX_CHANGED, text));
                    self.memos.values_mut().for_each(|m| m.image = Image::Unknown);
                }
                self.launch(Flight::Sandbox, Act::CreateSandbox(Box::new(plan)), ctx);
            }
            Err(message) => self.sandbox_failed(&message, ctx),
        }
    }

    pub(crate) fn look<'a>(&'a self, sandbox: Option<&'a str>) -> Look<'a> {
        Look { pod: &self.pod, view: &self.view, memos: &self.memos, sandbox }
    }

    /// Looks for the images of what starts first while volumes and sandbox are still being made.
    fn find_images(&mut self, ctx: &mut Ctx<'_>) {
        if self.view.ready_sandbox().is_some() {
            return;
        }
        for name in self.look(None).actions().start {
            self.find_image(&name, ctx);
        }
    }

    fn sync_containers(&mut self, sandbox: &str, ctx: &mut Ctx<'_>) {
        let actions = self.look(Some(sandbox)).actions();
        for stop in actions.stop {
            self.kill(&stop.id, &stop.name, &stop.message, stop.grace_s, ctx);
        }
        self.start_next(sandbox, &actions.start, ctx);
    }

    /// Of each container's dead lives only the last two are kept (one while it runs).
    fn prune(&mut self, ctx: &mut Ctx<'_>) {
        let mut seen = std::collections::BTreeMap::<String, u32>::new();
        let mut old = Vec::new();
        for c in &self.view.containers {
            let n = seen.entry(c.name.clone()).or_default();
            *n += 1;
            if *n > 2 && c.is_exited() {
                old.push(c.id.clone());
            }
        }
        old.retain(|id| !self.flying(|f| matches!(f, Flight::RemoveContainer(i) if i == id)));
        for id in old {
            self.launch(Flight::RemoveContainer(id.clone()), Act::RemoveContainer(id), ctx);
        }
    }
}
