//! TLS as the callers of webhooks and aggregated servers need it: a bundle of authorities (or the system's), an identity of
//! our own, and the words that Go's TLS uses when a certificate does not do, because people search for them.

use client::Bundle;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use std::sync::{Arc, OnceLock};

/// A certificate chain and its key, to be shown to servers.
#[derive(Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// Whom to believe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// PEM of authorities; empty: the system's.
    Bundle(Vec<u8>),
    /// Anyone (`insecureSkipTLSVerify`).
    Anyone,
}

fn system() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        store
    })
}

/// The TLS settings for one kind of place.
///
/// # Errors
/// A bundle without a usable certificate, or an identity that does not fit together.
pub(crate) fn config(trust: &Trust, identity: Option<&Identity>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anyone => Arc::new(client::Anyone::new(Arc::clone(&provider))),
        Trust::Bundle(pem) => Arc::new(bundle(pem, &provider)?),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(i) => builder.with_client_auth_cert(i.chain.clone(), i.key.clone_key()).map_err(|e| e.to_string())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn bundle(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Bundle, String> {
    if pem.is_empty() {
        return Ok(Bundle::new(system().clone(), Vec::new(), provider));
    }
    let given: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(given.iter().cloned());
    match roots.is_empty() {
        true => Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned()),
        false => Ok(Bundle::new(roots, given, provider)),
    }
}

fn is_about_name(e: &CertificateError) -> bool {
    matches!(e, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
}

/// A failed handshake in the words of Go's crypto/tls and crypto/x509.
pub(crate) fn words(error: &std::io::Error, name: &str) -> String {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    let x509 = |text: String| format!("tls: failed to verify certificate: x509: {text}");
    match tls {
        Some(Error::InvalidCertificate(c)) => match c {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                x509("certificate signed by unknown authority".into())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                x509("certificate has expired or is not yet valid".into())
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                x509("certificate has expired or is not yet valid".into())
            }
            c if is_about_name(c) => x509(misnamed(c, name)),
            other => x509(other.to_string()),
        },
        Some(Error::InvalidMessage(_)) => "tls: first record does not look like a TLS handshake".to_owned(),
        Some(Error::AlertReceived(a)) => format!("remote error: tls: {a:?}"),
        Some(other) => format!("tls: {other}"),
        None => error.to_string(),
    }
}

fn misnamed(error: &CertificateError, name: &str) -> String {
    // rustls tells the names it was shown as `DnsName("…")` or `IpAddress(…)`.
    let bare = |n: &String| n.split_once('(').map_or(n.as_str(), |(_, x)| x).trim_matches(['(', ')', '"']).to_owned();
    let names: Vec<String> = match error {
        CertificateError::NotValidForNameContext { presented, .. } => presented.iter().map(bare).collect(),
        _ => Vec::new(),
    };
    match names.is_empty() {
        true => format!("certificate is not valid for any names, but wanted to match {name}"),
        false => format!("certificate is valid for {}, not {name}", names.join(", ")),
    }
}
