//! What goes into a worker and what comes out of it.

use crate::note::Note;
use crate::plan::{ContainerPlan, Limits, SandboxPlan, VolumePlan};
use crate::probe::{Handler, ProbeKind, Verdict};
use crate::status::Ending;
use crate::view::{ContainerView, ImageFacts, SandboxView, View};
use jiff::Timestamp;
use kinds::api::core::v1::{Pod, PodStatus};
use std::sync::Arc;

/// Numbers effects; outcomes carry it back.
pub type EffectId = u64;

/// Where a pod came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Api,
    /// A manifest on the node; its status shows on a mirror pod.
    Static,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The pod's object, new or changed.
    Spec(Arc<Pod>),
    /// The object is gone from the API.
    Gone,
    /// Objects that the pod refers to have changed.
    World,
    /// Everything that the runtime has of the pod (at the start, or after events were lost).
    Runtime(View),
    /// One container, as it stands now.
    Container(ContainerView),
    /// The sandbox's processes are gone.
    SandboxGone(String),
    /// The node ends the pod.
    End(Ending, i64),
    /// An effect has ended.
    Done(EffectId, Outcome),
    /// Time has passed.
    Tick,
}

/// How an effect ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done,
    /// Volumes are made; tokens among them want to be renewed then.
    Mounted { refresh_at: Option<Timestamp> },
    Sandbox(SandboxView),
    Image(Option<ImageFacts>),
    Pulled { image: ImageFacts, took_ms: u64, waited_ms: u64 },
    /// Of starts and stops: the container as it stands.
    Container(Option<ContainerView>),
    Probed(Verdict),
    Failed(Failure),
}

/// Why an effect failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// Of starts: it was made, but did not start; this is what is left of it.
    pub container: Option<Box<ContainerView>>,
    /// Of mounts: the volume.
    pub volume: Option<String>,
    /// Trying again cannot help (the API says that the object is gone).
    pub gone: bool,
}

impl Failure {
    /// A failure with that text alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), container: None, volume: None, gone: false }
    }
}

/// What the hands are to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Make the volumes, or bring them up to date. Idempotent.
    Mount(Vec<VolumePlan>),
    /// Take the pod's volumes and directory away. Idempotent.
    Unmount,
    CreateSandbox(Box<SandboxPlan>),
    /// Stop it with its network. Idempotent.
    StopSandbox(String),
    /// Remove it with its containers. Idempotent.
    RemoveSandbox(String),
    FindImage(String),
    /// Pull with the credentials of these secrets (`.dockerconfigjson` documents).
    PullImage { image: String, secrets: Vec<Vec<u8>> },
    Start { sandbox: String, plan: Box<ContainerPlan> },
    /// Run a lifecycle hook against a running container.
    Hook { container: String, handler: Handler, timeout_s: u64 },
    Probe { container: String, kind: ProbeKind, handler: Handler, timeout_s: u64 },
    Stop { container: String, grace_s: u64 },
    RemoveContainer(String),
    Resize { container: String, limits: Limits },
    /// The limits of the pod's own group.
    ResizePod { sandbox: String, limits: Limits },
    Publish(Box<PodStatus>),
    /// Delete the API object now; the pod is gone from the node.
    Delete,
}

/// Everything that one step wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    pub acts: Vec<(EffectId, Act)>,
    pub notes: Vec<Note>,
    /// Call again then, with a tick.
    pub wake_at: Option<Timestamp>,
    /// The worker is finished and may be dropped.
    pub finished: bool,
}
