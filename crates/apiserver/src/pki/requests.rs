//! Certificate requests (PKCS #10, RFC 2986): what they ask for, whether they are signed by the key they name, and
//! certificates for them. Docs: "Certificates and Certificate Signing Requests".

use super::{Authority, Request, Usage};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use jiff::Timestamp;
use std::net::IpAddr;
use std::time::Duration;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
    /// The public key as `SubjectPublicKeyInfo` DER.
    pub public_der: Vec<u8>,
}

/// Reads a PEM request; `None` when it is none, or was not signed by its own key.
#[must_use]
pub fn read(pem: &[u8]) -> Option<Wanted> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    if pem.label != "CERTIFICATE REQUEST" || !is_own(&request) {
        return None;
    }
    let info = &request.certification_request_info;
    let mut wanted = Wanted {
        common_name: info.subject.iter_common_name().next().and_then(|c| c.as_str().ok()).unwrap_or_default().to_owned(),
        organizations: info.subject.iter_organization().filter_map(|o| o.as_str().ok().map(str::to_owned)).collect(),
        public_der: info.subject_pki.raw.to_vec(),
        ..Wanted::default()
    };
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
        for name in &names.general_names {
            match name {
                GeneralName::DNSName(n) => wanted.dns_names.push((*n).to_owned()),
                GeneralName::RFC822Name(n) => wanted.emails.push((*n).to_owned()),
                GeneralName::URI(n) => wanted.uris.push((*n).to_owned()),
                GeneralName::IPAddress(bytes) => wanted.addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    Some(wanted)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Whether the request was signed by the key that it names.
fn is_own(request: &X509CertificationRequest<'_>) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match request.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.10045.4.3.2" => &ECDSA_P256_SHA256_ASN1,
        "1.2.840.10045.4.3.3" => &ECDSA_P384_SHA384_ASN1,
        "1.2.840.113549.1.1.11" => &RSA_PKCS1_2048_8192_SHA256,
        "1.2.840.113549.1.1.12" => &RSA_PKCS1_2048_8192_SHA384,
        "1.2.840.113549.1.1.13" => &RSA_PKCS1_2048_8192_SHA512,
        "1.3.101.112" => &ED25519,
        _ => return false,
    };
    let info = &request.certification_request_info;
    let key = UnparsedPublicKey::new(algorithm, &*info.subject_pki.subject_public_key.data);
    key.verify(info.raw, &request.signature_value.data).is_ok()
}

/// A certificate for a request that was read.
///
/// # Errors
/// A public key or a name that is none.
pub fn sign(authority: &Authority, wanted: Wanted, usages: &[String], lifetime: Duration, now: Timestamp) -> Result<String, super::PkiError> {
    let has = |usage: &str| usages.iter().any(|u| u == usage || u == "any");
    let usage = match (has("client auth"), has("server auth")) {
        (true, false) => Usage::Client,
        (false, true) => Usage::Server,
        _ => Usage::Both,
    };
    let request = Request {
        common_name: wanted.common_name,
        organizations: wanted.organizations,
        dns_names: wanted.dns_names,
        addresses: wanted.addresses,
        usage,
        lifetime,
    };
    authority.issue_for(request, &wanted.public_der, now)
}

/// When a PEM certificate ends.
#[must_use]
pub fn ends(pem: &[u8]) -> Option<Timestamp> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
