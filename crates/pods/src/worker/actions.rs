//! Which containers should start and which should stop now: the order of init containers and sidecars, restart
//! policies, changed specs, failed probes (docs: "Init containers", "Sidecar containers").

use super::memo::Memo;
use crate::plan::container::spec_hash;
use crate::restart;
use crate::roster;
use crate::view::{ContainerView, RunState, View};
use kinds::api::core::v1::{Container, Pod};
use kinds::pod::is_sidecar;
use std::collections::BTreeMap;

/// A container to be stopped although the pod goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) grace_s: i64,
}

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Actions {
    /// In order.
    pub(crate) start: Vec<String>,
    pub(crate) stop: Vec<Stop>,
}

pub(crate) struct Look<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) view: &'a View,
    pub(crate) memos: &'a BTreeMap<String, Memo>,
    /// The pod's present sandbox; without one everything is to be started from the beginning.
    pub(crate) sandbox: Option<&'a str>,
}

impl Look<'_> {
    fn newest(&self, c: &Container) -> Option<&ContainerView> {
        self.view.newest_in(&c.name, self.sandbox?)
    }

    fn must_stop(&self, c: &Container, v: &ContainerView) -> Option<Stop> {
        let stop = |message: String, grace_s| {
            let message = format!("{message}, will be restarted");
            Some(Stop { id: v.id.clone(), name: c.name.clone(), message, grace_s })
        };
        let usual = crate::probe::grace_s(None, self.pod);
        if !v.spec_hash.is_empty() && v.spec_hash != spec_hash(c) {
            return stop(format!("Container {} definition changed", c.name), usual);
        }
        let failed = self.memos.get(&c.name).and_then(Memo::failed_probe)?;
        let grace_s = crate::probe::grace_s(failed.of(c), self.pod);
        stop(format!("Container {} failed {} probe", c.name, failed.word()), grace_s)
    }

    fn started(&self, c: &Container) -> bool {
        let running = self.newest(c).is_some_and(ContainerView::is_running);
        let memo = self.memos.get(&c.name).cloned().unwrap_or_default();
        running && !memo.post_start_pending && memo.startup_passed(c)
    }

    /// One sidecar: started, restarted, stopped for a restart, or left alone.
    fn sidecar(&self, c: &Container, out: &mut Actions) {
        match self.newest(c) {
            Some(v) if v.is_running() => out.stop.extend(self.must_stop(c, v)),
            _ => out.start.push(c.name.clone()),
        }
    }

    /// The init phase. Gives whether it is over.
    fn initialize(&self, out: &mut Actions) -> bool {
        let spec = roster::spec(self.pod);
        let all: Vec<&Container> = roster::init(self.pod).collect();
        let reached = all.iter().rposition(|c| self.newest(c).is_some());
        for (i, c) in all.iter().enumerate() {
            if is_sidecar(c) {
                self.sidecar(c, out);
                if !self.started(c) && reached.is_none_or(|r| r <= i) {
                    return false;
                }
                continue;
            }
            match self.newest(c) {
                None => {
                    out.start.push(c.name.clone());
                    return false;
                }
                Some(v) => match v.state {
                    RunState::Exited if v.exit_code == 0 => {}
                    RunState::Exited => {
                        if restart::init_restarts(c, spec, v.exit_code) {
                            out.start.push(c.name.clone());
                        }
                        return false;
                    }
                    RunState::Running => return false,
                    RunState::Created | RunState::Unknown => {
                        out.start.push(c.name.clone());
                        return false;
                    }
                },
            }
        }
        true
    }

    fn app(&self, c: &Container, out: &mut Actions) {
        let spec = roster::spec(self.pod);
        let Some(v) = self.view.newest(&c.name) else {
            out.start.push(c.name.clone());
            return;
        };
        match v.state {
            RunState::Running => out.stop.extend(self.must_stop(c, v)),
            RunState::Exited if restart::restarts(c, spec, v.exit_code) => out.start.push(c.name.clone()),
            RunState::Exited => {}
            RunState::Created | RunState::Unknown => out.start.push(c.name.clone()),
        }
    }

    /// What should be done now.
    pub(crate) fn actions(&self) -> Actions {
        let mut out = Actions::default();
        if self.sandbox.is_some() {
            let fresh = roster::ephemeral(self.pod).filter(|c| self.view.newest(&c.name).is_none());
            out.start.extend(fresh.map(|c| c.name));
        }
        let begun = roster::apps(self.pod).any(|c| self.newest(c).is_some());
        if begun {
            roster::init(self.pod).filter(|c| is_sidecar(c)).for_each(|c| self.sidecar(c, &mut out));
        } else if !self.initialize(&mut out) {
            return out;
        }
        roster::apps(self.pod).for_each(|c| self.app(c, &mut out));
        out
    }
}
