//! The kubelet's brain: everything that decides what happens to a pod on its node, as functions of values.
//!
//! [`Worker::step`] takes what happened and returns what to do; the crate `node` is its hands. The rest of the crate is
//! what the worker asks: plans of containers, volumes and sandboxes, probes, statuses, admission, eviction, clean-up.

pub mod admission;
pub mod backoff;
pub mod eviction;
pub mod facts;
pub mod gc;
pub mod image;
pub mod node_status;
pub mod note;
pub mod plan;
pub mod probe;
pub mod resize;
pub mod restart;
pub mod roster;
pub mod status;
pub mod text;
pub mod view;
pub mod worker;

pub use facts::{Facts, World};
pub use note::Note;
pub use view::{ContainerView, ImageFacts, RunState, SandboxView, View};
pub use worker::{Act, EffectId, Effects, Failure, Input, Origin, Outcome, Stage, Worker};

#[cfg(test)]
mod tests;
