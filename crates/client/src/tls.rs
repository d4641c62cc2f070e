//! The TLS side of a connection: authorities, client certificate, and the choice to check nothing.

use crate::{Bundle, Error};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;

/// `--insecure-skip-tls-verify` and its like: any certificate will do, but the peer must hold its key.
#[derive(Debug)]
pub struct Anyone(Arc<CryptoProvider>);

impl Anyone {
    /// Believes anyone who can use a certificate, by the provider's algorithms.
    #[must_use]
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self(provider)
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(&self, _: &CertificateDer<'_>, _: &[CertificateDer<'_>], _: &ServerName<'_>, _: &[u8], _: UnixTime) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn authorities(ca: Option<&[u8]>, provider: &Arc<CryptoProvider>) -> Result<Bundle, Error> {
    let (mut roots, mut given) = (RootCertStore::empty(), Vec::new());
    match ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| Error::Config(format!("unable to load root certificates: {e}")))?;
                roots.add(certificate.clone()).map_err(|e| Error::Config(format!("unable to load root certificates: {e}")))?;
                given.push(certificate);
            }
            if roots.is_empty() {
                return Err(Error::Config("unable to load root certificates: unable to parse bytes as PEM block".to_owned()));
            }
        }
        None => {
            // What cannot be read of the system's own store simply does not count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(Bundle::new(roots, given, provider))
}

/// What a client needs to know for its handshakes.
pub(crate) fn configuration(ca: Option<&[u8]>, insecure: bool, certificate: Option<&[u8]>, key: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let bad = |e: &dyn std::fmt::Display| Error::Config(format!("tls: {e}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(|e| bad(&e))?;
    let verifier: Arc<dyn ServerCertVerifier> = match insecure {
        true => Arc::new(Anyone(provider)),
        false => Arc::new(authorities(ca, &provider)?),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| bad(&format!("failed to find any PEM data in key input: {e}")))?;
    builder.with_client_auth_cert(chain.map_err(|e| bad(&e))?, key).map_err(|e| bad(&e))
}

/// Whether a private key belongs to a certificate, both in PEM.
///
/// # Errors
/// What cannot be read, or belongs to another.
pub fn check_pair(certificate: &[u8], key: &[u8]) -> Result<(), Error> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let bad = |what: &str| Error::Config(format!("tls: failed to find any PEM data in {what} input"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.ok().filter(|c| !c.is_empty()).ok_or_else(|| bad("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| bad("key"))?;
    match rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
        Err(rustls::Error::InconsistentKeys(_)) => Err(Error::Config("tls: private key does not match public key".to_owned())),
        // Keys that are too weak for us may still be kept in a Secret.
        _ => Ok(()),
    }
}
