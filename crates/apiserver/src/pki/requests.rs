//! Certificate requests (PKCS #10, RFC 2986): what they ask for, whether they are signed by the key they name, and
//! certificates for them. Docs: "Certificates and Certificate Signing Requests".

use super::authority::{Flags, Profile};
use super::{Authority, PkiError};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5String, ObjectIdentifier};
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::ext::pkix::name::GeneralName as Name;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

/// The parts of a subject that are kept, by the last number of their identifiers below 2.5.4, in the order in which they
/// are written: country, organization, unit, locality, province, street, postal code, common name, serial number.
const PARTS: [u8; 9] = [6, 10, 11, 7, 8, 9, 17, COMMON_NAME, SERIAL_NUMBER];
const COMMON_NAME: u8 = 3;
const SERIAL_NUMBER: u8 = 5;

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
    /// The whole subject, by [`PARTS`].
    subject: BTreeMap<u8, Vec<String>>,
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
    let mut subject: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for part in info.subject.iter_attributes() {
        let number = part.attr_type().to_id_string().strip_prefix("2.5.4.").and_then(|n| n.parse().ok());
        if let (Some(number), Ok(text)) = (number, part.as_str()) {
            subject.entry(number).or_default().push(text.to_owned());
        }
    }
    // Of these there is one; the last one counts, as for kube-controller-manager.
    for number in [COMMON_NAME, SERIAL_NUMBER] {
        subject.entry(number).and_modify(|all| drop(all.drain(..all.len() - 1)));
    }
    let of = |number| subject.get(&number).cloned().unwrap_or_default();
    let mut wanted = Wanted {
        common_name: of(COMMON_NAME).pop().unwrap_or_default(),
        organizations: of(10),
        public_der: info.subject_pki.raw.to_vec(),
        subject,
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
    let info = &request.certification_request_info;
    let curve = info.subject_pki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok()).map(|o| o.to_id_string());
    let curve = match curve.as_deref() {
        Some("1.2.840.10045.3.1.7") => 256,
        Some("1.3.132.0.34") => 384,
        Some("1.3.132.0.35") => 521,
        _ => 0,
    };
    let algorithm: &'static dyn VerificationAlgorithm = match (request.signature_algorithm.algorithm.to_id_string().as_str(), curve) {
        ("1.2.840.10045.4.3.2", 256) => &ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", 256) => &ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", 256) => &ECDSA_P256_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", 384) => &ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", 384) => &ECDSA_P384_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", 384) => &ECDSA_P384_SHA512_ASN1,
        ("1.2.840.10045.4.3.2", 521) => &ECDSA_P521_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", 521) => &ECDSA_P521_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", 521) => &ECDSA_P521_SHA512_ASN1,
        ("1.2.840.113549.1.1.11", _) => &RSA_PKCS1_2048_8192_SHA256,
        ("1.2.840.113549.1.1.12", _) => &RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", _) => &RSA_PKCS1_2048_8192_SHA512,
        ("1.3.101.112", _) => &ED25519,
        _ => return false,
    };
    let key = UnparsedPublicKey::new(algorithm, &*info.subject_pki.subject_public_key.data);
    key.verify(info.raw, &request.signature_value.data).is_ok()
}

/// A certificate for a request that was read: with its subject and all its names, for exactly these usages.
///
/// # Errors
/// A public key or a name that is none, a usage that is not known.
pub fn sign(authority: &Authority, wanted: Wanted, usages: &[String], lifetime: Duration, now: Timestamp) -> Result<String, PkiError> {
    let (mut flags, mut purposes) = (Flags::default(), Vec::new());
    for usage in usages {
        match usage_of(usage).ok_or(PkiError::Key("unrecognized usage values"))? {
            Use::Key(flag) => flags |= flag,
            Use::Purpose(id) => purposes.push(ObjectIdentifier::new(id).map_err(|_| PkiError::Key("no identifier"))?),
        }
    }
    let text = |t: &String| Ia5String::new(t);
    let mut names = Vec::new();
    for n in &wanted.dns_names {
        names.push(Name::DnsName(text(n)?));
    }
    for n in &wanted.emails {
        names.push(Name::Rfc822Name(text(n)?));
    }
    names.extend(wanted.addresses.iter().map(|a| Name::from(*a)));
    for n in &wanted.uris {
        names.push(Name::UniformResourceIdentifier(text(n)?));
    }
    let subject = x509_cert::name::Name::from_der(&subject(&wanted.subject))?;
    authority.issue_exactly(Profile::leaf(subject, names, flags, purposes), &wanted.public_der, (lifetime, now))
}

