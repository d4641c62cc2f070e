//! `worker`: fetches random bytes from `rng`, has them hashed by `hasher`, and counts in Redis. A hash that begins with
//! 0 is a coin and goes to the wallet. Once a second the number of hashes done is added to the counter and logged.
//!
//! `--pause-ms=N` is the rest between two units of work; version 0.1 rests 100 ms, version 0.2 not at all.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use dockercoins::http::call;
use dockercoins::redis::Redis;

const DEFAULT_PAUSE_MS: u64 = 100;
/// How often the counter is updated.
const INTERVAL: Duration = Duration::from_secs(1);
/// Rest after something went wrong; doubled while nothing works.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(10);

fn main() {
    dockercoins::exit_on_signal();
    let pause = std::env::args().find_map(|a| a.strip_prefix("--pause-ms=")?.parse().ok());
    let pause = Duration::from_millis(pause.unwrap_or(DEFAULT_PAUSE_MS));
    let mut retry = FIRST_RETRY;
    loop {
        let begun = Instant::now();
        let Err(e) = work_loop(pause);
        if begun.elapsed() > MAX_RETRY {
            retry = FIRST_RETRY;
        }
        log("ERROR", &format!("In work loop: {e}"));
        log("ERROR", &format!("Waiting {}s and restarting.", retry.as_secs()));
        std::thread::sleep(retry);
        retry = (retry * 2).min(MAX_RETRY);
    }
}

fn log(level: &str, text: &str) {
    // A log that nobody reads any more must not stop the work.
    let _ = writeln!(io::stdout(), "{level}:__main__:{text}");
}

fn work_loop(pause: Duration) -> io::Result<std::convert::Infallible> {
    let mut redis = Redis::connect("redis")?;
    let (mut done, mut since) = (0, Instant::now());
    loop {
        if since.elapsed() >= INTERVAL {
            log("INFO", &format!("{done} units of work done, updating hash counter"));
            redis.command(&[b"INCRBY", b"hashes", done.to_string().as_bytes()])?;
            (done, since) = (0, Instant::now());
        }
        work_once(&mut redis, pause)?;
        done += 1;
    }
}

fn work_once(redis: &mut Redis, pause: Duration) -> io::Result<()> {
    std::thread::sleep(pause);
    let random = call("GET", "rng", "/32", b"")?;
    let hash = call("POST", "hasher", "/", &random)?;
    if hash.first() != Some(&b'0') {
        return Ok(());
    }
    let short = String::from_utf8_lossy(&hash[..hash.len().min(8)]).into_owned();
    log("INFO", &format!("Coin found: {short}..."));
    if redis.command(&[b"HSET", b"wallet", &hash, &random])?.number() == 0 {
        log("INFO", "We already had that coin");
    }
    Ok(())
}
