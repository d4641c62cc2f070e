//! Starting one container: back-off, image, plan, start, start hook (docs: "Images", "Container lifecycle hooks").
//!
//! Containers of a pod start one after the other, in the order of the spec; one that is held back lets the next pass.

use super::memo::Image;
use super::{Act, Ctx, Failure, Flight, Outcome, Stage, Volumes, Worker};
use crate::image::{self, Need, waiting};
use crate::note::{Note, reason};
use crate::plan::container::Ask;
use crate::probe;
use crate::roster::{self, Role};
use crate::text::{go_duration, pod_text};
use crate::view::ImageFacts;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::{Container, Pod};
use std::sync::Arc;

/// A start hook that never ends must not hold the pod's worker for ever.
const POST_START_MAX_S: u64 = 3600;
/// A failure shows as itself this long before it shows as back-off.
const SHOWN: SignedDuration = SignedDuration::from_millis(1500);

enum Held {
    /// Goes on when this container's effect ends.
    Busy,
    /// Not now; the next container may pass.
    Back,
}

impl Worker {
    /// Moves the first container that can move.
    pub(crate) fn start_next(&mut self, sandbox: &str, names: &[String], ctx: &mut Ctx<'_>) {
        let starting = |f: &Flight| matches!(f, Flight::Start(_) | Flight::Pull(_) | Flight::PostStart { .. });
        if self.flying(starting) {
            return;
        }
        for name in names {
            let Some((role, container)) = roster::find(&self.pod, name) else { continue };
            match self.advance(sandbox, role, &container, ctx) {
                Held::Busy => return,
                Held::Back => {}
            }
        }
    }

    fn advance(&mut self, sandbox: &str, role: Role, c: &Container, ctx: &mut Ctx<'_>) -> Held {
        if self.in_crash_back_off(c, ctx) {
            return Held::Back;
        }
        let now = ctx.now;
        let memo = self.memo(&c.name);
        if memo.start_hold.until_since_update().is_some_and(|t| t > now) {
            return Held::Back;
        }
        match memo.image.clone() {
            Image::Unknown => {
                self.find_image(&c.name, ctx);
                Held::Busy
            }
            Image::Found(found) => self.decide_image(sandbox, role, c, found, ctx),
            Image::Ready(facts) => self.start(sandbox, role, c, &facts, ctx),
        }
    }

    /// The container ended a short while ago: it waits.
    fn in_crash_back_off(&mut self, c: &Container, ctx: &mut Ctx<'_>) -> bool {
        let Some(ended) = self.view.newest(&c.name).filter(|v| v.is_exited()) else { return false };
        let since = ended.finished_at.unwrap_or(ended.created_at);
        let pod = Arc::clone(&self.pod);
        let now = ctx.now;
        let memo = self.memo(&c.name);
        if memo.crash_hold.until(since).is_none_or(|t| t <= now) {
            return false;
        }
        if now < since + SHOWN {
            return true;
        }
        let delay = go_duration(u64::try_from(memo.crash_hold.delay_s()).unwrap_or(0) * 1000);
        let name = pod_text(&pod);
        memo.wait("CrashLoopBackOff", format!("back-off {delay} restarting failed container={} pod={name}", c.name));
        if !std::mem::replace(&mut memo.told, true) {
            let text = format!("Back-off restarting failed container {} in pod {name}", c.name);
            ctx.note(Note::warning(reason::BACK_OFF, text).about(&pod, &c.name));
        }
        true
    }

    pub(crate) fn find_image(&mut self, name: &str, ctx: &mut Ctx<'_>) {
        let Some((_, c)) = roster::find(&self.pod, name) else { return };
        if self.memo(name).image != Image::Unknown || self.flying(|f| matches!(f, Flight::FindImage(n) if n == name)) {
            return;
        }
        match image::with_default_tag(c.image.as_deref().unwrap_or_default()) {
            Ok(full) => self.launch(Flight::FindImage(name.to_owned()), Act::FindImage(full), ctx),
            Err(message) => {
                let pod = Arc::clone(&self.pod);
                let now = ctx.now;
                let memo = self.memo(name);
                if memo.start_hold.until_since_update().is_some_and(|t| t > now) {
                    return;
                }
                memo.start_hold.next(now, now);
                memo.wait(waiting::INVALID_NAME, message.clone());
                ctx.note(Note::warning(reason::INSPECT_FAILED, message).about(&pod, name));
                ctx.note(Note::warning(reason::FAILED, "Error: InvalidImageName").about(&pod, name));
            }
        }
    }

