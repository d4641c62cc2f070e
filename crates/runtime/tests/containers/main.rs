//! Real containers: the embedded runtime with its real shim on this machine's kernel, from an image that is composed here
//! of a static busybox. Needs root; what cannot run is skipped by name and reason. Run one with its name as the argument.
//!
//! This binary is also the shim (as the product's binary is), hence no libtest harness.

mod basics;
mod limits;
mod restart;
mod security;
mod streaming;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use world::World;

/// A test: its name and what it does in a world of its own.
type Test = (&'static str, fn(&World));

fn main() {
    if runtime::shim::is_shim(std::env::args_os()) {
        runtime::shim::main();
    }
    let tests: Vec<Test> = [basics::TESTS, limits::TESTS, restart::TESTS, security::TESTS, streaming::TESTS].concat();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "as-main") {
        world::as_main(&arguments[1..]);
    }
    if arguments.iter().any(|a| a == "--list") {
        tests.iter().for_each(|(name, _)| println!("containers::{name}: test"));
        return;
    }
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let chosen = tests.into_iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(*f)));
    if let Some(reason) = world::missing() {
        chosen.for_each(|(name, _)| println!("skipped: containers::{name}: {reason}"));
        return;
    }
    let world = World::new();
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in chosen {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| test(&world)));
        world.clean();
        println!("test containers::{name} ... {} ({} ms)", if outcome.is_ok() { "ok" } else { "FAILED" }, began.elapsed().as_millis());
        match outcome {
            Ok(()) => passed += 1,
            Err(_) => failed.push(name),
        }
    }
    drop(world);
    println!("test result: {passed} passed; {} failed", failed.len());
    if !failed.is_empty() {
        println!("failures: {}", failed.join(", "));
        std::process::exit(101);
    }
}
