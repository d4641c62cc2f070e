//! CertificateSigningRequests: kubelets' own are approved, approved ones are signed by the cluster's authority, and what
//! nobody needs any more goes.
//!
//! Docs: "Certificates and Certificate Signing Requests: Kubernetes signers", "TLS bootstrapping".
//!
//! ```text
//!  pending --approve (client-kubelet, if RBAC lets the requester)--> Approved --sign--> certificate --clean--> gone
//!                                                             └──── what the signer does not sign --> Failed
//! ```
//! Laws: 1. a decision stays: approved, denied and failed requests are not decided again. 2. each built-in signer signs only
//! what the documentation's table permits. 3. other signers' requests are never touched, but cleaned.
//!
//! Reading requests and signing need a key and ASN.1: they come as a port, [`Issuer`].

mod approve;
mod clean;
mod sign;

#[cfg(test)]
mod tests;

pub use approve::CONTROLLER as APPROVER;
pub use clean::CONTROLLER as CLEANER;
pub use sign::CONTROLLER as SIGNER;

use jiff::Timestamp;
use kinds::Time;
use kinds::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use std::fmt;
use std::time::Duration;

pub(crate) const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub(crate) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub(crate) const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
pub(crate) const LEGACY: &str = "kubernetes.io/legacy-unknown";

/// What a PKCS #10 request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<String>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
}

/// The cluster's authority, as this controller needs it.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// What the PEM block asks for; `None`: it is no request, or its signature is wrong.
    fn read(&self, pem: &[u8]) -> Option<Asked>;
    /// A PEM certificate for the request.
    ///
    /// # Errors
    /// Why not.
    fn sign(&self, pem: &[u8], usages: &[String], lifetime: Duration, now: Timestamp) -> Result<String, String>;
    /// When a PEM certificate ends.
    fn ends(&self, pem: &[u8]) -> Option<Timestamp>;
}

pub(crate) fn conditions(c: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    c.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default()
}

pub(crate) fn condition<'a>(c: &'a CertificateSigningRequest, kind: &str) -> Option<&'a CertificateSigningRequestCondition> {
    conditions(c).iter().find(|x| x.type_ == kind)
}

pub(crate) fn certificate(c: &CertificateSigningRequest) -> Option<&[u8]> {
    c.status.as_ref().and_then(|s| s.certificate.as_ref()).map(|b| b.0.as_slice()).filter(|b| !b.is_empty())
}

/// The request with one condition more.
pub(crate) fn with(c: &CertificateSigningRequest, kind: &str, reason: &str, message: &str, now: Time) -> CertificateSigningRequest {
    let mut next = c.clone();
    next.status.get_or_insert_default().conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    });
    next
}

/// Whether the request is one that a kubelet makes for its client certificate; the error says what differs.
pub(crate) fn kubelet_client(asked: &Asked, usages: &[String]) -> Result<(), &'static str> {
    if asked.organizations != ["system:nodes"] {
        return Err("subject organization is not system:nodes");
    }
    if !asked.dns_names.is_empty() {
        return Err("DNS subjectAltNames are not allowed");
    }
    if !asked.emails.is_empty() {
        return Err("Email subjectAltNames are not allowed");
    }
    if !asked.addresses.is_empty() {
        return Err("IP subjectAltNames are not allowed");
    }
    if !asked.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed");
    }
    if !asked.common_name.starts_with("system:node:") {
        return Err("subject common name does not begin with system:node:");
    }
    if !exactly(usages, "client auth") {
        return Err("usages did not match [digital signature key encipherment client auth]");
    }
    Ok(())
}

/// Whether the request is one for a kubelet's serving certificate; the error says what differs.
pub(crate) fn kubelet_serving(asked: &Asked, usages: &[String]) -> Result<(), &'static str> {
    if asked.organizations != ["system:nodes"] {
        return Err("subject organization is not system:nodes");
    }
    if asked.dns_names.is_empty() && asked.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required");
    }
    if !asked.emails.is_empty() {
        return Err("Email subjectAltNames are not allowed");
    }
    if !asked.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed");
    }
    if !exactly(usages, "server auth") {
        return Err("usages did not match [digital signature key encipherment server auth]");
    }
    if !asked.common_name.starts_with("system:node:") {
        return Err("subject common name does not begin with system:node:");
    }
    Ok(())
}

/// The usages of a TLS key for one purpose, with or without key encipherment.
fn exactly(usages: &[String], purpose: &str) -> bool {
    let mut given: Vec<&str> = usages.iter().map(String::as_str).filter(|u| *u != "key encipherment").collect();
    given.sort_unstable();
    let mut wanted = ["digital signature", purpose];
    wanted.sort_unstable();
    given == wanted
}
