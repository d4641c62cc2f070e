//! HTTP/1.1, as much of it as these services speak (RFC 9112): one request a connection, bodies with a length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait for a peer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest body taken in.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest line of a head.
const MAX_LINE_BYTES: u64 = 8 * 1024;
/// Most header lines.
const MAX_HEADERS: usize = 100;
/// Most connections served at once.
const MAX_CONNECTIONS: usize = 256;

/// A request that arrived.
pub struct Request {
    pub method: String,
    /// Path without the query.
    pub path: String,
    pub body: Vec<u8>,
}

/// An answer.
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Response {
    /// 200 with a body.
    pub fn ok(content_type: &'static str, body: impl Into<Vec<u8>>) -> Response {
        Response { status: 200, content_type, body: body.into() }
    }

    /// An error with a line of text.
    pub fn error(status: u16, text: &str) -> Response {
        Response { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n").into_bytes() }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

/// Serves for ever, a thread a connection; every request is logged to stdout.
pub fn serve(port: u16, handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> io::Result<()> {
    // The unspecified IPv6 address takes IPv4 too; a kernel without IPv6 has only the other.
    let listener = TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    println!("listening on port {}", listener.local_addr()?.port());
    let (handler, busy) = (Arc::new(handler), Arc::new(AtomicUsize::new(0)));
    loop {
        let (stream, peer) = listener.accept()?;
        let (handler, busy) = (handler.clone(), busy.clone());
        if busy.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            busy.fetch_sub(1, Ordering::SeqCst);
            let _ = write_response(&stream, &Response::error(503, "too many connections"), false);
            continue;
        }
        std::thread::spawn(move || {
            // A peer that goes away in mid-request is no business of ours.
            let _ = answer(&stream, peer, handler.as_ref());
            busy.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn answer(stream: &TcpStream, peer: SocketAddr, handler: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = match read_request(&mut BufReader::new(stream)) {
        Ok(request) => request,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return write_response(stream, &Response::error(400, &e.to_string()), false);
        }
        Err(e) => return Err(e),
    };
    let head = request.method == "HEAD";
    let response = handler(&request);
    println!("{} - \"{} {}\" {} {}", peer.ip().to_canonical(), request.method, request.path, response.status, response.body.len());
    write_response(stream, &response, head)
}

fn write_response(mut stream: &TcpStream, response: &Response, head: bool) -> io::Result<()> {
    let Response { status, content_type, body } = response;
    let mut bytes = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        reason(*status),
        body.len()
    )
    .into_bytes();
    if !head {
        bytes.extend_from_slice(body);
    }
    stream.write_all(&bytes)
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    let n = reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    if n == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.pop() != Some(b'\n') {
        return Err(bad("line too long"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| bad("not UTF-8"))
}

/// Reads header lines; returns the length of the body, if it is said.
fn headers(reader: &mut impl BufRead) -> io::Result<Option<usize>> {
    let mut length = None;
    for _ in 0..MAX_HEADERS {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(length);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("malformed header"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().map_err(|_| bad("malformed content-length"))?);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(bad("transfer-encoding is not supported"));
        }
    }
    Err(bad("too many headers"))
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(_)) = (words.next(), words.next(), words.next()) else {
        return Err(bad("malformed request line"));
    };
    let path = target.split('?').next().unwrap_or("/").to_owned();
    let method = method.to_owned();
    let length = headers(reader)?.unwrap_or(0);
    if length > MAX_BODY_BYTES {
        return Err(bad("body too large"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, body })
}

/// Opens a connection to the first address of a name that answers.
pub fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("no address for {host}"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// One request to another service; anything but 200 is an error.
pub fn call(method: &str, host: &str, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let stream = connect(host, 80)?;
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    (&stream).write_all(&bytes)?;
    let mut reader = BufReader::new(&stream);
    let status = line(&mut reader)?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("http://{host}{path} answered {status:?}")));
    }
    let length = headers(&mut reader)?;
    let mut answer = Vec::new();
    let most = length.unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES);
    reader.take(most as u64).read_to_end(&mut answer)?;
    if length.is_some_and(|l| l != answer.len()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

/// Seconds since the epoch.
pub fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
