//! Asking upstream: the client's own message under another number, to one resolver after the other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dns::proto::op::{Message, ResponseCode};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::PORT;
use super::cache_table::{Key, Table};

/// How long one resolver may think.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Every resolver is asked so often before a query fails.
const ROUNDS: usize = 2;
/// No more resolvers are used, as in resolv.conf(5) of pods.
const MAX_RESOLVERS: usize = 3;
/// No more queries are upstream at once (`max_concurrent 1000`).
const MAX_IN_FLIGHT: usize = 1000;
/// How often the file is looked at for changes.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The largest datagram that is asked for and taken.
const MAX_DATAGRAM_BYTES: u16 = 4096;

/// The resolvers for names outside the cluster.
#[derive(Clone, Debug)]
pub struct Upstreams(Arc<Source>);

#[derive(Debug)]
enum Source {
    Fixed(Vec<SocketAddr>),
    File { path: PathBuf, own: Vec<IpAddr>, read: Mutex<Read> },
}

#[derive(Debug, Default)]
struct Read {
    checked: Option<Instant>,
    modified: Option<SystemTime>,
    resolvers: Vec<SocketAddr>,
}

impl Upstreams {
    /// These resolvers.
    #[must_use]
    pub fn fixed(resolvers: Vec<SocketAddr>) -> Self {
        Self(Arc::new(Source::Fixed(resolvers)))
    }

    /// Those of a resolv.conf, read again when it changes. Our `own` addresses are left out: that would be a circle.
    #[must_use]
    pub fn file(path: PathBuf, own: Vec<IpAddr>) -> Self {
        Self(Arc::new(Source::File { path, own, read: Mutex::default() }))
    }

    fn now(&self) -> Vec<SocketAddr> {
        match &*self.0 {
            Source::Fixed(resolvers) => resolvers.clone(),
            Source::File { path, own, read } => {
                let mut read = read.lock();
                if read.checked.is_none_or(|at| at.elapsed() >= FILE_CHECK_INTERVAL) {
                    read.refresh(path, own);
                }
                read.resolvers.clone()
            }
        }
    }
}

impl Read {
    fn refresh(&mut self, path: &Path, own: &[IpAddr]) {
        self.checked = Some(Instant::now());
        let modified = std::fs::metadata(path).and_then(|m| m.modified()).ok();
        if modified.is_some() && modified == self.modified {
            return;
        }
        self.modified = modified;
        self.resolvers = std::fs::read_to_string(path).map(|text| parse(&text, own)).unwrap_or_default();
    }
}

/// The `nameserver` lines of a resolv.conf.
fn parse(text: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver"));
    let ips = lines.filter_map(|l| l.split_whitespace().next()?.parse::<IpAddr>().ok());
    ips.filter(|ip| !own.contains(ip)).take(MAX_RESOLVERS).map(|ip| SocketAddr::new(ip, PORT)).collect()
}

/// Asks upstream, remembers answers, and bounds both.
#[derive(Debug)]
pub(super) struct Forwarder {
    upstreams: Upstreams,
    kept: Mutex<Table>,
    in_flight: Semaphore,
    /// The resolver that answered last is asked first.
    first: AtomicUsize,
}

impl Forwarder {
    pub(super) fn new(upstreams: Upstreams) -> Self {
        Self { upstreams, kept: Mutex::default(), in_flight: Semaphore::new(MAX_IN_FLIGHT), first: AtomicUsize::new(0) }
    }

    /// A kept answer.
    pub(super) fn kept(&self, query: &Message) -> Option<Message> {
        self.kept.lock().get(&Key::of(query)?, query, Instant::now())
    }

    /// The answer from upstream, or the failure to get one.
    pub(super) async fn ask(&self, query: &Message, stream: bool) -> Message {
        if let Some(kept) = self.kept(query) {
            return kept;
        }
        let Ok(_slot) = self.in_flight.try_acquire() else { return dns::failure(query, ResponseCode::ServFail) };
        let resolvers = self.upstreams.now();
        let first = self.first.load(Ordering::Relaxed);
        for i in 0..resolvers.len() * ROUNDS {
            let at = (first + i) % resolvers.len();
            let Ok(Ok(mut reply)) = timeout(ANSWER_TIMEOUT, exchange(resolvers[at], query, stream)).await else { continue };
            // Another resolver may know better than one that fails or refuses.
            if matches!(reply.metadata.response_code, ResponseCode::ServFail | ResponseCode::Refused) && i + 1 < resolvers.len() {
                continue;
            }
            self.first.store(at, Ordering::Relaxed);
            if let Some(key) = Key::of(query) {
                self.kept.lock().put(key, &reply, Instant::now());
            }
            reply.metadata.id = query.metadata.id;
            reply.queries.clone_from(&query.queries);
            return reply;
        }
        dns::failure(query, ResponseCode::ServFail)
    }
}

async fn exchange(resolver: SocketAddr, query: &Message, stream: bool) -> io::Result<Message> {
    let mut sent = query.clone();
    // A number that nobody can guess, from a port that nobody can guess: the kernel's choice.
    sent.metadata.id = Message::query().metadata.id;
    if let Some(edns) = sent.edns.as_mut().filter(|e| e.max_payload() > MAX_DATAGRAM_BYTES) {
        edns.set_max_payload(MAX_DATAGRAM_BYTES);
    }
    let bytes = sent.to_vec().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
    if stream {
        return over_tcp(resolver, &sent, &bytes).await;
    }
    let any: IpAddr = if resolver.is_ipv4() { IpAddr::from([0u8; 4]) } else { IpAddr::from([0u8; 16]) };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(&bytes).await?;
    let mut buf = vec![0; usize::from(MAX_DATAGRAM_BYTES)];
    loop {
        let n = socket.recv(&mut buf).await?;
        // Anything else is somebody's guess, or late: the right one may follow.
        if let Some(reply) = accept(&sent, &buf[..n]) {
            return Ok(reply);
        }
    }
}

async fn over_tcp(resolver: SocketAddr, sent: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(resolver).await?;
    let len = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&len.to_be_bytes(), bytes].concat()).await?;
    let mut buf = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buf).await?;
    accept(sent, &buf).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// An answer to exactly what was asked.
fn accept(sent: &Message, bytes: &[u8]) -> Option<Message> {
    let reply = Message::from_vec(bytes).ok()?;
    let same = reply.metadata.id == sent.metadata.id && reply.queries == sent.queries;
    same.then_some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_without_ourselves() {
        let own = ["10.96.0.10".parse().expect("ip")];
        let text = "# x\nsearch a b\nnameserver 10.96.0.10\n nameserver 192.0.2.1 # y\nnameserver 2001:db8::1\nnameserver x\n";
        let got: Vec<String> = parse(text, &own).iter().map(ToString::to_string).collect();
        assert_eq!(got, ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }
}
