//! Short stable hashes for names: FNV-1a and the encoding that keeps vowels out of generated names.

use base::port::SUFFIX_ALPHABET;
use std::fmt::{self, Write};

/// 32-bit FNV-1a over everything that is written to it.
#[derive(Clone, Copy, Debug)]
pub struct Fnv32(u32);

impl Default for Fnv32 {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv32 {
    /// Takes bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u32::from(*b)).wrapping_mul(0x0100_0193);
        }
    }
    /// The hash so far.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0
    }
}

impl Write for Fnv32 {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.update(s.as_bytes());
        Ok(())
    }
}

/// Spells a number with the alphabet of generated names: each decimal digit becomes one of its characters.
#[must_use]
pub fn safe_encode(number: u32) -> String {
    number.to_string().bytes().map(|b| char::from(SUFFIX_ALPHABET[usize::from(b) % SUFFIX_ALPHABET.len()])).collect()
}

/// The hash that names ReplicaSets and ControllerRevisions: of a value's whole content and a collision count.
#[must_use]
pub fn content_hash(content: &impl fmt::Debug, collisions: Option<i32>) -> String {
    let mut h = Fnv32::default();
    let _ = write!(h, "{content:?}");
    if let Some(n) = collisions {
        h.update(&n.to_le_bytes());
    }
    safe_encode(h.finish())
}
