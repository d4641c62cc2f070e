//! tmp
pub mod pki;
