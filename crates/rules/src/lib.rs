//! The rules of every kind as tables of fn pointers: defaults, validation, what may change, warnings; RBAC and the node
//! authorizer; in-tree admission; service allocation; bootstrap objects. Pure: values in, verdicts out.
//!
//! Entry points: [`rules`] (a kind's row), [`rbac::authorize`], [`admission`], [`services::allocate`], [`bootstrap`],
//! [`convert`], [`scale`].

pub mod admission;
pub mod apps;
pub mod batch;
mod checks;
pub mod context;
pub mod convert;
pub mod core;
mod json;
pub mod meta;
pub mod names;
mod pem;
mod quantities;
pub mod rbac;
mod read;
mod rows;
pub mod scale;
pub mod services;
mod subresource;
pub mod table;
#[cfg(test)]
mod testing;

pub use context::{Config, Ctx, Gates, Operation, Request, User};
pub use names::NameRule;
pub use services::allocate;
pub use subresource::validate_subresource;
pub use table::{Rules, rules, validate_dynamic, validate_dynamic_update};
