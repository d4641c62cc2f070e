//! The apps group: workloads that keep pods running.

pub(crate) mod daemonset;
pub(crate) mod deployment;
pub(crate) mod replicaset;
pub(crate) mod revision;
pub(crate) mod statefulset;
#[cfg(test)]
mod tests;
