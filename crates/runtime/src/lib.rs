//! The node's hands for containers: images, sandboxes, processes. Knows no Kubernetes kind.

mod container;
pub mod cri;
pub mod image;
pub mod shim;

pub use container::{Embedded, EmbeddedConfig, group_usage, remove_group, set_group};
