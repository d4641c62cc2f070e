//! Unary gRPC calls over a Unix socket, for the three calls of a KMS plugin: length-prefixed messages over HTTP/2
//! (gRPC's "PROTOCOL-HTTP2"), and the few protobuf wire types that they use. Calls are rare (once a minute, and once for
//! each unknown key), so each has a connection of its own and a plugin may restart whenever it likes.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::os::linux::net::SocketAddrExt;
use std::time::Duration;
use tokio::net::UnixStream;

/// Largest answer that is read.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Calls a method and returns the message that it answers with.
pub(super) async fn call(socket: &str, method: &str, message: &[u8], timeout: Duration) -> Result<Bytes, String> {
    let whole = async {
        let stream = connect(socket).await.map_err(|e| format!("connecting to {socket}: {e}"))?;
        exchange(stream, method, message).await
    };
    tokio::time::timeout(timeout, whole).await.map_err(|_| format!("{method} on {socket}: deadline exceeded"))?
}

async fn connect(socket: &str) -> std::io::Result<UnixStream> {
    let path = socket.trim_start_matches('/');
    match path.strip_prefix('@') {
        None => UnixStream::connect(format!("/{path}")).await,
        Some(name) => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        }
    }
}

async fn exchange(stream: UnixStream, method: &str, message: &[u8]) -> Result<Bytes, String> {
    let text = |e: hyper::Error| format!("{method}: {e}");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(text)?;
    let running = tokio::spawn(connection);
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).map_err(|e| e.to_string())?.to_be_bytes());
    framed.extend_from_slice(message);
    let request = Request::post(format!("http://localhost{method}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::new(Bytes::from(framed)))
        .map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(text)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await.map_err(|e| format!("{method}: {e}"))?;
    running.abort();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let told = |name: &str| trailers.get(name).or(head.headers.get(name)).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let status = told("grpc-status").unwrap_or_else(|| "2".to_owned());
    if status != "0" {
        return Err(format!("{method}: rpc error: code = {status} desc = {}", told("grpc-message").unwrap_or_default()));
    }
    let bytes = body.to_bytes();
    let length = bytes.get(1..5).and_then(|l| l.try_into().ok()).map(u32::from_be_bytes);
    match length {
        Some(n) if bytes[0] == 0 && bytes.len() == 5 + n as usize => Ok(bytes.slice(5..)),
        _ => Err(format!("{method}: the answer is no single uncompressed message")),
    }
}

/// A message being written.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push((n as u8) | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
    /// A string, bytes or message; empty ones are left out, as proto3 does.
    pub(super) fn bytes(&mut self, tag: u32, value: &[u8]) {
        if !value.is_empty() {
            self.entry(tag, value);
        }
    }
    fn entry(&mut self, tag: u32, value: &[u8]) {
        self.varint(u64::from(tag << 3 | 2));
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }
    /// A number.
    pub(super) fn number(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(tag << 3));
            self.varint(value);
        }
    }
    /// A map from strings to bytes.
    pub(super) fn map(&mut self, tag: u32, map: &std::collections::BTreeMap<String, Vec<u8>>) {
        for (k, v) in map {
            let mut pair = Self::default();
            pair.bytes(1, k.as_bytes());
            pair.bytes(2, v);
            self.entry(tag, &pair.0);
        }
    }
}

/// A field of a message.
#[derive(Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order. `None`: not a message.
pub(super) fn fields(mut rest: &[u8]) -> Option<Vec<(u32, Field<'_>)>> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        let tag = u32::try_from(key >> 3).ok()?;
        match key & 7 {
            0 => all.push((tag, Field::Number(take_varint(&mut rest)?))),
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                let (value, tail) = rest.split_at_checked(length)?;
                rest = tail;
                all.push((tag, Field::Bytes(value)));
            }
            1 => rest = rest.get(8..)?,
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(all)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
