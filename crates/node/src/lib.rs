//! The node's shell: the kubelet's tasks around the brain of `pods`, its API, the service proxy's and the DNS's loops.
//! Runs unchanged beside the API server or on another machine: it knows only the verb port and a source of changes.

pub mod config;
pub mod dns_loop;
pub mod fuzz;
mod hands;
mod housekeeping;
mod log;
mod machine;
pub mod network;
mod node_loop;
mod pod_loop;
mod pod_task;
pub mod proxy_loop;
mod recorder;
mod server;
mod start;
mod static_pods;
mod translate;
mod volumes;
mod watch;
mod world;

pub use config::{Config, Deps, ReadManifest, Tls};
pub use pods::eviction::Thresholds;
pub use network::{Network, NodeNetwork};
pub use start::{Handle, StartError, start};
pub use world::SnapshotWorld;

#[cfg(test)]
mod tests;
