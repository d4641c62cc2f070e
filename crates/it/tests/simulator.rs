//! The simulator's seeds: a fixed few in every run, those that once found a bug, and with `TIMONEL_SIM_SEEDS=a..b` any
//! others. A seed that fails prints itself, the law that broke, and the shortest history that was found for it.

use it::sim::run::{LENGTH, NODES, run, shorten};
use it::sim::step::history;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Run every time.
const SEEDS: std::ops::Range<u64> = 0..10;
/// Seeds that found a bug, and which.
const FOUND: &[(u64, &str)] = &[
    (11, "pods: a container that did not start and never starts again left its pod Pending for ever"),
    (16, "pods: a status that the node controller overwrote while the node was lost was never told again"),
    (38, "manager: a Job in a namespace that goes away did not let go of its pods"),
];
/// Run twice.
const REPLAYED: u64 = 3;
/// Runs that the search for a shorter history may take.
const SHORTEN_RUNS: usize = 40;
const THREADS: usize = 2;

fn wanted() -> Vec<u64> {
    let Some(asked) = std::env::var("TIMONEL_SIM_SEEDS").ok().filter(|a| !a.is_empty()) else {
        return SEEDS.chain(FOUND.iter().map(|f| f.0)).collect();
    };
    let (from, to) = asked.split_once("..").unwrap_or((&asked, ""));
    let from: u64 = from.parse().expect("TIMONEL_SIM_SEEDS=a..b");
    let to: u64 = if to.is_empty() { from + 1 } else { to.parse().expect("TIMONEL_SIM_SEEDS=a..b") };
    (from..to).collect()
}

fn told(seed: u64) -> Option<String> {
    let failure = match run(seed) {
        Ok(o) => {
            println!("seed {seed}: {} writes, {} lives, {} s", o.story.len(), o.lives, o.lasted.as_secs());
            return None;
        }
        Err(failure) => failure,
    };
    let steps = history(seed, NODES, LENGTH);
    let mut text = format!("seed {seed}, step {} of {}: {}\n", failure.step, steps.len(), failure.what);
    let (short, again) = shorten(seed, &steps, &failure, SHORTEN_RUNS);
    let _ = writeln!(text, "  shortest history ({} steps): {}", short.len(), again.what);
    for step in short {
        let _ = writeln!(text, "    {step}");
    }
    Some(text)
}

#[test]
fn every_law_holds() {
    let seeds = wanted();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(text) = told(*seed) {
                        println!("{text}");
                        failed.lock().expect("whole").push(*seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("whole");
    assert!(failed.is_empty(), "seeds {failed:?} of {} break a law", seeds.len());
}

#[test]
fn a_seed_replays_exactly() {
    let (first, again) = (run(REPLAYED).expect("holds"), run(REPLAYED).expect("holds"));
    let differs = first.story.iter().zip(&again.story).position(|(a, b)| a != b);
    if let Some(at) = differs {
        panic!("line {at} of the story:\n{}\nand then:\n{}", first.story[at], again.story[at]);
    }
    assert_eq!(first.story.len(), again.story.len());
}
