//! Ports through which shells hand time, identity and chance to code that must not fetch them itself.

use jiff::Timestamp;

/// Wall-clock time. Deciders take a `Timestamp`; only shells hold a `Clock`.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

/// Identity and chance: uids and name suffixes, from one seedable source.
pub trait Ids: Send + Sync {
    /// A fresh RFC 4122 version 4 uid in its text form.
    fn uid(&self) -> String;
    /// A uniformly random number below `bound` (`bound` > 0).
    fn below(&self, bound: u64) -> u64;

    /// A random suffix of `len` characters from Kubernetes' alphabet for generated names (no vowels, no look-alikes).
    fn suffix(&self, len: usize) -> String {
        (0..len).map(|_| char::from(SUFFIX_ALPHABET[self.below(SUFFIX_ALPHABET.len() as u64) as usize])).collect()
    }
}

/// The characters of `generateName` suffixes and of pod template hashes.
pub const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
