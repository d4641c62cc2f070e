//! kube-controller-manager as one loop: it hears what changed, asks the controllers (which are pure) what is to be
//! done, does it through the API port as each controller's own user, and tells events. It never sees the registry, so
//! it runs unchanged on another machine.
//!
//! Docs: "kube-controller-manager"; community's "Writing Controllers".
//!
//! ```text
//!  Subscription ── batches ──> wakes ──> a queue a controller ──> round: snapshot -> plan -> steps ──> Api
//!                                            ^      back-off, "again", retries ─────┘       └──> Recorder
//! ```

pub mod election;
pub mod events;
mod execute;
mod metrics;
mod queue;
mod round;
mod run;
pub mod scheduling;
mod timers;
#[cfg(test)]
mod tests;

pub use election::{Candidate, elect};
pub use events::Recorder;
pub use run::{Deps, Handle, start};
pub use scheduling::{SchedulerConfig, SchedulerDeps, SchedulerHandle, start_scheduler};

use kinds::Api;
use std::sync::Arc;

/// Gives a handle on the API that acts as the named user.
pub type ApiFactory = Arc<dyn Fn(&str) -> Arc<dyn Api> + Send + Sync>;

/// What the manager is told at its start.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub controllers: controllers::Config,
    /// `--controllers=*,-name`: names of controllers that do not run.
    pub disabled: Vec<String>,
}

/// The user that a controller of that account name acts as.
#[must_use]
pub fn user_of(account: &str) -> String {
    format!("system:serviceaccount:kube-system:{account}")
}
