//! `hasher`: `POST /` answers with the SHA-256 of the body, in hexadecimal. Many requests at once, a tenth of a second each.

use std::time::Duration;

use dockercoins::http::{Request, Response, serve};
use sha2::{Digest, Sha256};

/// What a hash is worth.
const WORK_TIME: Duration = Duration::from_millis(100);

fn main() -> std::io::Result<()> {
    dockercoins::exit_on_signal();
    serve(dockercoins::port(), answer)
}

fn answer(request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/") => {
            std::thread::sleep(WORK_TIME);
            Response::ok("text/plain", hex::encode(Sha256::digest(&request.body)))
        }
        ("GET" | "HEAD", "/") => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            Response::ok("text/plain; charset=utf-8", format!("HASHER running on {}\n", host.trim()))
        }
        (_, "/") => Response::error(405, "POST something to be hashed"),
        _ => Response::error(404, "there is only /"),
    }
}
