//! What a worker remembers of each container beside what the runtime says.

use crate::backoff::Hold;
use crate::plan::Limits;
use crate::probe::{ProbeKind, ProbeState};
use crate::view::ImageFacts;
use kinds::api::core::v1::{Container, ResourceRequirements};
use std::collections::BTreeMap;

/// Why a container waits, as its status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub reason: String,
    pub message: String,
}

/// How far a container's image is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Image {
    #[default]
    Unknown,
    /// Looked up: there or not.
    Found(Option<ImageFacts>),
    /// May be used for the next start.
    Ready(ImageFacts),
}

/// The memory of one container.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    pub waiting: Option<Waiting>,
    pub image: Image,
    /// Holds pulls back.
    pub pull_hold: Hold,
    /// What the last failed pull said.
    pub pull_error: String,
    /// Holds restarts back.
    pub crash_hold: Hold,
    /// The container whose end `crash_hold` counted last.
    pub crash_counted: Option<String>,
    /// Holds starts back that fail before there is a container.
    pub start_hold: Hold,
    pub probes: BTreeMap<ProbeKind, ProbeState>,
    /// The start hook of the running container has not ended.
    pub post_start_pending: bool,
    /// The limits that the running container has.
    pub applied: Option<Limits>,
    /// The requests and limits that those stand for.
    pub in_force: Option<ResourceRequirements>,
    /// An event about the present wait was told.
    pub told: bool,
}

impl Memo {
    fn healthy(&self, kind: ProbeKind) -> Option<bool> {
        self.probes.get(&kind).and_then(|p| p.healthy)
    }
    /// Whether the startup probe, if there is one, has passed.
    #[must_use]
    pub fn startup_passed(&self, c: &Container) -> bool {
        c.startup_probe.is_none() || self.healthy(ProbeKind::Startup) == Some(true)
    }
    /// Whether the readiness probe, if there is one, passes.
    #[must_use]
    pub fn readiness_passed(&self, c: &Container) -> bool {
        c.readiness_probe.is_none() || self.healthy(ProbeKind::Readiness) == Some(true)
    }
    /// The probe that demands a restart, if any.
    #[must_use]
    pub fn failed_probe(&self) -> Option<ProbeKind> {
        [ProbeKind::Startup, ProbeKind::Liveness].into_iter().find(|k| self.healthy(*k) == Some(false))
    }
    /// Waits, with these words.
    pub fn wait(&mut self, reason: &str, message: impl Into<String>) {
        self.waiting = Some(Waiting { reason: reason.to_owned(), message: message.into() });
    }
}
