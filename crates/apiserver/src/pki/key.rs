//! A private key that signs certificates and tokens: P-256 as made here, RSA as kubeadm makes it, in every PEM form that
//! either of them writes (PKCS #8, PKCS #1, SEC 1).

use super::PkiError;
use super::public::{Algorithm, PublicKey};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{self, Document};
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, SignatureBitStringEncoding,
    SubjectPublicKeyInfoOwned,
};

/// `ecdsa-with-SHA256` (RFC 5758) and `sha256WithRSAEncryption` (RFC 8017).
const ECDSA_WITH_SHA256: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const RSA_WITH_SHA256: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// A key pair.
pub struct Key {
    pair: Pair,
    pkcs8: Vec<u8>,
    /// As it was read, or as new keys are written.
    pem: String,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    /// A fresh P-256 key.
    ///
    /// # Errors
    /// A broken random source.
    pub fn generate() -> Result<Self, PkiError> {
        let doc = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| PkiError::Key("cannot generate a key"))?;
        Self::from_pem(&pem("PRIVATE KEY", doc.as_ref()))
    }

    /// A key from `-----BEGIN PRIVATE KEY-----`, `… EC PRIVATE KEY-----` or `… RSA PRIVATE KEY-----`.
    ///
    /// # Errors
    /// Text that holds no such block, or a key of another kind.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| PkiError::Key("it holds no private key in PEM"))?;
        let ec = || EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_der()).map(Pair::Ec);
        let rsa = match &der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            other => RsaKeyPair::from_pkcs8(other.secret_der()),
        };
        let pair = rsa.map(|pair| Pair::Rsa(Box::new(pair))).or_else(|_| ec());
        let pair = pair.map_err(|_| PkiError::Key("neither an RSA key nor one of P-256"))?;
        let pkcs8 = match &pair {
            Pair::Ec(pair) => pair.to_pkcs8v1().map(|d| d.as_ref().to_vec()),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map(|d| d.as_ref().to_vec()),
        };
        let pkcs8 = pkcs8.map_err(|_| PkiError::Key("the key cannot be written"))?;
        Ok(Self { pair, pkcs8, pem: text.to_owned() })
    }

    /// The key as PEM, as it was read.
    #[must_use]
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// The key as kube-apiserver reads keys of service accounts: it takes P-256 keys in SEC 1 alone.
    #[must_use]
    pub fn plain_pem(&self) -> String {
        let Pair::Ec(pair) = &self.pair else { return self.pem() };
        let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().expect("a P-256 key always encodes");
        pem("EC PRIVATE KEY", der.as_ref())
    }

    /// The key as PKCS #8 DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// What signs tokens with it.
    ///
    /// # Errors
    /// A key that the signer does not take.
    pub fn encoding(&self) -> Result<jsonwebtoken::EncodingKey, PkiError> {
        match &self.pair {
            Pair::Ec(_) => Ok(jsonwebtoken::EncodingKey::from_ec_der(&self.pkcs8)),
            Pair::Rsa(_) => jsonwebtoken::EncodingKey::from_rsa_pem(self.pem.as_bytes()).map_err(|_| PkiError::Key("no RSA key for tokens")),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let algorithm = if matches!(self.pair, Pair::Ec(_)) { Algorithm::P256 } else { Algorithm::Rsa };
        PublicKey::new(algorithm, self.public_der())
    }

    /// The public half as `SubjectPublicKeyInfo` DER.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &self.pair {
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        };
        der.expect("a public key always encodes").as_ref().to_vec()
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

/// An encoded signature.
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
        Ok(match &self.pair {
            Pair::Ec(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            Pair::Rsa(_) => AlgorithmIdentifierOwned { oid: RSA_WITH_SHA256, parameters: Some(Any::null()) },
        })
    }
}

impl signature::Signer<Asn1Signature> for Key {
    fn try_sign(&self, message: &[u8]) -> Result<Asn1Signature, signature::Error> {
        let failed = |_| signature::Error::new();
        match &self.pair {
            Pair::Ec(pair) => Ok(Asn1Signature(pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec())),
            Pair::Rsa(pair) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signed).map_err(failed)?;
                Ok(Asn1Signature(signed))
            }
        }
    }
}
