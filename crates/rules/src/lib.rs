//! The rules of every kind as tables of fn pointers: defaults, validation, what may change, warnings; RBAC and the node
//! authorizer; in-tree admission; service allocation; bootstrap objects. Pure: values in, verdicts out.
//!
//! Entry points: [`rules`] (a kind's row), [`rbac::authorize`], [`admission`], [`services::allocate`], [`bootstrap`],
//! [`convert`], [`scale`].

pub mod apps;
pub mod batch;
mod checks;
pub mod context;
pub mod convert;
pub mod core;
mod json;
pub mod meta;
pub mod names;
mod quantities;
pub mod rbac;
mod read;
mod rows;
pub mod scale;
pub mod table;

pub use context::{Config, Ctx, Gates, Operation, Request, User};
pub use names::NameRule;
pub use table::{Rules, rules, validate_dynamic, validate_dynamic_update};
