//! The fuzz targets in the ordinary tests: each on its corpus, and on mutations of it by seed. `TIMONEL_FUZZ_ROUNDS=100000`
//! makes more of them.

use it::fuzz::{TARGETS, mutate::mutate};
use it::sim::chance::Chance;
use std::panic::catch_unwind;
use std::path::Path;

/// Mutated inputs a target.
const ROUNDS: u64 = 400;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&dir).expect("a corpus").map(|f| f.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|f| std::fs::read(f).expect("readable")).collect()
}

#[test]
fn strangers_bytes_break_nothing() {
    let rounds = std::env::var("TIMONEL_FUZZ_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(ROUNDS);
    for (seed, (name, target)) in (0..).zip(TARGETS) {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        let chance = Chance::new(seed);
        let mutated = (0..rounds).map(|_| mutate(&corpus, &chance));
        for bytes in corpus.iter().cloned().chain(mutated) {
            let done = catch_unwind(|| target(&bytes));
            assert!(done.is_ok(), "{name} breaks a law on \"{}\"", bytes.escape_ascii());
        }
    }
}
