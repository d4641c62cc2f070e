//! Stopping: one container (hook, then signal, within its grace), the whole pod (sidecars last, in reverse order), and
//! what is cleaned up afterwards (docs: "Termination of Pods", "Sidecar containers").

use super::{Act, Ctx, Flight, Kill, KillStep, Outcome, Stage, Volumes, Worker, later};
use crate::note::{Note, reason};
use crate::probe;
use crate::roster::{self, Role};
use crate::view::ContainerView;
use jiff::Timestamp;
use std::sync::Arc;

/// Every container gets this long after its signal, however late it is.
pub(crate) const GRACE_MIN_S: i64 = 2;

fn seconds_until(deadline: Timestamp, now: Timestamp) -> i64 {
    (deadline.duration_since(now).as_millis().max(0) as i64 + 999) / 1000
}

impl Worker {
    /// Begins to end the pod, or shortens its grace.
    pub(crate) fn begin_terminating(&mut self, grace_s: i64, ctx: &Ctx<'_>) {
        let until = later(ctx.now, grace_s.max(0));
        match self.stage {
            Stage::Syncing => self.stage = Stage::Terminating { grace_until: until },
            Stage::Terminating { grace_until } if until < grace_until => {
                self.stage = Stage::Terminating { grace_until: until };
            }
            _ => return,
        }
        for k in self.kills.values_mut() {
            k.deadline = k.deadline.min(until);
        }
    }

    /// Stops one container: its hook first, if there is time for it.
    pub(crate) fn kill(&mut self, id: &str, name: &str, message: &str, grace_s: i64, ctx: &mut Ctx<'_>) {
        if self.kills.contains_key(id) {
            return;
        }
        let pod = Arc::clone(&self.pod);
        ctx.note(Note::normal(reason::KILLING, message).about(&pod, name));
        let deadline = later(ctx.now, grace_s);
        let hook = roster::find(&pod, name).filter(|_| grace_s > 0).and_then(|(_, c)| {
            let handler = c.lifecycle.as_ref()?.pre_stop.as_ref()?;
            Some(probe::hook(handler, &c, &self.pod_ip()))
        });
        let mut step = KillStep::Turn;
        match hook {
            Some(Ok(handler)) => {
                let timeout_s = u64::try_from(grace_s).unwrap_or(0);
                let container = id.to_owned();
                self.launch(Flight::PreStop { container: container.clone() }, Act::Hook { container, handler, timeout_s }, ctx);
                step = KillStep::Hook;
            }
            Some(Err(_)) => ctx.note(Note::warning(reason::FAILED_PRE_STOP, "PreStopHook failed").about(&pod, name)),
            None => {}
        }
        self.kills.insert(id.to_owned(), Kill { deadline, step });
        self.advance_kills(ctx);
    }

    pub(crate) fn pre_stopped(&mut self, id: &str, outcome: &Outcome, ctx: &mut Ctx<'_>) {
        let pod = Arc::clone(&self.pod);
        if let (Outcome::Failed(_), Some(c)) = (outcome, self.view.container(id)) {
            let note = Note::warning(reason::FAILED_PRE_STOP, "PreStopHook failed").about(&pod, &c.name);
            ctx.note(note);
        }
        if let Some(k) = self.kills.get_mut(id).filter(|k| k.step == KillStep::Hook) {
            k.step = KillStep::Turn;
        }
        self.advance_kills(ctx);
    }

    /// Whether a container may be signalled: sidecars wait for the apps, and for the sidecars after them.
    fn is_turn(&self, c: &ContainerView) -> bool {
        if self.stage == Stage::Syncing {
            return true;
        }
        let Some(own) = roster::init(&self.pod).position(|i| i.name == c.name) else { return true };
        if roster::find(&self.pod, &c.name).is_none_or(|(r, _)| r != Role::Sidecar) {
            return true;
        }
        !self.view.running().any(|other| match roster::init(&self.pod).position(|i| i.name == other.name) {
            Some(i) => i > own,
            None => roster::apps(&self.pod).any(|a| a.name == other.name),
        })
    }

    /// Sends every signal that is due, and sends again where the grace has become shorter.
    pub(crate) fn advance_kills(&mut self, ctx: &mut Ctx<'_>) {
        let due: Vec<(String, Timestamp)> = self
            .kills
            .iter()
            .filter(|(id, k)| match k.step {
                KillStep::Hook => k.deadline <= ctx.now,
                KillStep::Turn => self.view.container(id).is_none_or(|c| self.is_turn(c) || k.deadline <= ctx.now),
                KillStep::Stopping { until } => k.deadline < until,
                KillStep::Again { at } => at <= ctx.now,
            })
            .map(|(id, k)| (id.clone(), k.deadline))
            .collect();
        for (id, deadline) in due {
            let grace_s = seconds_until(deadline, ctx.now).max(GRACE_MIN_S);
            let until = deadline;
            self.kills.insert(id.clone(), Kill { deadline, step: KillStep::Stopping { until } });
            let grace_s = u64::try_from(grace_s).unwrap_or(0);
            self.launch(Flight::Stop(id.clone()), Act::Stop { container: id, grace_s }, ctx);
        }
    }

    /// The pod is ending: everything that runs is stopped, then the sandbox.
    pub(crate) fn terminate(&mut self, ctx: &mut Ctx<'_>) {
        let Stage::Terminating { grace_until } = self.stage else { return };
        let running: Vec<(String, String)> = self.view.running().map(|c| (c.id.clone(), c.name.clone())).collect();
        for (id, name) in &running {
            let grace_s = seconds_until(grace_until, ctx.now);
            self.kill(id, name, &format!("Stopping container {name}"), grace_s, ctx);
        }
        self.advance_kills(ctx);
        let making = |f: &Flight| {
            matches!(
                f,
                Flight::Start(_) | Flight::Sandbox | Flight::Mount(_) | Flight::StopSandbox(_) | Flight::Stop(_) | Flight::RemoveContainer(_)
            )
        };
        if !running.is_empty() || self.flying(making) || self.publish_retry.is_some_and(|t| t > ctx.now) {
            return;
        }
        let ready: Vec<String> = self.view.sandboxes.iter().filter(|s| s.ready).map(|s| s.id.clone()).collect();
        if ready.is_empty() && self.heard {
            self.stage = Stage::Terminated;
            self.kills.clear();
        }
        for id in ready {
            self.launch(Flight::StopSandbox(id.clone()), Act::StopSandbox(id), ctx);
        }
    }

    /// No process is left: volumes go; when the object is to go, the sandbox's remains and the object itself.
    pub(crate) fn clean(&mut self, ctx: &mut Ctx<'_>) {
        if self.publish_retry.is_some_and(|t| t > ctx.now) {
            return;
        }
        if self.volumes != Volumes::Gone {
            if !self.flying(|f| matches!(f, Flight::Unmount)) {
                self.launch(Flight::Unmount, Act::Unmount, ctx);
            }
            return;
        }
        if !self.gone && self.pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let left: Vec<String> = self.view.sandboxes.iter().map(|s| s.id.clone()).collect();
        if !left.is_empty() {
            if !self.flying(|f| matches!(f, Flight::RemoveSandbox(_))) {
                for id in left {
                    self.launch(Flight::RemoveSandbox(id.clone()), Act::RemoveSandbox(id), ctx);
                }
            }
            return;
        }
        if self.gone {
            self.stage = Stage::Finished;
        } else if self.is_published(ctx.now) && !self.flying(|f| matches!(f, Flight::Delete | Flight::Publish(_))) {
            self.launch(Flight::Delete, Act::Delete, ctx);
        }
    }
}
