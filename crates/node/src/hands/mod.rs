//! The hands of a pod: every act of the brain, done once, with its outcome told. No decision is made here.

pub(crate) mod api;
mod call;
mod container;
mod grpc;
mod http;
mod image;
pub(crate) mod metrics;
mod sandbox;

use crate::config::Config;
use crate::network::Network;
use crate::recorder::Recorder;
use crate::volumes::Volumes;
use base::Clock;
use cache::Source;
use kinds::Api;
use kinds::api::core::v1::Pod;
use parking_lot::Mutex;
use pods::{Act, Facts, Failure, Outcome, View};
use runtime::cri::{ContainerRuntime, RuntimeError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which pod a sandbox belongs to.
#[derive(Clone, Debug)]
pub(crate) struct SandboxOwner {
    pub(crate) uid: String,
    pub(crate) attempt: u32,
}

/// What all pods' hands share.
pub(crate) struct Hands {
    pub(crate) config: Config,
    pub(crate) facts: Arc<Facts>,
    pub(crate) api: Arc<dyn Api>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recorder: Recorder,
    pub(crate) figures: metrics::Metrics,
    pub(crate) volumes: Volumes,
    /// Sandbox id to its pod.
    pub(crate) sandboxes: Mutex<BTreeMap<String, SandboxOwner>>,
}

/// The network's name of a sandbox.
pub(crate) fn network_owner(uid: &str, attempt: u32) -> String {
    format!("{uid}-{attempt}")
}

/// An error and its causes in one line.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        out += &format!(": {s}");
        source = s.source();
    }
    out
}

pub(crate) fn failed(e: &RuntimeError) -> Outcome {
    Outcome::Failed(Failure::new(chain(e)))
}

/// Runs something that blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(f).await.unwrap_or_else(|e| Err(format!("a worker thread failed: {e}")))
}

impl Hands {
    /// Does one act for a pod.
    pub(crate) async fn act(&self, pod: &Arc<Pod>, view: &View, act: Act) -> Outcome {
        let (operation, begun) = (metrics::operation(pod, &act), std::time::Instant::now());
        let outcome = self.perform(pod, view, act).await;
        if let Some(operation) = operation {
            self.figures.record(&operation, begun.elapsed(), &outcome);
        }
        outcome
    }

    async fn perform(&self, pod: &Arc<Pod>, view: &View, act: Act) -> Outcome {
        match act {
            Act::Mount(plans) => match self.volumes.mount(self, pod, plans).await {
                Ok(refresh_at) => Outcome::Mounted { refresh_at },
                Err(f) => Outcome::Failed(f),
            },
            Act::Unmount => done(self.volumes.unmount(self, pods::roster::uid(pod)).await),
            Act::CreateSandbox(plan) => self.create_sandbox(*plan).await,
            Act::StopSandbox(id) => self.stop_sandbox(&id).await,
            Act::RemoveSandbox(id) => self.remove_sandbox(&id).await,
            Act::FindImage(image) => self.find_image(&image).await,
            Act::PullImage { image, secrets } => self.pull_image(&image, &secrets).await,
            Act::Start { sandbox, plan } => self.start(&sandbox, *plan, view).await,
            Act::Hook { container, handler, timeout_s } => self.hook(&container, handler, timeout_s).await,
            Act::Probe { container, kind: _, handler, timeout_s } => self.probe(&container, handler, timeout_s).await,
            Act::Stop { container, grace_s } => self.stop(&container, grace_s).await,
            Act::RemoveContainer(id) => self.remove_container(&id).await,
            Act::Resize { container, limits } => {
                let resources = crate::translate::replaced(&limits);
                self.runtime.update_resources(&container, resources).await.map_or_else(|e| failed(&e), |()| Outcome::Done)
            }
            Act::ResizePod { sandbox, limits } => {
                let resources = crate::translate::replaced(&limits);
                self.runtime.update_sandbox(&sandbox, resources).await.map_or_else(|e| failed(&e), |()| Outcome::Done)
            }
            Act::Publish(status) => self.publish(pod, *status).await,
            Act::Delete => self.delete(pod).await,
        }
    }
}

fn done(result: Result<(), String>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(message) => Outcome::Failed(Failure::new(message)),
    }
}
