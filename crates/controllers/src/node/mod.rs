//! Nodes: those that went silent are told so, conditions become taints, taints evict, and each gets its pod range.
//!
//! Docs: "Nodes: node controller", "Taints and Tolerations: taint based evictions"; KEP-589 (leases), KEP-3902 (eviction
//! as a controller of its own).
//!
//! ```text
//!  lease and status silent for 50 s ──> conditions Unknown ──> taint unreachable ──> after its toleration a pod is evicted
//! ```
//! Laws: 1. silence counts from the later of the last sign of life and our own start. 2. While *every* node is silent or
//! not ready nobody is evicted: then the fault is rather on this side. 3. Pod ranges never overlap and never change.

mod eviction;
mod health;
mod ipam;
mod taints;
#[cfg(test)]
mod tests;

pub use eviction::EVICTION;
pub(crate) use eviction::disrupted;
pub use health::LIFECYCLE;
pub use ipam::IPAM;
