//! Which servers are believed: webpki's rules, and what Go accepts besides. A serving certificate that itself stands in the
//! bundle of authorities will do even when it is marked as an authority: `openssl req -x509`, many charts and operators
//! make theirs so, for webhooks, audit backends and servers alike.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Believes what a bundle of authorities vouches for, and what is in the bundle.
#[derive(Debug)]
pub struct Bundle {
    /// `None` without any authority.
    inner: Option<Arc<WebPkiServerVerifier>>,
    given: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Bundle {
    /// `given` are the certificates of the bundle as they were written; `roots` what webpki makes of them.
    #[must_use]
    pub fn new(roots: RootCertStore, given: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Self {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok();
        Self { inner, given, provider: Arc::clone(provider) }
    }

    fn contains(&self, leaf: &CertificateDer<'_>) -> bool {
        self.given.iter().any(|b| b.as_ref() == leaf.as_ref())
    }
}

impl ServerCertVerifier for Bundle {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let verdict = match &self.inner {
            Some(inner) => inner.verify_server_cert(leaf, chain, name, ocsp, now),
            None => Err(unknown()),
        };
        let Err(e) = verdict else { return verdict };
        if matches!(&e, Error::InvalidCertificate(c) if is_about_name(c)) || !self.contains(leaf) {
            return Err(e);
        }
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| e.clone())?;
        let at = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let (from, to) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if at < from || at > to {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_about_name(e: &CertificateError) -> bool {
    matches!(e, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}
