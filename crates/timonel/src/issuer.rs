//! The cluster's authority as the certificate controllers need it, and its signer of tokens. Docs: "Certificates and Certificate Signing Requests".

use anyhow::Result;
use apiserver::pki::{Authority, Material, requests};
use apiserver::tokens::Tokens;
use controllers::certificates::{Asked, Issuer};
use controllers::serviceaccounttoken::Signer;
use jiff::Timestamp;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The cluster's authority.
pub(crate) struct ClusterIssuer(Authority);

impl ClusterIssuer {
    pub(crate) fn new(m: &Material) -> Result<Self> {
        Ok(Self(Authority::load(m.ca.pem(), &m.ca.key_pem())?))
    }
}

impl fmt::Debug for ClusterIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterIssuer")
    }
}

impl Issuer for ClusterIssuer {
    fn read(&self, pem: &[u8]) -> Option<Asked> {
        let w = requests::read(pem)?;
        Some(Asked {
            common_name: w.common_name,
            organizations: w.organizations,
            dns_names: w.dns_names,
            addresses: w.addresses.iter().map(ToString::to_string).collect(),
            emails: w.emails,
            uris: w.uris,
        })
    }

    fn sign(&self, pem: &[u8], usages: &[String], lifetime: Duration, now: Timestamp) -> Result<String, String> {
        let wanted = requests::read(pem).ok_or("unable to parse csr")?;
        requests::sign(&self.0, wanted, usages, lifetime, now).map_err(|e| e.to_string())
    }

    fn ends(&self, pem: &[u8]) -> Option<Timestamp> {
        requests::ends(pem)
    }
}

/// The signer of tokens that are kept in Secrets.
pub(crate) struct TokenSigner(pub(crate) Arc<Tokens>);

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSigner")
    }
}

impl Signer for TokenSigner {
    fn sign(&self, namespace: &str, name: &str, uid: &str, secret: &str) -> Option<String> {
        self.0.sign_legacy(namespace, name, uid, secret)
    }
}
