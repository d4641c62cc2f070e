//! kube-scheduler as functions from values to values: which node a pod goes to, or why to none.
//!
//! Docs: "Kubernetes Scheduler", "Scheduling Framework", "Pod Priority and Preemption"; KEPs 624 (framework), 3521
//! (gates), 4247 (queueing hints).
//!
//! ```text
//!  cache Changes ──> NodeTable (incremental, with assumed pods) ──┐
//!        └────────> Event ──> Queue (active, back-off, unschedulable) ── pop ──> cycle() ──> Outcome
//!                                   ^                                              Bind | Unschedulable | Preempt
//!                                   └── the plugins that refused say which event would help
//! ```
//! Nothing here reads a clock, writes to the API or rolls dice: time and chance are arguments, and the shell
//! (`manager::scheduling`) binds, patches and tells events.

pub mod brain;
pub mod cycle;
pub mod event;
pub mod framework;
pub mod hearing;
pub mod nodes;
pub mod plugins;
pub mod podinfo;
pub mod preemption;
pub mod profile;
pub mod queue;
pub mod reason;
pub mod resources;
pub mod score;
pub mod selector;

pub use brain::{Brain, Decision};
pub use cycle::{Outcome, Turn, VolumeStep, cycle};
pub use event::Event;
pub use framework::World;
pub use nodes::{NodeInfo, NodeTable};
pub use podinfo::PodInfo;
pub use profile::{Profile, ProfileConfig};
pub use queue::Queue;
pub use reason::{Refusal, Unschedulable};

/// The scheduler name of pods that name none.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

#[cfg(test)]
mod kit;
#[cfg(test)]
mod tests;
