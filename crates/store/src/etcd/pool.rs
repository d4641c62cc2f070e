//! Connections to the members: one each, made when first needed and kept; calls go to the current one, and to the next
//! when it fails. Reads are asked again elsewhere, short ones soon; writes are the caller's to repeat. Where etcd wants a user
//! and a password, a token is fetched with them and sent along.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

use super::pb::auth_client::AuthClient;
use super::pb::kv_client::KvClient;
use super::pb::lease_client::LeaseClient;
use super::pb::maintenance_client::MaintenanceClient;
use super::{ConnectError, EtcdOptions, pb};

/// A connection must be there by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer must be there by then (etcd itself gives up after seven seconds).
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads of one key are asked anew after so long: a member that lost its leader waits for seven seconds.
const SMALL_TIMEOUTS: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), CALL_TIMEOUT];
/// What etcd expects a token under.
const TOKEN: &str = "token";
/// A silent connection is probed that often, and dropped when the probe is not answered in time.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer that is taken; the pages asked for stay far below.
pub(super) const MESSAGE_BYTES: usize = 1 << 30;

/// All members.
pub(super) struct Pool {
    channels: Vec<Channel>,
    current: AtomicUsize,
    credentials: Option<(String, String)>,
    token: RwLock<Option<MetadataValue<Ascii>>>,
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
        let credentials = options.credentials.clone();
        Ok(Self { channels, current: AtomicUsize::new(first), credentials, token: RwLock::default() })
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
            match self.once(&call).await {
                Err(status) if is_members(&status) => last = status,
                done => return done,
            }
        }
        Err(last)
    }

    /// Asks the current member, which is left when it fails; with a new token where the old one is no good.
    async fn once<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (at, channel) = self.current();
        let mut answer = call(channel.clone()).await;
        if let Err(status) = &answer
            && self.sign_in_again(status).await
        {
            answer = call(channel).await;
        }
        if answer.as_ref().err().is_some_and(is_members) {
            self.leave(at);
        }
        answer.map(Response::into_inner)
    }

    /// Fetches a token if that is what the refusal is about; whether there is a new one.
    pub(super) async fn sign_in_again(&self, status: &Status) -> bool {
        let Some((name, password)) = self.credentials.clone().filter(|_| is_about_token(status)) else { return false };
        let (_, channel) = self.current();
        let mut request = Request::new(pb::AuthenticateRequest { name, password });
        request.set_timeout(CALL_TIMEOUT);
        let Ok(answer) = AuthClient::new(channel).authenticate(request).await else { return false };
        let Ok(token) = MetadataValue::try_from(answer.into_inner().token) else { return false };
        *self.token.write() = Some(token);
        true
    }

    /// The request with the token, if there is one.
    pub(super) fn signed<T>(&self, mut request: Request<T>) -> Request<T> {
        if let Some(token) = self.token.read().as_ref() {
            request.metadata_mut().insert(TOKEN, token.clone());
        }
        request
    }

    fn timed<T>(&self, message: T, limit: Duration) -> Request<T> {
        let mut request = self.signed(Request::new(message));
        request.set_timeout(limit);
        request
    }

    async fn range_within(&self, request: &pb::RangeRequest, limit: Duration) -> Result<pb::RangeResponse, Status> {
        self.ask(|channel| {
            let request = self.timed(request.clone(), limit);
            async move { KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).range(request).await }
        })
        .await
    }

    pub(super) async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        self.range_within(&request, CALL_TIMEOUT).await
    }

    /// The same for a range of one key.
    pub(super) async fn small_range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        let mut last = Status::unavailable("no member");
        for limit in SMALL_TIMEOUTS {
            match self.range_within(&request, limit).await {
                Err(status) if is_members(&status) => last = status,
                done => return done,
            }
        }
        Err(last)
    }

    pub(super) async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, Status> {
        self.ask(|channel| {
            let request = self.timed(request, CALL_TIMEOUT);
            async move { KvClient::new(channel).compact(request).await }
        })
        .await
    }

    pub(super) async fn grant(&self, request: pb::LeaseGrantRequest) -> Result<pb::LeaseGrantResponse, Status> {
        self.ask(|channel| {
            let request = self.timed(request, CALL_TIMEOUT);
            async move { LeaseClient::new(channel).lease_grant(request).await }
        })
        .await
    }

    pub(super) async fn status(&self) -> Result<pb::StatusResponse, Status> {
        self.ask(|channel| {
            let request = self.timed(pb::StatusRequest {}, CALL_TIMEOUT);
            async move { MaintenanceClient::new(channel).status(request).await }
        })
        .await
    }

    /// Sends a transaction once; a member that fails or is too slow is left for the next call.
    pub(super) async fn txn(&self, request: pb::TxnRequest, limit: Duration) -> Result<pb::TxnResponse, Status> {
        self.once(|channel| {
            let request = self.timed(request.clone(), limit);
            async move { KvClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).txn(request).await }
        })
        .await
    }
}

/// Whether a refusal says that a token is missing, too old, or that the rights have changed since it was made.
fn is_about_token(status: &Status) -> bool {
    ["invalid auth token", "user name is empty", "revision of auth store is old", "permission denied"].iter().any(|w| status.message().contains(w))
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
