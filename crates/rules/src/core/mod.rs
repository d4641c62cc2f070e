//! The core group.

pub(crate) mod claim;
pub(crate) mod config;
pub(crate) mod controller;
pub(crate) mod endpoints;
pub mod event;
pub(crate) mod limits;
pub mod namespace;
pub(crate) mod node;
pub mod pod;
pub(crate) mod quota;
pub mod service;
pub(crate) mod service_update;
#[cfg(test)]
mod tests;
pub(crate) mod volume;
