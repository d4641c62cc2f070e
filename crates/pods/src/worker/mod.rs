//! The worker of one pod: a state machine without I/O (docs: "Pod lifecycle", "Termination of Pods").
//!
//! ```text
//!            deletion, eviction, deadline, all containers done
//!   Syncing ───────────────────────────────────────────────────▶ Terminating
//!                                                                     │ no process, no sandbox left
//!   Finished ◀──────────── Terminated ◀───────────────────────────────┘
//!            volumes gone; object deleted
//! ```
//!
//! Laws (tests): nothing starts after Terminating began; a grace period never grows; volumes go only after the last
//! process; the same inputs give the same effects.

mod absorb;
mod actions;
mod io;
mod kill;
pub(crate) mod memo;
mod probes;
mod publish;
mod resize;
mod start;
mod sync;

pub use io::{Act, EffectId, Effects, Failure, Input, Origin, Outcome};

use crate::facts::{Facts, World};
use crate::note::Note;
use crate::plan::VolumePlan;
use crate::probe::ProbeKind;
use crate::roster;
use crate::status::{Ending, Seen};
use crate::view::View;
use jiff::{SignedDuration, Timestamp};
use kinds::api::core::v1::{Pod, PodStatus};
use memo::Memo;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far the pod's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Syncing,
    /// Everything is being stopped; containers get until then.
    Terminating { grace_until: Timestamp },
    /// Processes are gone; volumes go, the object is deleted if it was asked for.
    Terminated,
    Finished,
}

/// What an effect that is under way was for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Flight {
    Mount(Vec<VolumePlan>),
    Unmount,
    Sandbox,
    StopSandbox(String),
    RemoveSandbox(String),
    FindImage(String),
    Pull(String),
    Start(String),
    PostStart { name: String, container: String },
    PreStop { container: String },
    Probe { name: String, kind: ProbeKind, container: String },
    Stop(String),
    RemoveContainer(String),
    Resize { name: String, limits: Box<crate::plan::Limits> },
    ResizePod(Box<crate::plan::Limits>),
    Publish(Box<PodStatus>),
    Delete,
}

/// The pod's volumes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Volumes {
    Unmade,
    Made { plans: Vec<VolumePlan>, refresh_at: Option<Timestamp> },
    Gone,
}

/// How far the stopping of a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) deadline: Timestamp,
    pub(crate) step: KillStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillStep {
    /// The stop hook runs.
    Hook,
    /// Waits for its turn (sidecars go last).
    Turn,
    /// The runtime was told, with that grace.
    Stopping { until: Timestamp },
    /// The runtime failed; it is told again then.
    Again { at: Timestamp },
}

/// So many seconds later, or the end of time: users write such numbers.
pub(crate) fn later(t: Timestamp, seconds: i64) -> Timestamp {
    t.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The brain of one pod.
pub struct Worker {
    pub(crate) pod: Arc<Pod>,
    pub(crate) origin: Origin,
    pub(crate) facts: Arc<Facts>,
    pub(crate) stage: Stage,
    pub(crate) view: View,
    /// The runtime has been heard.
    pub(crate) heard: bool,
    pub(crate) gone: bool,
    /// This node never took the pod.
    pub(crate) rejected: bool,
    pub(crate) volumes: Volumes,
    pub(crate) volume_retry: Option<Timestamp>,
    pub(crate) volume_failures: u32,
    pub(crate) sandbox_retry: Option<Timestamp>,
    pub(crate) sandbox_failures: u32,
    pub(crate) memos: BTreeMap<String, Memo>,
    pub(crate) kills: BTreeMap<String, Kill>,
    pub(crate) flights: BTreeMap<EffectId, Flight>,
    pub(crate) next_id: EffectId,
    pub(crate) ending: Option<Ending>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) published: Option<PodStatus>,
    /// The API shows something else than what was published.
    pub(crate) overwritten: bool,
    pub(crate) unpublished_since: Option<Timestamp>,
    pub(crate) publish_retry: Option<Timestamp>,
    pub(crate) api_failures: u32,
    pub(crate) resizing: resize::Resizing,
}

/// What one step works with.
pub(crate) struct Ctx<'a> {
    pub(crate) world: &'a dyn World,
    pub(crate) now: Timestamp,
    pub(crate) out: Effects,
}

impl Ctx<'_> {
    pub(crate) fn note(&mut self, note: Note) {
        self.out.notes.push(note);
    }
}

