//! The worker's probes: which are due, and what their outcomes change.

use super::{Act, Ctx, Flight, Stage, Worker};
use crate::note::Note;
use crate::probe::{self, ProbeKind, ProbeState, Verdict};
use crate::roster::{self, Role};
use jiff::Timestamp;
use kinds::api::core::v1::Container;
use std::sync::Arc;

impl Worker {
    /// Makes every probe that is due.
    pub(crate) fn probe(&mut self, ctx: &mut Ctx<'_>) {
        if !matches!(self.stage, Stage::Syncing | Stage::Terminating { .. }) {
            return;
        }
        let pod = Arc::clone(&self.pod);
        for c in roster::apps(&pod) {
            self.probe_container(Role::App, c, ctx);
        }
        for c in roster::init(&pod).filter(|c| kinds::pod::is_sidecar(c)) {
            self.probe_container(Role::Sidecar, c, ctx);
        }
    }

    fn probe_container(&mut self, role: Role, c: &Container, ctx: &mut Ctx<'_>) {
        let Some(v) = self.view.newest(&c.name).filter(|v| v.is_running()) else {
            self.memo(&c.name).probes.clear();
            return;
        };
        let (id, started_at) = (v.id.clone(), v.started_at.unwrap_or(v.created_at));
        let (ip, now) = (self.pod_ip(), ctx.now);
        let ending = self.stage != Stage::Syncing;
        for (kind, p) in probe::kinds_of(role, c) {
            let memo = self.memo(&c.name);
            let waits_for_startup = kind != ProbeKind::Startup && !memo.startup_passed(c);
            let stopped = kind != ProbeKind::Readiness && ending;
            if memo.post_start_pending || stopped {
                continue;
            }
            let state = memo.probes.entry(kind).or_insert_with(|| ProbeState::new(kind, p, &id, started_at));
            if state.container_id != id {
                *state = ProbeState::new(kind, p, &id, started_at);
            }
            let settled = kind == ProbeKind::Startup && state.healthy.is_some();
            let failed = kind == ProbeKind::Liveness && state.healthy == Some(false);
            if waits_for_startup || state.in_flight || state.next_at > now || settled || failed {
                continue;
            }
            state.in_flight = true;
            match probe::call(p, c, &ip) {
                Ok(handler) => {
                    let flight = Flight::Probe { name: c.name.clone(), kind, container: id.clone() };
                    let act = Act::Probe { container: id.clone(), kind, handler, timeout_s: probe::timeout_s(p) };
                    self.launch(flight, act, ctx);
                }
                Err(text) => self.probed(&c.name, kind, &id, &Verdict::Error(text), ctx),
            }
        }
    }

    pub(crate) fn probed(&mut self, name: &str, kind: ProbeKind, id: &str, verdict: &Verdict, ctx: &mut Ctx<'_>) {
        let pod = Arc::clone(&self.pod);
        let Some((_, c)) = roster::find(&pod, name) else { return };
        let (Some(p), now) = (kind.of(&c), ctx.now) else { return };
        let killed = self.kills.contains_key(id);
        let Some(state) = self.memo(name).probes.get_mut(&kind).filter(|s| s.container_id == id) else { return };
        let told = state.record(kind, p, verdict, now);
        if let Some((reason, text)) = told.filter(|_| !killed) {
            ctx.note(Note::warning(reason, text).about(&pod, name));
        }
    }

    pub(crate) fn probe_times(&self) -> Vec<Timestamp> {
        if !matches!(self.stage, Stage::Syncing | Stage::Terminating { .. }) {
            return Vec::new();
        }
        let mut times: Vec<Timestamp> = self.kills.values().map(|k| k.deadline).collect();
        times.extend(self.kills.values().filter_map(|k| match k.step {
            super::KillStep::Again { at } => Some(at),
            _ => None,
        }));
        for m in self.memos.values() {
            times.extend(m.probes.values().filter(|p| !p.in_flight).map(|p| p.next_at));
        }
        times
    }
}
