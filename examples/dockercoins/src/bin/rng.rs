//! `rng`: `GET /32` answers with 32 random bytes.
//!
//! One request at a time, a tenth of a second each: in the course this is the service that becomes the bottleneck when
//! the workers are scaled up, and that a DaemonSet then spreads over all nodes.

use std::fs::File;
use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use dockercoins::http::{Request, Response, serve};

/// What making randomness is worth.
const WORK_TIME: Duration = Duration::from_millis(100);
/// Most bytes in one answer.
const MAX_BYTES: usize = 1024 * 1024;

fn main() -> std::io::Result<()> {
    dockercoins::exit_on_signal();
    let urandom = Mutex::new(File::open("/dev/urandom")?);
    serve(dockercoins::port(), move |request| answer(request, &urandom))
}

fn answer(request: &Request, urandom: &Mutex<File>) -> Response {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if request.path == "/" {
        return Response::ok("text/plain; charset=utf-8", format!("RNG running on {}\n", host.trim()));
    }
    let asked = request.path.strip_prefix('/').and_then(|n| n.parse().ok());
    let Some(count) = asked.filter(|n| *n <= MAX_BYTES) else {
        return Response::error(404, "ask for a number of bytes: GET /32");
    };
    let mut bytes = vec![0; count];
    let Ok(mut source) = urandom.lock() else { return Response::error(503, "out of order") };
    std::thread::sleep(WORK_TIME);
    match source.read_exact(&mut bytes) {
        Ok(()) => Response::ok("application/octet-stream", bytes),
        Err(e) => Response::error(503, &e.to_string()),
    }
}
