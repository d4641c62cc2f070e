//! One connection: its handshake, its requests, and its end. Who sends nothing, sends headers by the byte or does not take
//! what was asked for loses the connection: places are bounded, and nobody may hold one for nothing. The times of the
//! first two are kube-apiserver's (`ReadHeaderTimeout`, `IdleTimeout` of its secure serving).

#[cfg(test)]
mod tests;

use crate::arriving::Arriving;
use crate::authn::{self, Peer};
use crate::handler;
use crate::respond::Body;
use crate::server::{DRAIN_TIMEOUT, Shared, stopped};
use bytes::Bytes;
use http::Version;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// A TLS handshake may take this long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The first request's head has to be there by then.
const FIRST_TIMEOUT: Duration = Duration::from_secs(32);
/// So long a connection may stay without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// So long a client may take nothing of what waits for it.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Streams of one HTTP/2 connection (client-go multiplexes all its watches on one).
const STREAMS_MAX: u32 = 1000;
/// So much may be encrypted before it is sent: a large list leaves with a quarter of the system calls that the default takes.
const TLS_BUFFER_BYTES: usize = 256 * 1024;

/// Who is at the other end: a client of ours, a front proxy, or nobody known.
fn peer(chain: &[CertificateDer<'_>], address: SocketAddr, shared: &Shared) -> Peer {
    let nobody = Peer { address: Some(address), ..Peer::default() };
    let Some((leaf, between)) = chain.split_first() else { return nobody };
    if shared.front_proxy.verify_client_cert(leaf, between, UnixTime::now()).is_ok() {
        return Peer { front_proxy: Some(authn::common_name(leaf).unwrap_or_default()), ..nobody };
    }
    match authn::certificate_user(leaf, shared.registry.settings().gates.on("AllowParsingUserUIDFromCertAuth")) {
        Ok(certificate) => Peer { certificate, ..nobody },
        Err(why) => {
            tracing::warn!(%address, err = why, "Client certificate cannot be believed");
            Peer { wrong_certificate: true, ..nobody }
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, address: SocketAddr, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let life = Arc::new(Life::new());
    let stream = Observed { inner: stream, life: Arc::clone(&life) };
    let Ok(Ok(mut tls)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await else { return };
    tls.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
    let peer = Arc::new(peer(tls.get_ref().1.peer_certificates().unwrap_or_default(), address, &shared));
    let (mut stopping, of_requests) = (shared.stopping.clone(), Arc::clone(&life));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (shared, peer, open) = (Arc::clone(&shared), Arc::clone(&peer), Open::new(&of_requests));
        let multiplexed = request.version() == Version::HTTP_2;
        async move {
            let reply = handler::handle(shared, peer, request.map(Arriving::new)).await;
            if multiplexed && reply.extensions().get::<handler::Stranger>().is_some() {
                open.0.leave().await;
            }
            Ok::<_, Infallible>(reply.map(|body| Counted { body, _open: open }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().keep_alive(true).pipeline_flush(true);
    builder.http2().max_concurrent_streams(STREAMS_MAX).initial_connection_window_size(1 << 20);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(tls), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped(&mut stopping) => End::Stopping,
        end = life.end() => end,
    };
    if ended == End::Stalled {
        return;
    }
    connection.as_mut().graceful_shutdown();
    life.left.cancel();
    // A request that came in the last moment is still answered, unless the whole server goes.
    while tokio::time::timeout(DRAIN_TIMEOUT, connection.as_mut()).await.is_err() && matches!(ended, End::Idle | End::Stranger) && life.is_busy() {}
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopping,
    /// Nothing is asked any more.
    Idle,
    /// What is answered is not taken.
    Stalled,
    /// Who asked is nobody known.
    Stranger,
}

/// What has happened on a connection. Times are milliseconds since it began.
struct Life {
    began: Instant,
    /// Requests that are not answered to the end.
    open: AtomicUsize,
    /// Whether there ever was one.
    asked: AtomicBool,
    /// Since when there is none.
    idle_since: AtomicU64,
    /// Since when the client takes nothing; zero: it does.
    stalled_since: AtomicU64,
    /// Told when no further request is wanted, and when the other end has been told.
    leaving: CancellationToken,
    left: CancellationToken,
}

impl Life {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            leaving: CancellationToken::new(),
            left: CancellationToken::new(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_busy(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    /// Whether it is over now, or when to look again.
    fn judge(&self, now: u64) -> Result<End, Duration> {
        let left = |since: u64, limit: Duration| limit.saturating_sub(Duration::from_millis(now.saturating_sub(since)));
        let stalled = match self.stalled_since.load(Ordering::Acquire) {
            0 => STALL_TIMEOUT,
            since => left(since, STALL_TIMEOUT),
        };
        let limit = if self.asked.load(Ordering::Acquire) { IDLE_TIMEOUT } else { FIRST_TIMEOUT };
        let idle = if self.is_busy() { limit } else { left(self.idle_since.load(Ordering::Acquire), limit) };
        match (stalled.is_zero(), idle.is_zero()) {
            (true, _) => Ok(End::Stalled),
            (_, true) => Ok(End::Idle),
            _ => Err(stalled.min(idle)),
        }
    }

    async fn end(&self) -> End {
        loop {
            let later = match self.judge(self.now()) {
                Ok(end) => return end,
                Err(later) => later,
            };
            tokio::select! {
                () = tokio::time::sleep(later) => {}
                () = self.leaving.cancelled() => return End::Stranger,
            }
        }
    }

    /// Ends the connection when what was asked is answered: the other end hears of it before the answer.
    async fn leave(&self) {
        self.leaving.cancel();
        self.left.cancelled().await;
    }

    fn wrote(&self, pending: bool) {
        if !pending {
            self.stalled_since.store(0, Ordering::Release);
        } else if self.stalled_since.load(Ordering::Acquire) == 0 {
            self.stalled_since.store(self.now().max(1), Ordering::Release);
        }
    }
}

/// A request, from its head to the last byte of its answer.
struct Open(Arc<Life>);

impl Open {
    fn new(life: &Arc<Life>) -> Self {
        life.open.fetch_add(1, Ordering::AcqRel);
        life.asked.store(true, Ordering::Release);
        Self(Arc::clone(life))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer's body, whose request is open until it is sent.
struct Counted {
    body: Body,
    _open: Open,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells whether the other end takes what is written.
struct Observed<S> {
    inner: S,
    life: Arc<Life>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.life.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.life.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