/// What a key may be used for.
enum Use {
    Key(KeyUsages),
    Purpose(&'static str),
}

/// The usages of `certificates.k8s.io` (RFC 5280, 4.2.1.3 and 4.2.1.12).
fn usage_of(word: &str) -> Option<Use> {
    Some(match word {
        "signing" | "digital signature" => Use::Key(KeyUsages::DigitalSignature),
        "content commitment" => Use::Key(KeyUsages::NonRepudiation),
        "key encipherment" => Use::Key(KeyUsages::KeyEncipherment),
        "key agreement" => Use::Key(KeyUsages::KeyAgreement),
        "data encipherment" => Use::Key(KeyUsages::DataEncipherment),
        "cert sign" => Use::Key(KeyUsages::KeyCertSign),
        "crl sign" => Use::Key(KeyUsages::CRLSign),
        "encipher only" => Use::Key(KeyUsages::EncipherOnly),
        "decipher only" => Use::Key(KeyUsages::DecipherOnly),
        "any" => Use::Purpose("2.5.29.37.0"),
        "server auth" => Use::Purpose("1.3.6.1.5.5.7.3.1"),
        "client auth" => Use::Purpose("1.3.6.1.5.5.7.3.2"),
        "code signing" => Use::Purpose("1.3.6.1.5.5.7.3.3"),
        "email protection" | "s/mime" => Use::Purpose("1.3.6.1.5.5.7.3.4"),
        "ipsec end system" => Use::Purpose("1.3.6.1.5.5.7.3.5"),
        "ipsec tunnel" => Use::Purpose("1.3.6.1.5.5.7.3.6"),
        "ipsec user" => Use::Purpose("1.3.6.1.5.5.7.3.7"),
        "timestamping" => Use::Purpose("1.3.6.1.5.5.7.3.8"),
        "ocsp signing" => Use::Purpose("1.3.6.1.5.5.7.3.9"),
        "microsoft sgc" => Use::Purpose("1.3.6.1.4.1.311.10.3.3"),
        "netscape sgc" => Use::Purpose("2.16.840.1.113730.4.1"),
        _ => return None,
    })
}

/// A subject as DER (RFC 5280, 4.1.2.4): a set for each part that is there, its values in it.
fn subject(parts: &BTreeMap<u8, Vec<String>>) -> Vec<u8> {
    let set = |number: &u8| {
        let values = parts.get(number).filter(|v| v.iter().any(|v| !v.is_empty()))?;
        let mut all: Vec<Vec<u8>> = values.iter().map(|v| attribute(*number, v)).collect();
        all.sort();
        all.dedup();
        Some(der(0x31, &all.concat()))
    };
    der(0x30, &PARTS.iter().filter_map(set).collect::<Vec<_>>().concat())
}

fn attribute(number: u8, text: &str) -> Vec<u8> {
    let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
    let tag = if text.bytes().all(printable) { 0x13 } else { 0x0c };
    der(0x30, &[der(0x06, &[0x55, 4, number]), der(tag, text.as_bytes())].concat())
}

/// Tag, length, value (X.690, 8.1).
fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|b| **b == 0).count()..];
    let mut out = vec![tag];
    match body.len() {
        short @ ..0x80 => out.push(short as u8),
        _ => {
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(body);
    out
}

/// When a PEM certificate ends.
#[must_use]
pub fn ends(pem: &[u8]) -> Option<Timestamp> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
