//! A private key that signs certificates and tokens.

use super::PkiError;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use x509_cert::der::asn1::BitString;
use x509_cert::der::{self, Document};
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding,
    SubjectPublicKeyInfoOwned,
};

/// `ecdsa-with-SHA256`, RFC 5758.
const ECDSA_WITH_SHA256: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// An ECDSA P-256 key pair.
pub struct Key {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

impl Key {
    /// A fresh key.
    ///
    /// # Errors
    /// A broken random source.
    pub fn generate() -> Result<Self, PkiError> {
        let doc = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| PkiError::Key("cannot generate a key"))?;
        Self::from_pkcs8(doc.as_ref())
    }

    /// A key from PKCS #8 DER.
    ///
    /// # Errors
    /// Bytes that are no P-256 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, PkiError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .map_err(|_| PkiError::Key("not a PKCS #8 P-256 key"))?;
        Ok(Self { pair, pkcs8: der.to_vec() })
    }

    /// A key from `-----BEGIN PRIVATE KEY-----`.
    ///
    /// # Errors
    /// Text that is no such block.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let body: String = pem
            .lines()
            .skip_while(|l| !l.starts_with("-----BEGIN PRIVATE KEY"))
            .skip(1)
            .take_while(|l| !l.starts_with("-----END"))
            .collect();
        Self::from_pkcs8(&STANDARD.decode(body).map_err(|_| PkiError::Key("not PEM"))?)
    }

    /// The key as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    /// The key as PKCS #8 DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half as `SubjectPublicKeyInfo` DER.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("a P-256 point always encodes");
        der.as_ref().to_vec()
    }

    pub(super) fn spki(&self) -> Result<SubjectPublicKeyInfoOwned, PkiError> {
        use x509_cert::der::Decode;
        Ok(SubjectPublicKeyInfoOwned::from_der(&self.public_der())?)
    }
}

/// DER as a PEM block.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).expect("base64 is ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The public half, as the certificate builder wants it.
#[derive(Clone)]
pub struct Public(Vec<u8>);

impl EncodePublicKey for Public {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.clone())?)
    }
}

/// An ASN.1 encoded signature.
pub struct Asn1Signature(Vec<u8>);

impl SignatureBitStringEncoding for Asn1Signature {
    fn to_bitstring(&self) -> der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}

impl signature::Keypair for Key {
    type VerifyingKey = Public;
    fn verifying_key(&self) -> Public {
        Public(self.public_der())
    }
}

impl DynSignatureAlgorithmIdentifier for Key {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None })
    }
}

impl signature::Signer<Asn1Signature> for Key {
    fn try_sign(&self, message: &[u8]) -> Result<Asn1Signature, signature::Error> {
        let signed = self.pair.sign(&SystemRandom::new(), message).map_err(|_| signature::Error::new())?;
        Ok(Asn1Signature(signed.as_ref().to_vec()))
    }
}
