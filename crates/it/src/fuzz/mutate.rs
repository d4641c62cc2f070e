//! A seeded mutator: small changes that parsers stumble over. The same seed makes the same bytes.

use crate::sim::chance::Chance;

/// Bytes that a mutated input has at most.
const BYTES_MAX: usize = 4096;
/// Pieces that mean something to one parser or another.
const PIECES: &[&[u8]] = &[
    b"{", b"}", b"[", b"]", b"\"", b":", b",", b"null", b"true", b"-", b"0", b"1e309", b"9223372036854775807",
    b"-9223372036854775808", b"18446744073709551616", b"0.0000000001", b"1E", b"Ki", b"E", b"m", b"\\u0000", b"\\ud800",
    b"\xff", b"\x00", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x0f", b"$patch", b"\"$patch\":\"delete\"",
    b"$setElementOrder/", b"$retainKeys", b"$deleteFromPrimitiveList/", b"\"k:{}\"", b"f:", b"v:", b"managedFields", b"metadata",
    b"apiVersion", b"\"name\":\"a\"", b"..", b"[*]", b"[?(@.", b"==", b"{range", b"{end}", b"{{", b"}}", b"&a", b"*a", b"- ", b"\n", b"  ",
    b"|", b">", b"!", b" in (", b" notin (", b"~1", b"~0", b"/-", b"\"op\":\"move\"", b"\xf0\x9f\x98\x80",
];

/// A changed copy of one input, perhaps with a part of another in it.
#[must_use]
pub fn mutate(corpus: &[Vec<u8>], chance: &Chance) -> Vec<u8> {
    let pick = |c: &Chance| &corpus[c.below(corpus.len() as u64) as usize];
    let mut bytes = pick(chance).clone();
    for _ in 0..1 + chance.below(6) {
        let at = chance.below(bytes.len() as u64 + 1) as usize;
        let until = (at + 1 + chance.below(16) as usize).min(bytes.len());
        match chance.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = chance.next() as u8,
            2 => drop(bytes.drain(at..until.max(at))),
            3 => {
                let piece = PIECES[chance.below(PIECES.len() as u64) as usize];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let copy = bytes[at..until.max(at)].to_vec();
                let times = 1 + chance.below(40) as usize;
                bytes.splice(at..at, copy.repeat(times));
            }
            5 => bytes.truncate(at),
            6 => {
                let other = pick(chance);
                let from = chance.below(other.len() as u64 + 1) as usize;
                let to = (from + chance.below(64) as usize).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            7 => {
                let piece = PIECES[chance.below(PIECES.len() as u64) as usize];
                bytes.splice(at..until.max(at), piece.iter().copied());
            }
            _ => bytes.insert(at, chance.next() as u8),
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}
