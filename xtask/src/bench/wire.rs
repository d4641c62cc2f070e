//! A load client that costs little, so that what is measured is the server: HTTP/2 (RFC 9113) by hand over TLS, one task a
//! connection on one thread, requests encoded once, answers counted and not decoded.
//!
//! Constant headers go into the peer's header table (RFC 7541) with the first request and are named by number after that,
//! as Go's client does. The headers of answers are not read: a failure shows in the body, which is a `Status` then.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::loads::Load;
use super::table::Times;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
/// Answers may be this much ahead of us (the protocol's limit).
const WINDOW: u32 = i32::MAX as u32;
/// The connection's window is filled up again when so much of it is used.
const REFILL: u32 = 1 << 29;
/// What the receiver's window is at first.
const FIRST_WINDOW: u32 = 65_535;
/// Bytes read in one go.
const READ_BYTES: usize = 256 * 1024;
/// Longest silence of a server.
const PATIENCE: Duration = Duration::from_secs(60);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Where a server listens and how it is spoken to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// One request.
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

/// The method of all requests of a load, with the type of their bodies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Merge,
}

impl Verb {
    fn content(self) -> Option<&'static str> {
        match self {
            Self::Get => None,
            Self::Post | Self::Put => Some("application/json"),
            Self::Merge => Some("application/merge-patch+json"),
        }
    }
}

/// How a load is run.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) count: usize,
    pub(super) at_once: usize,
    pub(super) connections: usize,
}

/// Sends `count` requests, `at_once` at a time over some connections, and times each from its writing to its last byte.
pub(super) async fn load(target: &Target, shape: Shape, verb: Verb, ask: fn(usize) -> Ask) -> Result<Load> {
    let target = target.clone();
    let client = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let next = Arc::new(AtomicUsize::new(0));
            let mut open = Vec::new();
            for _ in 0..shape.connections {
                open.push(Connection::open(&target).await?);
            }
            let begun = Instant::now();
            let mut tasks = tokio::task::JoinSet::new();
            for connection in open {
                tasks.spawn(connection.requests(verb, Arc::clone(&next), shape, ask));
            }
            let mut times = Vec::with_capacity(shape.count);
            while let Some(done) = tasks.join_next().await {
                times.extend(done??);
            }
            let took = begun.elapsed().as_secs_f64();
            Ok(Load { per_second: f64::from(u32::try_from(times.len())?) / took, times: Times::new(times) })
        })
    };
    tokio::task::spawn_blocking(client).await?
}

/// Watches that are open, on one thread.
pub(super) struct Watches {
    done: tokio::task::JoinHandle<Result<Seen>>,
}

/// What watches saw.
pub(super) struct Seen {
    pub(super) events: usize,
    /// Watches that ended before they had seen everything.
    pub(super) cut: usize,
    pub(super) at: Instant,
}

impl Watches {
    /// Opens `shape.at_once` watches and waits until all are answered; they are over when `shape.count` events were seen
    /// in all.
    pub(super) async fn open(target: &Target, shape: Shape, path: &str) -> Result<Self> {
        let (target, path) = (target.clone(), path.to_owned());
        let (ready, opened) = tokio::sync::oneshot::channel();
        let done = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut open = Vec::new();
                for _ in 0..shape.connections {
                    let mut connection = Connection::open(&target).await?;
                    connection.watches(shape.at_once / shape.connections, &path).await?;
                    open.push(connection);
                }
                // Nobody waits any more when the caller has given up.
                let _ = ready.send(());
                let mut tasks = tokio::task::JoinSet::new();
                for connection in open {
                    tasks.spawn(connection.events(shape.count / shape.connections));
                }
                let mut seen = Seen { events: 0, cut: 0, at: Instant::now() };
                while let Some(one) = tasks.join_next().await {
                    let one = one??;
                    seen = Seen { events: seen.events + one.events, cut: seen.cut + one.cut, at: seen.at.max(one.at) };
                }
                Ok(seen)
            })
        });
        if opened.await.is_err() {
            done.await??;
            bail!("the watches did not open");
        }
        Ok(Self { done })
    }

    /// Waits for the last event.
    pub(super) async fn finish(self) -> Result<Seen> {
        self.done.await?
    }
}

/// A request under way.
struct Pending {
    begun: Instant,
    bytes: usize,
}

/// What came in.
enum Frame<'a> {
    Data { stream: u32, data: &'a [u8], last: bool },
    Headers { stream: u32, last: bool },
    Other,
}

