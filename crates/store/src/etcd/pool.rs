//! Connections to the members: one each, made when first needed and kept; calls go to the current one, and to the next
//! when it fails. Reads are asked again elsewhere; a write only where it cannot have arrived.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

use super::pb::kv_client::KvClient;
use super::pb::maintenance_client::MaintenanceClient;
use super::{ConnectError, EtcdOptions, pb};

/// A connection must be there by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer must be there by then (etcd itself gives up after seven seconds).
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent connection is probed that often, and dropped when the probe is not answered in time.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer that is taken; the pages asked for stay far below.
pub(super) const MESSAGE_BYTES: usize = 1 << 30;

/// All members.
pub(super) struct Pool {
    channels: Vec<Channel>,
    current: AtomicUsize,
}

impl Pool {
    pub(super) fn new(options: &EtcdOptions) -> Result<Self, ConnectError> {
        let channels: Result<Vec<_>, _> = options.endpoints.iter().map(|e| channel(e, options)).collect();
        let channels = channels?;
        if channels.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        // Servers spread over the members.
        let first = RandomState::new().build_hasher().finish() as usize % channels.len();
        Ok(Self { channels, current: AtomicUsize::new(first) })
    }

    /// The member in use, with its number for [`Self::leave`].
    pub(super) fn current(&self) -> (usize, Channel) {
        let at = self.current.load(Ordering::Acquire) % self.channels.len();
        (at, self.channels[at].clone())
    }

    /// Goes on to the next member, unless somebody did so already.
    pub(super) fn leave(&self, at: usize) {
        let next = (at + 1) % self.channels.len();
        let _ = self.current.compare_exchange(at, next, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Asks until a member answers, each at most once.
    async fn ask<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut last = Status::unavailable("no member");
        for _ in 0..self.channels.len().max(2) {
            let (at, channel) = self.current();
            match call(channel).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if is_members(&status) => {
                    self.leave(at);
                    last = status;
                }
                Err(status) => return Err(status),
            }
        }
        Err(last)
    }

    pub(super) async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        self.ask(|channel| {
            let request = timed(request.clone());
            async move { KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).range(request).await }
        })
        .await
    }

    pub(super) async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, Status> {
        self.ask(|channel| {
            let request = timed(request);
            async move { KvClient::new(channel).compact(request).await }
        })
        .await
    }

    pub(super) async fn status(&self) -> Result<pb::StatusResponse, Status> {
        self.ask(|channel| async move { MaintenanceClient::new(channel).status(timed(pb::StatusRequest {})).await }).await
    }

    /// Sends a transaction once; a member that fails is left for the next call.
    pub(super) async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        let (at, channel) = self.current();
        let answer = KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).txn(timed(request)).await;
        if answer.as_ref().err().is_some_and(is_members) {
            self.leave(at);
        }
        answer.map(Response::into_inner)
    }
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// Whether the failure is the member's (another one may answer) and not the request's.
pub(super) fn is_members(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled | Code::Internal)
}

/// A failure in one line, with what lies below it.
pub(super) fn told(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(c) = cause {
        let line = c.to_string();
        if !text.contains(&line) {
            text = if text.is_empty() { line } else { format!("{text}: {line}") };
        }
        cause = c.source();
    }
    text
}

fn channel(endpoint: &str, options: &EtcdOptions) -> Result<Channel, ConnectError> {
    let wrong = |why: String| ConnectError::Endpoint { endpoint: endpoint.to_owned(), why };
    let secure = endpoint.starts_with("https://");
    if !secure && !endpoint.starts_with("http://") {
        return Err(wrong("it must begin with http:// or https://".to_owned()));
    }
    let mut made = Endpoint::from_shared(endpoint.to_owned())
        .map_err(|e| wrong(e.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if secure {
        let mut tls = ClientTlsConfig::new();
        if let Some(ca) = &options.ca_pem {
            tls = tls.ca_certificate(Certificate::from_pem(ca));
        }
        if let Some((certificate, key)) = &options.identity_pem {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        made = made.tls_config(tls).map_err(|e| wrong(e.to_string()))?;
    }
    Ok(made.connect_lazy())
}
