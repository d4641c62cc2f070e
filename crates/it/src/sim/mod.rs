//! The simulator: the real store, registry, manager (all controllers and the scheduler) and pods' brain over a fake disk, a
//! fake runtime and a fake network, on virtual time, with faults by seed. A seed replays exactly.
//!
//! ```text
//!  seed ─► history of steps ─► life ─► life ─► …          a life ends in a crash: everything in memory is dropped
//!              │                 │ store(Drive::Task) on MemoryDisk ── after_crash: torn writes, lost directory changes
//!              │                 │ registry · manager · scheduler      behind gates: paused, lost connections
//!              │                 └ kubelets: pods::Worker over Machine   (machines and their containers outlive it)
//!              └ laws::always after each step · laws::at_rest when faults have ended
//! ```
//! One tokio runtime a life, single-threaded, its clock paused: time moves only when nobody has anything to do.

pub mod chance;
pub mod gate;
pub mod heart;
pub mod kubelet;
pub mod laws;
pub mod life;
pub mod machine;
pub mod run;
pub mod step;
pub mod truth;
pub mod watcher;
pub mod workload;
