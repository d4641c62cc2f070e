//! Tests' hands: carries plans out on a [`World`] until nothing changes any more.

use crate::controller::{Config, Controller, Ctx, Failed, Subject};
use crate::plan::{Action, Event, Note, Plan, Severity, Step};
use base::{Clock, Ids};
use kinds::api::core::v1::Pod;
use kinds::{ApiError, DeleteOptions, Object};
use kinds::apimachinery::pkg::apis::meta::v1::Preconditions;
use std::time::Duration;
use testkit::World;
use testkit::build::running;

const PASSES_MAX: usize = 100;
const ROUNDS_MAX: usize = 20_000;

/// A world with the controllers that are under test.
pub(crate) struct Harness {
    pub world: World,
    pub controllers: Vec<&'static Controller>,
    pub config: Config,
    pub events: Vec<Event>,
    /// The last plan met a failure and is to be tried again.
    retry: bool,
}

impl Harness {
    pub(crate) fn new(controllers: &[&'static Controller]) -> Self {
        Self { world: World::default(), controllers: controllers.to_vec(), config: Config::default(), events: Vec::new(), retry: false }
    }

    /// The same with entries that carry their JSON, and a codec to read revisions.
    pub(crate) fn with_json(controllers: &[&'static Controller]) -> Self {
        let decode = |k: kinds::Kind, v: &serde_json::Value| codec::from_value(&k.into(), v.clone()).ok();
        let config = Config { decode, ..Config::default() };
        Self { world: World::encoding(|o| codec::encode(o).into()), config, ..Self::new(controllers) }
    }

    /// Decides about one subject.
    pub(crate) fn plan(&self, c: &Controller, subject: &Subject, failed: Option<&Failed>) -> Option<Plan> {
        let ctx = Ctx { now: self.world.clock.now(), seed: self.world.ids.below(u64::MAX), config: &self.config, failed };
        (c.plan)(&self.world.snapshot(), subject, &ctx)
    }

    /// One look at every subject of every controller; tells whether anything was written.
    pub(crate) fn pass(&mut self) -> bool {
        let mut wrote = false;
        for c in self.controllers.clone() {
            for subject in (c.subjects)(&self.world.snapshot()) {
                if let Some(plan) = self.plan(c, &subject, None).filter(|p| !p.is_idle()) {
                    wrote |= self.carry_out(c, &subject, &plan);
                }
            }
        }
        wrote
    }

    /// Passes until a pass writes nothing. Law: deciding again makes no changes.
    pub(crate) fn settle(&mut self) {
        for _ in 0..PASSES_MAX {
            if !self.pass() {
                return;
            }
        }
        let last = self.controllers.clone().into_iter().flat_map(|c| {
            (c.subjects)(&self.world.snapshot()).into_iter().filter_map(|s| self.plan(c, &s, None)).filter(|p| !p.is_idle()).collect::<Vec<_>>()
        });
        panic!("never comes to rest: {:#?}", last.collect::<Vec<_>>());
    }

    /// Settles, with every pod running and ready as soon as it exists and gone as soon as it is deleted.
    pub(crate) fn settle_running(&mut self) {
        for _ in 0..PASSES_MAX {
            let wrote = self.pass();
            if !(self.run_pods() || wrote) {
                return;
            }
        }
        panic!("never comes to rest");
    }

    /// Settles by wakes alone, as the manager does: after the first look only what a change concerns is looked at again.
    /// `pick` chooses the next of that many waiting subjects. Law: wakes miss nothing, so that a look at everything
    /// afterwards writes nothing.
    pub(crate) fn settle_by_wakes(&mut self, mut pick: impl FnMut(usize) -> usize) {
        let mut heard = self.world.changes().len();
        let mut waiting: Vec<(usize, Subject)> = Vec::new();
        for (n, c) in self.controllers.clone().into_iter().enumerate() {
            waiting.extend((c.subjects)(&self.world.snapshot()).into_iter().map(|s| (n, s)));
        }
        for _ in 0..ROUNDS_MAX {
            if waiting.is_empty() && !self.run_pods() {
                assert!(!self.pass(), "wakes missed something");
                return;
            }
            if !waiting.is_empty() {
                let (n, subject) = waiting.swap_remove(pick(waiting.len()));
                let c = self.controllers[n];
                self.retry = false;
                if let Some(plan) = self.plan(c, &subject, None).filter(|p| !p.is_idle()) {
                    self.carry_out(c, &subject, &plan);
                }
                if self.retry {
                    waiting.push((n, subject));
                }
            }
            let changes = self.world.changes();
            for change in &changes[heard..] {
                for (n, c) in self.controllers.iter().enumerate().filter(|(_, c)| c.watches.wants(&change.resource)) {
                    for s in (c.wakes)(change, &self.world.snapshot()) {
                        if !waiting.contains(&(n, s.clone())) {
                            waiting.push((n, s));
                        }
                    }
                }
            }
            heard = changes.len();
        }
        panic!("never comes to rest by wakes");
    }

    /// The kubelet: starts what is new, ends what is being deleted. Tells whether it did anything.
    pub(crate) fn run_pods(&self) -> bool {
        let mut did = false;
        for p in self.world.all::<Pod>() {
            let (ns, name) = (p.metadata.namespace.clone().unwrap_or_default(), p.metadata.name.clone().unwrap_or_default());
            if p.metadata.deletion_timestamp.is_some() && p.metadata.finalizers.is_none() {
                self.world.erase::<Pod>(&ns, &name);
                did = true;
            } else if kinds::pod::phase(&p) == "Pending" {
                let ip = format!("10.0.0.{}", self.world.ids.below(250));
                let since = self.world.time();
                self.world.edit::<Pod>(&ns, &name, |p| p.status = Some(running(&ip, since)));
                did = true;
            }
        }
        did
    }

    fn carry_out(&mut self, c: &Controller, subject: &Subject, plan: &Plan) -> bool {
        let mut wrote = false;
        self.events.extend(plan.events.iter().cloned());
        for step in plan.waves.iter().flat_map(|w| &w.steps) {
            match self.execute(step) {
                Ok(()) => wrote = true,
                Err(e) if e.is_conflict() || e.is_not_found() => {
                    self.retry = true;
                    return true;
                }
                Err(e) => {
                    self.retry = true;
                    let reason = step.failed.as_ref().map_or("", |n| n.reason);
                    let failed = Failed { reason, message: e.message };
                    let status = self.plan(c, subject, Some(&failed)).and_then(|p| p.status);
                    return status.is_some_and(|s| self.execute(&s).is_ok());
                }
            }
        }
        if let Some(s) = &plan.status {
            let done = self.execute(s).is_ok();
            self.retry |= !done;
            wrote |= done;
        }
        wrote || plan.status.is_some()
    }

    /// Writes one step and keeps what it tells.
    pub(crate) fn execute(&mut self, step: &Step) -> Result<(), ApiError> {
        let done = match &step.action {
            Action::Create { object } => self.world.create(object.clone()).map(drop),
            Action::Update { object, subresource } => self.world.update(object.clone(), subresource).map(drop),
            Action::Delete { target, uid, resource_version, propagation, grace_s } => {
                let options = DeleteOptions {
                    preconditions: Some(Preconditions { uid: uid.clone(), resource_version: resource_version.clone() }),
                    propagation_policy: propagation.map(|p| p.as_str().to_owned()),
                    grace_period_seconds: *grace_s,
                    ..DeleteOptions::default()
                };
                self.world.delete(target, &options).map(drop)
            }
            Action::Patch { target, patch } => self.world.patch(target, patch).map(drop),
            Action::Post { .. } => Ok(()),
        };
        let done = match done {
            Err(e) if step.lenient && (e.is_not_found() || e.is_already_exists()) => Ok(()),
            other => other,
        };
        let (note, severity, error) = match &done {
            Ok(()) => (&step.ok, Severity::Normal, String::new()),
            Err(e) => (&step.failed, Severity::Warning, e.message.clone()),
        };
        if let (Some(about), Some(Note { reason, message })) = (&step.about, note) {
            self.events.push(Event { about: about.clone(), severity, reason, message: format!("{message}{error}") });
        }
        done
    }

    /// `reason: message` of every event so far.
    pub(crate) fn told(&self) -> Vec<String> {
        self.events.iter().map(|e| format!("{}: {}", e.reason, e.message)).collect()
    }
    /// Moves the clock on.
    pub(crate) fn wait(&self, s: u64) {
        self.world.clock.advance(Duration::from_secs(s));
    }
    /// Refuses creations of one kind with an error.
    pub(crate) fn refuse_creating(&self, kind: kinds::Kind, error: ApiError) {
        self.world.refuse(move |verb, o: &Object| (verb == "create" && o.kind() == Some(kind)).then(|| error.clone()));
    }
}
