//! SPDY/3.1 as far as kubectl speaks it (the SPDY protocol draft 3.1, without flow control, as its client has none):
//! streams with compressed headers over an upgraded connection.

mod conn;
pub(crate) mod exec;
pub(crate) mod forward;
mod frame;
mod headers;

#[cfg(test)]
mod tests;

pub(crate) use conn::{Incoming as Stream, Outgoing, serve};

use super::answer::{Answer, full};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

/// Opens a stream with each packed block of headers that is read out of the bytes (length byte, then names and values),
/// and sends what is left on the last one: the client's side, for the fuzz target.
pub(crate) fn with_headers(mut rest: &[u8]) -> Vec<u8> {
    let mut packer = headers::Packer::new();
    let mut out = bytes::BytesMut::new();
    let mut stream = 1;
    while let Some((length, more)) = rest.split_first() {
        let (plain, after) = more.split_at(usize::from(*length).min(more.len()));
        frame::syn(stream, &packer.pack(plain), &mut out);
        frame::data(stream, after, false, &mut out);
        stream += 2;
        rest = after;
    }
    out.to_vec()
}

const PROTOCOL_HEADER: &str = "x-stream-protocol-version";

/// Whether a request wants to become SPDY.
pub(crate) fn is_spdy(request: &Request<Incoming>) -> bool {
    let value = request.headers().get(header::UPGRADE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.eq_ignore_ascii_case("SPDY/3.1")
}

/// The best stream protocol that both sides know; `None`: the client names others only.
pub(crate) fn choose(request: &Request<Incoming>, ours: &[&'static str]) -> Option<&'static str> {
    let all = request.headers().get_all(PROTOCOL_HEADER);
    let theirs: Vec<&str> = all.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).collect();
    ours.iter().find(|o| theirs.contains(o)).copied()
}

/// Accepts the upgrade; `then` gets the connection.
pub(crate) fn accept<F, Fut>(mut request: Request<Incoming>, protocol: &'static str, then: F) -> Answer
where
    F: FnOnce(TokioIo<Upgraded>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(up) => then(TokioIo::new(up)).await,
            Err(e) => tracing::debug!(err = %e, "A SPDY connection was not upgraded"),
        }
    });
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(protocol));
    Ok(response)
}
