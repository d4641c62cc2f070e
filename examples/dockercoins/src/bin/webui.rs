//! `webui`: a page with a live graph of the hash rate; `GET /json` gives the counters behind it.

use dockercoins::http::{Request, Response, now_s, serve};
use dockercoins::redis::Redis;
use serde_json::json;

const PAGE: &str = include_str!("webui.html");

fn main() -> std::io::Result<()> {
    dockercoins::exit_on_signal();
    serve(dockercoins::port(), answer)
}

fn answer(request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/" | "/index.html") => Response::ok("text/html; charset=utf-8", PAGE),
        ("GET", "/json") => match counters() {
            Ok(body) => Response::ok("application/json", body),
            Err(e) => Response::error(502, &format!("redis: {e}")),
        },
        ("GET", "/healthz") => Response::ok("text/plain; charset=utf-8", "ok\n"),
        ("GET" | "HEAD", _) => Response::error(404, "not found"),
        _ => Response::error(405, "only GET"),
    }
}

fn counters() -> std::io::Result<String> {
    let mut redis = Redis::connect("redis")?;
    let coins = redis.command(&[b"HLEN", b"wallet"])?.number();
    let hashes = redis.command(&[b"GET", b"hashes"])?.number();
    Ok(json!({"coins": coins, "hashes": hashes, "now": now_s()}).to_string())
}