impl Worker {
    /// A worker for a pod that was admitted. It waits for [`Input::Runtime`].
    #[must_use]
    pub fn new(pod: Arc<Pod>, origin: Origin, facts: Arc<Facts>) -> Self {
        let status = pod.status.as_ref();
        let started_at = status.and_then(|s| s.start_time.as_ref()).map(|t| t.0);
        let published = status.filter(|s| s.start_time.is_some()).cloned();
        let granted = crate::resize::Granted::remembered(&pod);
        Self {
            pod,
            origin,
            facts,
            stage: Stage::Syncing,
            view: View::default(),
            heard: false,
            gone: false,
            rejected: false,
            volumes: Volumes::Unmade,
            volume_retry: None,
            volume_failures: 0,
            sandbox_retry: None,
            sandbox_failures: 0,
            memos: BTreeMap::new(),
            kills: BTreeMap::new(),
            flights: BTreeMap::new(),
            next_id: 1,
            ending: None,
            started_at,
            published,
            overwritten: false,
            unpublished_since: None,
            publish_retry: None,
            api_failures: 0,
            resizing: resize::Resizing { granted, ..resize::Resizing::default() },
        }
    }

    /// A worker for a pod that this node does not take: it only says so.
    #[must_use]
    pub fn rejected(pod: Arc<Pod>, ending: Ending, facts: Arc<Facts>) -> Self {
        let mut w = Self::new(pod, Origin::Api, facts);
        w.ending = Some(ending);
        w.rejected = true;
        w.stage = Stage::Terminated;
        w.volumes = Volumes::Gone;
        w
    }

    /// How far the pod's life is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }
    /// The pod as last heard.
    #[must_use]
    pub fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }
    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }
    /// The runtime's side of it.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }
    /// The status as last published.
    #[must_use]
    pub fn status(&self) -> Option<&PodStatus> {
        self.published.as_ref()
    }
    /// Whether the pod still holds resources of the node.
    #[must_use]
    pub fn holds_resources(&self) -> bool {
        matches!(self.stage, Stage::Syncing | Stage::Terminating { .. })
    }

    /// Takes in what happened and says what to do.
    pub fn step(&mut self, input: Input, world: &dyn World, now: Timestamp) -> Effects {
        let mut ctx = Ctx { world, now, out: Effects::default() };
        self.absorb(input, &mut ctx);
        if self.heard || self.stage != Stage::Syncing {
            if self.stage == Stage::Syncing {
                self.sync(&mut ctx);
            }
            if matches!(self.stage, Stage::Terminating { .. }) {
                self.terminate(&mut ctx);
            }
            if self.stage == Stage::Terminated {
                self.clean(&mut ctx);
            }
            self.probe(&mut ctx);
            self.publish(&mut ctx);
        }
        self.wake(&mut ctx);
        ctx.out.finished = self.stage == Stage::Finished;
        ctx.out
    }

    pub(crate) fn launch(&mut self, flight: Flight, act: Act, ctx: &mut Ctx<'_>) {
        let id = self.next_id;
        self.next_id += 1;
        self.flights.insert(id, flight);
        ctx.out.acts.push((id, act));
    }

    pub(crate) fn flying(&self, is: impl Fn(&Flight) -> bool) -> bool {
        self.flights.values().any(is)
    }

    pub(crate) fn memo(&mut self, name: &str) -> &mut Memo {
        self.memos.entry(name.to_owned()).or_default()
    }

    pub(crate) fn seen(&self, now: Timestamp) -> Seen<'_> {
        Seen {
            pod: &self.pod,
            granted: self.granted(),
            resize_pending: self.resizing.pending.as_ref(),
            resize_progress: self.resizing.progress.as_ref(),
            view: &self.view,
            memos: &self.memos,
            ending: self.ending.as_ref(),
            ending_now: self.stage != Stage::Syncing,
            over: matches!(self.stage, Stage::Terminated | Stage::Finished),
            started_at: self.started_at,
            facts: &self.facts,
            previous: self.published.as_ref(),
            now,
        }
    }

    /// The first address of the pod, empty while it has none.
    pub(crate) fn pod_ip(&self) -> String {
        self.pod_ips().into_iter().next().unwrap_or_default()
    }

    pub(crate) fn pod_ips(&self) -> Vec<String> {
        if roster::spec(&self.pod).host_network == Some(true) {
            return self.facts.host_ips.iter().map(ToString::to_string).collect();
        }
        self.view.sandbox().map(|s| s.ips.clone()).unwrap_or_default()
    }

    /// When to be called again without news.
    fn wake(&self, ctx: &mut Ctx<'_>) {
        let now = ctx.now;
        let mut times = self.start_times();
        times.extend(self.probe_times());
        times.extend(self.publish_times());
        times.extend(self.deadline());
        times.extend(self.resize_time());
        ctx.out.wake_at = times.into_iter().filter(|t| *t > now).min();
    }
}
