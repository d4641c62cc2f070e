//! Queries in, answers out, over datagrams and streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache::Source;
use dns::proto::op::{Message, Query, ResponseCode};
use dns::proto::rr::{Name, RData, RecordType};
use dns::{Outcome, Zone};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::DnsConfig;
use super::forward::Forwarder;

/// Queries are short; what is longer is no query.
const MAX_QUERY_BYTES: usize = 4096;
/// Streams open at once.
const MAX_STREAMS: usize = 256;
/// Datagram queries that wait for an answer from upstream at once.
const MAX_WAITING: usize = 2048;
/// How long a stream may be silent (RFC 7766 lets servers choose).
const STREAM_IDLE: Duration = Duration::from_secs(8);
/// Aliases of aliases are followed so far.
const MAX_ALIASES: usize = 8;
/// A socket that only fails is asked again after this.
const FAILED_RECEIVE_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Server {
    zone: Zone,
    source: Arc<dyn Source>,
    forwarder: Forwarder,
    turn: AtomicUsize,
    streams: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Server {
    pub(super) fn new(config: DnsConfig, source: Arc<dyn Source>) -> Self {
        Self {
            zone: config.zone,
            source,
            forwarder: Forwarder::new(config.upstreams),
            turn: AtomicUsize::new(0),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// Answers datagrams for ever. What the image knows is answered on the spot, what has to be asked is left to a task.
    pub(super) async fn datagrams(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut buf = vec![0; MAX_QUERY_BYTES];
        loop {
            let (n, peer) = match socket.recv_from(&mut buf).await {
                Ok(got) => got,
                Err(e) => {
                    warn!(error = %e, "cannot receive DNS queries");
                    tokio::time::sleep(FAILED_RECEIVE_PAUSE).await;
                    continue;
                }
            };
            let Ok(query) = Message::from_vec(&buf[..n]) else {
                self.malformed(&socket, &buf[..n], peer).await;
                continue;
            };
            match self.at_once(&query) {
                Outcome::Reply(reply) => send(&socket, &query, &reply, peer).await,
                asking => self.later(&socket, query, asking, peer).await,
            }
        }
    }

    /// What is known without asking anybody: kept answers too.
    fn at_once(&self, query: &Message) -> Outcome {
        match self.look_up(query) {
            Outcome::Forward => self.forwarder.kept(query).map_or(Outcome::Forward, Outcome::Reply),
            other => other,
        }
    }

    async fn later(self: &Arc<Self>, socket: &Arc<UdpSocket>, query: Message, outcome: Outcome, peer: SocketAddr) {
        let Ok(slot) = Arc::clone(&self.waiting).try_acquire_owned() else {
            send(socket, &query, &dns::failure(&query, ResponseCode::ServFail), peer).await;
            return;
        };
        let (server, socket) = (Arc::clone(self), Arc::clone(socket));
        tokio::spawn(async move {
            let reply = server.finish(&query, outcome, false).await;
            send(&socket, &query, &reply, peer).await;
            drop(slot);
        });
    }

    /// What cannot be read is told so, if there is at least a number to tell it under.
    async fn malformed(&self, socket: &UdpSocket, bytes: &[u8], peer: SocketAddr) {
        let (Some(id), Some(flags)) = (bytes.first_chunk::<2>(), bytes.get(2)) else { return };
        if flags & 0x80 != 0 {
            // An answer: answering answers makes circles.
            return;
        }
        let mut query = Message::query();
        query.metadata.id = u16::from_be_bytes(*id);
        send(socket, &query, &dns::failure(&query, ResponseCode::FormErr), peer).await;
    }

    fn look_up(&self, query: &Message) -> Outcome {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        dns::answer(&self.source.snapshot(), query, &self.zone, turn)
    }

    async fn finish(&self, query: &Message, outcome: Outcome, stream: bool) -> Message {
        match outcome {
            Outcome::Reply(reply) => reply,
            Outcome::Forward => self.forwarder.ask(query, stream).await,
            Outcome::Follow { reply, target, record_type } => self.follow(reply, target, record_type).await,
        }
    }

    /// Adds what an alias leads to: names of the cluster, or others.
    async fn follow(&self, mut reply: Message, mut target: Name, record_type: RecordType) -> Message {
        for _ in 0..MAX_ALIASES {
            let mut query = Message::query();
            query.metadata.recursion_desired = true;
            query.add_query(Query::query(target.clone(), record_type));
            let found = match self.look_up(&query) {
                Outcome::Reply(found) => found,
                Outcome::Forward => self.ask_upstream(&query).await,
                Outcome::Follow { reply: step, target: next, .. } => {
                    reply.answers.extend(step.answers);
                    target = next;
                    continue;
                }
            };
            reply.metadata.response_code = found.metadata.response_code;
            let wanted = |d: &RData| d.record_type() == record_type || matches!(d, RData::CNAME(_));
            reply.answers.extend(found.answers.into_iter().filter(|r| wanted(&r.data)));
            return reply;
        }
        reply.metadata.response_code = ResponseCode::ServFail;
        reply
    }

    async fn ask_upstream(&self, query: &Message) -> Message {
        let found = self.forwarder.ask(query, false).await;
        if found.metadata.truncation { self.forwarder.ask(query, true).await } else { found }
    }

    /// Answers streams for ever.
    pub(super) async fn connections(self: Arc<Self>, listener: TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(e) => {
                    warn!(error = %e, "cannot accept DNS connections");
                    tokio::time::sleep(FAILED_RECEIVE_PAUSE).await;
                    continue;
                }
            };
            // Too many: this one is closed, the client tries again.
            let Ok(slot) = Arc::clone(&self.streams).try_acquire_owned() else { continue };
            let server = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(e) = server.stream(stream).await {
                    debug!(error = %e, "a DNS connection ended early");
                }
                drop(slot);
            });
        }
    }

    async fn stream(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let Ok(len) = timeout(STREAM_IDLE, stream.read_u16()).await else { return Ok(()) };
            let len = match len {
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                other => usize::from(other?),
            };
            let mut bytes = vec![0; len];
            timeout(STREAM_IDLE, stream.read_exact(&mut bytes)).await??;
            let Ok(query) = Message::from_vec(&bytes) else { return Ok(()) };
            let outcome = self.look_up(&query);
            let reply = self.finish(&query, outcome, true).await;
            let Ok(bytes) = dns::fit(&query, &reply, false) else { return Ok(()) };
            let len = bytes.len() as u16;
            timeout(STREAM_IDLE, stream.write_all(&[&len.to_be_bytes(), bytes.as_slice()].concat())).await??;
        }
    }
}

async fn send(socket: &UdpSocket, query: &Message, reply: &Message, peer: SocketAddr) {
    match dns::fit(query, reply, true) {
        Ok(bytes) => {
            if let Err(e) = socket.send_to(&bytes, peer).await {
                debug!(error = %e, %peer, "cannot send a DNS answer");
            }
        }
        Err(e) => warn!(error = %e, "cannot encode a DNS answer"),
    }
}
