//! What the four services of the demo share: a small HTTP server and client, a Redis client, and a clean end.
//!
//! Plain threads and the standard library: each service is one static binary of about a megabyte that starts in a
//! millisecond, which is what an image made without a container engine wants to hold.

pub mod http;
pub mod redis;

use nix::sys::signal::{SigSet, Signal};

/// Ends the process with status 0 on SIGTERM or SIGINT. Call it before any thread is started.
///
/// As process 1 of a container a signal without a handler would be ignored, and every pod would take its whole grace
/// period to stop; a blocked signal that somebody waits for is delivered.
pub fn exit_on_signal() {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    if set.thread_block().is_err() {
        return;
    }
    std::thread::spawn(move || {
        if set.wait().is_ok() {
            std::process::exit(0);
        }
    });
}

/// The port to listen on: `PORT`, or 80 as the course has it.
pub fn port() -> u16 {
    std::env::var("PORT").ok().and_then(|p| p.parse().ok()).unwrap_or(80)
}
