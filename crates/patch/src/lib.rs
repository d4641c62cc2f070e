//! Changing objects by patches, on JSON values: JSON patch (RFC 6902), merge patch (RFC 7386), Kubernetes' strategic merge
//! patch, and server-side apply with its field ownership. Every walk is led by a [`Shape`]: the schema table for built-in
//! kinds, a structural schema for custom resources, nothing for the rest.

pub mod apply;
mod error;
pub mod json;
#[cfg(test)]
mod json_tests;
pub mod merge;
mod shape;
pub mod strategic;

pub use error::PatchError;
pub use shape::{Form, Shape};
