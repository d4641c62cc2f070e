//! The core group.

pub(crate) mod claim;
pub mod pod;