    fn decide_image(&mut self, sandbox: &str, role: Role, c: &Container, found: Option<ImageFacts>, ctx: &mut Ctx<'_>) -> Held {
        let pod = Arc::clone(&self.pod);
        let shown = c.image.clone().unwrap_or_default();
        match (image::need(c, found.is_some()), found) {
            (Need::Nothing, Some(facts)) => {
                ctx.note(Note::normal(reason::PULLED, image::present_text(&shown)).about(&pod, &c.name));
                self.memo(&c.name).image = Image::Ready(facts.clone());
                self.start(sandbox, role, c, &facts, ctx)
            }
            (Need::Missing, _) => {
                let now = ctx.now;
                let memo = self.memo(&c.name);
                let text = format!("Container image \"{shown}\" is not present with pull policy of Never");
                memo.wait(waiting::NEVER_PULL, text.clone());
                memo.start_hold.next(now, now);
                memo.image = Image::Unknown;
                ctx.note(Note::warning(reason::NEVER_PULL, text).about(&pod, &c.name));
                ctx.note(Note::warning(reason::FAILED, "Error: ErrImageNeverPull").about(&pod, &c.name));
                Held::Back
            }
            _ => self.pull(c, &shown, ctx),
        }
    }

    fn pull(&mut self, c: &Container, shown: &str, ctx: &mut Ctx<'_>) -> Held {
        let pod = Arc::clone(&self.pod);
        let now = ctx.now;
        let memo = self.memo(&c.name);
        if memo.pull_hold.until_since_update().is_some_and(|t| t > now) {
            let failed = memo.waiting.as_ref().is_some_and(|w| w.reason == waiting::ERR_IMAGE_PULL);
            if failed && memo.pull_hold.updated().is_some_and(|t| now < t + SHOWN) {
                return Held::Back;
            }
            let text = format!("Back-off pulling image \"{shown}\"");
            memo.wait(waiting::BACK_OFF, format!("{text}: {}", memo.pull_error));
            if !std::mem::replace(&mut memo.told, true) {
                ctx.note(Note::normal(reason::BACK_OFF, text).about(&pod, &c.name));
                ctx.note(Note::warning(reason::FAILED, "Error: ImagePullBackOff").about(&pod, &c.name));
            }
            return Held::Back;
        }
        memo.told = false;
        ctx.note(Note::normal(reason::PULLING, format!("Pulling image \"{shown}\"")).about(&pod, &c.name));
        let secrets = self.pull_secrets(ctx);
        let image = image::with_default_tag(shown).unwrap_or_else(|_| shown.to_owned());
        self.launch(Flight::Pull(c.name.clone()), Act::PullImage { image, secrets }, ctx);
        Held::Busy
    }

    fn pull_secrets(&self, ctx: &Ctx<'_>) -> Vec<Vec<u8>> {
        let names = roster::spec(&self.pod).image_pull_secrets.iter().flatten().map(|s| &s.name);
        let found = names.filter_map(|n| ctx.world.secret(roster::namespace(&self.pod), n));
        let document = |s: Arc<kinds::api::core::v1::Secret>| {
            let data = s.data.as_ref()?;
            data.get(".dockerconfigjson").or_else(|| data.get(".dockercfg")).map(|b| b.0.clone())
        };
        found.filter_map(document).collect()
    }

    pub(crate) fn image_pulled(&mut self, name: &str, outcome: Outcome, ctx: &mut Ctx<'_>) {
        let pod = Arc::clone(&self.pod);
        let now = ctx.now;
        let shown = roster::find(&pod, name).and_then(|(_, c)| c.image).unwrap_or_default();
        let memo = self.memo(name);
        match outcome {
            Outcome::Pulled { image: facts, took_ms, waited_ms } => {
                let text = image::pulled_text(&shown, took_ms, waited_ms, facts.size_bytes);
                memo.pull_hold.reset();
                memo.waiting = None;
                memo.image = Image::Ready(facts);
                ctx.note(Note::normal(reason::PULLED, text).about(&pod, name));
            }
            Outcome::Failed(f) => {
                let text = format!("Failed to pull image \"{shown}\": {}", f.message);
                memo.pull_hold.next(now, now);
                memo.pull_error = format!("ErrImagePull: {}", f.message);
                memo.image = Image::Found(None);
                memo.wait(waiting::ERR_IMAGE_PULL, f.message);
                ctx.note(Note::warning(reason::FAILED, text).about(&pod, name));
                ctx.note(Note::warning(reason::FAILED, "Error: ErrImagePull").about(&pod, name));
            }
            _ => {}
        }
        self.memo(name).told = false;
    }

