//! Content digests (`sha256:…`, `sha512:…`): parsing, computing while streaming, and comparing.
//!
//! Answers to the OCI image specification, "Descriptors / Digests". Hashing is aws-lc's, which is linked for TLS anyway.

use std::fmt;
use std::io::{self, Read};

use aws_lc_rs::digest as lc;
use serde::{Deserialize, Serialize};

use super::ImageError;

/// A verified-in-shape content digest: `algorithm:hex`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Parses `sha256:<64 hex>` or `sha512:<128 hex>`; anything else is refused.
    pub fn parse(text: &str) -> Result<Digest, ImageError> {
        let bad = || ImageError::InvalidDigest(text.to_owned());
        let (algorithm, hex) = text.split_once(':').ok_or_else(bad)?;
        let len = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return Err(bad()),
        };
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != len || !hex.bytes().all(lower_hex) {
            return Err(bad());
        }
        Ok(Digest(text.to_owned()))
    }

    /// The sha256 digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The whole spelling, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(a, _)| a)
    }

    /// The hexadecimal part.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, h)| h)
    }

    /// Whether the bytes have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::like(self);
        hasher.update(bytes);
        hasher.finish() == *self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = ImageError;
    fn try_from(text: String) -> Result<Digest, ImageError> {
        Digest::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

/// A running digest.
pub(crate) struct Hasher {
    algorithm: &'static str,
    context: lc::Context,
}

impl Hasher {
    /// A sha256 hasher.
    pub(crate) fn sha256() -> Hasher {
        Hasher { algorithm: "sha256", context: lc::Context::new(&lc::SHA256) }
    }

    /// A hasher of the same algorithm as `digest`.
    pub(crate) fn like(digest: &Digest) -> Hasher {
        match digest.algorithm() {
            "sha512" => Hasher { algorithm: "sha512", context: lc::Context::new(&lc::SHA512) },
            _ => Hasher::sha256(),
        }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of everything added so far (more may follow).
    pub(crate) fn so_far(&self) -> Digest {
        Digest(format!("{}:{}", self.algorithm, hex::encode(self.context.clone().finish())))
    }

    /// The digest of everything added.
    pub(crate) fn finish(self) -> Digest {
        self.so_far()
    }
}

/// A reader that hashes what passes through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashingReader<R> {
    /// Wraps `inner`, hashing with the algorithm of `expected` (sha256 when there is none).
    pub(crate) fn new(inner: R, expected: Option<&Digest>) -> HashingReader<R> {
        let hasher = expected.map_or_else(Hasher::sha256, Hasher::like);
        HashingReader { inner, hasher }
    }

    /// The reader below.
    pub(crate) fn inner_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Digest of the bytes read so far.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.so_far()
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}
