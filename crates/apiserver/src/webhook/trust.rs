//! TLS as the callers of webhooks and aggregated servers need it: a bundle of authorities (or the system's), an identity of
//! our own, and the words that Go's TLS uses when a certificate does not do, because people search for them.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, OnceLock};
use x509_parser::prelude::{FromDer, X509Certificate};

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
        Trust::Bundle(pem) => Arc::new(Verifier::new(pem, &provider)?),
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

/// webpki, and what Go accepts besides: a leaf that is itself in the bundle, even one marked as an authority (many charts
/// and operators make their serving certificates that way).
#[derive(Debug)]
struct Verifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    bundle: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let bundle: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
        let roots = if pem.is_empty() {
            system().clone()
        } else {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(bundle.iter().cloned());
            if store.is_empty() {
                return Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned());
            }
            store
        };
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok();
        Ok(Self { inner, bundle, provider: Arc::clone(provider) })
    }

    fn is_root(&self, leaf: &CertificateDer<'_>) -> bool {
        self.bundle.iter().any(|b| b.as_ref() == leaf.as_ref())
    }
}

impl ServerCertVerifier for Verifier {
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
        if matches!(&e, Error::InvalidCertificate(c) if is_about_name(c)) || !self.is_root(leaf) {
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
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