    fn start(&mut self, sandbox: &str, role: Role, c: &Container, image: &ImageFacts, ctx: &mut Ctx<'_>) -> Held {
        // Requests and limits as the node has granted them.
        let pod = self.granted();
        let c = &granted_container(&pod, c);
        let attempt = self.view.newest(&c.name).map_or(0, |v| v.attempt + 1);
        let Volumes::Made { plans, .. } = &self.volumes else { return Held::Back };
        if !ctx.world.is_synced() {
            return Held::Back;
        }
        let ips = self.pod_ips();
        let ask = Ask {
            pod: &pod,
            container: c,
            attempt,
            image,
            pod_ips: &ips,
            volumes: plans,
            facts: &self.facts,
            world: ctx.world,
        };
        let planned = ask.plan();
        let (now, ended) = (ctx.now, self.view.newest(&c.name).filter(|v| v.is_exited()).cloned());
        let memo = self.memo(&c.name);
        match planned {
            Ok(plan) => {
                if let Some(v) = ended {
                    // A life that ended is counted once, when the next begins.
                    let since = v.finished_at.unwrap_or(v.created_at);
                    if memo.crash_counted.as_deref() != Some(&v.id) {
                        memo.crash_hold.next(since, now);
                        memo.crash_counted = Some(v.id);
                    }
                }
                memo.applied = Some(plan.limits.clone());
                memo.in_force = c.resources.clone();
                memo.post_start_pending = c.lifecycle.as_ref().is_some_and(|l| l.post_start.is_some()) && role != Role::Init;
                memo.probes.clear();
                let sandbox = sandbox.to_owned();
                self.launch(Flight::Start(c.name.clone()), Act::Start { sandbox, plan: Box::new(plan) }, ctx);
                Held::Busy
            }
            Err(message) => {
                memo.wait("CreateContainerConfigError", message.clone());
                memo.start_hold.next(now, now);
                ctx.note(Note::warning(reason::FAILED, format!("Error: {message}")).about(&pod, &c.name));
                Held::Back
            }
        }
    }

    pub(crate) fn started(&mut self, name: &str, outcome: Outcome, ctx: &mut Ctx<'_>) {
        let pod = Arc::clone(&self.pod);
        let now = ctx.now;
        let memo = self.memo(name);
        memo.image = Image::Unknown;
        memo.told = false;
        match outcome {
            Outcome::Container(Some(view)) => {
                memo.waiting = None;
                memo.start_hold.reset();
                ctx.note(Note::normal(reason::CREATED, "Container created").about(&pod, name));
                ctx.note(Note::normal(reason::STARTED, "Container started").about(&pod, name));
                let id = view.id.clone();
                self.view.put(view);
                self.run_post_start(name, &id, ctx);
            }
            Outcome::Failed(Failure { message, container, .. }) => {
                memo.post_start_pending = false;
                let what = if container.is_some() { "RunContainerError" } else { "CreateContainerError" };
                memo.wait(what, message.clone());
                if container.is_some() {
                    ctx.note(Note::normal(reason::CREATED, "Container created").about(&pod, name));
                } else {
                    memo.start_hold.next(now, now);
                }
                ctx.note(Note::warning(reason::FAILED, format!("Error: {message}")).about(&pod, name));
                if let Some(c) = container {
                    self.view.put(*c);
                }
            }
            _ => {}
        }
    }

    fn run_post_start(&mut self, name: &str, id: &str, ctx: &mut Ctx<'_>) {
        if !self.memo(name).post_start_pending || self.stage != Stage::Syncing {
            return;
        }
        let Some((_, c)) = roster::find(&self.pod, name) else { return };
        let Some(hook) = c.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return };
        let flight = Flight::PostStart { name: name.to_owned(), container: id.to_owned() };
        match probe::hook(hook, &c, &self.pod_ip()) {
            Ok(handler) => {
                let act = Act::Hook { container: id.to_owned(), handler, timeout_s: POST_START_MAX_S };
                self.launch(flight, act, ctx);
            }
            Err(message) => self.post_started(name, id, &Outcome::Failed(Failure::new(message)), ctx),
        }
    }

    pub(crate) fn post_started(&mut self, name: &str, id: &str, outcome: &Outcome, ctx: &mut Ctx<'_>) {
        let pod = Arc::clone(&self.pod);
        self.memo(name).post_start_pending = false;
        if !matches!(outcome, Outcome::Failed(_)) {
            return;
        }
        ctx.note(Note::warning(reason::FAILED_POST_START, "PostStartHook failed").about(&pod, name));
        if self.view.container(id).is_some_and(crate::view::ContainerView::is_running) {
            let grace_s = probe::grace_s(None, &pod);
            self.kill(id, name, "FailedPostStartHook", grace_s, ctx);
        }
    }

    /// When something that is held back may go on.
    pub(crate) fn start_times(&self) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = [self.volume_retry, self.sandbox_retry].into_iter().flatten().collect();
        if let Volumes::Made { refresh_at: Some(t), .. } = &self.volumes {
            times.push(*t);
        }
        if self.stage != Stage::Syncing {
            return times;
        }
        for (name, m) in &self.memos {
            times.extend(m.pull_hold.until_since_update());
            times.extend(m.pull_hold.updated().map(|t| t + SHOWN));
            times.extend(m.start_hold.until_since_update());
            let ended = self.view.newest(name).filter(|v| v.is_exited());
            if let Some(since) = ended.map(|v| v.finished_at.unwrap_or(v.created_at)) {
                times.extend(m.crash_hold.until(since));
                times.push(since + SHOWN);
            }
        }
        times
    }
}

/// The container of that name as the granted pod has it.
fn granted_container(granted: &Pod, c: &Container) -> Container {
    let mut all = roster::init(granted).chain(roster::apps(granted));
    all.find(|g| g.name == c.name).unwrap_or(c).clone()
}
