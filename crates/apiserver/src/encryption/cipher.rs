//! The ciphers: AES-CBC, AES-GCM, XSalsa20-Poly1305 ("secretbox"), and the AES-GCM with derived keys that KMS v2 uses.

use super::config::Described;
use super::kms::Kms;
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::{hkdf, rand};
use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use std::sync::Arc;

const NONCE: usize = aead::NONCE_LEN;
const BLOCK: usize = 16;
const BOX_NONCE: usize = 24;
/// Random bytes that a key is derived with.
const INFO: usize = 32;

/// A failed seal or open; ciphers do not say more.
const FAILED: &str = "cipher: message authentication failed";

/// One key of a static provider.
pub(super) struct Key {
    /// `k8s:enc:<cipher>:v1:<name>:`.
    prefix: String,
    name: String,
    secret: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Cbc,
    Gcm,
    Box,
}

/// One transformer; a provider with several keys is several of them.
pub(super) enum Provider {
    Key(Key),
    Identity,
    Kms(Arc<Kms>),
}

/// The transformers of a described provider.
pub(super) fn make(described: Described) -> Result<Vec<Provider>, String> {
    let keys = |word: &str, kind: Kind, keys: Vec<(String, Vec<u8>)>| {
        let one = |(name, secret): (String, Vec<u8>)| {
            Provider::Key(Key { prefix: format!("k8s:enc:{word}:v1:{name}:"), name: format!("{word}:v1:{name}"), secret, kind })
        };
        keys.into_iter().map(one).collect::<Vec<_>>()
    };
    Ok(match described {
        Described::AesCbc(k) => keys("aescbc", Kind::Cbc, k),
        Described::AesGcm(k) => keys("aesgcm", Kind::Gcm, k),
        Described::SecretBox(k) => keys("secretbox", Kind::Box, k),
        Described::Identity => vec![Provider::Identity],
        Described::Kms { name, socket, timeout } => vec![Provider::Kms(Kms::start(name, socket, timeout))],
    })
}

impl Provider {
    /// The name under which values are known to be sealed by this; `None`: they are not sealed.
    pub(super) fn writes_as(&self) -> Option<String> {
        match self {
            Self::Key(k) => Some(k.name.clone()),
            Self::Identity => None,
            Self::Kms(k) => Some(k.writes_as()),
        }
    }

    pub(super) fn seal(&self, path: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Key(k) => k.seal(path, plain),
            Self::Identity => Ok(plain.to_vec()),
            Self::Kms(k) => k.seal(path, plain),
        }
    }

    /// `None`: not sealed by this one.
    pub(super) async fn open(&self, path: &[u8], sealed: &[u8]) -> Option<Result<(Vec<u8>, String), String>> {
        match self {
            Self::Key(k) => {
                let rest = sealed.strip_prefix(k.prefix.as_bytes())?;
                Some(k.open(path, rest).map(|plain| (plain, k.name.clone())))
            }
            Self::Identity => None,
            Self::Kms(k) => k.open(path, sealed).await,
        }
    }
}

impl Key {
    fn seal(&self, path: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let sealed = match self.kind {
            Kind::Cbc => seal_cbc(&self.secret, plain),
            Kind::Gcm => seal_gcm(&self.secret, path, plain),
            Kind::Box => seal_box(&self.secret, plain),
        };
        let sealed = sealed.ok_or("the value could not be encrypted")?;
        Ok([self.prefix.as_bytes(), &sealed].concat())
    }

    fn open(&self, path: &[u8], rest: &[u8]) -> Result<Vec<u8>, String> {
        let plain = match self.kind {
            Kind::Cbc => open_cbc(&self.secret, rest),
            Kind::Gcm => open_gcm(&self.secret, path, rest),
            Kind::Box => open_box(&self.secret, rest),
        };
        plain.ok_or_else(|| FAILED.to_owned())
    }
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

fn gcm(secret: &[u8]) -> Option<LessSafeKey> {
    let algorithm = match secret.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    UnboundKey::new(algorithm, secret).ok().map(LessSafeKey::new)
}

/// Nonce, ciphertext, tag; the path is authenticated along.
pub(super) fn seal_gcm(secret: &[u8], path: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let nonce = random::<NONCE>()?;
    let mut out = plain.to_vec();
    gcm(secret)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(path), &mut out).ok()?;
    Some([nonce.as_slice(), &out].concat())
}

/// The way back.
pub(super) fn open_gcm(secret: &[u8], path: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let mut out = rest.to_vec();
    let plain = gcm(secret)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(path), &mut out).ok()?;
    Some(plain.to_vec())
}

/// A key of its own for each value, derived from the seed and random bytes that are stored before it.
pub(super) fn seal_derived(seed: &[u8], path: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let info = random::<INFO>()?;
    let sealed = seal_gcm(&derive(seed, &info)?, path, plain)?;
    Some([info.as_slice(), &sealed].concat())
}

/// The way back.
pub(super) fn open_derived(seed: &[u8], path: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (info, rest) = sealed.split_first_chunk::<INFO>()?;
    open_gcm(&derive(seed, info)?, path, rest)
}

/// HKDF-Expand with SHA-256: the seed is random already, so there is nothing to extract.
fn derive(seed: &[u8], info: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, seed);
    prk.expand(&[info], hkdf::HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(key)
}

fn cbc(secret: &[u8]) -> Option<UnboundCipherKey> {
    let algorithm = match secret.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    UnboundCipherKey::new(algorithm, secret).ok()
}

fn seal_cbc(secret: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let iv = random::<BLOCK>()?;
    let mut out = plain.to_vec();
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(cbc(secret)?).ok()?;
    key.less_safe_encrypt(&mut out, EncryptionContext::Iv128(iv.into())).ok()?;
    Some([iv.as_slice(), &out].concat())
}

fn open_cbc(secret: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (iv, rest) = sealed.split_first_chunk::<BLOCK>()?;
    let mut out = rest.to_vec();
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(cbc(secret)?).ok()?;
    let plain = key.decrypt(&mut out, DecryptionContext::Iv128(iv.into())).ok()?;
    Some(plain.to_vec())
}

fn seal_box(secret: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let nonce = random::<BOX_NONCE>()?;
    let mut out = plain.to_vec();
    let cipher = XSalsa20Poly1305::new_from_slice(secret).ok()?;
    let tag = cipher.encrypt_in_place_detached(&nonce.into(), b"", &mut out).ok()?;
    // NaCl puts the tag first.
    Some([nonce.as_slice(), tag.as_slice(), &out].concat())
}

fn open_box(secret: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<BOX_NONCE>()?;
    let (tag, rest) = rest.split_first_chunk::<16>()?;
    let mut out = rest.to_vec();
    let cipher = XSalsa20Poly1305::new_from_slice(secret).ok()?;
    cipher.decrypt_in_place_detached(nonce.into(), b"", &mut out, tag.into()).ok()?;
    Some(out)
}
