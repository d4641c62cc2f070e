//! The node's hands for containers: images, sandboxes, processes. Knows no Kubernetes kind.

pub mod cri;
pub mod image;