struct Connection {
    io: TlsStream<TcpStream>,
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not read yet.
    filled: std::ops::Range<usize>,
    next_stream: u32,
    /// What the server takes in all before it says more.
    room: i64,
    /// Bytes of data since the window was filled up.
    used: u32,
    indexed: bool,
}

impl Connection {
    async fn open(target: &Target) -> Result<Self> {
        let tcp = TcpStream::connect(target.address).await.context("connecting")?;
        tcp.set_nodelay(true)?;
        let io = TlsConnector::from(Arc::clone(&target.tls)).connect(ServerName::try_from("localhost")?, tcp).await?;
        let mut out = PREFACE.to_vec();
        // ENABLE_PUSH 0, INITIAL_WINDOW_SIZE.
        let settings = [&[0, 2, 0, 0, 0, 0][..], &[0, 4], &WINDOW.to_be_bytes()].concat();
        frame(&mut out, SETTINGS, 0, 0, &settings);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW).to_be_bytes());
        let room = i64::from(FIRST_WINDOW);
        let buffer = vec![0; READ_BYTES];
        let mut open = Self { io, out, buffer, filled: 0..0, next_stream: 1, room, used: 0, indexed: false };
        open.read().await?;
        Ok(open)
    }

    /// Takes numbers from `next` and sends their requests until there are none left.
    async fn requests(
        mut self,
        verb: Verb,
        next: Arc<AtomicUsize>,
        shape: Shape,
        ask: fn(usize) -> Ask,
    ) -> Result<Vec<f64>> {
        let places = shape.at_once / shape.connections;
        let (mut under_way, mut times) = (HashMap::new(), Vec::new());
        let mut held = None;
        loop {
            while under_way.len() < places {
                let ask = held.take().or_else(|| {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    (i < shape.count).then(|| ask(i))
                });
                let Some(ask) = ask else { break };
                if i64::try_from(ask.body.len())? > self.room {
                    held = Some(ask);
                    break;
                }
                let stream = self.send(verb, &ask);
                under_way.insert(stream, Pending { begun: Instant::now(), bytes: 0 });
            }
            if under_way.is_empty() && held.is_none() {
                return Ok(times);
            }
            self.read().await?;
            while let Some(frame) = self.frame()? {
                let (stream, last) = match frame {
                    Frame::Data { stream, data, last } => {
                        let Some(pending) = under_way.get_mut(&stream) else { continue };
                        if pending.bytes == 0 {
                            check(data)?;
                        }
                        pending.bytes += data.len();
                        (stream, last)
                    }
                    Frame::Headers { stream, last } => (stream, last),
                    Frame::Other => continue,
                };
                if last && let Some(pending) = under_way.remove(&stream) {
                    ensure!(pending.bytes > 0, "an answer without a body");
                    times.push(pending.begun.elapsed().as_secs_f64());
                }
            }
        }
    }

    /// Opens watches and waits for their first headers.
    async fn watches(&mut self, count: usize, path: &str) -> Result<()> {
        for _ in 0..count {
            self.send(Verb::Get, &Ask { path: path.to_owned(), body: Vec::new() });
        }
        let mut answered = 0;
        while answered < count {
            self.read().await?;
            while let Some(frame) = self.frame()? {
                match frame {
                    Frame::Headers { last: false, .. } => answered += 1,
                    Frame::Headers { last: true, .. } => bail!("a watch was refused"),
                    Frame::Data { data, .. } => check(data)?,
                    Frame::Other => {}
                }
            }
        }
        Ok(())
    }

    /// Counts events, a line each.
    async fn events(mut self, wanted: usize) -> Result<Seen> {
        let (mut events, mut cut) = (0, 0);
        while events < wanted {
            if self.read().await.is_err() {
                break;
            }
            while let Some(frame) = self.frame()? {
                if let Frame::Data { data, last, .. } = frame {
                    // Loops over bytes like this one are turned into vector instructions.
                    events += data.iter().map(|b| usize::from(*b == b'\n')).sum::<usize>();
                    cut += usize::from(last);
                }
            }
        }
        Ok(Seen { events, cut, at: Instant::now() })
    }

    /// Writes a request into the buffer; the next read sends it.
    fn send(&mut self, verb: Verb, ask: &Ask) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = Vec::with_capacity(ask.path.len() + 64);
        match verb {
            Verb::Get => block.push(0x82),
            Verb::Post => block.push(0x83),
            Verb::Put => literal(&mut block, 0x02, "PUT"),
            Verb::Merge => literal(&mut block, 0x02, "PATCH"),
        }
        block.push(0x87);
        literal(&mut block, 0x04, &ask.path);
        // Their numbers in the static table; those in the dynamic one count down from the first.
        let constant = [(1, Some("localhost")), (19, Some("application/json")), (58, Some("bench/1")), (31, verb.content())];
        let mut number = 61 + constant.iter().filter(|(_, v)| v.is_some()).count() as u8;
        for (name, value) in constant {
            let Some(value) = value else { continue };
            if self.indexed {
                block.push(0x80 | number);
            } else {
                literal(&mut block, 0x40 | name, value);
            }
            number -= 1;
        }
        self.indexed = true;
        let end = if ask.body.is_empty() { END_STREAM } else { 0 };
        frame(&mut self.out, HEADERS, END_HEADERS | end, stream, &block);
        if !ask.body.is_empty() {
            frame(&mut self.out, DATA, END_STREAM, stream, &ask.body);
            self.room -= ask.body.len() as i64;
        }
        stream
    }

    /// Sends what is to be sent and waits for more.
    async fn read(&mut self) -> Result<()> {
        if self.used > REFILL {
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &self.used.to_be_bytes());
            self.used = 0;
        }
        if !self.out.is_empty() {
            self.io.write_all(&self.out).await?;
            self.io.flush().await?;
            self.out.clear();
        }
        if self.filled.start > 0 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        let read = tokio::time::timeout(PATIENCE, self.io.read(&mut self.buffer[self.filled.end..])).await;
        match read.context("the server says nothing")?? {
            0 => bail!("the server closed the connection"),
            n => self.filled.end += n,
        }
        Ok(())
    }

    /// The next whole frame of what was read.
    fn frame(&mut self) -> Result<Option<Frame<'_>>> {
        let Some(head) = self.buffer[self.filled.clone()].first_chunk::<FRAME_HEAD>() else { return Ok(None) };
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        ensure!(FRAME_HEAD + length <= READ_BYTES, "a frame of {length} bytes");
        if self.filled.len() < FRAME_HEAD + length {
            return Ok(None);
        }
        let from = self.filled.start + FRAME_HEAD;
        self.filled.start = from + length;
        let data = &self.buffer[from..from + length];
        let last = flags & END_STREAM != 0;
        Ok(Some(match kind {
            DATA => {
                self.used += length as u32;
                Frame::Data { stream, data, last }
            }
            HEADERS => Frame::Headers { stream, last },
            SETTINGS if flags & ACK == 0 => {
                frame(&mut self.out, SETTINGS, ACK, 0, &[]);
                Frame::Other
            }
            PING if flags & ACK == 0 => {
                frame(&mut self.out, PING, ACK, 0, data);
                Frame::Other
            }
            WINDOW_UPDATE if stream == 0 => {
                self.room += i64::from(u32::from_be_bytes(data.try_into()?));
                Frame::Other
            }
            RESET => bail!("the server reset a stream: {data:?}"),
            GO_AWAY => bail!("the server ended the connection: {}", data.escape_ascii()),
            _ => Frame::Other,
        }))
    }
}

