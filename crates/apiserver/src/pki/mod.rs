//! The cluster's own certificates: authorities, and what they issue. What is made here is ECDSA P-256; authorities and keys that
//! kubeadm made (RSA) are read and used as they are.
//!
//! Subjects are built as exact RDN sequences, because each `O=` is a Kubernetes group and none may be lost.
//! Docs: "PKI certificates and requirements".

mod authority;
mod key;
mod public;
pub mod requests;
mod store;

pub use authority::{Authority, Issued, PkiError, Request, Usage};
pub use key::Key;
pub use key::pem;
pub use public::PublicKey;
pub use store::{AUTHORITY_LIFETIME, CERTIFICATE_LIFETIME, Files, Material};

#[cfg(test)]
mod tests;
