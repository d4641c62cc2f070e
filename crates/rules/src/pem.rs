//! A PEM-encoded PKCS#10 request as rules look at it: whether it is one, and its subject's organizations. RFC 7468, RFC 2986.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::{asn1_rs, nom};
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::FromDer;

/// The name of such a block.
const LABEL: &str = "CERTIFICATE REQUEST";

/// The first block, when it is a certificate request.
pub(crate) fn request(pem: &[u8]) -> Option<Pem> {
    parse_x509_pem(pem).ok().map(|(_, block)| block).filter(|block| block.label == LABEL)
}

/// Why a block of that name holds no request, as Go says it.
pub(crate) fn problem(block: &Pem) -> Option<&'static str> {
    match X509CertificationRequest::from_der(&block.contents) {
        Ok(([], _)) => None,
        Ok(_) => Some("asn1: syntax error: trailing data"),
        Err(nom::Err::Incomplete(_) | nom::Err::Error(X509Error::Der(asn1_rs::Error::Incomplete(_)))) => Some("asn1: syntax error: data truncated"),
        Err(_) => Some("asn1: structure error: tags don't match"),
    }
}

/// The organizations of the subject of a PEM-encoded request; none when it cannot be read.
pub(crate) fn organizations(pem: &[u8]) -> Vec<String> {
    let Some(block) = request(pem) else { return Vec::new() };
    let Ok((_, request)) = X509CertificationRequest::from_der(&block.contents) else { return Vec::new() };
    let all = request.certification_request_info.subject.iter_organization();
    all.filter_map(|o| o.as_str().ok().map(str::to_owned)).collect()
}