/// A failure is a `Status` that says so at its beginning.
fn check(data: &[u8]) -> Result<()> {
    if data.starts_with(b"{\"kind\":\"Status\"") {
        let text = String::from_utf8_lossy(&data[..data.len().min(400)]);
        ensure!(!text.contains("\"Failure\""), "{text}");
    }
    Ok(())
}

/// Appends a frame.
fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends a header field with a plain value; `name` is its representation and its number in the static table.
fn literal(block: &mut Vec<u8>, name: u8, value: &str) {
    let (prefix, mask) = if name & 0x40 == 0 { (name, 0x0f) } else { (name & 0x3f, 0x3f) };
    if prefix < mask {
        block.push(name);
    } else {
        block.extend_from_slice(&[name & !mask | mask, prefix - mask]);
    }
    let length = value.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(rest as u8 | 128);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_as_the_standard_writes_them() {
        let mut block = Vec::new();
        // RFC 7541, C.2.2 and C.2.1's shape.
        literal(&mut block, 0x04, "/sample/path");
        assert_eq!(block, b"\x04\x0c/sample/path");
        block.clear();
        literal(&mut block, 0x40 | 58, "a");
        assert_eq!(block, b"\x7a\x01a");
        block.clear();
        literal(&mut block, 0x04, &"x".repeat(300));
        assert_eq!(block[..4], [0x04, 127, 0xad, 0x01]);
    }

    #[test]
    fn frames_have_their_nine_bytes() {
        let mut out = Vec::new();
        frame(&mut out, DATA, END_STREAM, 3, b"abc");
        assert_eq!(out, b"\x00\x00\x03\x00\x01\x00\x00\x00\x03abc");
    }
}
