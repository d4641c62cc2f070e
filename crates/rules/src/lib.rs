//! The rules of every kind as tables of fn pointers: defaults, validation, what may change, warnings; RBAC and the node
//! authorizer; in-tree admission; service allocation. Pure: values in, verdicts out.
//!
//! Entry points: [`rules`] (a kind's row), [`rbac::authorize`], [`admission`], [`services::allocate`],
//! [`convert`], [`scale`].

mod access;
pub mod admission;
pub mod apps;
mod autoscaling;
pub mod batch;
mod certificates;
mod checks;
pub mod context;
pub mod convert;
mod coordination;
pub mod core;
pub mod customs;
pub mod devices;
mod extensions;
pub mod fairness;
mod flow;
pub mod gated;
mod json;
pub mod meta;
pub mod names;
mod networking;
mod pem;
pub mod policies;
mod policy;
mod quantities;
mod questions;
pub mod rbac;
mod read;
mod rows;
pub mod scale;
pub mod services;
pub mod stamps;
mod storage;
mod statuses;
mod subresource;
pub mod table;
#[cfg(test)]
mod testing;
mod webhooks;

pub use context::{AdmissionSettings, Config, Ctx, GateError, Gates, Operation, PluginError, Plugins, Request, User};
pub use names::NameRule;
pub use services::allocate;
pub use subresource::validate_subresource;
pub use table::{Rules, rules, validate_dynamic, validate_dynamic_update};
