//! Plans: from a pod's spec and the objects that it refers to, what the runtime and the volume hands are told to make.

pub mod container;
pub mod downward;
pub mod env;
pub mod files;
pub mod mounts;
pub mod network;
pub mod resources;
pub mod sandbox;
pub mod security;
pub mod volume;

pub use container::{ContainerPlan, MountPlan, SubPath, TerminationLog};
pub use files::{Content, FileEntry};
pub use resources::Limits;
pub use sandbox::SandboxPlan;
pub use security::SecurityPlan;
pub use volume::{VolumeKind, VolumePlan};
