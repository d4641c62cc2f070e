//! Public keys that service account tokens are checked with: how they are read, and how they are published (RFC 7517).

use super::{Key, PkiError, key::pem};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde_json::{Value, json};
use sha2::Digest;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// `rsaEncryption`, RFC 8017; `id-ecPublicKey`, RFC 5480.
const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    P256,
    P384,
    Rsa,
}

impl Algorithm {
    /// As tokens name it.
    #[must_use]
    pub fn of_tokens(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::P256 => jsonwebtoken::Algorithm::ES256,
            Self::P384 => jsonwebtoken::Algorithm::ES384,
            Self::Rsa => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// `SubjectPublicKeyInfo`.
    der: Vec<u8>,
}

impl PublicKey {
    pub(super) fn new(algorithm: Algorithm, der: Vec<u8>) -> Self {
        Self { algorithm, der }
    }

    /// All keys of a file: public keys, certificates, or private keys whose public half is meant.
    ///
    /// # Errors
    /// A file without any key.
    pub fn all_of(file: &[u8]) -> Result<Vec<Self>, PkiError> {
        let mut all = Vec::new();
        for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(file) {
            let (kind, der) = block.map_err(|_| PkiError::Key("it is damaged PEM"))?;
            all.extend(Self::of_block(kind, &der));
        }
        // Blocks of other names (`RSA PUBLIC KEY`) are no section that the reader knows.
        all.extend(pkcs1_blocks(&String::from_utf8_lossy(file)));
        if all.is_empty() { Err(PkiError::Key("data does not contain any valid RSA or ECDSA public keys")) } else { Ok(all) }
    }

    fn of_block(kind: SectionKind, der: &[u8]) -> Option<Self> {
        let private = |label| Key::from_pem(&pem(label, der)).ok().map(|k| k.public());
        match kind {
            SectionKind::PublicKey => Self::of_spki(&SubjectPublicKeyInfoOwned::from_der(der).ok()?),
            SectionKind::Certificate => {
                let certificate = x509_cert::Certificate::from_der(der).ok()?;
                Self::of_spki(certificate.tbs_certificate().subject_public_key_info())
            }
            SectionKind::PrivateKey => private("PRIVATE KEY"),
            SectionKind::RsaPrivateKey => private("RSA PRIVATE KEY"),
            SectionKind::EcPrivateKey => private("EC PRIVATE KEY"),
            _ => None,
        }
    }

    fn of_spki(info: &SubjectPublicKeyInfoOwned) -> Option<Self> {
        let algorithm = match (info.algorithm.oid.to_string().as_str(), info.subject_public_key.raw_bytes().len()) {
            (RSA, _) => Algorithm::Rsa,
            // An uncompressed point: one byte, then two coordinates.
            (EC, 65) => Algorithm::P256,
            (EC, 97) => Algorithm::P384,
            _ => return None,
        };
        Some(Self { algorithm, der: info.to_der().ok()? })
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its id in tokens (`kid`).
    #[must_use]
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&self.der))
    }

    /// As PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.der)
    }

    /// What checks tokens with it.
    ///
    /// # Errors
    /// A key that the checker does not take.
    pub fn decoding(&self) -> Result<DecodingKey, PkiError> {
        let text = self.pem();
        let made = match self.algorithm {
            Algorithm::Rsa => DecodingKey::from_rsa_pem(text.as_bytes()),
            Algorithm::P256 | Algorithm::P384 => DecodingKey::from_ec_pem(text.as_bytes()),
        };
        made.map_err(|_| PkiError::Key("a public key that tokens cannot be checked with"))
    }

    /// As a JSON web key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let Ok(info) = SubjectPublicKeyInfoOwned::from_der(&self.der) else { return Value::Null };
        let bytes = info.subject_public_key.raw_bytes();
        let (kid, half) = (self.id(), bytes.len() / 2 + 1);
        let ec = |curve: &str, name: &str| {
            let (x, y) = bytes[1..].split_at(half - 1);
            json!({"use": "sig", "kty": "EC", "kid": kid, "crv": curve, "alg": name, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
        };
        match self.algorithm {
            Algorithm::P256 => ec("P-256", "ES256"),
            Algorithm::P384 => ec("P-384", "ES384"),
            Algorithm::Rsa => {
                let Some((n, e)) = numbers(bytes) else { return Value::Null };
                json!({"use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)})
            }
        }
    }
}

/// Modulus and exponent of an `RSAPublicKey`.
fn numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(der).ok()?;
    reader
        .sequence(|inner: &mut SliceReader<'_>| {
            let n = x509_cert::der::asn1::UintRef::decode(inner)?.as_bytes().to_vec();
            let e = x509_cert::der::asn1::UintRef::decode(inner)?.as_bytes().to_vec();
            Ok::<_, x509_cert::der::Error>((n, e))
        })
        .ok()
}

/// Keys of `RSA PUBLIC KEY` blocks.
fn pkcs1_blocks(text: &str) -> Vec<PublicKey> {
    use base64::engine::general_purpose::STANDARD;
    let blocks = text.split("-----BEGIN RSA PUBLIC KEY-----").skip(1);
    blocks
        .filter_map(|rest| {
            let body: String = rest.split("-----END").next()?.split_whitespace().collect();
            let key = RsaPublicKey::from_der(&STANDARD.decode(body).ok()?).ok()?;
            let der: PublicKeyX509Der<'_> = key.as_der().ok()?;
            Some(PublicKey::new(Algorithm::Rsa, der.as_ref().to_vec()))
        })
        .collect()
}
